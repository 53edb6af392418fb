"""Grids in world space by hand and brute force: places, volumes, equality, crops."""

from __future__ import annotations

import math

import nibabel as nib
import numpy as np
import pytest
from grid_cases import AFFINES, SHAPE, affine_of, voxels

from xrano.errors import GridMismatchError
from xrano.geometry import AFFINE_TOLERANCE_MM, Grid, image_grid, require_same_grid


@pytest.fixture(params=AFFINES)
def affine(request):
    return AFFINES[request.param]


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
