"""The records of the catalogue: statuses, scores, and one row a metric.

What the words mean, and when a metric is undefined, is in :mod:`xrano.metrics.catalogue`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from xrano.metrics import formulas
from xrano.metrics.ranked import RankedMap, RankedMask


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
            independent of the mask; NaN for an empty mask. Exceptions: for average precision, p
            is the large-n value (an independent map without ties gets
            (m-1)/(n-1) + H_n (n-m) / (n (n-1)) with H_n the n-th harmonic number, Bestgen 2015:
            8e-6 more at a million voxels); for the distance of centres, and for entropy and Gini,
            it is the uniform map's value and nothing more.
        status: why the value is undefined, or ``ok``.
    """

    value: float
    chance: float
    status: OverlapStatus


NO_VALUE = frozenset(
    {OverlapStatus.EMPTY_MASK, OverlapStatus.BELOW_MEASURABLE, OverlapStatus.ZERO_MAP}
)
"""Where a metric has no value unless its row says otherwise."""


@dataclass(frozen=True)
class Metric:
    """One row of :data:`METRICS` or :data:`PLACE_METRICS`.

    Attributes:
        definition: the formula in words.
        score: the value of a mask seen from a ranked map, in defined cases only.
        chance: what a uniform map scores, from the same.
        citation: where it comes from.
        lowest: lower bound.
        highest: upper bound.
        higher_is_better: direction.
        unit: empty for a share.
        undefined: the statuses in which the metric has no value.
    """

    definition: str
    score: Callable[[RankedMask], float]
    chance: Callable[[RankedMask], float]
    citation: str
    lowest: float = 0.0
    highest: float = 1.0
    higher_is_better: bool = True
    unit: str = ""
    undefined: frozenset[OverlapStatus] = NO_VALUE


@dataclass(frozen=True)
class MapMetric:
    """One row of :data:`MAP_METRICS`: a property of the map and its domain, whatever the mask.

    Attributes:
        definition: the formula in words.
        score: the value of a ranked map, in defined cases only.
        chance: the value of a uniform map on the same grid and domain.
        citation: where it comes from.
        lowest: lower bound.
        highest: upper bound.
        higher_is_better: direction; ``None`` where neither end is better.
    """

    definition: str
    score: Callable[[RankedMap], float]
    chance: Callable[[RankedMap], float]
    citation: str
    lowest: float = 0.0
    highest: float = 1.0
    higher_is_better: bool | None = None


_ARRAS = "Arras, Osman, Samek. Information Fusion 2022;81:14-40"
_ZHANG = "Zhang et al. Int J Comput Vis 2018;126:1084-1102"
_ARUN = "Arun et al. Radiol AI 2021;3:e200267"
_HAUK = "Hauk, Wakeman, Henson. NeuroImage 2011;54:1966-1974 (localisation error)"

METRICS: Mapping[str, Metric] = MappingProxyType(
    {
        "relevance_mass_accuracy": Metric(
            "share of the relevance that lies in the mask", formulas.mass, formulas.share, _ARRAS
        ),
        "relevance_rank_accuracy": Metric(
            "share of the m strongest voxels in the mask", formulas.rank, formulas.share, _ARRAS
        ),
        "pointing_game": Metric(
            "whether the strongest voxel lies in the mask",
            formulas.pointing,
            formulas.share,
            _ZHANG,
        ),
        "top_k_intersection": Metric(
            "share of the strongest 5 % of the brain in the mask; at most m / k",
            formulas.top_share,
            formulas.share,
            "Theiner, Müller-Budack, Ewerth. WACV 2022",
        ),
        "average_precision": Metric(
            "area under the precision-recall curve, as a sum of steps",
            formulas.average_precision,
            formulas.share,
            _ARUN,
        ),
        "normalised_average_precision": Metric(
            "(AP − p) / (1 − p): 0 at chance, below it for a map that avoids the mask",
            formulas.normalised_average_precision,
            lambda seen: 0.0,  # noqa: ARG005
            "the correction for chance of Cohen. Educ Psychol Meas 1960;20:37-46",
            lowest=-math.inf,
            undefined=NO_VALUE | {OverlapStatus.FULL_MASK},
        ),
        "auroc": Metric(
            "probability that a voxel of the mask outranks one outside",
            formulas.auroc,
            lambda seen: 0.5,  # noqa: ARG005
            "Mann, Whitney. Ann Math Stat 1947;18:50-60",
            undefined=NO_VALUE | {OverlapStatus.FULL_MASK},
        ),
        "top_fraction_dice": Metric(
            "Dice of the mask and the strongest 5 % of the brain",
            formulas.top_dice,
            formulas.top_dice_chance,
            "Dice. Ecology 1945;26:297-302",
        ),
    }
)
"""Metrics of the ranks of a map inside and outside one mask, by name."""

PLACE_METRICS: Mapping[str, Metric] = MappingProxyType(
    {
        "pointing_game_5mm": Metric(
            "whether the strongest voxel lies within 5 mm of the mask",
            formulas.hit_5mm,
            formulas.hit_chance_5mm,
            _ZHANG,
        ),
        "pointing_game_10mm": Metric(
            "whether the strongest voxel lies within 10 mm of the mask",
            formulas.hit_10mm,
            formulas.hit_chance_10mm,
            _ZHANG,
        ),
        "peak_distance_mm": Metric(
            "distance from the strongest voxel to the mask, 0 inside it",
            formulas.peak_distance,
            formulas.peak_distance_chance,
            _HAUK,
            highest=math.inf,
            higher_is_better=False,
            unit="mm",
        ),
        "centre_distance_mm": Metric(
            "distance between the centres of mass of relevance and mask",
            formulas.centres,
            formulas.centres_chance,
            _HAUK,
            highest=math.inf,
            higher_is_better=False,
            unit="mm",
        ),
    }
)
"""Metrics that need the world as well (:class:`~xrano.metrics.places.MaskPlace`), by name."""

MASK_METRICS: Mapping[str, Metric] = MappingProxyType({**METRICS, **PLACE_METRICS})
"""Every metric of one map and one mask."""

MAP_METRICS: Mapping[str, MapMetric] = MappingProxyType(
    {
        "entropy": MapMetric(
            "Shannon entropy of the relevance over the brain's voxels, over log n; 1 is uniform",
            formulas.entropy,
            lambda ranked: 1.0,  # noqa: ARG005
            "Shannon. Bell Syst Tech J 1948;27:379-423",
        ),
        "gini": MapMetric(
            "Gini coefficient of the relevance over the brain's voxels; 0 is uniform",
            formulas.gini,
            lambda ranked: 0.0,  # noqa: ARG005
            "Hurley, Rickard. IEEE Trans Inf Theory 2009;55:4723-4741",
        ),
        "outside_brain_mass": MapMetric(
            "share of all relevance that lies outside the brain, before masking",
            formulas.outside_mass,
            lambda ranked: ranked.share_outside,
            "1 − relevance mass accuracy of the brain in the volume: " + _ARRAS,
            higher_is_better=False,
        ),
    }
)
"""Metrics of one map and the brain, whatever the mask."""
