"""What a linear transform does: its inverse, its rotation, how far it moves points."""

from __future__ import annotations

from typing import Any

import numpy as np
from nibabel.affines import apply_affine

from xrano.types import Affine


def inverse(matrix: Affine) -> Affine:
    """The transform back."""
    return np.asarray(np.linalg.inv(matrix), dtype=np.float64)


def rotation_degrees(matrix: Affine) -> float:
    """The angle of the rotation in a linear transform, 0 to 180 degrees.

    Scaling and shear are set aside by a polar decomposition.

    Example:
        >>> turn = np.diag([-1.0, -1.0, 1.0, 1.0])
        >>> rotation_degrees(2.0 * turn)
        180.0
    """
    left, _, right = np.linalg.svd(np.asarray(matrix, dtype=np.float64)[:3, :3])
    rotation = left @ right
    # An arccos alone would be blind below 1e-6; the antisymmetric part is the sine.
    sine = np.linalg.norm(
        [
            rotation[2, 1] - rotation[1, 2],
            rotation[0, 2] - rotation[2, 0],
            rotation[1, 0] - rotation[0, 1],
        ]
    )
    return float(np.rad2deg(np.arctan2(sine, np.trace(rotation) - 1.0)))


def mean_displacement_mm(matrix: Affine, points: Any, other: Affine | None = None) -> float:
    """The mean distance between where two transforms take points.

    Args:
        matrix: (4, 4), mm.
        points: (n, 3) world mm.
        other: the second transform; ``None`` for the points themselves.

    Example:
        >>> shift = np.eye(4); shift[:3, 3] = 3.0, 4.0, 0.0
        >>> mean_displacement_mm(shift, np.zeros((1, 3)))
        5.0
    """
    points = np.asarray(points, dtype=np.float64)
    moved = apply_affine(matrix, points)
    there = points if other is None else apply_affine(other, points)
    return float(np.linalg.norm(moved - there, axis=-1).mean())
