"""Volumes for a page: an axis-aligned grid over the brain, coarser if need be, in few bytes."""

from __future__ import annotations

import gzip
import math
import struct
from collections.abc import Iterator
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from xrano.geometry import Grid, bounding_box
from xrano.resampling import resample
from xrano.types import Mask, Volume
from xrano.viz.slice_places import aligned_grid

SPACINGS_MM = (1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 12.0)
"""What is tried, one after the other, until a page is small enough."""

STEPS_TO_TOP = 200
"""Stored steps from zero to the last colour of a map: its error is at most 0.25 % of the scale."""

Factor = tuple[int, int, int]

_SLOPE_AT = 112
"""Where a NIfTI header holds scl_slope and, after it, scl_inter (nifti1.h)."""


def brain_frame(grid: Grid, brain: Mask, *, margin_mm: float = 8.0) -> Grid:
    """The axis-aligned RAS+ grid over the brain at the spacing of a grid.

    Args:
        grid: any grid; one along the axes of the world is only turned and cropped.
        brain: (i, j, k) brain mask on it; the whole field is taken if it is empty.
        margin_mm: what is kept around the brain.
    """
    frame = aligned_grid(grid)
    inside = resample(brain, grid, frame, order=0)
    if not inside.any():
        return frame
    start, shape = bounding_box(inside)
    low, high = [], []
    for axis in range(3):
        margin = math.ceil(margin_mm / frame.spacing[axis])
        low.append(max(start[axis] - margin, 0))
        high.append(min(start[axis] + shape[axis] + margin, frame.shape[axis]))
    sizes = [after - before for before, after in zip(low, high, strict=True)]
    return frame.crop((low[0], low[1], low[2]), (sizes[0], sizes[1], sizes[2]))


def factors(spacing: tuple[float, float, float]) -> Iterator[Factor]:
    """How many voxels become one along each axis, from the finest (1, 1, 1) to the coarsest.

    Example:
        >>> list(factors((3.0, 3.0, 6.0)))[:3]
        [(1, 1, 1), (2, 2, 1), (3, 3, 1)]
    """
    last = (1, 1, 1)
    yield last
    for wanted in SPACINGS_MM:
        i, j, k = (max(1, round(wanted / size - 1e-9)) for size in spacing)
        if (i, j, k) != last and i >= last[0] and j >= last[1] and k >= last[2]:
            last = (i, j, k)
            yield last


def coarser_grid(grid: Grid, factor: Factor) -> Grid:
    """The grid whose voxels are blocks of ``factor`` voxels; the last ones may reach beyond.

    Example:
        >>> coarse = coarser_grid(Grid((4, 5, 6), np.eye(4)), (2, 2, 1))
        >>> coarse.shape, coarse.affine[:3, 3].tolist()
        ((2, 3, 6), [0.5, 0.5, 0.0])
    """
    affine = grid.affine.copy()
    affine[:3, :3] *= factor
    affine[:3, 3] = grid.world((np.array(factor) - 1) / 2)
    i, j, k = (-(-size // step) for size, step in zip(grid.shape, factor, strict=True))
    return Grid((i, j, k), affine)


def coarser(data: NDArray[Any], factor: Factor) -> Volume:
    """Mean of each block of voxels; incomplete ones at the end are filled with their last voxels.

    Example:
        >>> coarser(np.arange(4.0).reshape(4, 1, 1), (2, 1, 1)).ravel().tolist()
        [0.5, 2.5]
    """
    data = np.asarray(data, dtype=np.float32)
    if factor == (1, 1, 1):
        return data
    missing = [-size % step for size, step in zip(data.shape, factor, strict=True)]
    data = np.pad(data, [(0, more) for more in missing], mode="edge")
    i, j, k = (size // step for size, step in zip(data.shape, factor, strict=True))
    blocks = data.reshape(i, factor[0], j, factor[1], k, factor[2])
    return np.asarray(blocks.mean(axis=(1, 3, 5), dtype=np.float32))


def window_bytes(data: Volume, grid: Grid, window: tuple[float, float]) -> bytes:
    """A scan in 256 greys from the black to the white end of its window."""
    low, high = window
    slope = float(np.float32((high - low) / 255)) or 1.0
    steps = np.clip(np.rint((data - low) / slope), 0, 255).astype(np.uint8)
    return nifti_bytes(steps, grid, slope, low)


def map_bytes(data: Volume, grid: Grid, step: float) -> bytes:
    """A map in whole steps: the given one, or a larger one if the values need it."""
    slope = float(np.float32(max(step, step_for(data)))) or 1.0
    steps = np.rint(np.asarray(data, dtype=np.float64) / slope).clip(-32767, 32767)
    small = steps.min() >= 0 and steps.max() <= 255
    return nifti_bytes(steps.astype(np.uint8 if small else np.int16), grid, slope)


def step_for(data: Volume) -> float:
    """The smallest step with which the largest magnitude fits into 16 bits."""
    return float(np.abs(data).max(initial=0.0)) / 32767


def mask_bytes(mask: Mask, grid: Grid) -> bytes:
    """A mask as zeros and ones."""
    return nifti_bytes(mask.astype(np.uint8), grid)


def blank_bytes(grid: Grid) -> bytes:
    """An RGBA volume of zeros."""
    colour = np.dtype([(name, np.uint8) for name in "RGBA"])
    return nifti_bytes(np.zeros(grid.shape, dtype=colour), grid)


def nifti_bytes(data: NDArray[Any], grid: Grid, slope: float = 1.0, inter: float = 0.0) -> bytes:
    """A gzipped NIfTI file, the same bytes for the same volume.

    Args:
        data: (i, j, k) stored numbers.
        grid: their grid.
        slope: a value is ``slope`` times the stored number plus ``inter``.
        inter: see there.
    """
    image = nib.Nifti1Image(np.asfortranarray(data), grid.affine, dtype=data.dtype)
    image.header.set_xyzt_units("mm")
    content = bytearray(image.to_bytes())
    struct.pack_into("<ff", content, _SLOPE_AT, slope, inter)
    return gzip.compress(bytes(content), compresslevel=9, mtime=0)
