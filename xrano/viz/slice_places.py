"""Which slices of the world a volume has, and where a picture of one is cropped."""

from __future__ import annotations

from collections.abc import Sequence

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from xrano.errors import GridMismatchError
from xrano.geometry import Grid, as_shape
from xrano.types import Mask
from xrano.viz.slices import Convention, Plane, SliceView, parse_convention, parse_plane

ALIGNED_TOLERANCE_MM = 1e-3
"""A grid is axis-aligned if none of its voxel axes strays further than this from a world axis."""


def aligned_grid(grid: Grid, *, fine: bool = False) -> Grid:
    """The axis-aligned RAS+ grid that covers a grid.

    Args:
        grid: any grid.
        fine: sample a covering grid of an oblique one at its smallest spacing along every axis,
            since thick oblique slices are cut at an angle; otherwise each world axis takes the
            spacing of the voxel axis closest to it.

    Returns:
        The same voxel centres, flipped and permuted, if the grid is axis-aligned; otherwise a grid
        over the box around its voxel centres.

    Example:
        >>> las = Grid((3, 4, 5), [[-2, 0, 0, 4], [0, 2, 0, 0], [0, 0, 6, 0], [0, 0, 0, 1]])
        >>> aligned_grid(las)
        Grid(shape=(3, 4, 5), affine=[2 0 0 0; 0 2 0 0; 0 0 6 0])
    """
    orientation = nib.orientations.io_orientation(grid.affine)
    order = [int(axis) for axis in orientation[:, 0]]
    shape = tuple(grid.shape[order.index(axis)] for axis in range(3))
    spacing = np.array([grid.spacing[order.index(axis)] for axis in range(3)])
    corners = np.stack(np.meshgrid(*[(0, size - 1) for size in grid.shape]), axis=-1)
    world = grid.world(corners.reshape(-1, 3))
    low, high = world.min(axis=0), world.max(axis=0)
    steps = np.array(shape) - 1
    astray = np.abs(grid.affine[:3, :3]) * (np.array(grid.shape) - 1)
    astray[order, range(3)] = 0
    if astray.max() > ALIGNED_TOLERANCE_MM:
        spacing = np.full(3, spacing.min()) if fine else spacing
        steps = np.maximum(np.rint((high - low) / spacing), 0)
        low = (low + high - steps * spacing) / 2
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = low
    return Grid((int(steps[0]) + 1, int(steps[1]) + 1, int(steps[2]) + 1), affine)


def place_slice(
    grid: Grid,
    plane: str,
    mm: float,
    *,
    convention: str = Convention.RADIOLOGICAL,
    around: Mask | None = None,
    margin_mm: float = 10.0,
) -> SliceView:
    """The view of a grid's slice that lies nearest to a world coordinate.

    Args:
        grid: grid of the volumes to be shown.
        plane: ``axial``, ``coronal`` or ``sagittal``.
        mm: world coordinate along the plane's normal.
        convention: ``radiological`` or ``neurological``.
        around: mask on ``grid`` (the brain) that the picture is cropped to; ``None`` or an empty
            mask shows the whole field.
        margin_mm: what the crop leaves around the mask.

    Raises:
        UnknownNameError: for an unknown plane or convention.
        GridMismatchError: if the coordinate lies outside the grid, or the mask is not on it.
    """
    return place_slices(
        grid, [(plane, mm)], convention=convention, around=around, margin_mm=margin_mm
    )[0]


def place_slices(
    grid: Grid,
    positions: Sequence[tuple[str, float]],
    *,
    convention: str = Convention.RADIOLOGICAL,
    around: Mask | None = None,
    margin_mm: float = 10.0,
) -> list[SliceView]:
    """Several views of one grid: the mask around which they are cropped is looked at once.

    Args:
        grid: as for :func:`place_slice`, like all that follow.
        positions: a plane and a world coordinate along its normal, each.
        convention: ``radiological`` or ``neurological``.
        around: what the pictures are cropped to.
        margin_mm: what the crop leaves around it.

    Raises:
        UnknownNameError: for an unknown plane or convention.
        GridMismatchError: if a coordinate lies outside the grid, or the mask is not on it.
    """
    seen = parse_convention(convention)
    frame = aligned_grid(grid, fine=True)
    window = _window(grid, frame, around, margin_mm)
    return [_cut(frame, window, parse_plane(plane), mm, seen) for plane, mm in positions]


def _cut(
    frame: Grid, window: list[tuple[int, int]], plane: Plane, mm: float, convention: Convention
) -> SliceView:
    start, shape = [0, 0, 0], list(frame.shape)
    for axis, (low, high) in enumerate(window):
        if axis != plane.normal:
            start[axis], shape[axis] = low, high - low
    index = float(frame.voxel(np.full(3, float(mm)))[plane.normal])
    if not -0.5 <= index <= frame.shape[plane.normal] - 0.5:
        first = float(frame.affine[plane.normal, 3])
        last = first + frame.spacing[plane.normal] * (frame.shape[plane.normal] - 1)
        raise GridMismatchError(
            f"the {plane} slice at {mm:g} mm lies outside the volume, which reaches from "
            f"{first:g} to {last:g} mm"
        )
    start[plane.normal] = min(max(round(index), 0), frame.shape[plane.normal] - 1)
    shape[plane.normal] = 1
    return SliceView(plane, convention, frame.crop(as_shape(start), as_shape(shape)))


def _window(
    grid: Grid, frame: Grid, around: Mask | None, margin_mm: float
) -> list[tuple[int, int]]:
    """First and one-past-last index of ``frame``, per axis, around a mask on ``grid``."""
    if around is not None and around.shape != grid.shape:
        raise GridMismatchError(f"a mask of shape {around.shape} for {grid}")
    if around is None or not around.any():
        return [(0, size) for size in frame.shape]
    low, high = _world_box(around, grid)
    first = np.floor(frame.voxel(low - margin_mm) + 0.5).astype(int)
    last = np.ceil(frame.voxel(high + margin_mm) - 0.5).astype(int)
    return [
        (max(int(first[axis]), 0), min(int(last[axis]) + 1, frame.shape[axis])) for axis in range(3)
    ]


def _world_box(mask: Mask, grid: Grid) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Lowest and highest world mm of the faces of a mask's voxels."""
    # A linear coordinate takes its extremes at the first or last voxel of a line along k.
    hit = mask.any(axis=2)
    first = mask.argmax(axis=2)[hit]
    last = mask.shape[2] - 1 - mask[:, :, ::-1].argmax(axis=2)[hit]
    lines = np.argwhere(hit)
    ends = np.concatenate([np.column_stack([lines, first]), np.column_stack([lines, last])])
    world = grid.world(ends)
    reach = np.abs(grid.affine[:3, :3]).sum(axis=1) / 2
    return world.min(axis=0) - reach, world.max(axis=0) + reach
