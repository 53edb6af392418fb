"""Grids of every orientation, never cubic, never isotropic, and values to put on them."""

from __future__ import annotations

import itertools
import math

import numpy as np
from scipy.spatial.transform import Rotation

from xrano.geometry import Grid


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
