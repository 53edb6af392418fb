from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import ndimage
from scipy.optimize import linprog
from scipy.spatial.distance import pdist, squareform
from scipy.spatial.transform import Rotation

from xrano.data.diameters import LesionDiameters, lesion_diameters, sum_of_products
from xrano.errors import ConfigError, GridMismatchError
from xrano.geometry import Grid


def grid_of(shape, spacing, *, angles=(0.0, 0.0, 0.0), signs=(1, 1, 1)) -> Grid:
    affine = np.eye(4)
    turn = Rotation.from_euler("xyz", angles, degrees=True).as_matrix()
    affine[:3, :3] = turn @ np.diag(np.array(spacing) * signs)
    affine[:3, 3] = (-20.0, 7.0, 3.0)
    return Grid(shape, affine)


def ellipse(grid: Grid, radii, *, degrees: float = 0.0, centre=None, slices=(1, 3)) -> np.ndarray:
    """An elliptic cylinder whose radii are in mm of the plane of i and j."""
    i, j, k = np.indices(grid.shape)
    si, sj, _ = grid.spacing
    ci, cj = ((np.array(grid.shape[:2]) - 1) / 2) if centre is None else centre
    x, y = (i - ci) * si, (j - cj) * sj
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    inside = ((c * x + s * y) / radii[0]) ** 2 + ((c * y - s * x) / radii[1]) ** 2 <= 1
    return inside & (k >= slices[0]) & (k < slices[1])


# --- closed forms, within a voxel


@pytest.mark.parametrize("counts", [(12, 12), (25, 9), (7, 30)])
def test_rectangle(counts):
    grid = grid_of((40, 40, 4), (0.8, 1.1, 5.0))
    mask = np.zeros(grid.shape, bool)
    mask[3 : 3 + counts[0], 4 : 4 + counts[1], 1:3] = True
    [found] = lesion_diameters(mask, grid)
    b, a = sorted((0.8 * counts[0], 1.1 * counts[1]))
    diagonal = np.hypot(a, b)
    voxel = np.hypot(0.8, 1.1)
    assert found.longest == pytest.approx(diagonal, abs=voxel)
    # At right angles to the diagonal, from one long side to the other.
    assert found.perpendicular == pytest.approx(b * diagonal / a, abs=voxel)


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 6.0), (0.6, 1.4, 2.0)])
@pytest.mark.parametrize("shift", [(0.0, 0.0), (0.3, 0.45)])
def test_disc(spacing, shift):
    grid = grid_of((70, 50, 5), spacing)
    centre = (34.5 + shift[0], 24.5 + shift[1])
    [found] = lesion_diameters(ellipse(grid, (16.0, 16.0), centre=centre), grid)
    assert found.longest == pytest.approx(32.0, abs=max(spacing[:2]))
    assert found.perpendicular == pytest.approx(32.0, abs=max(spacing[:2]))


@pytest.mark.parametrize("degrees", [0, 20, 45, 75, 130])
def test_turned_ellipse(degrees):
    grid = grid_of((90, 60, 4), (0.7, 1.1, 4.0))
    [found] = lesion_diameters(ellipse(grid, (26.0, 11.0), degrees=degrees), grid)
    assert found.longest == pytest.approx(52.0, abs=1.1)
    # The longest line of a turned ellipse of voxels is a few degrees off the true axis.
    assert found.perpendicular == pytest.approx(22.0, abs=1.5)


def test_one_voxel_is_one_spacing_long():
    grid = grid_of((5, 5, 5), (2.0, 3.0, 7.0))
    mask = np.zeros(grid.shape, bool)
    mask[2, 2, 2] = True
    assert lesion_diameters(mask, grid) == [LesionDiameters(3.0, pytest.approx(2.0))]


def test_a_ring_is_measured_across_its_hole():
    grid = grid_of((60, 60, 3), (1.0, 1.0, 3.0))
    disc, hole = ellipse(grid, (20.0, 20.0)), ellipse(grid, (14.0, 14.0))
    assert lesion_diameters(disc & ~hole, grid) == lesion_diameters(disc, grid)


# --- brute force


def brute_force(mask: np.ndarray, grid: Grid) -> LesionDiameters:
    """All pairs of points in the world, and the second line as a linear programme.

    For masks of one lesion whose slices hold one part each, k being the axis nearest to S.
    """
    best = (0.0, 0.0)
    for k in np.flatnonzero(mask.any(axis=(0, 1))):
        voxels = np.argwhere(mask[:, :, k]).astype(float)
        steps = ((0.5, 0), (-0.5, 0), (0, 0.5), (0, -0.5))
        flat = np.concatenate([voxels + step for step in steps])
        points = grid.world(np.column_stack([flat, np.full(len(flat), k)]))
        gaps = squareform(pdist(points))
        for a, b in np.argwhere(np.triu(gaps >= gaps.max() - 1e-9)):
            along = (points[b] - points[a]) / gaps[a, b]
            normal = np.cross(grid.affine[:3, 0], grid.affine[:3, 1])
            across = np.cross(normal / np.linalg.norm(normal), along)
            t, s = points @ along, points @ across
            count = len(points)
            one, none = np.ones(count), np.zeros(count)
            solved = linprog(
                np.concatenate([-s, s]),
                A_eq=[
                    np.concatenate([t, -t]),
                    np.concatenate([one, none]),
                    np.concatenate([none, one]),
                ],
                b_eq=[0, 1, 1],
            )
            best = max(best, (round(gaps[a, b], 9), -solved.fun))
    return LesionDiameters(*best)


@pytest.mark.parametrize("seed", range(6))
def test_against_all_pairs_of_points(seed: int):
    rng = np.random.default_rng(seed)
    grid = grid_of((13, 11, 4), (1.0, 1.7, 3.1), angles=(8, -11, 17), signs=(-1, 1, 1))
    noise = ndimage.gaussian_filter(rng.normal(size=grid.shape), (2, 2, 1))
    blob = noise > np.quantile(noise, 0.75)
    parts, _ = ndimage.label(blob, structure=np.ones((3, 3, 3)))
    lesion = parts == np.bincount(parts.ravel())[1:].argmax() + 1
    if any(
        ndimage.label(lesion[:, :, k], structure=np.ones((3, 3)))[1] > 1 for k in range(4)
    ):  # the oracle knows slices of one part only
        k = lesion.sum(axis=(0, 1)).argmax()
        parts, _ = ndimage.label(lesion[:, :, k], structure=np.ones((3, 3)))
        lesion = np.zeros_like(lesion)
        lesion[:, :, k] = parts == np.bincount(parts.ravel())[1:].argmax() + 1
    [found] = lesion_diameters(lesion, grid)
    expected = brute_force(lesion, grid)
    assert found.longest == pytest.approx(expected.longest, abs=1e-6)
    assert found.perpendicular == pytest.approx(expected.perpendicular, abs=1e-6)
    assert 0 < found.perpendicular <= found.longest


def test_a_sheared_grid_is_measured_in_the_world():
    affine = np.eye(4)
    affine[:3, :3] = [[1.0, 0.4, 0.0], [0.0, 1.2, 0.1], [0.0, 0.0, 3.0]]
    grid = Grid((20, 20, 2), affine)
    mask = np.zeros(grid.shape, bool)
    mask[3:15, 4:12, 0] = True
    [found] = lesion_diameters(mask, grid)
    expected = brute_force(mask, grid)
    assert found.longest == pytest.approx(expected.longest, abs=1e-9)
    assert found.perpendicular == pytest.approx(expected.perpendicular, abs=1e-6)


@pytest.mark.parametrize("seed", range(8))
def test_rounding_does_not_choose_among_equal_diameters(seed: int):
    """A mirrored and turned lesion has the same two diameters, though sums round otherwise."""
    rng = np.random.default_rng(seed)
    grid = grid_of((12, 12, 1), (0.7, 0.7, 3.0))
    for _ in range(20):
        noise = ndimage.gaussian_filter(rng.normal(size=grid.shape), (1.2, 1.2, 0))
        mask = noise > np.quantile(noise, 0.6)
        expected = lesion_diameters(mask, grid)
        for turned in (mask[::-1], mask[:, ::-1], mask.swapaxes(0, 1), mask[::-1, ::-1]):
            found = lesion_diameters(np.ascontiguousarray(turned), grid)
            sizes = [(lesion.longest, lesion.perpendicular) for lesion in found]
            assert np.ravel(sizes) == pytest.approx(
                np.ravel([(lesion.longest, lesion.perpendicular) for lesion in expected])
            )


# --- which plane


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
@pytest.mark.parametrize("flip", [(1, 1, 1), (-1, 1, -1)])
def test_order_and_direction_of_axes_do_not_matter(order, flip):
    grid = grid_of((40, 30, 8), (1.0, 1.5, 4.0), angles=(10, 5, -15))
    mask = ellipse(grid, (15.0, 9.0), degrees=25, slices=(1, 7))
    turned = np.ascontiguousarray(mask.transpose(order))
    affine = grid.affine.copy()
    affine[:, :3] = grid.affine[:, list(order)]
    for axis in range(3):
        if flip[axis] < 0:
            turned = np.flip(turned, axis)
            affine[:3, 3] += affine[:3, axis] * (turned.shape[axis] - 1)
            affine[:3, axis] *= -1
    [found] = lesion_diameters(turned, Grid(turned.shape, affine))
    [expected] = lesion_diameters(mask, grid)
    assert found.longest == pytest.approx(expected.longest)
    assert found.perpendicular == pytest.approx(expected.perpendicular)


def test_extent_through_the_slices_does_not_count():
    grid = grid_of((12, 12, 40), (2.0, 2.0, 2.0))
    mask = np.zeros(grid.shape, bool)
    mask[5, 3:7, 2:38] = True
    assert lesion_diameters(mask, grid) == [LesionDiameters(8.0, pytest.approx(2.0))]


def test_both_diameters_are_of_the_slice_with_the_longest():
    grid = grid_of((60, 60, 4), (1.0, 1.0, 4.0))
    mask = np.zeros(grid.shape, bool)
    mask[5:45, 10, 1] = True  # 40 mm x 1 mm
    mask[10:30, 5:25, 2] = True  # a square of 20 mm: its diagonal is shorter than 40 mm
    [found] = lesion_diameters(mask, grid)
    assert found.longest == pytest.approx(40.0)
    assert found.perpendicular == pytest.approx(1.0)


# --- lesions


def squares(*sides: int) -> tuple[np.ndarray, Grid]:
    """Squares of so many mm a side, far apart."""
    grid = grid_of((30, 30 * len(sides), 3), (1.0, 1.0, 5.0))
    mask = np.zeros(grid.shape, bool)
    for number, side in enumerate(sides):
        mask[2 : 2 + side, 30 * number : 30 * number + side, 1] = True
    return mask, grid


def product_of(side: int) -> float:
    return lesion_diameters(*squares(side))[0].product


def test_a_lesion_touching_by_a_corner_is_one():
    grid = grid_of((6, 6, 4), (10.0, 10.0, 10.0))
    mask = np.zeros(grid.shape, bool)
    mask[1, 1, 1] = mask[2, 2, 2] = True
    assert len(lesion_diameters(mask, grid)) == 1
    mask[2, 2, 2], mask[3, 3, 1] = False, True
    assert len(lesion_diameters(mask, grid)) == 2


def test_parts_of_one_lesion_in_a_slice_are_measured_by_themselves():
    grid = grid_of((40, 10, 3), (1.0, 1.0, 1.0))
    mask = np.zeros(grid.shape, bool)
    mask[2:7, 4, 1] = mask[20:38, 4, 1] = True
    mask[6:21, 4, 2] = True  # joins both, above
    [found] = lesion_diameters(mask, grid)
    assert found.longest == pytest.approx(18.0)


def test_the_sum_is_of_the_measurable_lesions_largest_first():
    mask, grid = squares(12, 25, 4, 18)
    products = [lesion.product for lesion in lesion_diameters(mask, grid)]
    assert products == sorted(products, reverse=True)
    assert products == pytest.approx([product_of(side) for side in (25, 18, 12, 4)])
    assert sum_of_products(mask, grid) == pytest.approx(sum(products[:3]))
    assert sum_of_products(mask, grid, most=2) == pytest.approx(sum(products[:2]))
    assert sum_of_products(mask, grid, least_mm=3.0) == pytest.approx(sum(products))


def test_at_most_five_lesions_count():
    mask, grid = squares(*[15] * 7)
    assert sum_of_products(mask, grid) == pytest.approx(5 * product_of(15))


def test_both_diameters_must_be_ten_millimetres():
    grid = grid_of((60, 30, 2), (1.0, 1.0, 5.0))
    mask = np.zeros(grid.shape, bool)
    mask[5:50, 3:9, 0] = True  # 45 mm x 6 mm
    [found] = lesion_diameters(mask, grid)
    assert found.longest > 40
    assert not found.is_measurable()
    assert found.product > 100
    # Not measurable, but there: below the least product of a measurable lesion, and not nothing.
    assert sum_of_products(mask, grid) == 99.0


def test_what_is_left_below_measurable_is_not_nothing():
    mask, grid = squares(3, 5)
    assert sum_of_products(mask, grid) == pytest.approx(product_of(5))
    assert sum_of_products(np.zeros_like(mask), grid) == 0.0
    assert lesion_diameters(np.zeros_like(mask), grid) == []


def test_ten_millimetres_do_not_hang_on_the_last_bit():
    assert LesionDiameters(12.0, 10.0 - 1e-12).is_measurable()
    assert not LesionDiameters(12.0, 9.99).is_measurable()


# --- inputs


def test_inputs_are_left_alone():
    mask, grid = squares(8, 13)
    before = mask.copy()
    sum_of_products(mask, grid)
    assert (mask == before).all()


def test_wrong_inputs_are_refused():
    mask, grid = squares(8)
    with pytest.raises(GridMismatchError, match="shape"):
        lesion_diameters(mask[1:], grid)
    with pytest.raises(ConfigError, match="most"):
        sum_of_products(mask, grid, most=0)
    with pytest.raises(ConfigError, match="least_mm"):
        sum_of_products(mask, grid, least_mm=-1.0)
