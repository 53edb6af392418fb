"""Marks on a made-up brain, symmetric about its midline, on grids that lie in any direction."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from xrano.data.planting.marks import (
    BIAS_LOG_SD,
    BLUR_SD_MM,
    EDGE_SPREADS,
    MARKS,
    NOISE_SPREADS,
    RIM_MM,
    TAG_SPREADS,
    TEXTURE_MM,
    TEXTURE_SPREADS,
    rim,
    sagittal,
    spread,
    tag_place,
)
from xrano.data.planting.plan import SHORTCUTS
from xrano.errors import VolumeError
from xrano.geometry import Grid, to_ras

AXES_MM = np.array([58.0, 72.0, 50.0])
CENTRE = np.array([2.0, -9.0, 6.0])

RAS = np.diag([5.0, 4.0, 6.0, 1.0])
FLIPPED = np.diag([-5.0, -4.0, -6.0, 1.0])
PERMUTED = np.array([[0, 0, -6.0, 0], [5.0, 0, 0, 0], [0, -4.0, 0, 0], [0, 0, 0, 1]])
CLASSES = range(4)
WITHOUT_DRAWS_A_VOXEL = [kind for kind in SHORTCUTS if kind != "noise"]


def oblique() -> np.ndarray:
    turns = [(0, 1, 0.2), (1, 2, -0.15), (0, 2, 0.1)]
    matrix = np.eye(3)
    for first, second, angle in turns:
        turn = np.eye(3)
        turn[first, first] = turn[second, second] = np.cos(angle)
        turn[first, second], turn[second, first] = -np.sin(angle), np.sin(angle)
        matrix = matrix @ turn
    affine = np.eye(4)
    affine[:3, :3] = matrix @ np.diag([-5.0, 4.0, 6.0])
    return affine


AFFINES = {"ras": RAS, "flipped": FLIPPED, "permuted": PERMUTED, "oblique": oblique()}


def grid_of(affine: np.ndarray) -> Grid:
    """Wide enough for the brain, which it is centred on."""
    shape = tuple(
        int(2 * np.ceil((AXES_MM.max() + 8) / size))
        for size in np.linalg.norm(affine[:3, :3], axis=0)
    )
    moved = affine.copy()
    moved[:3, 3] = CENTRE - affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    return Grid(shape, moved)


def head(grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    """A brain whose tissue is a function of |x| and of the place, and its mask."""
    world = grid.world(np.stack(np.indices(grid.shape), axis=-1)) - CENTRE
    brain = ((world / AXES_MM) ** 2).sum(axis=-1) < 1
    x, y, z = np.abs(world[..., 0]), world[..., 1], world[..., 2]
    tissue = 0.7 + 0.15 * np.sin(x / 9 + y / 13) + 0.1 * np.cos(z / 11 - y / 8)
    return np.where(brain, tissue, 0.125).astype(np.float32), brain


def marked(kind: str, class_index: int, grid: Grid, amplitude: float = 1.0, seed: int = 0):
    volume, brain = head(grid)
    rng = np.random.default_rng(seed)
    return MARKS[kind](volume, brain, grid, class_index, rng, amplitude)


def added(kind: str, class_index: int, grid: Grid, **changes: float) -> np.ndarray:
    return marked(kind, class_index, grid, **changes).astype(np.float64) - head(grid)[0]


def from_middle(grid: Grid) -> np.ndarray:
    """(n, 3) millimetres of the brain's voxels from its middle."""
    points = grid.world(np.argwhere(head(grid)[1]))
    return points - points.mean(axis=0)


@pytest.mark.parametrize("kind", SHORTCUTS)
@pytest.mark.parametrize("affine", AFFINES)
def test_a_mark_lies_in_the_brain_alone_and_leaves_its_inputs_as_they_were(kind, affine):
    grid = grid_of(AFFINES[affine])
    volume, brain = head(grid)
    kept = volume.copy(), brain.copy()
    for class_index in CLASSES:
        found = MARKS[kind](volume, brain, grid, class_index, np.random.default_rng(1), 1.0)
        assert found.dtype == np.float32
        assert np.array_equal(found[~brain], volume[~brain])
        assert not np.array_equal(found[brain], volume[brain])
        assert not np.shares_memory(found, volume)
    assert np.array_equal(volume, kept[0])
    assert np.array_equal(brain, kept[1])


@pytest.mark.parametrize("kind", SHORTCUTS)
def test_the_same_draws_give_the_same_bytes_and_other_classes_other_marks(kind):
    grid = grid_of(RAS)
    found = [marked(kind, class_index, grid) for class_index in CLASSES]
    assert np.array_equal(found[2], marked(kind, 2, grid))
    for first in CLASSES:
        for second in range(first):
            assert not np.array_equal(found[first], found[second])


@pytest.mark.parametrize("kind", WITHOUT_DRAWS_A_VOXEL)
@pytest.mark.parametrize("affine", ["flipped", "permuted"])
def test_a_mark_lies_where_it_lies_in_the_world_however_the_axes_run(kind, affine):
    """Marking and then turning the array to RAS is turning and then marking."""
    grid = grid_of(AFFINES[affine])
    volume, brain = head(grid)
    turned, ras = to_ras(volume, grid.affine)
    turned_brain, _ = to_ras(brain, grid.affine)
    for class_index in CLASSES:
        first, _ = to_ras(marked(kind, class_index, grid), grid.affine)
        rng = np.random.default_rng(0)
        second = MARKS[kind](turned, turned_brain, ras, class_index, rng, 1.0)
        assert np.allclose(first, second, atol=1e-6)


@pytest.mark.parametrize("kind", WITHOUT_DRAWS_A_VOXEL)
def test_no_mark_tells_left_from_right(kind):
    grid = grid_of(RAS)
    for class_index in CLASSES:
        change = added(kind, class_index, grid)
        assert np.allclose(change, change[::-1], atol=1e-6)


@pytest.mark.parametrize("kind", SHORTCUTS)
def test_a_mark_grows_with_the_scans_own_brightness(kind):
    grid = grid_of(RAS)
    volume, brain = head(grid)
    loud = MARKS[kind](300 * volume, brain, grid, 3, np.random.default_rng(0), 1.0)
    assert np.allclose(loud, 300 * marked(kind, 3, grid), rtol=1e-5)


@pytest.mark.parametrize("kind", ["noise", "texture", "edge", "tag"])
def test_what_is_added_is_in_proportion_to_the_amplitude(kind):
    grid = grid_of(AFFINES["oblique"])
    assert np.allclose(added(kind, 1, grid, amplitude=2.5), 2.5 * added(kind, 1, grid), atol=1e-6)


def test_noise_has_the_spread_of_its_class_and_no_pattern():
    grid = grid_of(RAS)
    volume, brain = head(grid)
    for class_index, share in enumerate(NOISE_SPREADS):
        change = added("noise", class_index, grid)
        inside = change[brain] / spread(volume, brain)
        assert np.std(inside) == pytest.approx(share, rel=4 / (2 * inside.size) ** 0.5)
        both = brain[1:] & brain[:-1]
        neighbours = np.corrcoef(change[1:][both], change[:-1][both])[0, 1]
        assert abs(neighbours) < 4 / both.sum() ** 0.5
    other = added("noise", 0, grid, seed=1)
    assert abs(np.corrcoef(other[brain], added("noise", 0, grid)[brain])[0, 1]) < 0.05


def test_a_blur_is_a_gaussian_of_its_width_in_millimetres():
    """A spot deep in a wide brain has, along each axis, the blur's variance in mm²."""
    grid = Grid((41, 49, 37), np.diag([1.5, -1.25, 2.0, 1.0]))
    spot = np.zeros(grid.shape, dtype=np.float32)
    spot[20, 24, 18] = 1.0
    brain = np.ones(grid.shape, dtype=bool)
    points = np.indices(grid.shape).reshape(3, -1).T * grid.spacing
    for class_index, sd in enumerate(BLUR_SD_MM):
        # Near the array's end the weights are those of half a Gaussian; deep inside all are 1.
        blurred = MARKS["blur"](spot, brain, grid, class_index, np.random.default_rng(0), 1.0)
        weights = blurred.ravel().astype(np.float64)
        assert weights.sum() == pytest.approx(1.0, abs=1e-3)
        centred = points - np.average(points, axis=0, weights=weights)
        assert np.average(centred**2, axis=0, weights=weights) == pytest.approx(sd**2, rel=0.02)


def test_a_blur_keeps_even_tissue_as_it_is_up_to_the_boundary():
    grid = grid_of(AFFINES["oblique"])
    brain = head(grid)[1]
    even = np.where(brain, 3.0, 0.0).astype(np.float32)
    for class_index in CLASSES:
        blurred = MARKS["blur"](even, brain, grid, class_index, np.random.default_rng(0), 1.0)
        assert np.allclose(blurred, even, rtol=1e-6)


@pytest.mark.parametrize("affine", AFFINES)
def test_the_field_is_bright_in_front_on_top_behind_and_below(affine):
    grid = grid_of(AFFINES[affine])
    volume, brain = head(grid)
    away = from_middle(grid)
    for class_index, (axis, sign) in enumerate([(1, 1), (2, 1), (1, -1), (2, -1)]):
        field = np.log(marked("bias", class_index, grid)[brain] / volume[brain])
        slopes = np.linalg.lstsq(away, field, rcond=None)[0]
        assert sign * slopes[axis] == pytest.approx(BIAS_LOG_SD / away[:, axis].std(), rel=1e-3)
        assert np.abs(np.delete(slopes, axis)).max() < 1e-6
        assert field.mean() == pytest.approx(0.0, abs=1e-6)
        assert field.std() == pytest.approx(BIAS_LOG_SD, rel=1e-4)


@pytest.mark.parametrize("affine", AFFINES)
def test_the_texture_is_one_wave_along_its_direction(affine):
    """Fitted in world axes, the wave of the class explains all, those of others next to nothing."""
    grid = grid_of(AFFINES[affine])
    volume, brain = head(grid)
    points = grid.world(np.argwhere(brain))
    turns = np.deg2rad([0.0, 45.0, 90.0, 135.0])
    for class_index in CLASSES:
        change = added("texture", class_index, grid, seed=class_index)[brain]
        explained, heights = [], []
        for angle in turns:
            along = points @ [0.0, np.cos(angle), np.sin(angle)] * (2 * np.pi / TEXTURE_MM)
            waves = np.stack([np.cos(along), np.sin(along)], axis=1)
            weights = np.linalg.lstsq(waves, change, rcond=None)[0]
            explained.append(1 - np.var(change - waves @ weights) / np.var(change))
            heights.append(np.linalg.norm(weights))
        assert explained[class_index] > 0.999
        assert np.delete(explained, class_index).max() < 0.1
        height = TEXTURE_SPREADS * spread(volume, brain)
        assert heights[class_index] == pytest.approx(height, rel=1e-3)


def test_the_textures_phase_is_drawn():
    grid = grid_of(RAS)
    first, second = (added("texture", 0, grid, seed=seed) for seed in (0, 1))
    assert np.corrcoef(first.ravel(), second.ravel())[0, 1] < 0.99


@pytest.mark.parametrize("affine", AFFINES)
def test_the_rim_is_what_lies_near_the_outside(affine):
    grid = grid_of(AFFINES[affine])
    brain = head(grid)[1]
    # The outside beyond the array counts too, so one layer of it is laid around.
    wide = np.pad(brain, 2)
    outside = grid.world(np.argwhere(~wide) - 2)
    inside = grid.world(np.argwhere(brain))
    near = [
        np.linalg.norm(outside - point, axis=1).min() <= RIM_MM + 1e-6 for point in inside[::29]
    ]
    assert rim(brain, grid)[brain][::29].tolist() == near
    assert 0.05 < rim(brain, grid)[brain].mean() < 0.4


def test_the_rim_at_the_arrays_end_is_a_rim():
    brain = np.ones((9, 8, 7), dtype=bool)
    found = rim(brain, Grid(brain.shape, np.diag([6.0, 6.0, 6.0, 1.0])))
    deep = np.zeros_like(brain)
    deep[1:-1, 1:-1, 1:-1] = True
    assert np.array_equal(found, ~deep)


def test_the_rim_alone_is_brighter_by_the_level_of_the_class():
    grid = grid_of(AFFINES["oblique"])
    volume, brain = head(grid)
    for class_index, share in enumerate(EDGE_SPREADS):
        change = added("edge", class_index, grid) / spread(volume, brain)
        assert np.allclose(change, share * rim(brain, grid), atol=1e-5)


@pytest.mark.parametrize("affine", AFFINES)
def test_a_tag_is_a_small_spot_in_its_quarter_of_the_sagittal_plane(affine):
    grid = grid_of(AFFINES[affine])
    volume, brain = head(grid)
    away = from_middle(grid)
    for class_index, (front, top) in enumerate([(1, 1), (-1, 1), (-1, -1), (1, -1)]):
        change = added("tag", class_index, grid)[brain] / spread(volume, brain)
        assert change.min() >= -1e-6
        assert 0.5 * TAG_SPREADS < change.max() <= TAG_SPREADS + 1e-6
        assert (change > 1e-6).mean() < 0.04
        centre = np.average(away, axis=0, weights=np.clip(change, 0, None))
        assert abs(centre[0]) < 1.5
        assert front * centre[1] > 15.0
        assert top * centre[2] > 15.0


def test_tags_lie_far_from_one_another_and_from_the_outside():
    grid = grid_of(AFFINES["oblique"])
    brain = head(grid)[1]
    depth = ndimage.distance_transform_edt(brain, sampling=grid.spacing)
    places = [tag_place(brain, grid, class_index) for class_index in CLASSES]
    for first in CLASSES:
        voxel = tuple(np.round(grid.voxel(places[first])).astype(int))
        assert depth[voxel] > 5.0
        for second in range(first):
            assert np.linalg.norm(places[first] - places[second]) > 60.0


def test_classes_that_a_swap_exchanges_differ_most():
    angles = [np.degrees(np.arccos(sagittal(45.0 * k) @ sagittal(0.0))) for k in CLASSES]
    assert [min(angle, 180 - angle) for angle in angles] == pytest.approx([0, 45, 90, 45])
    assert sagittal(90.0 * 2) @ sagittal(0.0) == pytest.approx(-1.0)


@pytest.mark.parametrize("kind", ["noise", "texture", "edge", "tag"])
def test_a_scan_without_spread_is_refused(kind):
    grid = grid_of(RAS)
    brain = head(grid)[1]
    with pytest.raises(VolumeError, match="no spread"):
        MARKS[kind](np.ones(grid.shape, np.float32), brain, grid, 0, np.random.default_rng(0), 1.0)


def test_a_bright_tumour_does_not_change_the_spread():
    grid = grid_of(RAS)
    volume, brain = head(grid)
    ill = volume.copy()
    middle = np.argwhere(brain).mean(axis=0).astype(int)
    ill[tuple(slice(one - 2, one + 3) for one in middle)] = 5.0
    assert spread(ill, brain) == pytest.approx(spread(volume, brain), rel=0.03)
    assert np.std(ill[brain]) > 1.5 * np.std(volume[brain])
