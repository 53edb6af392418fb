"""The grid that a whole cohort is brought to, and the brains that decide its extent."""

from __future__ import annotations

from collections.abc import Sequence

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from xrano.errors import ManifestError
from xrano.geometry import Grid, Shape3, as_shape
from xrano.resampling import index_map
from xrano.types import Mask

Extent = tuple[NDArray[np.float64], NDArray[np.float64]]
"""First and last voxel (3,) of a grid that something touches, per axis."""


def brain_extent(brain: Mask, grid: Grid, base: Grid) -> Extent:
    """First and last voxel of ``base`` that a brain touches.

    Args:
        brain: (i, j, k) mask, not empty.
        grid: its grid, in the world of ``base``.
        base: the grid to count on; the brain may reach beyond it.
    """
    mapping = index_map(base, grid)
    centres = nib.affines.apply_affine(mapping, np.argwhere(brain))
    reach = np.abs(mapping[:3, :3]).sum(axis=1) / 2
    # Voxel n of the base spans n − 1/2 to n + 1/2; the little more forgives rounding.
    low = np.floor(centres.min(axis=0) - reach + 0.5 + 1e-6)
    high = np.ceil(centres.max(axis=0) + reach - 0.5 - 1e-6)
    return low, high


def cropped_to(base: Grid, extents: Sequence[Extent]) -> Grid:
    """``base`` cut to the union of all brains and a voxel around it.

    A brain that reaches beyond the base's field of view is not cut off: the grid grows.

    Raises:
        ManifestError: if there is no brain.
    """
    if not extents:
        raise ManifestError("there is no session to prepare")
    first = np.min([low for low, _ in extents], axis=0)
    last = np.max([high for _, high in extents], axis=0)
    start, shape = first.astype(int) - 1, (last - first).astype(int) + 3
    return base.crop(as_shape(start.tolist()), as_shape(shape.tolist()))


def boxed(base: Grid, shape: Shape3) -> Grid:
    """A grid of a fixed shape with the voxels of ``base``, centred on it to half a voxel.

    Example:
        >>> boxed(Grid((4, 6, 8), np.eye(4)), (8, 2, 8)).affine[:3, 3].tolist()
        [-2.0, 2.0, 0.0]
    """
    start = [(old - new) // 2 for old, new in zip(base.shape, shape, strict=True)]
    return base.crop(as_shape(start), shape)


def respaced(grid: Grid, spacing: float) -> Grid:
    """A grid over the same field of view, outer voxel faces aligned, with cubic voxels."""
    scale = spacing / np.array(grid.spacing)
    shape = np.maximum(1, np.ceil(np.array(grid.shape) / scale - 1e-6)).astype(int)
    affine = grid.affine @ np.diag([*scale, 1.0])
    affine[:3, 3] = grid.world((scale - 1) / 2)
    return Grid((int(shape[0]), int(shape[1]), int(shape[2])), affine)
