"""How much of the maps that are looked at is tumour: a small table beside the picture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from xrano.jupyter import html
from xrano.maps import AttributionMap, Rectification
from xrano.scoring.pair_masks import PairMasks
from xrano.scoring.rows import PRIMARY_REGION, default_rectification, score_map

SHOWN_METRICS = (
    "relevance_mass_accuracy",
    "relevance_rank_accuracy",
    "pointing_game",
    "auroc",
)
"""Of the many metrics those that a reader knows; all are in ``Explored.scores``."""

_COLUMNS = (
    *("target", "region", "mass inside", "chance", "log2 lift"),
    *("rank accuracy", "pointing game", "AUROC"),
)

_CAPTION = (
    "Overlap in the brain. Mass inside is the share of the relevance, chance the share of the "
    "brain that the region fills; log2 lift 0 is chance, +1 twice chance."
)


def scoring_rectification(attribution: AttributionMap, shown: str) -> str:
    """What a map is scored by: as it is shown, or its own default where that is signed or empty."""
    if shown in ("", Rectification.NONE):
        return default_rectification(attribution)
    return shown


def overlap_html(
    maps: Sequence[AttributionMap],
    masks: PairMasks,
    *,
    source: str = "",
    rectification: str = "",
) -> str:
    """The scores of the maps of one pair as HTML.

    Args:
        maps: as they are shown; of several only the primary region is told.
        masks: of their pair.
        source: segmentation to score against; the first if not given.
        rectification: as they are shown; empty for that of the primary analysis.
    """
    sources = list(dict.fromkeys(key[0] for key in (*masks.masks, *masks.absent)))
    if not sources:
        return "<p>No segmentation of this pair: there is no overlap to tell.</p>"
    source = source or sources[0]
    words = _rectified(maps, rectification)
    rows = [row for item in maps for row in _rows(item, masks, source, rectification)]
    if len(maps) > 1:
        names = [row[1] for row in rows]
        kept = PRIMARY_REGION if PRIMARY_REGION in names else "whole/union"
        rows = [row for row in rows if row[1] == kept]
    return html.table(_COLUMNS, rows, f"{_CAPTION} Segmentation: {source}; {words}.")


def _rectified(maps: Sequence[AttributionMap], shown: str) -> str:
    used = dict.fromkeys(scoring_rectification(item, shown) for item in maps)
    note = ", though signs are shown" if shown == Rectification.NONE else ""
    return f"{' and '.join(used)} relevance is scored{note}"


def _rows(
    item: AttributionMap, masks: PairMasks, source: str, rectification: str
) -> list[tuple[str, ...]]:
    found = score_map(
        item,
        masks,
        rectification=scoring_rectification(item, rectification),
        reduction="sum",
        metrics=SHOWN_METRICS,
        references=False,
    )
    cells: dict[str, dict[str, dict[str, Any]]] = {}
    for row in found:
        if row["segmentation_source"] == source:
            cells.setdefault(row["region"], {})[row["metric"]] = row
    # Layers are told apart by name, where a map is of one.
    name = ", ".join(str(item.meta[key]) for key in ("target_name", "layer") if item.meta.get(key))
    return [_row(name, region, by_metric) for region, by_metric in cells.items()]


def _row(name: str, region: str, by_metric: dict[str, dict[str, Any]]) -> tuple[str, ...]:
    mass, *others = (by_metric[metric] for metric in SHOWN_METRICS)
    if mass["status"] != "ok":
        why = str(mass["status"]).replace("_", " ")
        return (name, region, f"undefined: {why}", html.number(mass["chance"], ".3f"), *["–"] * 4)
    return (
        name,
        region,
        html.number(mass["value"], ".3f"),
        html.number(mass["chance"], ".3f"),
        html.number(_lift(mass["value"], mass["chance"]), "+.2f"),
        *(html.number(other["value"]) for other in others),
    )


def _lift(value: float, chance: float) -> float:
    if value > 0 and chance > 0:
        return math.log2(value / chance)
    return -math.inf if chance > 0 else math.nan
