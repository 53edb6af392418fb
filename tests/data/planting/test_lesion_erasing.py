from __future__ import annotations

import numpy as np
import pytest
from small_store import GRID, LESION, session, world_distance

from xrano.data.planting.erase import MARGIN_MM, erased, lesion_place
from xrano.errors import ManifestError, VolumeError
from xrano.geometry import Grid

BRAIN = world_distance((3.0, -9.0, 5.0)) < 42
PLACE = world_distance(LESION) < 18


def fill(volume: np.ndarray, seed: int = 0, brain: np.ndarray = BRAIN) -> np.ndarray:
    return erased(volume.astype(np.float32), brain, PLACE, GRID, np.random.default_rng(seed))


def test_the_place_is_all_that_lies_near_a_label_of_any_visit():
    visits = [session(0, number) for number in range(3)]
    labelled = np.zeros(GRID.shape, dtype=bool)
    for visit in visits:
        labelled |= visit.segmentations["deepbratumia"][0] > 0
    lesions = GRID.world(np.argwhere(labelled))
    points = GRID.world(np.argwhere(np.ones(GRID.shape, dtype=bool)))
    away = np.array([np.linalg.norm(lesions - one, axis=1).min() for one in points])
    near = away <= MARGIN_MM + 1e-6
    found = lesion_place(visits, GRID)
    assert np.array_equal(found.ravel(), near)
    assert found.sum() > labelled.sum()
    assert np.array_equal(found, lesion_place(visits[::-1], GRID))


def test_a_place_without_labels_is_empty():
    none = {"deepbratumia": (np.zeros(GRID.shape, np.uint8), "lumiere-deepbratumia")}
    assert not lesion_place([session(0, 0, segmentations=none)], GRID).any()


def test_a_scan_whose_lesion_is_not_known_is_refused():
    with pytest.raises(ManifestError, match=r"P00 week-012 has no segmentation"):
        lesion_place([session(0, 0), session(0, 1, segmentations={})], GRID)


def test_only_the_place_within_the_brain_changes():
    volume = np.random.default_rng(3).normal(1.0, 0.2, GRID.shape).astype(np.float32)
    kept = volume.copy()
    found = fill(volume)
    changed = found != volume
    assert np.array_equal(changed, PLACE & BRAIN)
    assert np.array_equal(volume, kept)
    assert found.dtype == np.float32


def test_what_was_there_leaves_no_trace():
    volume = np.random.default_rng(3).normal(1.0, 0.2, GRID.shape)
    ill = np.where(PLACE, 9.0 + volume, volume)
    assert np.array_equal(fill(volume)[BRAIN], fill(ill)[BRAIN])


def test_even_tissue_is_restored():
    assert fill(np.full(GRID.shape, 0.75)) == pytest.approx(np.full(GRID.shape, 0.75), abs=1e-6)


def test_level_and_spread_are_those_of_the_tissue_around():
    """Level 2 in front of the lesion's middle and 1 behind it, with noise of 0.1."""
    front = GRID.world(np.stack(np.indices(GRID.shape), axis=-1))[..., 1] > LESION[1]
    noise = np.random.default_rng(4).normal(0.0, 0.1, GRID.shape)
    even = fill(1.0 + noise)[PLACE & BRAIN]
    assert even.mean() == pytest.approx(1.0, abs=0.03)
    assert even.std() == pytest.approx(0.1, rel=0.15)
    steep = fill(1.0 + front + noise)
    assert steep[PLACE & BRAIN & front].mean() > steep[PLACE & BRAIN & ~front].mean() + 0.3


def test_the_level_is_the_mean_of_donors_weighted_by_a_gaussian():
    """Brute force over all donors at some voxels, with a noise of nothing."""

    class Silent:
        def standard_normal(self, shape):
            return np.zeros(shape)

    volume = np.random.default_rng(5).normal(1.0, 0.2, GRID.shape).astype(np.float32)
    found = erased(volume, BRAIN, PLACE, GRID, Silent())
    donors = np.argwhere(BRAIN & ~PLACE)
    for voxel in np.argwhere(PLACE & BRAIN)[::40]:
        weights = np.exp(-0.5 * (((donors - voxel) * GRID.spacing / 12.0) ** 2).sum(axis=1))
        expected = np.average(volume[tuple(donors.T)], weights=weights)
        # scipy cuts its Gaussian at four standard deviations.
        assert found[tuple(voxel)] == pytest.approx(expected, rel=1e-3)


def test_the_same_stream_gives_two_visits_the_same_pattern_whatever_their_brain_masks():
    volume = np.random.default_rng(6).normal(1.0, 0.2, GRID.shape)
    other = BRAIN.copy()
    other[:, :, GRID.shape[2] // 2 + 3 :] = False
    both = PLACE & BRAIN & other
    first, second = fill(volume)[both], fill(volume, brain=other)[both]
    assert np.corrcoef(first, second)[0, 1] > 0.98
    assert np.corrcoef(first, fill(volume, seed=1)[both])[0, 1] < 0.5


def test_far_from_all_tissue_its_mean_stands_in():
    grid = Grid((60, 5, 5), np.diag([10.0, 2.0, 2.0, 1.0]))
    brain = np.ones(grid.shape, dtype=bool)
    place = np.ones(grid.shape, dtype=bool)
    place[:3] = False
    volume = np.full(grid.shape, 2.0, dtype=np.float32)
    assert erased(volume, brain, place, grid, np.random.default_rng(0)) == pytest.approx(volume)


def test_a_brain_that_is_all_lesion_is_refused():
    with pytest.raises(VolumeError, match="no healthy tissue"):
        erased(
            np.ones(GRID.shape, np.float32),
            PLACE,
            PLACE,
            GRID,
            np.random.default_rng(0),
        )
