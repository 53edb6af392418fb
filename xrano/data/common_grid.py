"""The grid that a whole cohort is brought to, and the brains that decide its extent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from xrano.data.volumes import read_mask, read_scan
from xrano.errors import ManifestError, VolumeError
from xrano.geometry import Grid, bounding_box, resample, to_ras
from xrano.types import Mask

SKULL_STRIPPED_SHARE = 0.6
"""A scan of which more than this share of voxels is not zero has not been skull-stripped."""


def common_grid(rows: Iterable[Mapping[str, Any]], names: tuple[str, ...], spacing: float) -> Grid:
    """The RAS+ grid of the first scan, at a spacing, cropped to the union of all brains.

    Raises:
        ManifestError: if there is no session.
        VolumeError: if a scan cannot be read or shows a skull and has no brain mask.
    """
    base: Grid | None = None
    union: Mask | None = None
    for row in rows:
        brain, grid = read_brain(row, names)
        if base is None or union is None:
            base = respaced(grid, spacing) if spacing else grid
            union = np.zeros(base.shape, dtype=bool)
        union |= resample(brain, grid, base, order=0)
    if base is None or union is None:
        raise ManifestError("there is no session to prepare")
    start, shape = bounding_box(union, margin=1)
    return base.crop(start, shape)


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
        VolumeError: if no mask is given and the scan shows more than a brain.
    """
    if row.get("brain_mask"):
        mask = read_mask(row["brain_mask"])
        return to_ras(mask.mask, mask.grid.affine)
    first = next(row[name] for name in names if row[name])
    scan = read_scan(first)
    brain = scan.data != 0
    if brain.mean() > SKULL_STRIPPED_SHARE:
        raise VolumeError(
            f"{first}: {brain.mean():.0%} of the voxels are not zero, so the skull has not been "
            "removed, and the session has no brain mask; name one in the column brain_mask of "
            "the sessions table, or strip the skull first"
        )
    return to_ras(brain, scan.grid.affine)
