"""The scores of one case as a table to read."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from xrano.metrics.records import OverlapStatus
from xrano.scoring.pair_masks import ALL_LESIONS
from xrano.viz.names import method_name

REGIONS: Mapping[str, str] = {
    "core/union": "core, either scan",
    "core/prior": "core, prior scan",
    "core/current": "core, current scan",
    "core/vanished": "core that vanished",
    "core/new": "core that is new",
    "whole/union": "whole tumour, either scan",
}
"""The regions shown, the primary one first; the score table has more."""

STATUS_WORDS: Mapping[str, str] = {
    OverlapStatus.EMPTY_MASK: "undefined: nothing segmented there",
    OverlapStatus.BELOW_MEASURABLE: "undefined: too small to measure",
    OverlapStatus.ZERO_MAP: "undefined: the map is zero",
    OverlapStatus.FULL_MASK: "undefined: the region fills the brain",
    OverlapStatus.NO_SEGMENTATION: "undefined: not segmented",
    OverlapStatus.REGION_NOT_LABELLED: "undefined: not told apart by the segmentation",
}
"""What a table says in place of an undefined number."""

_HEADS = (
    "Method",
    "Class explained",
    "Region",
    "Segmentation",
    "Relevance mass",
    "Chance",
    "Lift, log2",
    "Pointing game",
)


def case_scores(rows: pd.DataFrame) -> pd.DataFrame:
    """Relevance mass, its lift over chance, and the pointing game, of each map and region.

    Args:
        rows: the pair's rows of a score table; may be empty. Random-weight copies, maps that no
            network made and single lesions are left out.

    Returns:
        Texts only, one row a method, class, segmentation and region; the primary region first.
    """
    if rows.empty:
        return pd.DataFrame(columns=list(_HEADS))
    kept = rows[
        rows["weights"].isin(("trained", "untrained"))
        & rows["region"].isin(list(REGIONS))
        & (rows["lesion"] == ALL_LESIONS)
        & rows["metric"].isin(("relevance_mass_accuracy", "pointing_game"))
    ]
    order = list(REGIONS)
    keys = ["region", "method", "baseline", "layer", "target", "segmentation_source"]
    groups: list[tuple[Any, pd.DataFrame]] = sorted(
        kept.groupby(keys, sort=False), key=lambda group: order.index(str(group[0][0]))
    )
    return pd.DataFrame([_line(key, table) for key, table in groups], columns=list(_HEADS))


def _line(key: tuple[str, ...], rows: pd.DataFrame) -> tuple[str, ...]:
    region, method, baseline, layer, target, source = (str(part) for part in key)
    name = method + (f":{baseline}" if baseline else "") + (f"@{layer}" if layer else "")
    found: dict[str, dict[Any, Any]] = {row["metric"]: row for row in rows.to_dict("records")}
    mass, game = found.get("relevance_mass_accuracy"), found.get("pointing_game")
    texts = (
        ("–", "–", "–")
        if mass is None
        else _mass(float(mass["value"]), float(mass["chance"]), str(mass["status"]))
    )
    pointing = "–" if game is None else _pointing(float(game["value"]), str(game["status"]))
    return (method_name(name), target, REGIONS[region], source, *texts, pointing)


def _mass(value: float, chance: float, status: str) -> tuple[str, str, str]:
    expected = "–" if math.isnan(chance) else _percent(chance)
    if status != OverlapStatus.OK:
        return _words(status), expected, "–"
    if value == 0:
        return _percent(value), expected, "−∞"
    lift = math.log2(value / chance) if chance > 0 else math.nan
    return _percent(value), expected, "–" if math.isnan(lift) else f"{lift:+.2f}".replace("-", "−")


def _pointing(value: float, status: str) -> str:
    """A hit or a miss; where the strongest voxels tie, their share in the region."""
    if status != OverlapStatus.OK:
        return "undefined"
    return {0.0: "miss", 1.0: "hit"}.get(value, f"{value:.2f} (tie)")


def _percent(value: float) -> str:
    return f"{100 * value:.2g} %" if value < 0.1 else f"{100 * value:.0f} %"


def _words(status: str) -> str:
    return STATUS_WORDS.get(status, f"undefined: {status.replace('_', ' ')}")
