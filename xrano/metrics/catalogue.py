"""The catalogue: every metric's definition, range, direction, source, chance, and when undefined.

A metric sees one mask through one ranked map (:mod:`xrano.metrics.ranked`): n voxels in the
domain, m of them in the mask, p = m / n. Ties are settled by their expected value, never by the
order of the voxels, so that a uniform map scores exactly :attr:`OverlapScore.chance`. The lift
over chance, not the score, can be compared between masks of different size.

:data:`METRICS` need ranks only, :data:`PLACE_METRICS` also where the mask lies in the world,
:data:`MAP_METRICS` no mask at all. Dice at the area-matched threshold (the m strongest voxels) is
2h / (m + m) = h / m, the relevance rank accuracy, and has no row of its own.
``threshold_dice`` takes a threshold as well, and is in :mod:`xrano.metrics.thresholds`.

When a metric is undefined (NaN; it is never 0, 1 or a hit), first column that applies:

| metric                       | empty mask | below measurable | zero map | full mask | uniform map | otherwise |
|------------------------------|------------|------------------|----------|-----------|-------------|-----------|
| relevance_mass_accuracy      | NaN        | NaN              | NaN      | 1         | chance      | defined   |
| relevance_rank_accuracy      | NaN        | NaN              | NaN      | 1         | chance      | defined   |
| pointing_game                | NaN        | NaN              | NaN      | 1         | chance      | defined   |
| top_k_intersection           | NaN        | NaN              | NaN      | 1         | chance      | defined   |
| average_precision            | NaN        | NaN              | NaN      | 1         | chance      | defined   |
| normalised_average_precision | NaN        | NaN              | NaN      | NaN       | chance      | defined   |
| auroc                        | NaN        | NaN              | NaN      | NaN       | chance      | defined   |
| top_fraction_dice            | NaN        | NaN              | NaN      | chance    | chance      | defined   |
| threshold_dice               | NaN        | NaN              | NaN      | chance    | chance      | defined   |
| pointing_game_5mm            | NaN        | NaN              | NaN      | 1         | chance      | defined   |
| pointing_game_10mm           | NaN        | NaN              | NaN      | 1         | chance      | defined   |
| peak_distance_mm             | NaN        | NaN              | NaN      | 0         | chance      | defined   |
| centre_distance_mm           | NaN        | NaN              | NaN      | defined   | chance      | defined   |
| entropy                      | defined    | defined          | NaN      | defined   | 1           | defined   |
| gini                         | defined    | defined          | NaN      | defined   | 0           | defined   |
| outside_brain_mass           | defined    | defined          | NaN      | defined   | chance      | defined   |

*Empty*: no voxel of the mask in the domain. *Below measurable*: fewer voxels than the caller's
``least_voxels`` (0 unless given: the metrics know no millilitres). *Zero map*: no relevance
anywhere in the domain; to call all its voxels tied would turn silence into chance. For
``outside_brain_mass`` it is no relevance anywhere in the volume: all of it outside scores 1.
*Full*: the mask covers the domain, so nothing lies outside it. *Uniform*: one value everywhere in
the volume, all voxels tied.
"""  # noqa: E501

from __future__ import annotations

import math
from collections.abc import Iterable

from xrano.errors import UnknownNameError
from xrano.metrics.formulas import TOP_FRACTION, place_of
from xrano.metrics.ranked import RankedMap, RankedMask
from xrano.metrics.records import (
    MAP_METRICS,
    MASK_METRICS,
    METRICS,
    NO_VALUE,
    PLACE_METRICS,
    MapMetric,
    Metric,
    OverlapScore,
    OverlapStatus,
)

__all__ = [
    "MAP_METRICS",
    "MASK_METRICS",
    "METRICS",
    "PLACE_METRICS",
    "TOP_FRACTION",
    "MapMetric",
    "Metric",
    "OverlapScore",
    "OverlapStatus",
    "check_metrics",
    "first_reason",
    "score_map_alone",
    "score_ranked",
    "status_of",
]


def score_ranked(
    seen: RankedMask, *, metrics: Iterable[str] | None = None, least_voxels: int = 0
) -> dict[str, OverlapScore]:
    """Scores of one mask seen from a ranked map; many masks share its one sort.

    Args:
        seen: the mask, from :meth:`RankedMap.within`.
        metrics: keys of :data:`MASK_METRICS`. If not given, all for which there is what they
            need: :data:`METRICS`, and :data:`PLACE_METRICS` if the mask comes with its place.
        least_voxels: a mask with fewer voxels is ``below_measurable``.

    Raises:
        UnknownNameError: for an unknown metric.
        ConfigError: if a distance is asked for and the mask comes without its place.
    """
    if metrics is None:
        metrics = METRICS if seen.place is None else MASK_METRICS
    return {name: _score(name, seen, least_voxels) for name in check_metrics(metrics)}


def score_map_alone(
    ranked: RankedMap, *, metrics: Iterable[str] | None = None
) -> dict[str, OverlapScore]:
    """What a map is like, whatever the mask: :data:`MAP_METRICS`, or those named.

    Raises:
        UnknownNameError: for an unknown metric.

    Example:
        >>> import numpy as np
        >>> from xrano.metrics.ranked import rank_map
        >>> brain = np.array([[[True, True, True, False]]])
        >>> scores = score_map_alone(rank_map(np.array([[[1.0, 1.0, 1.0, 1.0]]]), brain))
        >>> {name: score.value for name, score in scores.items()}
        {'entropy': 1.0, 'gini': 0.0, 'outside_brain_mass': 0.25}
    """
    wanted = tuple(MAP_METRICS) if metrics is None else tuple(metrics)
    return {name: _score_alone(name, ranked) for name in wanted}


def check_metrics(names: Iterable[str] | None) -> tuple[str, ...]:
    """The named metrics of one mask, or :data:`METRICS`.

    Raises:
        UnknownNameError: for an unknown metric; the message lists them.
    """
    wanted = tuple(METRICS) if names is None else tuple(names)
    for name in wanted:
        if name not in MASK_METRICS:
            raise UnknownNameError("metric", name, MASK_METRICS)
    return wanted


def status_of(name: str, seen: RankedMask, least_voxels: int) -> OverlapStatus:
    """The first reason of the module's table that applies to this metric."""
    return first_reason(seen, least_voxels, MASK_METRICS[name].undefined)


def first_reason(
    seen: RankedMask, least_voxels: int, undefined: frozenset[OverlapStatus] = NO_VALUE
) -> OverlapStatus:
    """The first of the given reasons that applies to a mask and its map, or ``ok``."""
    reasons = {
        OverlapStatus.EMPTY_MASK: seen.m == 0,
        OverlapStatus.BELOW_MEASURABLE: seen.m < least_voxels,
        OverlapStatus.ZERO_MAP: seen.ranked.total == 0,
        OverlapStatus.FULL_MASK: seen.m == seen.ranked.n,
    }
    holding = (why for why, holds in reasons.items() if holds and why in undefined)
    return next(holding, OverlapStatus.OK)


def _score(name: str, seen: RankedMask, least_voxels: int) -> OverlapScore:
    metric = MASK_METRICS[name]
    if name in PLACE_METRICS:
        place_of(seen)
    status = status_of(name, seen, least_voxels)
    chance = metric.chance(seen) if seen.m else math.nan
    value = metric.score(seen) if status == OverlapStatus.OK else math.nan
    return OverlapScore(value, chance, status)


def _score_alone(name: str, ranked: RankedMap) -> OverlapScore:
    if name not in MAP_METRICS:
        raise UnknownNameError("metric of a map alone", name, MAP_METRICS)
    metric = MAP_METRICS[name]
    anywhere = ranked.total + (ranked.elsewhere if name == "outside_brain_mass" else 0.0)
    chance = metric.chance(ranked)
    if anywhere == 0:
        return OverlapScore(math.nan, chance, OverlapStatus.ZERO_MAP)
    return OverlapScore(metric.score(ranked), chance, OverlapStatus.OK)
