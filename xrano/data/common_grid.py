"""The grid that a whole cohort is brought to, and the brains that decide its extent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from xrano.data.volumes import read_mask, read_scan
from xrano.errors import ManifestError, VolumeError
from xrano.geometry import Grid, as_shape, index_map, to_ras
from xrano.types import Mask

SKULL_STRIPPED_SHARE = 0.6
"""A scan of which more than this share of voxels is not zero has not been skull-stripped."""


def common_grid(rows: Iterable[Mapping[str, Any]], names: tuple[str, ...], spacing: float) -> Grid:
    """The RAS+ grid of the first scan, at a spacing, cut to the union of all brains and a voxel.

    A brain that reaches beyond the first scan's field of view is not cut off: the grid grows.

    Raises:
        ManifestError: if there is no session.
        VolumeError: if a scan cannot be read or shows a skull and has no brain mask.
    """
    base: Grid | None = None
    first, last = np.full(3, np.inf), np.full(3, -np.inf)
    for row in rows:
        brain, grid = read_brain(row, names)
        if base is None:
            base = respaced(grid, spacing) if spacing else grid
        low, high = _extent(brain, grid, base)
        first, last = np.minimum(first, low), np.maximum(last, high)
    if base is None:
        raise ManifestError("there is no session to prepare")
    start, shape = first.astype(int) - 1, (last - first).astype(int) + 3
    return base.crop(as_shape(start.tolist()), as_shape(shape.tolist()))


def _extent(brain: Mask, grid: Grid, base: Grid) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """First and last voxel of ``base`` that a brain on ``grid`` touches, per axis."""
    mapping = index_map(base, grid)
    centres = nib.affines.apply_affine(mapping, np.argwhere(brain))
    reach = np.abs(mapping[:3, :3]).sum(axis=1) / 2
    # Voxel n of the base spans n − 1/2 to n + 1/2; the little more forgives rounding.
    low = np.floor(centres.min(axis=0) - reach + 0.5 + 1e-6)
    high = np.ceil(centres.max(axis=0) + reach - 0.5 - 1e-6)
    return low, high


def respaced(grid: Grid, spacing: float) -> Grid:
    """A grid over the same field of view, outer voxel faces aligned, with cubic voxels."""
    scale = spacing / np.array(grid.spacing)
    shape = np.maximum(1, np.ceil(np.array(grid.shape) / scale - 1e-6)).astype(int)
    affine = grid.affine @ np.diag([*scale, 1.0])
    affine[:3, 3] = grid.world((scale - 1) / 2)
    return Grid((int(shape[0]), int(shape[1]), int(shape[2])), affine)


def read_brain(row: Mapping[str, Any], names: tuple[str, ...]) -> tuple[Mask, Grid]:
    """The brain of a session in RAS+: its mask, or the voxels that are not zero.

    Raises:
        VolumeError: if no mask is given and the scan shows more than a brain, or there is none.
    """
    if row.get("brain_mask"):
        mask = read_mask(row["brain_mask"])
        return to_ras(mask.mask, mask.grid.affine)
    first = next((row[name] for name in names if row[name]), None)
    if first is None:
        raise VolumeError(
            f"{row['patient_id']} {row['session_id']} has neither an image of "
            f"{', '.join(names) or 'any sequence'} nor a brain mask"
        )
    scan = read_scan(first)
    brain = scan.data != 0
    if brain.mean() > SKULL_STRIPPED_SHARE:
        raise VolumeError(
            f"{first}: {brain.mean():.0%} of the voxels are not zero, so the skull has not been "
            "removed, and the session has no brain mask; name one in the column brain_mask of "
            "the sessions table, or strip the skull first"
        )
    return to_ras(brain, scan.grid.affine)
