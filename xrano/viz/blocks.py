"""Blocks of voxels: what of a volume a slice, or the brain, needs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xrano.geometry import Grid, Shape3, as_shape, bounding_box
from xrano.types import Mask


@dataclass(frozen=True)
class Block:
    """A block of voxels: ``array[start : start + shape]``."""

    start: Shape3
    shape: Shape3

    @classmethod
    def under(cls, target: Grid, source: Grid) -> Block:
        """The voxels of ``source`` that values on ``target`` are interpolated from, and one more.

        At least one voxel, even where the grids are apart.
        """
        corners = np.stack(np.meshgrid(*[(0, size - 1) for size in target.shape]), axis=-1)
        index = np.round(source.voxel(target.world(corners.reshape(-1, 3))), 6)
        last = np.array(source.shape) - 1
        first = np.clip(np.floor(index.min(axis=0)) - 1, 0, last).astype(int)
        end = np.clip(np.ceil(index.max(axis=0)) + 1, 0, last).astype(int) + 1
        return cls(as_shape(first.tolist()), as_shape((end - first).tolist()))

    @classmethod
    def around(cls, mask: Mask) -> Block:
        """The voxels of a mask; all of the volume if it is empty."""
        return cls(*bounding_box(mask)) if mask.any() else cls((0, 0, 0), as_shape(mask.shape))

    @property
    def index(self) -> tuple[slice, slice, slice]:
        """What an array (i, j, k) is indexed by."""
        i, j, k = (
            slice(first, first + size) for first, size in zip(self.start, self.shape, strict=True)
        )
        return i, j, k

    def of(self, grid: Grid) -> Grid:
        """The grid of the block."""
        return grid.crop(self.start, self.shape)
