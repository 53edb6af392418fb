"""Where the relevance of each method goes in each response: means that still add up to 1.

Exploratory. The maps are those of the primary analysis (predicted class as target, no surgery
between the scans, one segmentation for all). Shares are averaged over random-weight copies, then
within a patient, then over patients; so are the expected ones.

``lift`` is the log2 of a ratio of means as in ``summary.csv``, and like there it is one inside the
brain: the part's share of the relevance there over its share of the brain. Over the whole grid
any map of a skull-stripped scan would look good everywhere. Of ``outside_brain`` it is the share
over the expected one.

A part that a pair's label scheme does not have is 0 there: its voxels are in another part. Where
any pair has no tissue priors, grey and white matter are part of other brain for all.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd

from xrano.data.tissue_priors import GREY, WHITE
from xrano.errors import ManifestError, UnknownNameError
from xrano.metrics.accounting import OTHER, OUTSIDE
from xrano.metrics.catalogue import OverlapStatus
from xrano.rano import RESPONSES
from xrano.scoring.accounting_table import ACCOUNTING_COLUMNS, NO_PRIORS, PARTS
from xrano.scoring.summary import ALL, DESCRIPTIVE_BELOW, UNRATED, method_labels

RANDOM = "random"
"""The weights of all random-weight copies together."""

ACCOUNTING_SUMMARY_COLUMNS = (
    *("response", "method", "weights", "segmentation_source", "part", "share", "expected", "lift"),
    *("n_patients", "n_pairs", "n_undefined", "descriptive", "status"),
)
"""Columns of ``accounting_summary.csv``. ``n_undefined`` counts pairs without shares (zero map, no
segmentation); a class with fewer than ten patients is ``descriptive``."""

_KEYS = ["label", "weights", "pair_id"]
_UNDEFINED = (str(OverlapStatus.ZERO_MAP), str(OverlapStatus.NO_SEGMENTATION))


def accounting_summary(
    table: pd.DataFrame, *, segmentation_source: str | None = None
) -> pd.DataFrame:
    """Mean shares of every response, method and part.

    Args:
        table: of :func:`~xrano.scoring.accounting_table.accounting_table`.
        segmentation_source: whose masks; the first in the table if not given.

    Returns:
        A row a response (CR, PR, SD, PD, ``unrated``, ``all`` rated pairs), method (as in
        ``summary.csv``), kind of weights and part, with :data:`ACCOUNTING_SUMMARY_COLUMNS`.

    Raises:
        ManifestError: if a column is missing, or a map of a pair is there twice.
        UnknownNameError: if there are no parts of the source asked for.
    """
    chosen, source = _chosen(table, segmentation_source)
    if chosen.empty:
        return pd.DataFrame(columns=list(ACCOUNTING_SUMMARY_COLUMNS))
    lacking = bool((chosen["status"] == NO_PRIORS).any())
    parts = [name for name in PARTS if name in set(chosen["part"])]
    maps = chosen.drop_duplicates([*_KEYS, "copy"]).set_index([*_KEYS, "copy"])
    maps = maps[["patient_id", "response"]]
    pairs = {column: _of_pairs(chosen, column, parts, maps) for column in ("share", "expected")}
    if lacking:
        pairs = {column: _merged(frame) for column, frame in pairs.items()}
    pairs |= {f"{column}_inside": _inside(frame) for column, frame in pairs.items()}
    cells = []
    for response, label, weights, of_cell in _groups(maps):
        means = {column: _mean(frame, of_cell) for column, frame in pairs.items()}
        counted = pairs["share"].index.intersection(of_cell.index)
        patients = of_cell.loc[counted, "patient_id"].nunique()
        facts = {
            "response": response,
            "method": label,
            "weights": weights,
            "segmentation_source": source,
            "n_patients": patients,
            "n_pairs": len(counted),
            "n_undefined": len(of_cell) - len(counted),
            "descriptive": patients < DESCRIPTIVE_BELOW,
        }
        cells += [{**facts, **_part(name, means, lacking=lacking)} for name in parts]
    return pd.DataFrame(cells, columns=list(ACCOUNTING_SUMMARY_COLUMNS))


def _chosen(table: pd.DataFrame, source: str | None) -> tuple[pd.DataFrame, str]:
    """The rows of the maps of the primary analysis, with ``label`` and ``copy`` beside them."""
    missing = [column for column in ACCOUNTING_COLUMNS if column not in table.columns]
    if missing:
        raise ManifestError(f"the accounting table lacks the columns {', '.join(missing)}")
    sources = list(dict.fromkeys(name for name in table["segmentation_source"] if name))
    if source is not None and len(table) and source not in sources:
        raise UnknownNameError("segmentation source", source, sources)
    source = source if source is not None else (sources[0] if sources else "")
    predicted = (table["target_choice"] == "predicted") | (
        (table["target_choice"] == "all") & (table["target"] == table["predicted"])
    )
    chosen = table[
        (predicted | (table["weights"] == "none"))
        & table["segmentation_source"].isin([source, ""])
        & (table["spans_surgery"].astype(str).str.lower() != "true")
    ].copy()
    chosen["label"] = method_labels(chosen)
    copy = chosen["weights"].str.startswith(RANDOM)
    chosen["copy"] = chosen["weights"].where(copy, "")
    chosen["weights"] = chosen["weights"].where(~copy, RANDOM)
    chosen["response"] = chosen["response"].replace("", UNRATED)
    twice = chosen[chosen.duplicated([*_KEYS, "copy", "part"])]
    if len(twice):
        first = twice.iloc[0]
        raise ManifestError(
            f"the {first['label']} map of {first['pair_id']} with {first['weights']} weights is "
            "in the accounting table more than once; give the rows of one run and one reduction"
        )
    return chosen, source


def _of_pairs(
    chosen: pd.DataFrame, column: str, parts: list[str], maps: pd.DataFrame
) -> pd.DataFrame:
    """One row a method, weights and pair that has shares, one column a part."""
    defined = chosen[~chosen["status"].isin(_UNDEFINED)]
    wide = defined.set_index([*_KEYS, "copy", "part"])[column].unstack("part")
    wide = wide.reindex(columns=parts).fillna(0.0)
    return wide.groupby(_KEYS).mean().join(maps.groupby(_KEYS)["patient_id"].first())


def _merged(pairs: pd.DataFrame) -> pd.DataFrame:
    """The same with grey and white matter as part of other brain."""
    tissue = [name for name in (GREY, WHITE) if name in pairs]
    merged = pairs.copy()
    merged[OTHER] += pairs[tissue].sum(axis=1)
    merged[tissue] = math.nan
    return merged


def _inside(pairs: pd.DataFrame) -> pd.DataFrame:
    """The same of what lies in the brain; outside as it is."""
    parts = [name for name in PARTS if name in pairs and name != OUTSIDE]
    within = 1 - pairs[OUTSIDE]
    return pairs.assign(**{name: pairs[name] / within.where(within > 0) for name in parts})


def _groups(maps: pd.DataFrame) -> list[tuple[str, str, str, pd.DataFrame]]:
    """Response, method, weights, and the pairs of the three."""
    pairs = maps.groupby(_KEYS, sort=False).first()
    found = set(pairs["response"])
    names = [*map(str, RESPONSES), *sorted(found - {*map(str, RESPONSES), UNRATED}), UNRATED]
    of_response = [(name, pairs[pairs["response"] == name]) for name in names if name in found]
    rated = pairs[pairs["response"] != UNRATED]
    if len(rated):
        of_response.append((ALL, rated))
    return [
        (response, str(label), str(weights), of_cell)
        for response, of_pairs in of_response
        for (label, weights), of_cell in of_pairs.groupby(["label", "weights"], sort=False)
    ]


def _mean(pairs: pd.DataFrame, of_cell: pd.DataFrame) -> pd.Series:
    """Over the pairs of a patient, then over patients."""
    counted = pairs.loc[pairs.index.intersection(of_cell.index)]
    return counted.groupby("patient_id").mean().mean()


def _part(name: str, means: dict[str, pd.Series], *, lacking: bool) -> dict[str, Any]:
    value = {column: float(frame.get(name, math.nan)) for column, frame in means.items()}
    with np.errstate(divide="ignore", invalid="ignore"):
        lift = np.log2(np.float64(value["share_inside"]) / np.float64(value["expected_inside"]))
    unknown = lacking and name in (GREY, WHITE)
    share, expected = value["share"], value["expected"]
    status = NO_PRIORS if unknown else "ok" if not math.isnan(share) else "undefined"
    return {
        "part": name,
        "share": share,
        "expected": expected,
        "lift": float(lift),
        "status": status,
    }
