"""Affines that catch a swapped axis or a lost sign: oblique, anisotropic, either handedness."""

from __future__ import annotations

import numpy as np

from xrano.data.phantom.anatomy import rotation
from xrano.geometry import Grid

SHAPE = (5, 6, 7)


def oblique(signs: tuple[int, int, int] = (1, 1, 1)) -> np.ndarray:
    affine = np.eye(4)
    affine[:3, :3] = rotation(np.array([11.0, -7.0, 23.0])) @ np.diag(
        np.array(signs) * [0.7, 1.3, 4]
    )
    affine[:3, 3] = -31.5, 12.25, 7.125
    return affine


def sheared() -> np.ndarray:
    affine = oblique()
    affine[:3, 2] += 0.3 * affine[:3, 0]
    return affine


GRIDS = {
    "plain": Grid(SHAPE, np.diag([1.0, 2.0, 3.0, 1.0])),
    "oblique": Grid(SHAPE, oblique()),
    "flipped": Grid(SHAPE, oblique((-1, 1, 1))),
    "flipped twice": Grid(SHAPE, oblique((-1, -1, 1))),
    "axes permuted": Grid(SHAPE, oblique()[:, [2, 0, 1, 3]]),
    "sheared": Grid(SHAPE, sheared()),
}


def rigid_matrix() -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, :3] = rotation(np.array([4.0, -9.0, 2.5]))
    matrix[:3, 3] = 3.0, -11.0, 6.5
    return matrix
