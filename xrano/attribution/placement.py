"""From the cells of a feature grid to voxels, or to the cells of a finer one."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812 - the usual name
from torch import Tensor

Triple = tuple[float, float, float]


@dataclass(frozen=True)
class Place:
    """Cell ``n`` of an axis is centred at voxel ``stride · n + offset`` of the scan."""

    stride: Triple
    offset: Triple


VOXELS = Place((1.0, 1.0, 1.0), (0.0, 0.0, 0.0))
"""The scan itself."""


def place_cells(
    values: Tensor,
    shape: tuple[int, int, int],
    place: Place | None,
    onto: Place | None = VOXELS,
) -> Tensor:
    """A map ``(1, a, b, c)`` on another grid, ``(1, *shape)``.

    Trilinear between the centres of cells, the value of the nearest cell beyond the outer ones.
    If nobody knows where the cells lie, the grid is stretched over the other, each cell a box: what
    Captum does, and up to half a cell off.

    Args:
        values: the map.
        shape: of the other grid.
        place: of the map's cells.
        onto: of the other grid's.
    """
    if place is None or onto is None:
        found: Tensor = F.interpolate(values[None], size=shape, mode="nearest")[0]
        return found
    for axis in range(3):
        values = _along_axis(values, axis, shape[axis], place, onto)
    return values


def _along_axis(values: Tensor, axis: int, size: int, place: Place, onto: Place) -> Tensor:
    centres = onto.stride[axis] * torch.arange(size, dtype=torch.float64) + onto.offset[axis]
    cells = values.shape[1 + axis]
    at = ((centres - place.offset[axis]) / place.stride[axis]).clamp(0, cells - 1)
    lower = at.floor().long().clamp(max=max(cells - 2, 0))
    upper = (lower + 1).clamp(max=cells - 1)
    share = (at - lower).to(values)
    view = [1, 1, 1, 1]
    view[1 + axis] = size
    share = share.view(view)
    lower, upper = lower.to(values.device), upper.to(values.device)
    below, above = values.index_select(1 + axis, lower), values.index_select(1 + axis, upper)
    return below * (1 - share) + above * share
