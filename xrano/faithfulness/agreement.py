"""Do two maps of one pair show the same? Ranks in the brain, and the voxels at the top.

Only the order of the voxels counts, since the scale of a map is an accident of its method, and
only the brain, since a shared background of zeros would make any two maps alike. Signs are left
out: every channel by its absolute value, then summed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from xrano.errors import ConfigError, GridMismatchError
from xrano.faithfulness.catalogue import FaithfulnessStatus, metric_row
from xrano.geometry import Grid
from xrano.maps import AttributionMap, Rectification, Reduction
from xrano.metrics.ranked import RankedMap, rank_map
from xrano.resampling import resample
from xrano.types import Mask

TOP_SHARE = 0.05
"""Share of the brain's voxels that is the top of a map."""

QUANTITIES = ("rank_correlation", "top_dice")
"""Spearman's correlation of all voxels of the brain, and Dice of the top 5 % of each."""


@dataclass(frozen=True)
class MapAgreement:
    """How two maps, or on average several, agree.

    Attributes:
        rank_correlation: −1 to 1; 0 is expected of maps that know nothing of each other.
        top_dice: 0 to 1; :data:`TOP_SHARE` is expected of maps that know nothing of each other.
        status: ``ok``; ``zero_map`` or ``uniform_map`` if a map has no ranks, ``too_few_maps`` if
            there are no two to compare, both then NaN.
    """

    rank_correlation: float
    top_dice: float
    status: FaithfulnessStatus = FaithfulnessStatus.OK


def relevance_in_brain(attribution: AttributionMap, grid: Grid, brain: Mask) -> RankedMap:
    """The absolute relevance of a map in the brain, summed over channels on its own grid.

    Args:
        attribution: on any grid of the same world.
        grid: of the brain.
        brain: (i, j, k) boolean.

    Raises:
        GridMismatchError: if the brain does not have the grid's shape.
        VolumeError: if the brain is empty or not boolean.
    """
    volume = attribution.reduced(Rectification.ABSOLUTE, Reduction.SUM)
    if not attribution.grid.matches(grid):
        outside: Any = "edge" if attribution.coarse else "zero"
        volume = resample(volume, attribution.grid, grid, outside=outside)
    return rank_map(volume, brain)


def map_agreement(a: RankedMap, b: RankedMap, *, top_share: float = TOP_SHARE) -> MapAgreement:
    """Compare two maps of one brain.

    Of voxels that are tied at the cut of the top, each counts for the share of them that still
    fits in, and two voxels agree on the smaller share: a map agrees with itself whatever its ties.

    Args:
        a: from :func:`relevance_in_brain`.
        b: the same of another map, voxels in the same order.
        top_share: share of the brain's voxels, above 0 and at most 1.

    Raises:
        GridMismatchError: if the maps have another number of voxels.
        ConfigError: if the share is out of range.

    Example:
        >>> a, b = (RankedMap(np.array(values)) for values in ([1.0, 2, 3, 4], [10.0, 20, 40, 30]))
        >>> map_agreement(a, b, top_share=0.5)
        MapAgreement(rank_correlation=0.8, top_dice=1.0, status=<FaithfulnessStatus.OK: 'ok'>)
    """
    if a.n != b.n:
        raise GridMismatchError(f"maps of {a.n} and of {b.n} voxels do not lie in one brain")
    if not 0 < top_share <= 1:
        raise ConfigError(f"the top of a map is a share above 0 and at most 1, got {top_share}")
    for one in (a, b):
        if one.ascending[0] == one.ascending[-1]:
            zero = one.ascending[0] == 0
            why = FaithfulnessStatus.ZERO_MAP if zero else FaithfulnessStatus.UNIFORM_MAP
            return MapAgreement(math.nan, math.nan, why)
    ranks = [one.midranks - (one.n + 1) / 2 for one in (a, b)]
    correlation = ranks[0] @ ranks[1] / math.sqrt((ranks[0] @ ranks[0]) * (ranks[1] @ ranks[1]))
    count = max(1, round(top_share * a.n))
    shared = np.minimum(a.top_weights(count), b.top_weights(count)).sum()
    return MapAgreement(float(np.clip(correlation, -1, 1)), float(shared / count))


def mean_agreement(found: Iterable[MapAgreement]) -> MapAgreement:
    """The mean of those that are defined; the first status if none is.

    Raises:
        ConfigError: if there are none at all.
    """
    every = list(found)
    if not every:
        raise ConfigError("there are no maps to compare")
    defined = [one for one in every if one.status == FaithfulnessStatus.OK]
    if not defined:
        return every[0]
    return MapAgreement(
        float(np.mean([one.rank_correlation for one in defined])),
        float(np.mean([one.top_dice for one in defined])),
    )


def agreement_with(own: RankedMap, others: Sequence[RankedMap]) -> MapAgreement:
    """The mean agreement of one map with each of the others."""
    return mean_agreement(map_agreement(own, other) for other in others)


def agreement_among(maps: Sequence[RankedMap]) -> MapAgreement:
    """The mean agreement of all pairs of maps; undefined (``too_few_maps``) of fewer than two."""
    if len(maps) < 2:
        return MapAgreement(math.nan, math.nan, FaithfulnessStatus.TOO_FEW_MAPS)
    return mean_agreement(map_agreement(a, b) for a, b in combinations(maps, 2))


def agreement_rows(
    metric: str, found: MapAgreement, reference: MapAgreement | None = None, *, setting: str = ""
) -> list[dict[str, Any]]:
    """A row for each of :data:`QUANTITIES`.

    Args:
        metric: name in :data:`xrano.faithfulness.catalogue.STABILITY`.
        found: the value.
        reference: what stands beside it.
        setting: what was compared.
    """
    chance = {"rank_correlation": 0.0, "top_dice": TOP_SHARE}
    return [
        {
            **metric_row(
                metric,
                getattr(found, quantity),
                chance=chance[quantity],
                reference=math.nan if reference is None else getattr(reference, quantity),
                status=found.status,
            ),
            "setting": setting,
            "quantity": quantity,
        }
        for quantity in QUANTITIES
    ]
