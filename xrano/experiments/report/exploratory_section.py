"""What was scored beside the primary analysis, not named beforehand."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import pandas as pd

from xrano.evaluation.estimates import show_estimate
from xrano.experiments.report.gathered import Scored
from xrano.experiments.report.number_words import listed
from xrano.report.tables import Section, Table, plain_table
from xrano.scoring.cell_table import CHANCE
from xrano.scoring.exploratory_text import format_exploratory
from xrano.scoring.pair_values import COPIES_SUFFIX
from xrano.scoring.rows import PRIMARY_REGION
from xrano.scoring.summary import ALL, PRIMARY_METRIC
from xrano.viz.names import method_name


def exploratory_section(scored: Scored) -> Section:
    """What else was scored, by how much it was corrected, and two short tables of it."""
    table = scored.table("exploratory")
    lines = [line.strip() for line in format_exploratory(table).splitlines()]
    words = [f"{lines[0][0].upper()}{lines[0][1:]}."] if lines else ["Nothing else was scored."]
    tables = [_strata(scored.table("strata")), _segmenters(scored.table("segmenters"))]
    files = [f"{name}.csv" for name in ("exploratory", "paired_methods") if name in scored.tables]
    if files:
        words.append(f"All of it stands in {listed(files)} of the scores.")
    return Section(
        "exploratory",
        "Exploratory",
        tuple(words),
        points=tuple(lines[1:]),
        tables=tuple(table for table in tables if table is not None),
    )


def _strata(strata: pd.DataFrame) -> Table | None:
    """Lift and gain by size of the lesion, over all responses."""
    primary = strata[
        (strata["response"] == ALL)
        & (strata["metric"] == PRIMARY_METRIC)
        & (strata["region"] == PRIMARY_REGION)
        & (strata["n_pairs"] > 0)
        & ~strata["method"].str.endswith(COPIES_SUFFIX)
    ]
    own = primary[primary["against"] == CHANCE]
    if own.empty:
        return None
    keys = ["stratum", "method", "target_choice", "segmentation_source"]
    gains = {
        tuple(row[key] for key in keys): _shown(row)
        for row in primary[primary["against"].str.endswith(COPIES_SUFFIX)].to_dict("records")
    }
    rows = [
        [
            str(row["stratum"]),
            method_name(str(row["method"])),
            _shown(row),
            gains.get(tuple(row[key] for key in keys), "–"),
            str(row["n_patients"]),
            str(row["n_pairs"]),
        ]
        for row in own.to_dict("records")
    ]
    return plain_table(
        "strata",
        "log2 lift and gain over random weights by size of the lesion, over all responses",
        ("lesion", "method", "log2 lift", "gain", "patients", "pairs"),
        rows,
        folded=f"By size of the lesion ({len(rows)} rows)",
    )


def _shown(row: Mapping[Hashable, Any]) -> str:
    return show_estimate([row["estimate"], row["low"], row["high"]], signed=True)


def _segmenters(segmenters: pd.DataFrame) -> Table | None:
    """The same maps in the masks of two segmentations."""
    own = segmenters[
        (segmenters["response"] == ALL)
        & (segmenters["metric"] == PRIMARY_METRIC)
        & (segmenters["region"] == PRIMARY_REGION)
        & (segmenters["n_pairs"] > 0)
        & ~segmenters["method"].str.endswith(COPIES_SUFFIX)
    ]
    if own.empty:
        return None
    rows = [
        [
            f"{row['segmentation_source']} against {row['against_source']}",
            method_name(str(row["method"])),
            str(row["statistic"]).replace("_", " "),
            _shown(row),
            str(row["n_pairs"]),
        ]
        for row in own.to_dict("records")
    ]
    return plain_table(
        "segmenters",
        "The same maps in the masks of two segmentations",
        ("segmentations", "method", "statistic", "estimate", "pairs"),
        rows,
        folded=f"In the masks of several segmentations ({len(rows)} rows)",
    )
