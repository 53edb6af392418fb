"""In which order the brain is taken away: voxel by voxel, or part by part, by relevance.

Single voxels are what a map is made of, but hiding them leaves holes that no scan has; blocks and
supervoxels leave fewer edges and need the map at their own resolution only. Parts with equal
relevance follow in a random order of the seed: in the order of the array a map with plateaus
would take the brain away slab by slab, which is an order of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from xrano.attribution.supervoxels import blocks, supervoxels
from xrano.errors import ConfigError, UnknownNameError

ORDERINGS = ("voxels", "blocks", "supervoxels")
"""What is taken away at once."""

PART_EDGE = 4
"""Edge of a block in voxels; supervoxels are about as many as blocks of it fill the brain."""


@dataclass(frozen=True, eq=False)
class RemovalOrder:
    """The parts of a brain in the order in which they go.

    Attributes:
        position: (i, j, k) integers: when the voxel's part goes, from 0; -1 outside the brain.
        sizes: (part,) voxels of each part, in that order.

    Example:
        >>> brain = torch.tensor([[[True, True, False, True]]])
        >>> relevance = torch.tensor([[[1.0, 3.0, 9.0, 2.0]]])
        >>> order = by_relevance(relevance, part_labels(relevance[None], brain), seed=0)
        >>> order.first(2).tolist()
        [[[False, True, False, True]]]
    """

    position: Tensor
    sizes: NDArray[np.int64]

    def first(self, count: int) -> Tensor:
        """(i, j, k) boolean: the voxels of the first ``count`` parts."""
        return (self.position >= 0) & (self.position < count)

    def reversed(self) -> RemovalOrder:
        """The last part first."""
        last = len(self.sizes) - 1
        turned = torch.where(self.position >= 0, last - self.position, self.position)
        return RemovalOrder(turned, self.sizes[::-1].copy())

    def cut(self, fraction: float) -> int:
        """The fewest parts, first ones first, that hold at least a fraction of the brain."""
        held = np.cumsum(self.sizes)
        # A share that is meant to be whole voxels may miss them by the last bit.
        wanted = fraction * held[-1] - 1e-9 * held[-1]
        return 0 if wanted <= 0 else min(int(np.searchsorted(held, wanted)) + 1, len(held))

    def fraction(self, count: int) -> float:
        """The share of the brain's voxels in the first ``count`` parts."""
        return float(self.sizes[:count].sum() / self.sizes.sum())

    def cuts(self, steps: int) -> list[int]:
        """Numbers of parts that take the brain away in about equal steps, from 0 to all."""
        return sorted({self.cut(step / steps) for step in range(steps + 1)})


def part_labels(
    scans: Tensor, brain: Tensor, ordering: str = "voxels", *, edge: int = PART_EDGE
) -> Tensor:
    """Which part each voxel belongs to, numbered from 0 without gaps; -1 outside the brain.

    Args:
        scans: (channel, i, j, k), whose edges supervoxels follow.
        brain: (i, j, k) boolean, not empty.
        ordering: one of :data:`ORDERINGS`.
        edge: size of the parts, in voxels.

    Raises:
        UnknownNameError: for an unknown ordering.
        ConfigError: if the edge is less than a voxel.
    """
    if ordering not in ORDERINGS:
        raise UnknownNameError("ordering", ordering, ORDERINGS)
    if edge < 1:
        raise ConfigError(f"a part is at least 1 voxel wide, got {edge}")
    voxels = int(brain.sum())
    if ordering == "voxels":
        raw = torch.arange(brain.numel(), device=brain.device).view(brain.shape)
    elif ordering == "blocks":
        raw = blocks((brain.shape[0], brain.shape[1], brain.shape[2]), edge).to(brain.device)
    else:
        raw = supervoxels(scans, brain, max(1, voxels // edge**3))
    labels = torch.full(brain.shape, -1, dtype=torch.long, device=brain.device)
    labels[brain] = torch.unique(raw[brain], return_inverse=True)[1]
    return labels


def by_relevance(relevance: Tensor, labels: Tensor, *, seed: int) -> RemovalOrder:
    """The most relevant part first, by its mean relevance.

    Args:
        relevance: (i, j, k).
        labels: from :func:`part_labels`.
        seed: of the order among equals.
    """

    def sort(number: NDArray[np.int64], sizes: NDArray[np.int64]) -> NDArray[np.int64]:
        values = relevance[labels >= 0].detach().cpu().double().numpy()
        # In single precision, so that means of equal values are equal whatever a part's size.
        means = (np.bincount(number, weights=values) / sizes).astype(np.float32)
        mixed = np.random.default_rng(seed).permutation(len(sizes))
        return np.asarray(np.lexsort((mixed, -means)), dtype=np.int64)

    return _ordered(labels, sort)


def at_random(labels: Tensor, *, seed: int) -> RemovalOrder:
    """The parts in a random order of the seed."""
    rng = np.random.default_rng(seed)
    return _ordered(labels, lambda _, sizes: rng.permutation(len(sizes)))


def _ordered(
    labels: Tensor,
    sort: Callable[[NDArray[np.int64], NDArray[np.int64]], NDArray[np.int64]],
) -> RemovalOrder:
    inside = labels >= 0
    number = labels[inside].cpu().numpy()
    sizes = np.bincount(number)
    order = sort(number, sizes)
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    position = torch.full_like(labels, -1)
    position[inside] = torch.from_numpy(place[number]).to(labels)
    return RemovalOrder(position, sizes[order])
