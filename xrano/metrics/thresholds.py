"""Dice at a threshold: given from outside, tuned on training maps, or matched to the mask's size.

A threshold is a share of the map's largest value in the brain (as in Zhou et al., CVPR 2016, where
it is 0.2), because raw magnitudes of two maps cannot be compared. Tuned on the case that it is
measured on, Dice is an upper bound and no result; tune it on training folds.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from xrano.errors import ConfigError
from xrano.metrics.catalogue import OverlapScore, OverlapStatus, first_reason
from xrano.metrics.ranked import RankedMap, RankedMask, mask_positions, rank_map
from xrano.types import Mask, Volume

THRESHOLDS: tuple[float, ...] = tuple(round(0.05 * step, 2) for step in range(1, 20))
"""Shares of the maximum that tuning tries, unless told otherwise."""


def threshold_dice(
    attribution: Volume, mask: Mask, *, domain: Mask, threshold: float
) -> OverlapScore:
    """Dice of the mask with the voxels at or above a share of the map's largest value.

    Args:
        attribution: (i, j, k) finite, non-negative relevance.
        mask: (i, j, k) boolean.
        domain: (i, j, k) boolean: the brain.
        threshold: above 0 and at most 1.

    Returns:
        2h / (k + m) with k voxels at or above the threshold, h of them in the mask; 0 to 1, higher
        is better. Chance is 2kp / (k + m): a mask that lies anywhere, against this map's k.

    Raises:
        ConfigError: if the threshold is not above 0 and at most 1.
        GridMismatchError: if the shapes differ.
        VolumeError: as :func:`xrano.metrics.overlap.relevance_mass_accuracy`.

    Example:
        >>> everywhere = np.ones((1, 1, 4), dtype=bool)
        >>> mask = np.array([[[True, False, False, False]]])
        >>> dice = threshold_dice(np.array([[[4.0, 3.0, 1.0, 0.0]]]), mask, domain=everywhere,
        ...                       threshold=0.5)
        >>> round(dice.value, 3), round(dice.chance, 3)
        (0.667, 0.333)
    """
    seen = rank_map(attribution, domain).within(mask_positions(mask, domain))
    return ranked_threshold_dice(seen, threshold)


def ranked_threshold_dice(
    seen: RankedMask, threshold: float, *, least_voxels: int = 0
) -> OverlapScore:
    """:func:`threshold_dice` of a mask seen from a ranked map; fewer voxels have no value."""
    _check(threshold)
    status = first_reason(seen, least_voxels)
    if seen.m == 0:
        return OverlapScore(math.nan, math.nan, status)
    count = count_above(seen.ranked, threshold)
    chance = 2 * (count * seen.share) / (count + seen.m)
    if status != OverlapStatus.OK:
        return OverlapScore(math.nan, chance, status)
    hits = int(np.count_nonzero(seen.inside >= _level(seen.ranked, threshold)))
    return OverlapScore(2 * hits / (count + seen.m), chance, status)


def area_matched_dice(attribution: Volume, mask: Mask, *, domain: Mask) -> float:
    """Dice of the mask with as many of the strongest voxels as it has: the rank accuracy.

    2h / (m + m) = h / m, so it needs no row of its own beside the relevance rank accuracy; ties
    are settled as there. NaN where that is undefined.
    """
    seen = rank_map(attribution, domain).within(mask_positions(mask, domain))
    return seen.share_of_top(seen.m) if first_reason(seen, 0) == OverlapStatus.OK else math.nan


def tune_threshold(
    training: Iterable[RankedMask], thresholds: Sequence[float] = THRESHOLDS
) -> float:
    """The threshold with the highest mean Dice over training maps; the lowest of equals.

    Args:
        training: masks seen from the maps of training cases, no test case among them; those
            without a value (empty mask, zero map) are left out.
        thresholds: shares of the maximum to choose from.

    Raises:
        ConfigError: if there is no threshold, one is impossible, or no case has a value.
    """
    means = mean_dice(training, thresholds)
    return float(thresholds[int(np.argmax(means))])


def mean_dice(training: Iterable[RankedMask], thresholds: Sequence[float]) -> NDArray[np.float64]:
    """Mean Dice over the cases that have one, at each threshold.

    Raises:
        ConfigError: as :func:`tune_threshold`.
    """
    if not thresholds:
        raise ConfigError("tuning needs at least one threshold to choose from")
    rows = [[ranked_threshold_dice(seen, t).value for t in thresholds] for seen in training]
    defined = [row for row in rows if not math.isnan(row[0])]
    if not defined:
        raise ConfigError(
            f"none of the {len(rows)} training maps has a Dice (empty masks or zero maps), so "
            "there is nothing to tune a threshold on"
        )
    return np.asarray(np.mean(defined, axis=0))


def count_above(ranked: RankedMap, threshold: float) -> int:
    """How many voxels of the domain lie at or above a share of the map's largest value."""
    level = _level(ranked, threshold)
    return int(ranked.n - np.searchsorted(ranked.ascending, level, side="left"))


def _level(ranked: RankedMap, threshold: float) -> float:
    return threshold * float(ranked.ascending[-1])


def _check(threshold: float) -> None:
    if not 0 < threshold <= 1:
        raise ConfigError(
            f"a threshold is a share of the map's maximum above 0 and at most 1, got {threshold}"
        )
