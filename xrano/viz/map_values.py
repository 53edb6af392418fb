"""A map as pictures read it: one number a voxel of the scans' grid, computed only where needed.

A panel at 1 mm draws slices of 40,000 voxels from maps of 60 million values. So a map is rectified
and reduced where a slice passes, and once inside the brain, for its scale.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xrano.geometry import Grid
from xrano.maps import AttributionMap, Reduction, rectify
from xrano.resampling import Outside, index_map, resample
from xrano.types import Affine, Mask, Volume
from xrano.viz.blocks import Block
from xrano.viz.slices import SliceView


@dataclass(frozen=True, eq=False)
class MapValues:
    """A map, or some of its channels, on the grid of the scans.

    Values are rectified on the map's own grid, reduced over channels, and then carried over, as
    they are scored. NaN and infinite values become 0, which is drawn as nothing. Outside the brain
    a coarse map is 0: cells of centimetres spill over the edge, where nothing is to be read.

    Args:
        attribution: the map, on any grid.
        channels: which of its channels.
        rectification: as for :meth:`xrano.maps.AttributionMap.reduced`.
        reduction: the same.
        grid: grid of the scans.
        brain: (i, j, k) brain mask on ``grid``.
    """

    attribution: AttributionMap
    channels: tuple[str, ...]
    rectification: str
    reduction: str
    grid: Grid
    brain: Mask

    def on(self, view: SliceView) -> NDArray[Any]:
        """The values on a slice, (row, column), ready for ``imshow``."""
        block = Block.under(view.grid, self.grid)
        return view.sample(self.part(block), block.of(self.grid))

    def part(self, block: Block) -> Volume:
        """The values of a block (i, j, k) of the scans' grid."""
        return self._part(block)[0]

    def volume(self) -> Volume:
        """The values of the whole grid."""
        return self.part(Block((0, 0, 0), self.grid.shape))

    def inside(self, block: Block) -> tuple[NDArray[np.float32], int]:
        """The values in the brain, (voxel,), of which ``block`` is a block.

        Also the number of voxels or cells about there that hold NaN or infinity.
        """
        values, lost = self._part(block)
        return np.asarray(values[self.brain[block.index]]), lost

    def _part(self, block: Block) -> tuple[Volume, int]:
        own, target = self.attribution.grid, block.of(self.grid)
        if self._on_grid:
            values, lost = self._own(block)
        else:
            under = Block.under(target, own)
            outside: Outside = "edge" if self.attribution.coarse else "zero"
            cells, lost = self._own(under)
            values = carried(cells, under.of(own), target, outside=outside)
        if self.attribution.coarse:
            values = np.where(self.brain[block.index], values, np.float32(0))
        return values, lost

    @cached_property
    def _on_grid(self) -> bool:
        return self.attribution.grid.matches(self.grid)

    def _own(self, block: Block) -> tuple[Volume, int]:
        """A block of the map's own grid, and how many of its values are not finite."""
        index = [self.attribution.channels.index(name) for name in self.channels]
        data = self.attribution.data[:, *block.index]
        if index != list(range(len(data))):
            data = data[index]
        return reduced(data, self.rectification, self.reduction)


def reduced(
    data: NDArray[np.float32], rectification: str, reduction: str
) -> tuple[NDArray[np.float32], int]:
    """What :meth:`xrano.maps.AttributionMap.reduced` gives, but with 0 for NaN and infinity.

    Args:
        data: (channel, i, j, k).
        rectification: as there.
        reduction: as there.

    Returns:
        (i, j, k), and the number of voxels that were not finite.
    """
    found = np.empty(data.shape[1:], dtype=np.float32)
    # A plane at a time stays in the processor's cache: three times as fast as all at once.
    for plane in range(data.shape[1]):
        values = rectify(data[:, plane], rectification)
        if len(values) == 1:
            found[plane] = values[0]
        elif reduction == Reduction.SUM:
            values.sum(axis=0, out=found[plane])
        elif reduction == Reduction.MEAN:
            values.mean(axis=0, out=found[plane])
        else:
            strongest = np.abs(values).argmax(axis=0)[None]
            found[plane] = np.take_along_axis(values, strongest, axis=0)[0]
    finite = np.isfinite(found)
    lost = found.size - int(np.count_nonzero(finite))
    if lost:
        found[~finite] = 0
    return found, lost


def carried(values: Volume, source: Grid, target: Grid, *, outside: Outside) -> Volume:
    """:func:`xrano.resampling.resample` of float32, an axis at a time where axes are parallel.

    Trilinear interpolation is linear interpolation along each axis in turn; a class activation
    map of 7×7×6 cells reaches 1 mm voxels twenty times as fast so.
    """
    mapping = index_map(source, target)
    along = np.abs(mapping[:3, :3]) > 0
    finer = np.prod(target.shape) > 8 * np.prod(source.shape)
    if not finer or not (along.sum(axis=0) == 1).all() or not (along.sum(axis=1) == 1).all():
        return resample(values, source, target, outside=outside)
    found: NDArray[Any] = np.asarray(values, dtype=np.float32)
    axes = [int(row.argmax()) for row in along]
    for axis, towards in enumerate(axes):
        weights = _weights(mapping, axis, towards, source, target, outside)
        # The axis worked on goes from the front to the back: after three turns all are in place.
        found = np.tensordot(found, weights, axes=(0, 1))
    return np.ascontiguousarray(found.transpose([axes.index(axis) for axis in range(3)]))


def _weights(
    mapping: Affine, axis: int, towards: int, source: Grid, target: Grid, outside: Outside
) -> NDArray[np.float32]:
    """(target voxel, source voxel) weights of linear interpolation along one axis."""
    last = source.shape[axis] - 1
    steps = np.arange(target.shape[towards])
    place = mapping[axis, towards] * steps + mapping[axis, 3]
    held = np.clip(place, 0, last)
    low = np.minimum(held.astype(np.intp), max(last - 1, 0))
    weights = np.zeros((len(steps), last + 1), dtype=np.float32)
    weights[steps, low] = 1 - (held - low)
    weights[steps, np.minimum(low + 1, last)] += held - low
    if outside == "zero":
        weights[np.abs(place - held) > 1e-6] = 0
    return weights
