"""Mutual information of two images under a linear transform."""

from __future__ import annotations

from typing import Any

import numpy as np
from nibabel.affines import apply_affine
from numpy.typing import NDArray
from scipy import ndimage

from xrano.data.mutual_information import mutual_information
from xrano.geometry import Grid
from xrano.resampling import index_map
from xrano.types import Affine, Mask

POINTS = 100_000
"""At most so many voxels of the fixed image are looked at."""


def shared_information(
    moving: NDArray[Any],
    moving_grid: Grid,
    fixed: NDArray[Any],
    fixed_grid: Grid,
    matrix: Affine,
    *,
    fixed_mask: Mask | None = None,
) -> float:
    """Mutual information in nats of a fixed image and a moving one, brought there by a matrix.

    Where the moving image does not reach, it counts as 0, so that two images that do not meet
    share nothing. Bins are those of :func:`xrano.data.mutual_information.mutual_information`.

    Args:
        moving: (i, j, k).
        moving_grid: its grid.
        fixed: (i, j, k).
        fixed_grid: its grid.
        matrix: (4, 4) moving world to fixed world, RAS+ mm.
        fixed_mask: voxels of the fixed image to look at; all of them by default.

    Returns:
        At least 0; at most log 48 = 3.87 nats.
    """
    index = _sample(fixed.shape, fixed_mask)
    seen = fixed[tuple(index.T)]
    # index_map rounds what is nearly whole, or scipy would lose the outermost voxels.
    to_moving = index_map(Grid(moving_grid.shape, matrix @ moving_grid.affine), fixed_grid)
    there = ndimage.map_coordinates(
        moving.astype(np.float32, copy=False),
        apply_affine(to_moving, index).T,
        order=1,
        mode="constant",
    )
    return mutual_information(seen, there)


def _sample(shape: tuple[int, ...], mask: Mask | None) -> NDArray[np.intp]:
    """Indices (n, 3) of voxels of the mask, or of all."""
    flat = np.arange(np.prod(shape)) if mask is None else np.flatnonzero(mask)
    if flat.size > POINTS:
        # Drawn, since even steps through memory fall into step with its rows; the same each time.
        flat = flat[np.random.default_rng(0).choice(flat.size, POINTS, replace=False)]
    return np.stack(np.unravel_index(flat, shape), axis=-1)
