"""The metrics' formulas, each a few lines over one mask seen from one ranked map.

They hold in defined cases only: :mod:`xrano.metrics.catalogue` says when, and what chance scores.
"""

from __future__ import annotations

import math

import numpy as np

from xrano.errors import ConfigError
from xrano.metrics.places import ROUNDING_MM, MaskPlace
from xrano.metrics.ranked import RankedMap, RankedMask

TOP_FRACTION = 0.05
"""Share of the brain that counts as a map's top: about 70 ml of a brain of 1.4 litres, somewhat
above the core of a large glioblastoma, so that the top can hold most lesions."""


def mass(seen: RankedMask) -> float:
    """Relevance in the mask over relevance in the domain."""
    return float(seen.inside.sum(dtype=np.float64)) / seen.ranked.total


def rank(seen: RankedMask) -> float:
    """Share of the m strongest voxels that lie in the mask."""
    return seen.share_of_top(seen.m)


def pointing(seen: RankedMask) -> float:
    """Share of the equal maxima that lie in the mask."""
    return seen.share_of_top(1)


def average_precision(seen: RankedMask) -> float:
    """Steps of recall times precision."""
    # Recall moves only at values that occur in the mask; strongest first.
    counts = seen.levels.counts[::-1]
    precision = np.cumsum(counts) / (seen.ranked.n - seen.levels.below[::-1])
    return float((counts / seen.m) @ precision)


def normalised_average_precision(seen: RankedMask) -> float:
    """(AP − p) / (1 − p)."""
    return (average_precision(seen) - seen.share) / (1 - seen.share)


def auroc(seen: RankedMask) -> float:
    """Mann-Whitney's U from mid-ranks, over its largest value."""
    # Pairs inside the mask add m² / 2 whatever their order.
    levels, m = seen.levels, seen.m
    twice_u = int((levels.counts * (levels.below + levels.upto)).sum()) - m * m
    return twice_u / (2 * m * (seen.ranked.n - m))


def top_count(n: int, fraction: float = TOP_FRACTION) -> int:
    """How many of n voxels a share of them is: rounded, at least one."""
    return max(1, round(fraction * n))


def top_share(seen: RankedMask, fraction: float = TOP_FRACTION) -> float:
    """Share of the strongest ``fraction`` of the domain that lies in the mask."""
    return seen.share_of_top(top_count(seen.ranked.n, fraction))


def top_dice(seen: RankedMask, fraction: float = TOP_FRACTION) -> float:
    """Dice of the mask with the strongest ``fraction`` of the domain."""
    count = top_count(seen.ranked.n, fraction)
    return 2 * (count * seen.share_of_top(count)) / (count + seen.m)


def top_dice_chance(seen: RankedMask, fraction: float = TOP_FRACTION) -> float:
    """2kp / (k + m), in the arithmetic of :func:`top_dice` so that both round alike."""
    count = top_count(seen.ranked.n, fraction)
    return 2 * (count * seen.share) / (count + seen.m)


def _hit(seen: RankedMask, tolerance_mm: float) -> float:
    return float((seen.peak_distances <= tolerance_mm + ROUNDING_MM).mean())


def hit_5mm(seen: RankedMask) -> float:
    """Share of the equal maxima within 5 mm of the mask."""
    return _hit(seen, 5.0)


def hit_10mm(seen: RankedMask) -> float:
    """Share of the equal maxima within 10 mm of the mask."""
    return _hit(seen, 10.0)


def hit_chance_5mm(seen: RankedMask) -> float:
    """Share of the domain within 5 mm of the mask."""
    return place_of(seen).share_within(5.0)


def hit_chance_10mm(seen: RankedMask) -> float:
    """Share of the domain within 10 mm of the mask."""
    return place_of(seen).share_within(10.0)


def peak_distance(seen: RankedMask) -> float:
    """Millimetres from the peak to the mask, the mean over equal maxima."""
    return float(seen.peak_distances.mean())


def peak_distance_chance(seen: RankedMask) -> float:
    """Mean distance of the domain's voxels to the mask."""
    return place_of(seen).mean_distance


def centres(seen: RankedMask) -> float:
    """Millimetres between the centres of mass of relevance and mask."""
    place = place_of(seen)
    return float(np.linalg.norm(place.grid.world(seen.ranked.centre) - place.centre))


def centres_chance(seen: RankedMask) -> float:
    """Millimetres between the centres of mass of domain and mask."""
    place = place_of(seen)
    return float(np.linalg.norm(place.brain_centre - place.centre))


def place_of(seen: RankedMask) -> MaskPlace:
    """The mask's place.

    Raises:
        ConfigError: if the mask was taken without one.
    """
    if seen.place is None:
        raise ConfigError(
            "a distance in mm needs to know where the mask lies: pass its MaskPlace to "
            "RankedMap.within, or ask for metrics without distances"
        )
    return seen.place


def share(seen: RankedMask) -> float:
    """The mask's share p of the domain."""
    return seen.share


def entropy(ranked: RankedMap) -> float:
    """Shannon entropy of the relevance as a distribution over voxels, over its largest, log n."""
    if ranked.n == 1:
        return 1.0
    shares = ranked.values[ranked.values > 0].astype(np.float64) / ranked.total
    # Rounding may leave a uniform map above 1, one voxel below 0 (as -0.0).
    return float(np.clip(-(shares @ np.log(shares)) / math.log(ranked.n), 0.0, 1.0))


def gini(ranked: RankedMap) -> float:
    """Gini coefficient of the relevance over voxels."""
    n = ranked.n
    weights = 2.0 * np.arange(1, n + 1) - n - 1
    return float(weights @ ranked.ascending.astype(np.float64)) / (n * ranked.total)


def outside_mass(ranked: RankedMap) -> float:
    """Relevance outside the domain over all relevance of the volume."""
    return ranked.elsewhere / (ranked.elsewhere + ranked.total)
