"""Grids turned to RAS and moved by a matrix, against brute force and nibabel."""

from __future__ import annotations

import math

import nibabel as nib
import numpy as np
import pytest
from grid_cases import AFFINES, SHAPE, SOURCE, TARGETS, affine_of, numbers, rotation, voxels

from xrano.errors import GridMismatchError
from xrano.geometry import Grid, image_grid, inverse, moved_by, ras_grid, to_ras
from xrano.resampling import resample


@pytest.fixture(params=AFFINES)
def affine(request):
    return AFFINES[request.param]


@pytest.fixture(params=TARGETS)
def target(request):
    return TARGETS[request.param]


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
