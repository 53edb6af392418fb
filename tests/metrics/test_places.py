"""Distances in mm against brute force, on oblique and sheared anisotropic grids."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from xrano.errors import GridMismatchError
from xrano.geometry import Grid
from xrano.metrics import places
from xrano.metrics.overlap import score_overlap
from xrano.metrics.places import MaskPlace, dilated_kernel

SHAPE = (7, 6, 5)


def turned():
    angle = 0.4
    c, s = np.cos(angle), np.sin(angle)
    affine = np.eye(4)
    affine[:3, :3] = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) @ np.diag([-2.0, 3.0, 5.0])
    affine[:3, 3] = (10, -20, 5)
    return affine


def sheared():
    affine = turned()
    affine[:3, 2] += affine[:3, 0] * 0.6
    return affine


def sheared_back():
    affine = turned()
    affine[:3, 2] -= affine[:3, 0] * 0.6
    return affine


AFFINES = (np.diag([2.0, 3, 5, 1]), turned(), sheared(), sheared_back())
GRIDS = [Grid(SHAPE, affine) for affine in AFFINES]
GRID_NAMES = ["straight", "turned", "sheared", "sheared back"]


def case(seed):
    rng = np.random.default_rng(seed)
    attribution = rng.gamma(0.5, size=SHAPE)
    domain = rng.random(SHAPE) < 0.8
    mask = np.zeros(SHAPE, dtype=bool)
    mask[1:3, 2:4, 1:3] = rng.random((2, 2, 2)) < 0.7
    mask[1, 2, 1] = domain[1, 2, 1] = True
    return attribution, mask, domain


def world(grid, index):
    return grid.affine[:3, :3] @ np.array(index, dtype=float) + grid.affine[:3, 3]


def brute_distance(grid, index, mask):
    points = [world(grid, m) for m in np.argwhere(mask)]
    return min(np.linalg.norm(world(grid, index) - point) for point in points)


@pytest.mark.parametrize("grid", GRIDS, ids=GRID_NAMES)
@pytest.mark.parametrize("seed", range(4))
def test_all_distances_equal_brute_force(grid, seed):
    attribution, mask, domain = case(seed)
    found = score_overlap(attribution, mask, domain=domain, grid=grid)
    inside = mask & domain
    voxels = np.argwhere(domain)
    values = attribution[domain]
    far = np.array([brute_distance(grid, voxel, inside) for voxel in voxels])
    peak = far[values.argmax()]
    assert found["peak_distance_mm"].value == pytest.approx(peak, abs=1e-9)
    assert found["peak_distance_mm"].chance == pytest.approx(far.mean(), abs=1e-9)
    for tolerance in (5, 10):
        score = found[f"pointing_game_{tolerance}mm"]
        assert score.value == float(peak <= tolerance + 1e-9)
        assert score.chance == pytest.approx((far <= tolerance + 1e-9).mean(), abs=1e-12)
    relevance = sum(v * world(grid, x) for v, x in zip(values, voxels, strict=True)) / values.sum()
    middle = np.mean([world(grid, x) for x in np.argwhere(inside)], axis=0)
    brain = np.mean([world(grid, x) for x in voxels], axis=0)
    score = found["centre_distance_mm"]
    assert score.value == pytest.approx(np.linalg.norm(relevance - middle), abs=1e-9)
    assert score.chance == pytest.approx(np.linalg.norm(brain - middle), abs=1e-9)


@pytest.mark.parametrize("grid", GRIDS, ids=GRID_NAMES)
@pytest.mark.parametrize("tolerance", [0.0, 2.0, 4.5, 11.0])
def test_a_grown_mask_is_every_voxel_within_the_distance(grid, tolerance):
    _, mask, domain = case(1)
    place = MaskPlace(mask, domain, grid)
    expected = np.zeros(SHAPE, dtype=bool)
    for index in itertools.product(*map(range, SHAPE)):
        expected[index] = brute_distance(grid, index, mask & domain) <= tolerance + 1e-9
    np.testing.assert_array_equal(place.dilated(tolerance), expected)


@pytest.mark.parametrize("grid", GRIDS, ids=GRID_NAMES)
def test_a_kernel_grows_beyond_its_box_in_every_direction(grid):
    kernel, start = dilated_kernel(np.ones((1, 1, 1), dtype=bool), grid, 7.0)
    offsets = np.argwhere(kernel) + start
    lengths = np.linalg.norm(offsets @ grid.affine[:3, :3].T, axis=1)
    assert lengths.max() <= 7.0
    around = np.array(list(itertools.product(range(-6, 7), repeat=3)))
    within = np.linalg.norm(around @ grid.affine[:3, :3].T, axis=1) <= 7.0
    assert len(offsets) == within.sum()


@pytest.mark.parametrize("steps", [1, 2, 5])
def test_a_peak_at_the_tolerance_is_a_hit_whatever_the_last_bit(steps):
    # 5 mm by one step, or by several whose sum is not exactly 5.
    for tolerance in (5.0, 10.0):
        size = tolerance / steps * (1 + 1e-12)
        grid = Grid((9, 2, 1), np.diag([size, 50.0, 50.0, 1]))
        mask = np.zeros(grid.shape, dtype=bool)
        mask[1, 0, 0] = True
        everywhere = np.ones_like(mask)
        for at, hit in ((1 + steps, 1.0), (2 + steps, 0.0)):
            attribution = np.zeros(grid.shape)
            attribution[at, 0, 0] = 1.0
            found = score_overlap(attribution, mask, domain=everywhere, grid=grid)
            score = found[f"pointing_game_{tolerance:g}mm"]
            assert score.value == hit
            near = sum(abs(i - 1) <= steps for i in range(9))
            assert score.chance == pytest.approx(near / 18, abs=1e-12)


def test_equal_peaks_count_by_their_mean():
    grid = GRIDS[0]
    attribution = np.zeros(SHAPE)
    attribution[0, 0, 0] = attribution[6, 0, 0] = 1.0  # 0 and 12 mm from the mask
    mask = np.zeros(SHAPE, dtype=bool)
    mask[0, 0, 0] = True
    everywhere = np.ones(SHAPE, dtype=bool)
    found = score_overlap(attribution, mask, domain=everywhere, grid=grid)
    assert found["peak_distance_mm"].value == pytest.approx(6.0)
    assert found["pointing_game_5mm"].value == 0.5
    assert found["centre_distance_mm"].value == pytest.approx(6.0)


def test_a_mean_over_spaced_voxels_is_near_the_mean_over_all(monkeypatch):
    shape = (40, 36, 30)
    mask = np.zeros(shape, dtype=bool)
    mask[5:9, 7:9, 20:24] = True
    grid = Grid(shape, np.diag([1.0, 1.2, 1.5, 1]))
    everywhere = np.ones(shape, dtype=bool)
    thinned = MaskPlace(mask, everywhere, grid).mean_distance
    monkeypatch.setattr(places, "MOST_POINTS", mask.size)
    assert thinned == pytest.approx(MaskPlace(mask, everywhere, grid).mean_distance, rel=0.005)


def test_of_many_voxels_evenly_spaced_ones_are_asked_from_the_first_to_the_last(monkeypatch):
    shape = (9, 1, 1)
    mask = np.zeros(shape, dtype=bool)
    mask[0] = True
    place = MaskPlace(mask, np.ones_like(mask), Grid(shape, np.diag([2.0, 3, 5, 1])))
    monkeypatch.setattr(places, "MOST_POINTS", 5)
    assert place.distances(np.arange(9)).tolist() == [0, 4, 8, 12, 16]
    assert place.distances(np.arange(5)).tolist() == [0, 2, 4, 6, 8]


@pytest.mark.parametrize("grid", GRIDS, ids=GRID_NAMES)
def test_a_kernel_that_is_not_to_grow_keeps_its_box(grid):
    kernel = case(1)[1][1:3, 2:4, 1:3]
    grown, start = dilated_kernel(kernel, grid, 0.0)
    assert start == (0, 0, 0)
    np.testing.assert_array_equal(grown, kernel)


def test_a_place_on_another_grid_is_refused():
    _, mask, domain = case(0)
    with pytest.raises(GridMismatchError, match="^the mask has shape"):
        MaskPlace(mask[:2], domain, GRIDS[0])
    with pytest.raises(GridMismatchError, match="^the scoring domain has shape"):
        MaskPlace(mask, domain[:2], GRIDS[0])
