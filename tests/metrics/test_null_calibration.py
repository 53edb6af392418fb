"""The placement null rejects 5 % where the lesion's place is drawn, and says nothing where not."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import ndimage

from xrano.errors import UnknownNameError
from xrano.metrics import null_calibration
from xrano.metrics.null_calibration import (
    ellipsoid_brain,
    placement_rejections,
    random_map,
    rejections,
)

BAND = {"coverage": 0.999}
SHAPE = (9, 8, 7)


@pytest.mark.parametrize("maps", ["stationary", "central"])
@pytest.mark.parametrize("smoothness", [0.0, 1.0, 3.0])
def test_a_lesion_drawn_over_the_valid_places_is_rejected_at_five_percent(smoothness, maps):
    found = placement_rejections(
        shape=(20, 18, 16), smoothness=smoothness, n_maps=250, seed=17, maps=maps, **BAND
    )
    for name in ("relevance_mass_accuracy", "auroc"):
        assert found[name].inside, name
    for name, one in found.items():  # ties of counts make a test stricter, never looser
        assert one.rate <= one.high, name


@pytest.mark.parametrize("lesion", ["central", "edge"])
def test_a_fixed_lesion_and_maps_that_favour_the_middle_break_it(lesion):
    found = placement_rejections(
        shape=(20, 18, 16), smoothness=0.0, n_maps=150, seed=5, lesion=lesion, maps="central"
    )["relevance_mass_accuracy"]
    assert not found.inside
    assert found.rate > 0.9 if lesion == "central" else found.rate == 0.0


def test_the_band_is_that_of_the_binomial():
    found = rejections([0.05] * 10 + [0.051] * 190)
    assert (found.n, found.rejected, found.rate) == (200, 10, 0.05)
    # By summation: the central 95 % of 200 tests at 5 %.
    mass = [math.comb(200, k) * 0.05**k * 0.95 ** (200 - k) for k in range(201)]
    cumulative = np.cumsum(mass)
    assert found.low * 200 == np.argmax(cumulative >= 0.025)
    assert found.high * 200 == np.argmax(cumulative >= 0.975)
    assert not rejections([0.01] * 50 + [0.5] * 150).inside
    # A sum of shares that is 0.05 but for the last bit counts; both ends belong to the band.
    assert rejections([0.05 + 1e-17, 0.05 * (1 + 4e-16), 0.0501]).rejected == 2
    for rejected, inside in ((3, False), (4, True), (16, True), (17, False)):
        assert rejections([0.01] * rejected + [0.5] * (200 - rejected)).inside is inside
    wide = rejections([0.01] * 17 + [0.5] * 183, coverage=0.99)
    assert wide.inside
    assert wide.low < found.low < found.high < wide.high


def test_an_unknown_kind_is_refused():
    with pytest.raises(UnknownNameError, match="^unknown lesion 'middle'.*central, edge, random"):
        placement_rejections(shape=SHAPE, smoothness=1.0, n_maps=1, seed=0, lesion="middle")
    with pytest.raises(UnknownNameError, match="^unknown maps 'edge'.*central, stationary"):
        placement_rejections(shape=SHAPE, smoothness=1.0, n_maps=1, seed=0, maps="edge")


# -- what is drawn -------------------------------------------------------------------------------


def radius_of(voxel):
    """Distance from the middle of the volume, 1 at the faces."""
    return math.hypot(*(2 * v / (n - 1) - 1 for v, n in zip(voxel, SHAPE, strict=True)))


def test_the_brain_is_the_ellipsoid_that_touches_the_faces():
    brain = ellipsoid_brain(SHAPE)
    for voxel in np.ndindex(*SHAPE):
        if abs(radius_of(voxel) - 1) > 1e-9:
            assert brain[voxel] == (radius_of(voxel) < 1), voxel
    assert ellipsoid_brain((9, 7, 5))[[0, 4, 8], 3, 2].all()


def test_maps_are_smoothed_noise_without_a_sign_and_fade_if_asked():
    noise = np.random.default_rng(3).normal(size=SHAPE)
    white = random_map(np.random.default_rng(3), SHAPE, 0.0, "stationary")
    np.testing.assert_array_equal(white, abs(noise))
    smooth = random_map(np.random.default_rng(3), SHAPE, 1.5, "stationary")
    expected = abs(ndimage.gaussian_filter(noise, 1.5, mode="wrap"))
    np.testing.assert_array_equal(smooth, expected)
    central = random_map(np.random.default_rng(3), SHAPE, 1.5, "central")
    for voxel in np.ndindex(*SHAPE):
        fade = math.exp(-2 * radius_of(voxel) ** 2)
        assert central[voxel] == pytest.approx(smooth[voxel] * fade, rel=1e-12)


@pytest.mark.parametrize("centre", [None, (2.0, 5.0, 1.5)])
@pytest.mark.parametrize("radius", [0.0, 1.0, 2.5])
def test_lesions_are_balls(radius, centre):
    found = null_calibration._ball(SHAPE, radius, None if centre is None else np.array(centre))
    for voxel in np.ndindex(*SHAPE):
        away = math.dist(voxel, centre or (4, 4, 3))
        assert found[voxel] == (away**2 <= radius**2), voxel


def test_a_place_is_the_nearest_the_farthest_or_any():
    places = np.array([[3, 0, 0], [0, -1, 0], [0, 0, 0], [2, 2, -4], [1, 1, 1]])
    rng = np.random.default_rng(0)
    chosen = {
        lesion: [tuple(null_calibration._chooser(places, lesion)(rng)) for _ in range(100)]
        for lesion in ("central", "edge", "random")
    }
    assert set(chosen["central"]) == {(0, 0, 0)}
    assert set(chosen["edge"]) == {(2, 2, -4)}
    assert set(chosen["random"]) == {tuple(place) for place in places.tolist()}


def test_a_cohort_shares_a_patients_place_and_half_of_its_map():
    shape = (14, 13, 12)
    domain = ellipsoid_brain(shape)
    patients, relevance, masks = null_calibration._cohort(
        np.random.default_rng(0), 30, domain, 1.0, "stationary"
    )
    there = np.argwhere(domain)
    counts = {patient: patients.count(patient) for patient in patients}
    assert set(counts) == {f"{number:03d}" for number in range(30)}
    assert set(counts.values()) == {1, 2, 3, 4}
    assert relevance.shape == masks.shape == (len(patients), len(there))
    assert (relevance > 0).all()
    assert set(np.unique(masks)) == {0.0, 1.0}
    lowest, within, between = [], [], []
    for one in range(len(patients)):
        lowest.append(there[masks[one] > 0][:, 0].min())
        for other in range(one):
            together = masks[one] @ masks[other] > 0
            if patients[one] == patients[other]:
                assert together
                within.append(np.corrcoef(relevance[one], relevance[other])[0, 1])
            else:
                between.append(np.corrcoef(relevance[one], relevance[other])[0, 1])
    # Centres lie in the lower half; balls reach at most 3 voxels further.
    assert max(lowest) <= 6
    assert np.mean(within) == pytest.approx(0.5, abs=0.07)
    assert np.mean(between) == pytest.approx(0.0, abs=0.03)
    sizes = masks.sum(axis=1)
    assert sizes.max() <= 123
    assert sizes.max() > 3 * sizes.min()


def test_each_cohort_of_the_shuffle_null_is_a_test():
    found = null_calibration.shuffle_rejections(
        n_patients=5,
        smoothness=1.0,
        n_cohorts=3,
        seed=0,
        maps="stationary",
        shape=SHAPE,
        n_permutations=39,
    )
    assert found.n == 3
