"""The table of every faithfulness number: definition, range, direction, source, what it is beside.

None of them is read alone. Metrics of this kind disagree strongly with each other (Klein et al.
2024, LATEC) and are unreliable from image to image (Tomsett et al. 2020), each can be won by a
map that says nothing (a smooth one, a constant one), and they ask about a network and its map
together: a map may be true of a network that looks at the wrong thing. So each value comes with
its *chance* and its *reference*, as the table says, and a missing one is NaN:

* *random order*: the same perturbations with the brain's voxels (or parts) in random order;
* *blur-matched*: a random map with the values and the smoothness of the map itself
  (:mod:`xrano.metrics.surrogates`). Smooth maps win such tests whatever they say (Rong et al.
  2022; arXiv:2304.13836): only what is better than this says something about the place.

Where a metric is told in several quantities (a row's ``quantity``), definition, range, chance and
direction here are those of the first: the change of the logit, the rank correlation. Ranges of
areas and means are those of a probability; asked for logits, they have none.

``status`` says why a value is undefined (NaN): see :class:`FaithfulnessStatus`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from xrano.errors import UnknownNameError


class FaithfulnessStatus(StrEnum):
    """Whether a value is defined, and if not, why."""

    OK = "ok"
    ZERO_MAP = "zero_map"
    """No relevance anywhere in the brain."""
    NO_CHANGE = "no_change"
    """Nothing that was tried changed the output, so there is nothing to explain."""
    EMPTY_MASK = "empty_mask"
    """The lesion that was to be erased or kept has no voxel in the brain."""
    UNIFORM_MAP = "uniform_map"
    """One value everywhere in the brain: it has no ranks to correlate."""
    TOO_FEW_MAPS = "too_few_maps"
    """Fewer than two maps: nothing to compare among themselves."""


@dataclass(frozen=True)
class FaithfulnessMetric:
    """One row of :data:`FAITHFULNESS`.

    Attributes:
        definition: the number in words.
        citation: where it comes from.
        lowest: lower bound.
        highest: upper bound.
        higher_is_better: direction; ``None`` where neither end is better, as for what is true of
            the network rather than of its map.
        chance: what the column ``chance`` holds; empty if nothing.
        reference: what the column ``reference`` holds; empty if nothing.
    """

    definition: str
    citation: str
    lowest: float = 0.0
    highest: float = 1.0
    higher_is_better: bool | None = True
    chance: str = ""
    reference: str = ""


_RISE = "Petsiuk, Das, Saenko. BMVC 2018 (RISE), arXiv:1806.07421"
_ROAD = "Rong et al. ICML 2022 (ROAD), arXiv:2202.00449"
_YEH = "Yeh et al. NeurIPS 2019, arXiv:1901.09392"
_ADEBAYO = "Adebayo et al. NeurIPS 2018, arXiv:1810.03292"
_ARUN = "Arun et al. Radiol AI 2021;3:e200267"
_ZEILER = "Zeiler, Fergus. ECCV 2014, arXiv:1311.2901"
_NULL = "random order"
_MATCHED = "blur-matched"
_ELSEWHERE = "pieces of the lesion's shape elsewhere in the brain"
_ALIKE = "two networks randomised alike, with each other"
_COPIES = "random-weight copies, with each other"

PERTURBATION: Mapping[str, FaithfulnessMetric] = MappingProxyType(
    {
        "deletion_auc": FaithfulnessMetric(
            "area under the target's probability as the infill replaces the brain, most relevant "
            "voxels first",
            _RISE,
            higher_is_better=False,
            chance=_NULL,
            reference=_MATCHED,
        ),
        "insertion_auc": FaithfulnessMetric(
            "area under the target's probability as the scans return to the infilled brain, most "
            "relevant voxels first",
            _RISE,
            chance=_NULL,
            reference=_MATCHED,
        ),
        "road_most_relevant_first": FaithfulnessMetric(
            "mean probability of the target over the percentages of the brain that were imputed, "
            "most relevant first",
            _ROAD,
            higher_is_better=False,
            chance=_NULL,
            reference=_MATCHED,
        ),
        "road_least_relevant_first": FaithfulnessMetric(
            "mean probability of the target over the percentages of the brain that were imputed, "
            "least relevant first",
            _ROAD,
            chance=_NULL,
            reference=_MATCHED,
        ),
        "road_gap": FaithfulnessMetric(
            "road_least_relevant_first − road_most_relevant_first",
            _ROAD,
            lowest=-1.0,
            chance="0",
            reference=_MATCHED,
        ),
        "infidelity": FaithfulnessMetric(
            "mean squared difference between the fall of the target's logit when blocks are "
            "replaced by the infill and the relevance of the blocks, the map scaled to fit best",
            _YEH,
            highest=math.inf,
            higher_is_better=False,
            chance="a zero map: the mean squared fall",
            reference=_MATCHED,
        ),
        "relative_infidelity": FaithfulnessMetric(
            "infidelity over that of a zero map: the share of the falls that the map leaves "
            "unexplained",
            "xrano, after " + _YEH,
            higher_is_better=False,
            chance="1",
            reference=_MATCHED,
        ),
        "infidelity_correlation": FaithfulnessMetric(
            "Pearson correlation of the falls and the relevance of the blocks; negative if the "
            "map's sign is wrong, which infidelity does not see",
            "Ancona et al. ICLR 2018 (sensitivity-n), arXiv:1711.06104",
            lowest=-1.0,
            chance="0",
            reference=_MATCHED,
        ),
        "max_sensitivity": FaithfulnessMetric(
            "largest relative change of the map over noise added to the scans in the brain; a "
            "constant map is optimal, so never read alone",
            _YEH,
            highest=math.inf,
            higher_is_better=False,
            reference="the largest relative change of the scans themselves",
        ),
    }
)
"""What a map foretells of changes to the scans."""

INTERVENTION: Mapping[str, FaithfulnessMetric] = MappingProxyType(
    {
        name: FaithfulnessMetric(
            f"change of the target's logit when {what}",
            source,
            lowest=-math.inf,
            highest=math.inf,
            higher_is_better=None,
            reference=beside,
        )
        for name, what, beside, source in (
            ("lesion_erase", "the lesion gives way to the infill", _ELSEWHERE, _ZEILER),
            ("lesion_only", "all but the lesion gives way to the infill", _ELSEWHERE, _ZEILER),
            ("visit_swap", "prior and current scan are exchanged", "", "xrano"),
            ("duplicated_visit", "one scan stands in both places: nothing changed", "", "xrano"),
        )
    }
)
"""What is true of the network, whatever its map says."""

STABILITY: Mapping[str, FaithfulnessMetric] = MappingProxyType(
    {
        name: FaithfulnessMetric(
            f"Spearman rank correlation in the brain of the map and that of {of}",
            source,
            lowest=-1.0,
            higher_is_better=higher,
            chance="0",
            reference=beside,
        )
        for name, of, beside, source, higher in (
            (
                "cascading_randomisation",
                "the network with its weights randomised from the output down to a layer",
                _ALIKE,
                _ADEBAYO,
                False,
            ),
            (
                "independent_randomisation",
                "the network with the weights of one layer randomised",
                _ALIKE,
                _ADEBAYO,
                False,
            ),
            ("seed_agreement", "networks trained with other seeds", _COPIES, _ARUN, True),
            ("fold_agreement", "networks trained on other folds", _COPIES, _ARUN, True),
            (
                "misalignment",
                "the pair with the current scan moved by millimetres or degrees",
                "the scan moved there and back",
                "xrano",
                True,
            ),
        )
    }
)
"""Whether the map follows the weights, and stays where they only wobble."""

FAITHFULNESS: Mapping[str, FaithfulnessMetric] = MappingProxyType(
    {**PERTURBATION, **INTERVENTION, **STABILITY}
)
"""Every number of this package, by name."""


def metric_row(
    metric: str,
    value: float,
    *,
    chance: float = math.nan,
    reference: float = math.nan,
    status: str = FaithfulnessStatus.OK,
) -> dict[str, Any]:
    """One tidy row: metric, value, chance, reference, higher_is_better, status.

    Raises:
        UnknownNameError: for a metric that the table lacks.

    Example:
        >>> metric_row("deletion_auc", 0.25, chance=0.5)
        {'metric': 'deletion_auc', 'value': 0.25, 'chance': 0.5, 'reference': nan, \
'higher_is_better': False, 'status': 'ok'}
    """
    if metric not in FAITHFULNESS:
        raise UnknownNameError("faithfulness metric", metric, FAITHFULNESS)
    return {
        "metric": metric,
        "value": value,
        "chance": chance,
        "reference": reference,
        "higher_is_better": FAITHFULNESS[metric].higher_is_better,
        "status": str(status),
    }
