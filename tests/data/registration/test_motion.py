from __future__ import annotations

import numpy as np
import pytest
from affines import GRIDS, rigid_matrix

from xrano.data.phantom.anatomy import rotation
from xrano.data.registration.motion import inverse, mean_displacement_mm, rotation_degrees
from xrano.data.registration.similarity import POINTS, shared_information
from xrano.geometry import Grid


@pytest.mark.parametrize("degrees", [0.0, 1e-4, 7.5, 90.0, 179.0])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_the_angle_of_a_turn_is_found_under_scaling(degrees: float, axis: int):
    matrix = np.eye(4)
    matrix[:3, :3] = rotation(degrees * np.eye(3)[axis]) @ np.diag([0.9, 1.2, 1.05])
    assert rotation_degrees(matrix) == pytest.approx(degrees, abs=1e-9)


def test_the_displacement_of_a_turn_is_the_chord():
    turn = np.eye(4)
    turn[:3, :3] = rotation(np.array([0.0, 0.0, 60.0]))
    points = np.array([[10.0, 0.0, 0.0], [0.0, 20.0, 5.0]])
    assert mean_displacement_mm(turn, points) == pytest.approx(15.0)
    assert mean_displacement_mm(turn, points, turn) == 0.0


def test_a_transform_and_its_inverse_cancel():
    points = np.array([[30.0, -40.0, 50.0]])
    back = inverse(rigid_matrix()) @ rigid_matrix()
    assert mean_displacement_mm(back, points) == pytest.approx(0.0, abs=1e-12)


def test_scans_share_most_where_they_belong():
    rng = np.random.default_rng(4)
    grid = GRIDS["flipped"]
    values = rng.integers(0, 4, grid.shape).astype(np.float32)
    moved = Grid(grid.shape, rigid_matrix() @ grid.affine)
    # The same voxels, contrasts exchanged, elsewhere in the world.
    other = np.array([5.0, 1.0, 9.0, 2.0], np.float32)[values.astype(int)]
    counts = np.bincount(values.astype(int).ravel()) / values.size
    entropy = -(counts * np.log(counts)).sum()
    right = shared_information(values, grid, other, moved, rigid_matrix())
    assert right == pytest.approx(entropy, abs=1e-6)
    assert shared_information(values, grid, other, moved, np.eye(4)) < 0.8 * entropy


def test_scans_that_do_not_meet_share_nothing():
    grid = GRIDS["oblique"]
    values = np.random.default_rng(4).random(grid.shape).astype(np.float32)
    far = np.eye(4)
    far[:3, 3] = 1000.0
    assert shared_information(values, grid, values, grid, far) == 0.0


def test_only_the_mask_is_looked_at():
    shape = (60, 61, 62)
    assert np.prod(shape) > 2 * POINTS
    grid = Grid(shape, np.diag([1.0, 2.0, 3.0, 1.0]))
    rng = np.random.default_rng(5)
    fixed = rng.random(shape).astype(np.float32)
    mask = np.zeros(shape, dtype=bool)
    mask[10:20, 5:50, 7:40] = True
    moving = np.where(mask, fixed, rng.random(shape).astype(np.float32))
    everywhere = shared_information(moving, grid, fixed, grid, np.eye(4))
    inside = shared_information(moving, grid, fixed, grid, np.eye(4), fixed_mask=mask)
    assert inside > 3.0 > 1.0 > everywhere
