"""The mask at a coarse map's resolution, against brute force and against every single-cell map."""

from __future__ import annotations

import math

import numpy as np
import pytest

from xrano.errors import GridMismatchError, VolumeError
from xrano.geometry import Grid
from xrano.metrics.overlap import relevance_mass_accuracy
from xrano.metrics.resolution import (
    RESOLUTION_METRICS,
    CellView,
    mask_to_cells,
    mass_ceiling,
    resolution_reference,
)
from xrano.resampling import resample

SHAPE = (11, 14, 9)


def oblique(spacing, origin):
    """An affine turned about two axes, so that no world axis is a voxel axis."""
    a, b = 0.3, -0.2
    about_z = np.array([[math.cos(a), -math.sin(a), 0], [math.sin(a), math.cos(a), 0], [0, 0, 1]])
    about_x = np.array([[1, 0, 0], [0, math.cos(b), -math.sin(b)], [0, math.sin(b), math.cos(b)]])
    affine = np.eye(4)
    affine[:3, :3] = about_z @ about_x @ np.diag(spacing)
    affine[:3, 3] = origin
    return affine


GRID = Grid(SHAPE, oblique((1.5, 1.0, 2.5), (-7.0, 3.0, 11.0)))


def cells_of(grid, strides, offsets, shape):
    """The coarse grid whose cell c is centred at voxel strides * c + offsets."""
    to_voxel = np.diag([*map(float, strides), 1.0])
    to_voxel[:3, 3] = offsets
    return Grid(shape, grid.affine @ to_voxel)


CELLS = cells_of(GRID, (4, 5, 3), (1.5, 1.0, 0.5), (3, 2, 3))


def random_masks(seed=0):
    rng = np.random.default_rng(seed)
    domain = rng.random(SHAPE) < 0.7
    mask = np.zeros(SHAPE, dtype=bool)
    i, j, k = (rng.integers(0, size - 3) for size in SHAPE)
    mask[i : i + 3, j : j + 3, k : k + 3] = True
    return mask, domain


# The middle of the volume alone, cells far outside it, and finer cells than voxels.
INNER = cells_of(GRID, (2, 3, 2), (4.5, 6.0, 3.5), (2, 2, 2))
BEYOND = cells_of(GRID, (4, 5, 3), (-10.5, 1.0, 0.5), (7, 2, 3))
FINE = cells_of(GRID, (0.5, 1, 1), (0, 0, 0), (21, 14, 9))


@pytest.mark.parametrize("cells", [CELLS, INNER, BEYOND, FINE, GRID])
def test_cells_hold_the_share_of_their_nearest_voxels(cells):
    mask, _ = random_masks(1)
    inside, voxels = np.zeros(cells.shape), np.zeros(cells.shape)
    for index in np.ndindex(SHAPE):
        nearest = cells.voxel(GRID.world(index))
        cell = tuple(
            min(max(math.floor(x + 0.5 + 1e-9), 0), n - 1)
            for x, n in zip(nearest, cells.shape, strict=True)
        )
        voxels[cell] += 1
        inside[cell] += mask[index]
    expected = np.divide(inside, voxels, out=np.zeros(cells.shape), where=voxels > 0)
    np.testing.assert_allclose(mask_to_cells(mask, cells, GRID), expected, atol=1e-12)


def test_a_lesion_lies_in_the_cell_that_the_strides_say():
    # Strides 32 from voxel 14, as in DenseNet's last block: cell 2 is centred at voxel 78.
    grid = Grid((240, 3, 2), oblique((1.0, 1.2, 1.5), (90.0, -120.0, -70.0)))
    cells = cells_of(grid, (32, 1, 1), (14, 0, 0), (7, 3, 2))
    mask = np.zeros(grid.shape, dtype=bool)
    mask[78] = True
    shares = mask_to_cells(mask, cells, grid)
    expected = np.zeros(cells.shape)
    expected[2] = 1 / 32
    np.testing.assert_allclose(shares, expected, atol=1e-12)
    scores = resolution_reference(mask, np.ones_like(mask), cells, grid)
    assert scores["pointing_game"].value == 1.0


@pytest.mark.parametrize("cells", [CELLS, INNER, BEYOND, FINE, GRID])
def test_a_view_equals_averaging_and_carrying_back_over_the_whole_grid(cells):
    _, domain = random_masks()
    view = CellView(domain, cells, GRID)
    nothing = np.zeros(SHAPE, dtype=bool)
    for mask in (*(random_masks(seed)[0] for seed in range(4)), domain, nothing):
        shares = mask_to_cells(mask & domain, cells, GRID).astype(np.float32)
        expected = resample(shares, cells, GRID, outside="edge")
        np.testing.assert_allclose(view.seen(mask), expected, rtol=1e-6, atol=1e-7)


def test_at_full_resolution_the_mask_scores_one():
    mask, domain = random_masks(2)
    for name, score in resolution_reference(mask, domain, GRID, GRID).items():
        assert score.value == pytest.approx(1.0, abs=1e-12), name


def test_one_cell_for_the_whole_volume_scores_chance():
    mask, domain = random_masks(3)
    whole = cells_of(GRID, SHAPE, (5, 7, 4), (1, 1, 1))
    scores = resolution_reference(mask, domain, whole, GRID)
    assert set(scores) == set(RESOLUTION_METRICS)
    for score in scores.values():
        assert score.value == pytest.approx((mask & domain).sum() / domain.sum(), rel=1e-12)
    assert mass_ceiling(mask, domain, whole, GRID) == pytest.approx(score.chance, rel=1e-12)


@pytest.mark.parametrize("cells", [CELLS, INNER, BEYOND])
@pytest.mark.parametrize("seed", range(4))
def test_the_ceiling_is_the_best_single_cell(seed, cells):
    mask, domain = random_masks(seed)
    alone = []
    for cell in np.ndindex(cells.shape):
        coarse = np.zeros(cells.shape)
        coarse[cell] = 1.0
        seen = resample(coarse, cells, GRID, outside="edge")
        alone.append(relevance_mass_accuracy(seen, mask, domain=domain))
    assert mass_ceiling(mask, domain, cells, GRID) == pytest.approx(np.nanmax(alone), rel=1e-9)


def test_a_mask_that_cells_touch_lightly_has_a_ceiling_all_the_same():
    # The second cell's weight on the only voxel of the brain is a hundredth.
    grid, cells = Grid((1, 1, 1), np.eye(4)), Grid((2, 1, 1), np.diag([100.0, 1, 1, 1]))
    beside = cells_of(grid, (100, 1, 1), (-1, 0, 0), (2, 1, 1))
    everywhere = np.ones((1, 1, 1), dtype=bool)
    for coarse in (cells, beside):
        assert mass_ceiling(everywhere, everywhere, coarse, grid) == 1.0


@pytest.mark.parametrize("seed", range(4))
def test_no_coarse_map_beats_the_ceiling(seed):
    mask, domain = random_masks(seed)
    ceiling = mass_ceiling(mask, domain, CELLS, GRID)
    rng = np.random.default_rng(seed)
    for sharpness in (0.1, 1.0, 5.0):
        coarse = rng.random(CELLS.shape) ** sharpness
        seen = resample(coarse, CELLS, GRID, outside="edge")
        assert relevance_mass_accuracy(seen, mask, domain=domain) <= ceiling + 1e-12
    reference = resolution_reference(mask, domain, CELLS, GRID)["relevance_mass_accuracy"]
    assert reference.chance < reference.value <= ceiling + 1e-12


def test_the_reference_is_not_the_ceiling():
    # A mask over two cells, most of it in one of them: pointing at that one alone scores higher.
    grid = Grid((8, 1, 2), np.diag([1.0, 2.0, 3.0, 1.0]))
    cells = cells_of(grid, (4, 1, 1), (1.5, 0, 0), (2, 1, 2))
    mask = np.zeros(grid.shape, dtype=bool)
    mask[:5] = True
    everywhere = np.ones(grid.shape, dtype=bool)
    reference = resolution_reference(mask, everywhere, cells, grid)["relevance_mass_accuracy"]
    assert reference.value < mass_ceiling(mask, everywhere, cells, grid)


def test_what_lies_outside_the_brain_does_not_count():
    mask, domain = random_masks(2)
    assert (mask & ~domain).any()
    more = mask | ~domain
    less = resolution_reference(mask & domain, domain, CELLS, GRID)
    assert resolution_reference(more, domain, CELLS, GRID) == less
    assert mass_ceiling(more, domain, CELLS, GRID) == mass_ceiling(mask, domain, CELLS, GRID)


def test_an_empty_mask_is_undefined():
    _, domain = random_masks()
    nothing = np.zeros(SHAPE, dtype=bool)
    assert math.isnan(mass_ceiling(nothing, domain, CELLS, GRID))
    for score in resolution_reference(nothing, domain, CELLS, GRID).values():
        assert math.isnan(score.value)
        assert score.status == "empty_mask"


@pytest.mark.parametrize("function", [resolution_reference, mass_ceiling])
def test_refusals(function):
    mask, domain = random_masks()
    with pytest.raises(GridMismatchError, match=r"^the mask has shape .* its grid "):
        function(mask[1:], domain, CELLS, GRID)
    with pytest.raises(GridMismatchError, match="domain has shape"):
        function(mask, domain[1:], CELLS, GRID)
    with pytest.raises(VolumeError, match="boolean"):
        function(mask.astype(int), domain, CELLS, GRID)
    with pytest.raises(VolumeError, match="empty"):
        function(mask, np.zeros_like(domain), CELLS, GRID)
