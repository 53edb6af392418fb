"""Which slice to show: by tumour, peak, change or centre, or several through the whole tumour.

Choices are made in world space: a voxel counts for the axis-aligned slice that its centre lies
in, so masks on flipped or oblique grids need no resampling. Of several equally good slices the
middle one is taken.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from xrano.geometry import Grid
from xrano.types import Mask, Volume
from xrano.viz.slice_places import aligned_grid
from xrano.viz.slices import Plane


class SliceBy(StrEnum):
    """What a slice is chosen by."""

    TUMOUR = "tumour"
    PEAK = "peak"
    CHANGE = "change"
    CENTRE = "centre"
    MOSAIC = "mosaic"


@dataclass(frozen=True)
class SliceChoice:
    """A world coordinate along a plane's normal, and in words why it was chosen."""

    mm: float
    reason: str


def slice_by_tumour(
    masks: Sequence[Mask | None], grid: Grid, plane: Plane, *, brain: Mask
) -> SliceChoice:
    """The slice with the largest area of the union of the masks; the brain's centre without any.

    Args:
        masks: (i, j, k) masks on ``grid``; ``None`` and empty ones count as nothing.
        grid: grid of masks and brain.
        plane: the plane to cut in.
        brain: (i, j, k) brain mask.
    """
    union = np.zeros(grid.shape, dtype=bool)
    for mask in masks:
        if mask is not None:
            union |= mask
    if not union.any():
        return slice_at_centre(brain, grid, plane, because="no tumour mask")
    return SliceChoice(_heaviest(union, grid, plane), "largest tumour area")


def slice_by_peak(volume: Volume, grid: Grid, plane: Plane, *, brain: Mask) -> SliceChoice:
    """The slice through the largest magnitude in the brain; the brain's centre of a zero map."""
    inside = np.abs(np.where(brain, volume, 0))
    if not inside.any():
        return slice_at_centre(brain, grid, plane, because="no relevance in the brain")
    peak = np.unravel_index(int(inside.argmax()), grid.shape)
    return SliceChoice(_snap(float(grid.world(peak)[plane.normal]), grid, plane), "peak of the map")


def slice_by_change(
    prior: Volume, current: Volume, grid: Grid, plane: Plane, *, brain: Mask
) -> SliceChoice:
    """The slice with the largest sum of |current − prior| in the brain; else the brain's centre."""
    change = np.abs(np.where(brain, current - prior, 0))
    if not change.any():
        return slice_at_centre(brain, grid, plane, because="no change")
    return SliceChoice(_heaviest(change, grid, plane), "largest change")


def slice_at_centre(brain: Mask, grid: Grid, plane: Plane, *, because: str = "") -> SliceChoice:
    """The slice through the brain's centre of mass; through the grid's centre without a brain."""
    if brain.any():
        index = np.argwhere(brain).mean(axis=0)
        where = "centre of the brain"
    else:
        index = (np.array(grid.shape) - 1) / 2
        where = "centre of the volume"
    reason = f"{because}: {where}" if because else where
    return SliceChoice(_snap(float(grid.world(index)[plane.normal]), grid, plane), reason)


def slices_of_mosaic(
    masks: Sequence[Mask | None], grid: Grid, plane: Plane, *, brain: Mask, count: int
) -> list[SliceChoice]:
    """Slices at even distances through the tumour; through the brain where there is no tumour.

    Args:
        masks: (i, j, k) masks on ``grid``; their union is the tumour.
        grid: grid of masks and brain.
        plane: the plane to cut in.
        brain: (i, j, k) brain mask.
        count: how many slices; fewer if there are not so many.

    Returns:
        Choices from low to high mm, a whole number of slices apart; half a step stays free at
        both ends, where hardly anything would be cut.
    """
    present = [mask for mask in masks if mask is not None and mask.any()]
    extent = np.logical_or.reduce(present) if present else brain
    what = "the tumour" if present else "the brain, no tumour mask"
    if not extent.any():
        extent, what = np.ones(grid.shape, dtype=bool), "the volume, no brain mask"
    first, spacing, totals = _by_slice(extent, grid, plane)
    found = np.flatnonzero(totals)
    low, high = int(found[0]), int(found[-1])
    number = min(count, high - low + 1)
    step = (high - low + 1) // number
    start = low + (high - low - step * (number - 1)) // 2
    reason = f"every {step * spacing:.3g} mm through {what}"
    return [SliceChoice(first + spacing * (start + n * step), reason) for n in range(number)]


def _heaviest(weights: NDArray[np.generic], grid: Grid, plane: Plane) -> float:
    """World mm of the slice with the largest sum of weights."""
    first, spacing, totals = _by_slice(weights, grid, plane)
    best = np.flatnonzero(totals == totals.max())
    return first + spacing * int(best[len(best) // 2])


def _by_slice(
    weights: NDArray[np.generic], grid: Grid, plane: Plane
) -> tuple[float, float, NDArray[np.float64]]:
    """World mm of the first slice, mm between slices, and the sum of weights in each."""
    frame = aligned_grid(grid)
    found = np.nonzero(weights)
    row = grid.affine[plane.normal]
    world = row[3] + sum(step * index for step, index in zip(row[:3], found, strict=True))
    first, spacing = float(frame.affine[plane.normal, 3]), frame.spacing[plane.normal]
    bins = np.rint((np.asarray(world) - first) / spacing).astype(np.intp)
    last = frame.shape[plane.normal] - 1
    totals = np.bincount(
        np.clip(bins, 0, last),
        weights=np.asarray(weights[found], dtype=np.float64),
        minlength=last + 1,
    )
    return first, spacing, np.asarray(totals, dtype=np.float64)


def _snap(mm: float, grid: Grid, plane: Plane) -> float:
    frame = aligned_grid(grid)
    first, spacing = float(frame.affine[plane.normal, 3]), frame.spacing[plane.normal]
    index = min(max(round((mm - first) / spacing), 0), frame.shape[plane.normal] - 1)
    return first + spacing * index
