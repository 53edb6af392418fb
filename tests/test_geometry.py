"""Grids in world space against brute force, scipy and nibabel; never cubic, never isotropic."""

from __future__ import annotations

import itertools
import math

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nibabel.processing import resample_from_to
from scipy import ndimage
from scipy.spatial.transform import Rotation

from xrano.errors import GridMismatchError
from xrano.geometry import (
    AFFINE_TOLERANCE_MM,
    Grid,
    bounding_box,
    dilate_mm,
    image_grid,
    inverse,
    moved_by,
    ras_grid,
    require_same_grid,
    to_ras,
)
from xrano.resampling import index_map, resample


def affine_of(linear, origin=(-31.0, 42.5, 7.25)):
    affine = np.eye(4)
    affine[:3, :3] = linear
    affine[:3, 3] = origin
    return affine


def rotation(*degrees):
    return Rotation.from_euler("xyz", degrees, degrees=True).as_matrix()


SPACING = np.diag([1.1, 2.3, 3.7])
SHAPE = (7, 5, 6)
AFFINES = {
    "RAS": affine_of(SPACING),
    "LAS": affine_of(np.diag([-1.1, 2.3, 3.7])),
    "PIR": affine_of(np.array([[0, 0, 3.7], [-1.1, 0, 0], [0, -2.3, 0]])),
    "SPL": affine_of(np.array([[0, 0, -3.7], [0, -2.3, 0], [1.1, 0, 0]])),
    "oblique": affine_of(rotation(17, -8, 12) @ SPACING),
    "oblique LAS": affine_of(rotation(-21, 9, 30) @ np.diag([-1.1, 2.3, 3.7])),
    "oblique permuted": affine_of(rotation(10, 20, -15) @ SPACING[:, [2, 0, 1]]),
    "sheared": affine_of(SPACING + np.array([[0, 0.3, 0], [0, 0, 0.2], [0.1, 0, 0]])),
}


@pytest.fixture(params=AFFINES)
def affine(request):
    return AFFINES[request.param]


def voxels(shape):
    return list(itertools.product(*(range(size) for size in shape)))


def numbers(shape=SHAPE, dtype=np.float64):
    """A different value in every voxel, none of them zero."""
    return (
        np.random.default_rng(4)
        .permutation(np.arange(1, 1 + math.prod(shape)))
        .reshape(shape)
        .astype(dtype)
    )


class TestGrid:
    @pytest.mark.parametrize(
        "shape", [(2, 3), (2, 3, 4, 5), (0, 3, 4), (2, -3, 4), (2.5, 3, 4), ()]
    )
    def test_bad_shapes(self, shape):
        with pytest.raises(GridMismatchError, match="three positive"):
            Grid(shape, np.eye(4))

    @pytest.mark.parametrize(
        ("affine", "said"),
        [
            (np.eye(3), "4 x 4"),
            (np.diag([1, np.nan, 1, 1]), "finite"),
            (np.diag([1, np.inf, 1, 1]), "finite"),
            (np.diag([1.0, 0.0, 2.0, 1.0]), "inverted"),
            (affine_of(np.array([[1, 2, 0], [2, 4, 0], [0, 0, 1.0]])), "inverted"),
            (np.diag([1.0, 1.0, 1.0, 0.0]), "0 0 0 1"),
            (np.diag([1.0, 1.0, 1.0, 2.0]), "0 0 0 1"),
            (np.eye(4) + np.diag([1e-6] * 3, k=-1), "0 0 0 1"),
        ],
    )
    def test_bad_affines(self, affine, said):
        with pytest.raises(GridMismatchError, match=said):
            Grid((2, 3, 4), affine)

    def test_a_last_row_may_be_off_by_rounding_and_voxels_may_be_small(self):
        affine = np.diag([0.2, 0.3, 0.1, 1.0])
        affine[3] = (1e-12, 0, -1e-12, 1 + 1e-12)
        assert Grid((2, 3, 4), affine).voxel_ml == pytest.approx(6e-6)

    def test_it_is_a_value(self):
        affine = AFFINES["oblique"].copy()
        grid = Grid([np.int64(2), 3, 4], affine)
        affine[:] = 0
        assert np.array_equal(grid.affine, AFFINES["oblique"])
        assert grid.shape == (2, 3, 4)
        with pytest.raises(ValueError, match="read-only"):
            grid.affine[0, 0] = 1

    def test_spacing_and_volume(self, affine):
        grid = Grid(SHAPE, affine)
        columns = [math.dist(affine[:3, axis], (0, 0, 0)) for axis in range(3)]
        assert grid.spacing == pytest.approx(columns)
        i, j, k = affine[:3, :3].T
        assert grid.voxel_ml == pytest.approx(abs(np.dot(i, np.cross(j, k))) / 1000)

    def test_world_and_voxel_are_inverse_and_by_hand(self, affine):
        grid = Grid(SHAPE, affine)
        index = (3, 1, 4)
        by_hand = [
            sum(affine[row, axis] * index[axis] for axis in range(3)) + affine[row, 3]
            for row in range(3)
        ]
        assert grid.world(index) == pytest.approx(by_hand)
        assert grid.voxel(by_hand) == pytest.approx(index)
        many = np.random.default_rng(0).normal(size=(2, 3, 4, 3))
        assert np.allclose(grid.voxel(grid.world(many)), many)

    def test_matches_within_a_micrometre_at_every_corner(self):
        grid = Grid((180, 200, 150), AFFINES["oblique"])
        assert grid.matches(Grid(grid.shape, grid.affine.astype(np.float32)))
        for offset, same in ((9e-4, True), (1.1e-3, False)):
            moved = grid.affine.copy()
            moved[1, 3] += offset
            assert grid.matches(Grid(grid.shape, moved)) is same
        # An error of spacing adds up: none at voxel 0, too much at voxel 179.
        stretched = grid.affine.copy()
        stretched[:3, 0] *= 1 + 1e-5
        assert not grid.matches(Grid(grid.shape, stretched))
        assert Grid((18, 20, 15), grid.affine).matches(Grid((18, 20, 15), stretched))

    @pytest.mark.parametrize("seed", range(8))
    def test_matches_by_the_voxel_that_is_moved_most(self, seed):
        rng = np.random.default_rng(seed)
        grid = Grid(SHAPE, AFFINES["oblique"])
        change = np.zeros((4, 4))
        change[:3] = rng.normal(size=(3, 4))
        moved = np.abs([(change @ (*index, 1))[:3] for index in voxels(SHAPE)]).max()
        for most, same in ((0.98e-3, True), (1.02e-3, False)):
            other = Grid(SHAPE, grid.affine + change * most / moved)
            assert grid.matches(other) is other.matches(grid) is same

    def test_a_micrometre_is_still_the_same(self):
        point, off = np.eye(4), np.eye(4)
        off[0, 3] = AFFINE_TOLERANCE_MM
        assert Grid((1, 1, 1), point).matches(Grid((1, 1, 1), off))
        assert AFFINE_TOLERANCE_MM == 1e-3

    def test_matches_needs_one_shape_and_orientation(self):
        grid = Grid(SHAPE, AFFINES["RAS"])
        assert grid.matches(Grid((7, 5, 5), grid.affine)) is False
        assert not grid.matches(Grid(SHAPE, AFFINES["LAS"]))

    def test_it_says_its_shape_and_its_rows(self):
        affine = np.array([[0, 0, 3.5, -9], [-1, 0, 0, 12.25], [0, 2, 0, 1e-7], [0, 0, 0, 1]])
        assert repr(Grid((4, 5, 6), affine)) == (
            "Grid(shape=(4, 5, 6), affine=[0 0 3.5 -9; -1 0 0 12.25; 0 2 0 1e-07])"
        )

    def test_require_same_grid_names_both(self):
        a, b = Grid(SHAPE, AFFINES["RAS"]), Grid((7, 5, 5), AFFINES["RAS"])
        require_same_grid(a, a, a_name="the scan", b_name="its mask")
        with pytest.raises(
            GridMismatchError, match=r"the scan.*its mask.*\(7, 5, 6\).*\(7, 5, 5\)"
        ):
            require_same_grid(a, b, a_name="the scan", b_name="its mask")

    def test_the_grid_of_an_image_is_that_of_its_first_three_axes(self, affine):
        grid = image_grid(nib.Nifti1Image(np.zeros((*SHAPE, 2), np.float32), affine))
        assert grid.shape == SHAPE
        assert np.allclose(grid.affine, affine, atol=1e-5)

    @pytest.mark.parametrize("start", [(0, 0, 0), (1, 2, 3), (-2, 1, -4)])
    def test_a_crop_keeps_every_voxel_in_its_place(self, affine, start):
        grid = Grid(SHAPE, affine)
        part = grid.crop(start, (3, 2, 2))
        assert part.shape == (3, 2, 2)
        for index in voxels(part.shape):
            assert part.world(index) == pytest.approx(grid.world(np.add(index, start)))


class TestToRas:
    def test_every_value_keeps_its_world_position(self, affine):
        data = numbers()
        turned, grid = to_ras(data, affine)
        source = Grid(data.shape, affine)
        where = {turned[index]: grid.world(index) for index in voxels(turned.shape)}
        assert len(where) == data.size
        for index in voxels(data.shape):
            assert where[data[index]] == pytest.approx(source.world(index))

    def test_axes_run_closest_to_right_front_and_up(self, affine):
        turned, grid = to_ras(numbers(), affine)
        assert nib.aff2axcodes(grid.affine) == ("R", "A", "S")
        assert turned.flags.c_contiguous
        directions = grid.affine[:3, :3] / grid.spacing
        assert (directions.argmax(axis=0) == (0, 1, 2)).all()

    def test_like_nibabel(self, affine):
        image = nib.as_closest_canonical(nib.Nifti1Image(numbers(dtype=np.float32), affine))
        turned, grid = to_ras(numbers(dtype=np.float32), affine)
        assert np.array_equal(turned, image.get_fdata())
        assert np.allclose(grid.affine, image.affine, atol=1e-4)

    def test_further_axes_stay_last(self):
        data = np.stack([numbers(), -numbers()], axis=-1)
        turned, grid = to_ras(data, AFFINES["SPL"])
        first, _ = to_ras(numbers(), AFFINES["SPL"])
        assert turned.shape == (*grid.shape, 2)
        assert np.array_equal(turned[..., 0], first)
        assert np.array_equal(turned[..., 1], -first)


class TestRasGrid:
    def test_it_is_the_grid_that_the_turned_array_gets(self, affine):
        turned, grid = to_ras(numbers(), affine)
        found = ras_grid(Grid(SHAPE, affine))
        assert found.shape == grid.shape == turned.shape
        assert np.array_equal(found.affine, grid.affine)

    def test_every_voxel_keeps_its_place(self, affine):
        """The same set of world positions, and R, A, S along the axes."""
        found = ras_grid(Grid(SHAPE, affine))
        before = Grid(SHAPE, affine).world(voxels(SHAPE))
        after = found.world(voxels(found.shape))
        apart = np.linalg.norm(before[:, None] - after[None], axis=-1)
        assert apart.min(axis=0).max() < 1e-9
        assert len(set(apart.argmin(axis=0))) == math.prod(SHAPE)
        assert nib.aff2axcodes(found.affine) == ("R", "A", "S")

    def test_it_tells_grids_of_one_world_from_mirrored_ones(self):
        grid = Grid(SHAPE, AFFINES["oblique"])
        turned = nib.Nifti1Image(numbers(dtype=np.float32), grid.affine).as_reoriented(
            np.array([[1, -1], [2, 1], [0, -1]])
        )
        assert not image_grid(turned).matches(grid)
        assert ras_grid(image_grid(turned)).matches(ras_grid(grid))
        mirrored = Grid(SHAPE, AFFINES["oblique"] @ np.diag([-1.0, 1.0, 1.0, 1.0]))
        assert not ras_grid(mirrored).matches(ras_grid(grid))


MATRIX = affine_of(rotation(11, -35, 62) @ np.diag([1.1, 0.9, 1.0]), (12.0, -40.0, 5.5))


class TestMovedBy:
    def test_every_voxel_goes_where_the_matrix_takes_it(self, affine):
        grid = Grid(SHAPE, affine)
        found = moved_by(grid, MATRIX)
        assert found.shape == SHAPE
        for index in voxels(SHAPE)[::7]:
            place = grid.world(index)
            there = [MATRIX[row, :3] @ place + MATRIX[row, 3] for row in range(3)]
            assert np.allclose(found.world(index), there, atol=1e-9)

    def test_there_and_back_is_where_it_was(self, affine):
        grid = Grid(SHAPE, affine)
        assert moved_by(moved_by(grid, MATRIX), inverse(MATRIX)).matches(grid)
        assert np.allclose(inverse(MATRIX) @ MATRIX, np.eye(4), atol=1e-12)
        assert not moved_by(grid, MATRIX).matches(grid)

    def test_later_moves_come_first_in_the_product(self):
        grid = Grid(SHAPE, AFFINES["oblique LAS"])
        second = affine_of(rotation(0, 90, 0), (0.0, 7.0, 0.0))
        step_by_step = moved_by(moved_by(grid, MATRIX), second)
        assert step_by_step.matches(moved_by(grid, second @ MATRIX))
        assert not step_by_step.matches(moved_by(grid, MATRIX @ second))

    def test_an_image_and_its_target_moved_alike_are_resampled_alike(self, target):
        data = np.random.default_rng(9).normal(size=SHAPE)
        moved = resample(data, moved_by(SOURCE, MATRIX), moved_by(target, MATRIX))
        assert np.allclose(moved, resample(data, SOURCE, target), atol=1e-9)

    def test_a_matrix_that_is_no_movement_is_refused(self):
        grid = Grid(SHAPE, AFFINES["RAS"])
        for matrix in (np.diag([1.0, 0.0, 1.0, 1.0]), np.diag([1.0, 1.0, 1.0, 2.0])):
            with pytest.raises(GridMismatchError):
                moved_by(grid, matrix)


def trilinear(data, position):
    """The definition, at one position inside the outermost voxel centres; else None."""
    if any(p < -1e-9 or p > size - 1 + 1e-9 for p, size in zip(position, data.shape, strict=True)):
        return None
    low = [
        min(max(math.floor(p), 0), max(size - 2, 0))
        for p, size in zip(position, data.shape, strict=True)
    ]
    total = 0.0
    for corner in itertools.product((0, 1), repeat=3):
        weight = math.prod(
            (p - n) if c else 1 - (p - n) for p, n, c in zip(position, low, corner, strict=True)
        )
        if weight:
            total += weight * data[tuple(n + c for n, c in zip(low, corner, strict=True))]
    return total


def clamped(position, shape):
    return [min(max(p, 0.0), size - 1.0) for p, size in zip(position, shape, strict=True)]


SOURCE = Grid(SHAPE, AFFINES["oblique LAS"])


def around(source, linear, shape):
    """A grid of another direction about the centre of a source, reaching beyond it."""
    # Off the middle, so that no position is as near to one voxel as to another.
    centre = source.world((np.array(source.shape) - 1) / 2) + np.array([0.03, 0.05, -0.07])
    return Grid(shape, affine_of(linear, centre - linear @ ((np.array(shape) - 1) / 2)))


TARGETS = {
    "RAS": around(SOURCE, np.diag([1.7, 2.9, 2.1]), (9, 7, 11)),
    "LPI": around(SOURCE, np.diag([-2.2, -1.9, -3.1]), (6, 11, 8)),
    "oblique": around(SOURCE, rotation(40, 5, -30) @ np.diag([1.3, 2.7, 1.9]), (10, 6, 9)),
    "permuted": around(SOURCE, rotation(3, 2, 1)[:, [1, 2, 0]] @ np.diag([2, 3, 1.5]), (9, 5, 8)),
    "aligned": around(SOURCE, rotation(-21, 9, 30) @ np.diag([-0.7, 3.1, -4.9]), (14, 5, 6)),
    "turned about k": around(
        SOURCE, rotation(-21, 9, 30) @ rotation(0, 0, 25) @ np.diag([-1.7, 3.1, 2.9]), (6, 6, 10)
    ),
    "coarse": around(SOURCE, np.diag([5.0, -7.0, 9.0]), (3, 2, 3)),
}


@pytest.fixture(params=TARGETS)
def target(request):
    return TARGETS[request.param]


class TestResample:
    def test_trilinear_by_the_definition(self, target):
        data = np.random.default_rng(5).normal(size=SHAPE)
        moved = resample(data, SOURCE, target)
        inside = 0
        for index in voxels(target.shape):
            expected = trilinear(data, SOURCE.voxel(target.world(index)))
            inside += expected is not None
            assert moved[index] == pytest.approx(expected or 0.0, abs=1e-9)
        assert 0 < inside < math.prod(target.shape), "the target must reach beyond the source"

    def test_the_edge_speaks_for_what_lies_beyond(self, target):
        data = np.random.default_rng(6).normal(size=SHAPE)
        moved = resample(data, SOURCE, target, outside="edge")
        for index in voxels(target.shape):
            position = clamped(SOURCE.voxel(target.world(index)), SHAPE)
            assert moved[index] == pytest.approx(trilinear(data, position), abs=1e-9)

    @pytest.mark.parametrize("order", [0, 1])
    @pytest.mark.parametrize("outside", ["zero", "edge"])
    def test_like_scipy_at_the_same_positions(self, target, order, outside):
        data = np.random.default_rng(7).normal(size=SHAPE)
        positions = SOURCE.voxel(target.world(np.stack(np.indices(target.shape), axis=-1)))
        mode = "nearest" if outside == "edge" else "constant"
        expected = ndimage.map_coordinates(
            data, np.moveaxis(positions, -1, 0), order=order, mode=mode
        )
        moved = resample(data, SOURCE, target, order=order, outside=outside)
        assert np.allclose(moved, expected, atol=1e-9)

    @pytest.mark.parametrize("order", [0, 1])
    def test_like_nibabel(self, target, order):
        data = np.random.default_rng(8).normal(size=SHAPE)
        image = nib.Nifti1Image(data, SOURCE.affine)
        expected = resample_from_to(image, (target.shape, target.affine), order=order)
        moved = resample(data, image_grid(image), target, order=order)
        assert np.abs(moved - expected.get_fdata()).max() < 1e-6 * np.abs(data).max()

    @pytest.mark.parametrize("outside", ["zero", "edge"])
    @pytest.mark.parametrize("order", [0, 1])
    def test_identity_is_exact(self, affine, order, outside):
        grid = Grid(SHAPE, affine)
        data = numbers() / 7
        moved = resample(data, grid, Grid(SHAPE, affine.copy()), order=order, outside=outside)
        assert np.array_equal(moved, data)
        assert not np.shares_memory(moved, data)

    def test_reorientation_and_back_is_exact(self, affine):
        data = numbers() / 7
        grid = Grid(SHAPE, affine)
        turned, ras = to_ras(data, affine)
        assert np.array_equal(resample(data, grid, ras), turned)
        assert np.array_equal(resample(turned, ras, grid), data)

    @pytest.mark.parametrize("start", [(1, 2, 3), (-2, 1, -1), (-3, -3, -3), (20, 0, 0)])
    def test_crops_and_padding_are_exact(self, affine, start):
        data, shape = numbers() / 7, (8, 6, 9)
        grid = Grid(SHAPE, affine)
        moved = resample(data, grid, grid.crop(start, shape))
        edge = resample(data, grid, grid.crop(start, shape), outside="edge")
        for index in voxels(shape):
            there = np.add(index, start)
            inside = (there >= 0).all() and (there < SHAPE).all()
            assert moved[index] == (data[tuple(there)] if inside else 0)
            assert edge[index] == data[tuple(np.clip(there, 0, np.array(SHAPE) - 1))]

    @pytest.mark.parametrize(
        "dtype",
        [np.float16, np.float32, np.float64, ">f4", np.bool_, np.uint8, np.int16, np.int64, ">i2"],
    )
    @pytest.mark.parametrize("order", [0, 1])
    @pytest.mark.parametrize("name", ["RAS", "same"])
    def test_types(self, dtype, order, name):
        target = SOURCE if name == "same" else TARGETS[name]
        data = (numbers() % 5 > 1).astype(dtype)
        moved = resample(data, SOURCE, target, order=order)
        kept = order == 0 or np.dtype(dtype).kind == "f"
        assert moved.dtype.newbyteorder("=") == (
            np.dtype(dtype).newbyteorder("=") if kept else np.float32
        )
        exact = resample(data.astype(np.float64), SOURCE, target, order=order)
        assert np.allclose(moved.astype(np.float64), exact, atol=1e-3)

    def test_labels_are_never_mixed(self, target):
        labels = np.random.default_rng(1).choice([0, 2, 7], size=SHAPE).astype(np.uint8)
        moved = resample(labels, SOURCE, target, order=0)
        assert set(np.unique(moved)) <= {0, 2, 7}
        assert moved.any()

    @given(st.integers(3, 60), st.integers(3, 60), st.floats(0.3, 4), st.floats(-200, 200))
    @settings(max_examples=200, deadline=None)
    def test_the_same_field_at_another_spacing_keeps_its_outer_faces(self, n, m, mm, origin):
        # The last centre of both lies at one place; rounding must not put it outside.
        source = Grid((n, 3, 2), affine_of(np.diag([mm, 2.0, 3.0]), (origin, 0, 0)))
        step = mm * (n - 1) / (m - 1)
        target = Grid((m, 3, 2), affine_of(np.diag([step, 2.0, 3.0]), (origin, 0, 0)))
        for order in (0, 1):
            assert resample(np.ones(source.shape), source, target, order=order).min() == (
                pytest.approx(1.0)
            )

    def test_a_single_cell_speaks_for_everything_and_has_no_extent_of_its_own(self):
        cell = Grid((1, 1, 1), affine_of(rotation(5, 6, 7) @ np.diag([32.0, 32, 40])))
        data = np.full((1, 1, 1), 2.5, np.float32)
        assert (resample(data, cell, TARGETS["RAS"], outside="edge") == 2.5).all()
        assert (resample(data, cell, TARGETS["RAS"]) == 0).all()

    def test_the_shape_must_be_the_grids(self):
        with pytest.raises(GridMismatchError, match=r"\(5, 7, 6\).*\(7, 5, 6\)"):
            resample(np.zeros((5, 7, 6)), SOURCE, SOURCE)

    def test_the_input_stays(self, target):
        data = numbers()
        resample(data, SOURCE, target)
        assert np.array_equal(data, numbers())


class TestIndexMap:
    def test_it_takes_target_voxels_to_source_voxels(self, target):
        mapping = index_map(SOURCE, target)
        for index in voxels(target.shape)[::17]:
            expected = SOURCE.voxel(target.world(index))
            assert mapping[:3, :3] @ index + mapping[:3, 3] == pytest.approx(expected)

    def test_flips_are_whole_numbers(self):
        grid = Grid(SHAPE, AFFINES["oblique"])
        _, ras = to_ras(numbers(), AFFINES["oblique LAS"])
        for source, target in ((grid, grid), (ras, Grid(SHAPE, AFFINES["oblique LAS"]))):
            mapping = index_map(source, target)
            assert np.array_equal(mapping, np.rint(mapping))

    def test_a_small_true_rotation_is_kept(self):
        turned = Grid(SHAPE, affine_of(rotation(0, 0, 0.01) @ SPACING))
        mapping = index_map(Grid(SHAPE, AFFINES["RAS"]), turned)
        assert not np.array_equal(mapping, np.rint(mapping))


class TestBoundingBox:
    @pytest.mark.parametrize("margin", [0, 1, 3])
    def test_smallest_box_by_brute_force(self, margin):
        mask = np.zeros((9, 7, 8), dtype=bool)
        hits = np.array([(2, 5, 1), (4, 5, 6), (3, 6, 2)])
        mask[tuple(hits.T)] = True
        start, shape = bounding_box(mask, margin=margin)
        assert start == tuple(hits.min(axis=0) - margin)
        assert shape == tuple(hits.max(axis=0) - hits.min(axis=0) + 1 + 2 * margin)

    def test_the_crop_of_the_box_holds_all_of_the_mask(self):
        mask = np.random.default_rng(3).random(SHAPE) > 0.97
        grid = Grid(SHAPE, AFFINES["oblique"])
        box = grid.crop(*bounding_box(mask, margin=2))
        assert resample(mask, grid, box, order=0).sum() == mask.sum() > 0

    def test_an_empty_mask_has_none(self):
        with pytest.raises(GridMismatchError, match="empty mask"):
            bounding_box(np.zeros((2, 3, 4), dtype=bool))


def brute_dilation(mask, spacing, radius):
    hits = np.argwhere(mask) * spacing
    out = np.zeros_like(mask)
    for index in voxels(mask.shape):
        distances = np.linalg.norm(np.array(index) * spacing - hits, axis=1)
        out[index] = distances.min() <= radius + 1e-9
    return out


class TestDilate:
    @pytest.mark.parametrize("radius", [0.0, 1.0, 1.1, 3.3, 3.7, 4.4, 5.0, 8.0])
    def test_brute_force_distances(self, radius):
        spacing = (1.1, 2.3, 3.7)
        mask = np.zeros((9, 7, 5), dtype=bool)
        mask[1, 2, 1] = mask[2, 2, 1] = mask[7, 6, 4] = True
        assert np.array_equal(
            dilate_mm(mask, spacing, radius), brute_dilation(mask, spacing, radius)
        )

    def test_the_radius_itself_belongs_whatever_the_direction_of_the_grid(self):
        mask = np.zeros((31, 3, 3), dtype=bool)
        mask[0, 1, 1] = True
        for name in ("RAS", "oblique"):
            grid = Grid(mask.shape, AFFINES[name])
            for steps in range(1, 30):
                found = dilate_mm(mask, grid.spacing, steps * 1.1)
                assert found[steps, 1, 1]
                assert not found[steps + 1, 1, 1]

    def test_an_empty_mask_stays_empty_and_the_input_is_left(self):
        empty = np.zeros((2, 3, 4), dtype=bool)
        found = dilate_mm(empty, (1, 1, 1), 100.0)
        assert not found.any()
        assert not np.shares_memory(found, empty)
