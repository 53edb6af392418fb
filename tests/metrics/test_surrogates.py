"""Surrogate maps keep the map's values and smoothness, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import fft, ndimage
from scipy.special import ndtri

from xrano.errors import ConfigError, VolumeError
from xrano.metrics import surrogates
from xrano.metrics.catalogue import METRICS
from xrano.metrics.null_calibration import ellipsoid_brain
from xrano.metrics.ranked import mask_positions, rank_map
from xrano.metrics.surrogates import surrogate_maps, surrogate_null
from xrano.metrics.translations import BrainBox

SHAPE = (30, 26, 22)
DOMAIN = ellipsoid_brain(SHAPE)


def smooth(seed, sigma):
    noise = np.random.default_rng(seed).normal(size=SHAPE)
    return np.exp(ndimage.gaussian_filter(noise, sigma, mode="wrap") * sigma**1.5)


def correlation(volume, lag, axis):
    """Correlation of log values of voxels ``lag`` apart, both in the brain."""
    values = np.log(np.where(DOMAIN, volume, 1.0))
    a, b = (np.take(values, range(*r), axis) for r in ((0, SHAPE[axis] - lag), (lag, SHAPE[axis])))
    both = np.take(DOMAIN, range(SHAPE[axis] - lag), axis) & np.take(
        DOMAIN, range(lag, SHAPE[axis]), axis
    )
    return np.corrcoef(a[both], b[both])[0, 1]


@pytest.mark.parametrize("sigma", [(0.5,) * 3, (1.5,) * 3, (1.0, 2.0, 3.0)])
def test_values_are_kept_exactly_and_autocorrelation_nearly(sigma):
    noise = np.random.default_rng(0).normal(size=SHAPE)
    attribution = np.exp(3 * ndimage.gaussian_filter(noise, sigma, mode="wrap"))
    drawn = list(surrogate_maps(attribution, DOMAIN, n_surrogates=12, seed=1))
    for one in drawn:
        np.testing.assert_allclose(np.sort(one[DOMAIN]), np.sort(attribution[DOMAIN]), rtol=1e-6)
        assert not one[~DOMAIN].any()
    for axis in range(3):
        for lag in (1, 2, 4):
            mean = np.mean([correlation(one, lag, axis) for one in drawn])
            assert mean == pytest.approx(correlation(attribution, lag, axis), abs=0.12)


def test_surrogates_do_not_lie_where_the_map_does():
    attribution = smooth(3, 1.5)
    drawn = [one[DOMAIN] for one in surrogate_maps(attribution, DOMAIN, n_surrogates=10, seed=2)]
    likeness = [np.corrcoef(np.log(attribution[DOMAIN]), np.log(one))[0, 1] for one in drawn]
    assert np.abs(np.mean(likeness)) < 0.15
    assert len({one.tobytes() for one in drawn}) == 10


def test_the_null_finds_a_map_that_knows_and_keeps_its_level_for_one_that_does_not():
    shape = (18, 16, 14)
    domain = ellipsoid_brain(shape)
    mask = np.zeros(shape, dtype=bool)
    mask[7:10, 6:9, 5:8] = True
    positions = mask_positions(mask, domain)
    score = METRICS["relevance_mass_accuracy"].score
    rng = np.random.default_rng(0)

    def null(attribution, n):
        seen = rank_map(attribution, domain).within(positions)
        return surrogate_null(seen, positions, score, n_surrogates=n, seed=int(rng.integers(1e9)))

    knowing = ndimage.gaussian_filter(mask.astype(float), 1.0) + 1e-3 * rng.random(shape)
    result = null(knowing, 39)
    assert (result.null, result.n, result.p) == ("surrogate", 39, 1 / 40)
    ps = [
        null(np.abs(ndimage.gaussian_filter(rng.normal(size=shape), 1.0)), 19).p for _ in range(80)
    ]
    assert np.mean(np.array(ps) <= 0.1) <= 0.225  # 99.9 % of the binomial with 80 tests at 10 %
    assert 0.38 < np.mean(ps) < 0.65


def test_the_same_seed_gives_the_same_maps_and_no_other_state_is_touched():
    attribution = smooth(1, 1.0)
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    one, again = (
        next(iter(surrogate_maps(attribution, DOMAIN, n_surrogates=1, seed=5))) for _ in range(2)
    )
    np.testing.assert_array_equal(one, again)
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002


def test_what_has_no_surrogate_is_refused():
    with pytest.raises(VolumeError, match="constant"):
        next(surrogate_maps(np.ones(SHAPE), DOMAIN, n_surrogates=1, seed=0))
    with pytest.raises(ConfigError, match="at least 1"):
        next(surrogate_maps(smooth(0, 1.0), DOMAIN, n_surrogates=0, seed=0))


# -- what the fields are made of -----------------------------------------------------------------


def test_the_autocorrelation_is_the_sum_over_pairs_of_voxels():
    small = np.random.default_rng(0).normal(size=(3, 4, 2))
    found = surrogates._autocorrelation(small, (6, 8, 5))
    for lag in np.ndindex(3, 4, 2):
        ahead = small[lag[0] :, lag[1] :, lag[2] :]
        behind = small[: 3 - lag[0], : 4 - lag[1], : 2 - lag[2]]
        assert found[lag] == pytest.approx((ahead * behind).sum(), abs=1e-12)


@pytest.mark.parametrize("axis", range(3))
def test_the_half_width_is_where_a_line_crosses_a_half(axis):
    def along(values):
        volume = np.full((12, 12, 12), -9.0)
        np.moveaxis(volume, axis, 0)[:, 0, 0] = [*values, *[0.1] * (12 - len(values))]
        return volume

    # 0.8 at 1, 0.4 at 2: a half at 1.75. What comes after the first crossing does not matter.
    assert surrogates._half_width(along([1.0, 0.8, 0.4, 0.9, 0.3]), axis) == pytest.approx(1.75)
    assert surrogates._half_width(along([1.0, 0.2]), axis) == pytest.approx(0.625)
    assert surrogates._half_width(along([1.0, 0.9, 0.5, 0.3]), axis) == pytest.approx(2.0)
    # Beyond half the box lags are those of the other direction.
    assert surrogates._half_width(along([0.9] * 12), axis) == 6.0


def test_distances_are_of_circular_lags_each_axis_in_its_unit():
    shape, units = (4, 5, 6), [2.0, 0.5, 3.0]
    found = surrogates._distance(shape, units)
    for lag in np.ndindex(*shape):
        steps = [min(a, n - a) / u for a, n, u in zip(lag, shape, units, strict=True)]
        assert found[lag] == pytest.approx(np.hypot.reduce(steps), abs=1e-12)


def test_a_gaussian_falls_to_its_width_and_without_width_is_a_point():
    distance = np.array([0.0, 0.5, 1.0, 2.0, 4.0])
    for width in (0.5, 1.0, 2.0):
        expected = [np.exp(-(d**2) / (2 * width**2)) for d in distance]
        np.testing.assert_allclose(surrogates._gaussian(distance, width), expected, rtol=1e-12)
    assert surrogates._gaussian(distance, 0.0).tolist() == [1, 0, 0, 0, 0]


def test_widths_go_from_white_noise_to_far_beyond_the_half_width():
    widths = surrogates._WIDTHS
    assert widths[0] == 0.0
    np.testing.assert_allclose(widths[2:] / widths[1:-1], 1.5)
    assert (widths[1], len(widths)) == (0.3, 10)


def test_a_mixture_of_gaussians_is_fitted_by_its_own_weights():
    shape = (24, 20, 18)
    distance = surrogates._distance(shape, [2.0, 1.5, 1.2])
    weights = np.zeros(len(surrogates._WIDTHS))
    weights[[0, 3, 6]] = 0.2, 0.5, 0.3
    mixed = sum(
        w * surrogates._gaussian(distance, width)
        for w, width in zip(weights, surrogates._WIDTHS, strict=True)
    )
    known = distance < 8
    found = surrogates._fitted(mixed * 3.0, distance, known)
    np.testing.assert_allclose(found, weights, atol=1e-6)
    # Lags that are not known have no say.
    found = surrogates._fitted(np.where(distance <= 2, mixed, 77.0), distance, distance <= 2)
    np.testing.assert_allclose(found, weights, atol=1e-6)


@pytest.mark.parametrize("shape", [(3, 5, 7), (30, 26, 22), (11, 13, 17)])
def test_a_box_is_padded_to_twice_its_size_or_little_more(shape):
    for size, padded in zip(shape, surrogates._padded(shape), strict=True):
        assert 2 * size <= padded <= 2 * size * 1.2


def test_the_field_has_the_power_of_the_autocorrelation():
    ranked = rank_map(smooth(4, 1.5), DOMAIN)
    inside = BrainBox(DOMAIN).inside
    shape = surrogates._padded(inside.shape)
    amplitude = surrogates._amplitude(ranked, inside, shape)
    # Of the white noise that it is applied to, a field of variance 1 comes out.
    correlation = fft.irfftn(amplitude.astype(np.float64) ** 2, shape)
    assert correlation[0, 0, 0] == pytest.approx(1.0, abs=0.02)
    assert amplitude.min() >= 0
    # Along each axis it falls as the map's normal scores do.
    scores = np.zeros(inside.shape)
    scores[inside] = ndtri((ranked.midranks - 0.5) / ranked.n)
    for axis in range(3):
        size = inside.shape[axis]
        ahead, behind = (np.take(scores, range(*r), axis) for r in ((1, size), (0, size - 1)))
        both = np.take(inside, range(1, size), axis) & np.take(inside, range(size - 1), axis)
        expected = (ahead * behind)[both].mean() / scores[inside].var()
        lag = tuple(int(other == axis) for other in range(3))
        assert correlation[lag] == pytest.approx(expected, abs=0.05)


def test_a_map_that_varies_in_one_voxel_alone_has_surrogates():
    for value in (0.0, 2.0):
        almost = np.ones(SHAPE)
        almost[15, 13, 11] = value
        (one,) = surrogate_maps(almost, DOMAIN, n_surrogates=1, seed=0)
        assert sorted(one[DOMAIN]) == sorted(almost[DOMAIN])


def test_where_less_is_better_the_tail_is_the_lower_one():
    attribution = smooth(6, 1.0)
    ranked = rank_map(attribution, DOMAIN)
    positions = mask_positions(attribution > np.quantile(attribution[DOMAIN], 0.9), DOMAIN)
    seen = ranked.within(positions)
    score = METRICS["relevance_mass_accuracy"].score
    up = surrogate_null(seen, positions, score, n_surrogates=19, seed=0)
    assert (up.p, up.percentile) == (1 / 20, 100.0)
    down = surrogate_null(seen, positions, score, n_surrogates=19, seed=0, higher_is_better=False)
    assert (down.p, down.percentile) == (1.0, 0.0)
