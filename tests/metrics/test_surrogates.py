"""Surrogate maps keep the map's values and smoothness, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from xrano.errors import ConfigError, VolumeError
from xrano.metrics.catalogue import METRICS
from xrano.metrics.null_calibration import ellipsoid_brain
from xrano.metrics.ranked import mask_positions, rank_map
from xrano.metrics.surrogates import surrogate_maps, surrogate_null

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
