"""A map inside its scoring domain, sorted once, and one mask seen from it.

Terms: the *domain* is the brain; *n* its voxels, *m* those of the mask inside it. Parts of a mask
outside the domain do not count. All metrics need is how many voxels of the domain, and how many
of the mask, lie above or at some value; one sort of the map answers that for every mask.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from xrano.errors import VolumeError
from xrano.metrics.checks import check_mask, mask_positions
from xrano.metrics.places import MaskPlace
from xrano.types import Mask, Volume

__all__ = [
    "Cut",
    "Levels",
    "RankedMap",
    "RankedMask",
    "check_mask",
    "mask_positions",
    "rank_map",
]


_CUTS_WITHOUT_SORTING = 3
"""Each of them takes a seventh of the time of a sort, which then serves all further cuts."""


@dataclass(frozen=True, eq=False)
class RankedMap:
    """The relevance of one map in one domain.

    Attributes:
        values: (n,) non-negative relevance, in the order of ``map[domain]``.
        domain: (i, j, k) where they lie; ``None`` if nothing needs to know.
        elsewhere: summed relevance outside the domain, before anything was masked.

    Example:
        >>> volume = np.array([[[0.0, 2.0, 1.0]]])
        >>> ranked = rank_map(volume, np.array([[[True, True, False]]]))
        >>> ranked.values.tolist(), ranked.total, ranked.n
        ([0.0, 2.0], 2.0, 2)
    """

    values: NDArray[np.floating[Any]]
    domain: Mask | None = None
    elsewhere: float = 0.0

    @property
    def n(self) -> int:
        """Number of voxels in the domain."""
        return int(self.values.size)

    @cached_property
    def total(self) -> float:
        """Summed relevance in the domain, accumulated in float64."""
        return float(self.values.sum(dtype=np.float64))

    @cached_property
    def ascending(self) -> NDArray[np.floating[Any]]:
        """The values in rising order."""
        return np.sort(self.values)

    def cut(self, count: int) -> Cut:
        """The value of the ``count``-th largest voxel (1 to n), with its ties."""
        if count not in self._cuts:
            self._cuts[count] = self._find_cut(count)
        return self._cuts[count]

    @cached_property
    def _cuts(self) -> dict[int, Cut]:
        return {}

    def _find_cut(self, count: int) -> Cut:
        if "ascending" in vars(self) or len(self._cuts) >= _CUTS_WITHOUT_SORTING:
            level = self.ascending[self.n - count]
            below = int(np.searchsorted(self.ascending, level, side="left"))
            upto = int(np.searchsorted(self.ascending, level, side="right"))
            return Cut(level, above=self.n - upto, tied=upto - below)
        level = np.partition(self.values, self.n - count)[self.n - count]
        above = int(np.count_nonzero(self.values > level))
        return Cut(level, above=above, tied=int(np.count_nonzero(self.values == level)))

    @property
    def share_outside(self) -> float:
        """The share of the grid's voxels that lie outside the domain; NaN if it is not known."""
        return float("nan") if self.domain is None else 1 - self.n / self.domain.size

    @cached_property
    def peaks(self) -> NDArray[np.intp]:
        """Positions of the largest value: one, or several that are tied."""
        return np.flatnonzero(self.values == self.values.max())

    @cached_property
    def midranks(self) -> NDArray[np.float64]:
        """(n,) ranks from 1 (weakest), the mean of their ranks for tied voxels."""
        return np.asarray(rankdata(self.values), dtype=np.float64)

    @cached_property
    def centre(self) -> NDArray[np.float64]:
        """Centre of mass (3,) of the relevance in voxel indices of the domain's grid."""
        if self.domain is None:
            raise VolumeError("a map without its domain has no place: rank it with rank_map")
        weights = self.values.astype(np.float64)
        sums = [weights @ index for index in np.nonzero(self.domain)]
        return np.array(sums) / self.total

    def top_weights(self, count: int) -> NDArray[np.float64]:
        """(n,) how likely each voxel is among the ``count`` strongest, over all ways to break ties.

        1 above the cut, 0 below it, and at it the share of the tied voxels that still fit in.
        """
        cut = self.cut(count)
        weights = (self.values > cut.level).astype(np.float64)
        weights[self.values == cut.level] = (count - cut.above) / cut.tied
        return weights

    def within(self, positions: NDArray[np.intp], place: MaskPlace | None = None) -> RankedMask:
        """The mask made of these positions of :attr:`values`; distances need its place too."""
        return RankedMask(self, self.values[positions], place)


@dataclass(frozen=True)
class Cut:
    """A level of relevance, how many voxels lie above it, and how many exactly at it."""

    level: np.floating[Any]
    above: int
    tied: int


@dataclass(frozen=True, eq=False)
class RankedMask:
    """One mask as a ranked map sees it.

    Attributes:
        ranked: the map.
        inside: (m,) relevance of the voxels in the mask, in any order.
        place: where the mask lies in the world; ``None`` if no distance is asked for.
    """

    ranked: RankedMap
    inside: NDArray[np.floating[Any]]
    place: MaskPlace | None = None

    @property
    def m(self) -> int:
        """Number of voxels of the mask in the domain."""
        return int(self.inside.size)

    @property
    def share(self) -> float:
        """The mask's share of the domain, p = m / n."""
        return self.m / self.ranked.n

    @cached_property
    def levels(self) -> Levels:
        """The distinct values in the mask against all voxels of the domain."""
        values, counts = np.unique(self.inside, return_counts=True)
        ascending = self.ranked.ascending
        return Levels(
            counts=counts,
            below=np.asarray(np.searchsorted(ascending, values, side="left")),
            upto=np.asarray(np.searchsorted(ascending, values, side="right")),
        )

    @cached_property
    def peak_distances(self) -> NDArray[np.float64]:
        """Millimetres from each of the map's peaks to the mask; of a mask with its place."""
        if self.place is None:
            raise VolumeError(
                "a mask without its place has no distances: take it with its MaskPlace"
            )
        return self.place.distances(self.ranked.peaks)

    def share_of_top(self, count: int) -> float:
        """The share of the map's ``count`` strongest voxels (1 to n) that lies in the mask.

        Where the cut goes through tied voxels, the mean over all ways to break the tie.
        """
        cut = self.ranked.cut(count)
        above = int(np.count_nonzero(self.inside > cut.level))
        tied = int(np.count_nonzero(self.inside == cut.level))
        return above / count + (count - cut.above) / count * (tied / cut.tied)


@dataclass(frozen=True, eq=False)
class Levels:
    """Distinct values of a mask in rising order, and where they stand in the domain.

    Attributes:
        counts: voxels of the mask at each value.
        below: voxels of the domain strictly below it.
        upto: voxels of the domain below or at it.
    """

    counts: NDArray[np.intp]
    below: NDArray[np.intp]
    upto: NDArray[np.intp]


def rank_map(attribution: Volume, domain: Mask) -> RankedMap:
    """Check one map and take its voxels in the domain.

    Args:
        attribution: (i, j, k) finite, non-negative relevance.
        domain: (i, j, k) boolean, not empty.

    Raises:
        GridMismatchError: if the shapes differ.
        VolumeError: if the domain is not boolean or empty, or a value is negative or not finite.
    """
    attribution = np.asarray(attribution)
    if attribution.dtype.kind not in "fiu":
        raise VolumeError(f"an attribution map needs real numbers, got dtype {attribution.dtype}")
    # float16 has no fast sort and loses sums; integers have no fractions to lose.
    if attribution.dtype.kind != "f" or attribution.dtype.itemsize < 4:
        attribution = attribution.astype(np.float32 if attribution.dtype.kind == "f" else float)
    check_mask(domain, attribution.shape, name="scoring domain")
    if not domain.any():
        raise VolumeError("the scoring domain (brain) is empty: nothing can be scored")
    # A NaN fails the comparison as well.
    if not (attribution.min() >= 0 and attribution.max() < np.inf):
        raise VolumeError(
            f"overlap needs finite, non-negative relevance, got values from {attribution.min()} "
            f"to {attribution.max()}; choose a rectification (absolute, positive, negative)"
        )
    elsewhere = float(attribution[~domain].sum(dtype=np.float64))
    return RankedMap(attribution[domain], domain, elsewhere)
