"""The overlap metrics as one table: formula, chance level, range, source, and when undefined.

A metric sees one mask through one ranked map (:mod:`xrano.metrics.ranked`): n voxels in the
domain, m of them in the mask, p = m / n. Ties are settled by their expected value, never by the
order of the voxels, so that a uniform map scores exactly :attr:`OverlapScore.chance` in all six.
The lift over chance, not the score, can be compared between masks of different size.

When a metric is undefined (NaN; it is never 0, 1 or a hit), first column that applies:

| metric                  | empty mask | below measurable | zero map | full mask | otherwise |
|-------------------------|------------|------------------|----------|-----------|-----------|
| relevance_mass_accuracy | NaN        | NaN              | NaN      | 1         | defined   |
| relevance_rank_accuracy | NaN        | NaN              | NaN      | 1         | defined   |
| pointing_game           | NaN        | NaN              | NaN      | 1         | defined   |
| average_precision       | NaN        | NaN              | NaN      | 1         | defined   |
| auroc                   | NaN        | NaN              | NaN      | NaN       | defined   |
| top_fraction_dice       | NaN        | NaN              | NaN      | chance    | defined   |

*Empty*: no voxel of the mask in the domain. *Below measurable*: fewer voxels than the caller's
``least_voxels`` (0 unless given: the metrics know no millilitres). *Zero map*: no relevance
anywhere in the domain; to call all its voxels tied would turn silence into chance. *Full*: the
mask covers the domain, so nothing lies outside it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

import numpy as np

from xrano.errors import UnknownNameError
from xrano.metrics.ranked import RankedMask

TOP_FRACTION = 0.05
"""Share of the brain that counts as a map's top: about 70 ml of a brain of 1.4 litres, somewhat
above the core of a large glioblastoma, so that the top can hold most lesions."""


class OverlapStatus(StrEnum):
    """Whether a score is defined, and if not, why."""

    OK = "ok"
    EMPTY_MASK = "empty_mask"
    FULL_MASK = "full_mask"
    ZERO_MAP = "zero_map"
    BELOW_MEASURABLE = "below_measurable"
    NO_SEGMENTATION = "no_segmentation"
    REGION_NOT_LABELLED = "region_not_labelled"


@dataclass(frozen=True)
class OverlapScore:
    """One score beside what a map that ignores the mask would get.

    Attributes:
        value: the score; NaN where undefined.
        chance: the score of a uniform map, which is the expected score of a map that is
            independent of the mask; NaN for an empty mask. For average precision, p is the large-n
            value: an independent map without ties gets (m-1)/(n-1) + H_n (n-m) / (n (n-1)) with
            H_n the n-th harmonic number (Bestgen 2015), 8e-6 more at a million voxels.
        status: why the value is undefined, or ``ok``.
    """

    value: float
    chance: float
    status: OverlapStatus


@dataclass(frozen=True)
class Metric:
    """One row of :data:`METRICS`; its key is the name of the function in the overlap module.

    Attributes:
        score: the value of a mask seen from a ranked map, in defined cases only.
        chance: what a uniform map scores, from the same.
        lowest: lower bound.
        highest: upper bound.
        higher_is_better: direction.
        undefined: the statuses in which the metric has no value.
        citation: where it comes from.
    """

    score: Callable[[RankedMask], float]
    chance: Callable[[RankedMask], float]
    citation: str
    lowest: float = 0.0
    highest: float = 1.0
    higher_is_better: bool = True
    undefined: frozenset[OverlapStatus] = frozenset(
        {OverlapStatus.EMPTY_MASK, OverlapStatus.BELOW_MEASURABLE, OverlapStatus.ZERO_MAP}
    )


def score_ranked(
    seen: RankedMask, *, metrics: Iterable[str] | None = None, least_voxels: int = 0
) -> dict[str, OverlapScore]:
    """Scores of one mask seen from a ranked map; many masks share its one sort.

    Args:
        seen: the mask, from :meth:`RankedMap.within`.
        metrics: keys of :data:`METRICS`; all if not given.
        least_voxels: a mask with fewer voxels is ``below_measurable``.

    Raises:
        UnknownNameError: for an unknown metric.
    """
    return {name: _score(name, seen, least_voxels) for name in check_metrics(metrics)}


def check_metrics(names: Iterable[str] | None) -> tuple[str, ...]:
    """The named metrics, or all.

    Raises:
        UnknownNameError: for an unknown metric; the message lists them.
    """
    wanted = tuple(METRICS) if names is None else tuple(names)
    for name in wanted:
        if name not in METRICS:
            raise UnknownNameError("metric", name, METRICS)
    return wanted


def _score(name: str, seen: RankedMask, least_voxels: int) -> OverlapScore:
    metric = METRICS[name]
    status = status_of(name, seen, least_voxels)
    chance = metric.chance(seen) if seen.m else math.nan
    value = metric.score(seen) if status == OverlapStatus.OK else math.nan
    return OverlapScore(value, chance, status)


def status_of(name: str, seen: RankedMask, least_voxels: int) -> OverlapStatus:
    """The first reason of the module's table that applies to this metric."""
    reasons = {
        OverlapStatus.EMPTY_MASK: seen.m == 0,
        OverlapStatus.BELOW_MEASURABLE: seen.m < least_voxels,
        OverlapStatus.ZERO_MAP: seen.ranked.total == 0,
        OverlapStatus.FULL_MASK: seen.m == seen.ranked.n,
    }
    undefined = METRICS[name].undefined
    return next((why for why, holds in reasons.items() if holds and why in undefined), _OK)


_OK = OverlapStatus.OK


def _mass(seen: RankedMask) -> float:
    return float(seen.inside.sum(dtype=np.float64)) / seen.ranked.total


def _rank(seen: RankedMask) -> float:
    return seen.share_of_top(seen.m)


def _pointing(seen: RankedMask) -> float:
    return seen.share_of_top(1)


def _average_precision(seen: RankedMask) -> float:
    # Recall moves only at values that occur in the mask; strongest first.
    counts = seen.levels.counts[::-1]
    precision = np.cumsum(counts) / (seen.ranked.n - seen.levels.below[::-1])
    return float((counts / seen.m) @ precision)


def _auroc(seen: RankedMask) -> float:
    # Mann-Whitney's U from mid-ranks; pairs inside the mask add m² / 2 whatever their order.
    levels, m = seen.levels, seen.m
    twice_u = int((levels.counts * (levels.below + levels.upto)).sum()) - m * m
    return twice_u / (2 * m * (seen.ranked.n - m))


def _top_count(seen: RankedMask, fraction: float) -> int:
    return max(1, round(fraction * seen.ranked.n))


def top_dice(seen: RankedMask, fraction: float = TOP_FRACTION) -> float:
    """Dice of the mask with the strongest ``fraction`` of the domain."""
    count = _top_count(seen, fraction)
    return 2 * (count * seen.share_of_top(count)) / (count + seen.m)


def _top_dice_chance(seen: RankedMask) -> float:
    count = _top_count(seen, TOP_FRACTION)
    return 2 * (count * seen.share) / (count + seen.m)


def _share(seen: RankedMask) -> float:
    return seen.share


def _half(seen: RankedMask) -> float:  # noqa: ARG001
    return 0.5


_ARRAS = "Arras, Osman, Samek. Information Fusion 2022;81:14-40"

METRICS: Mapping[str, Metric] = MappingProxyType(
    {
        "relevance_mass_accuracy": Metric(_mass, _share, _ARRAS),
        "relevance_rank_accuracy": Metric(_rank, _share, _ARRAS),
        "pointing_game": Metric(
            _pointing, _share, "Zhang et al. Int J Comput Vis 2018;126:1084-1102"
        ),
        "average_precision": Metric(
            _average_precision, _share, "Arun et al. Radiol AI 2021;3:e200267"
        ),
        "auroc": Metric(
            _auroc,
            _half,
            "Mann, Whitney. Ann Math Stat 1947;18:50-60",
            undefined=frozenset(OverlapStatus) - {OverlapStatus.OK},
        ),
        "top_fraction_dice": Metric(top_dice, _top_dice_chance, "Dice. Ecology 1945;26:297-302"),
    }
)
"""Every overlap metric by name."""
