"""What was scored beside the primary analysis, not named beforehand."""

from __future__ import annotations

import pandas as pd

from xrano.evaluation.estimates import show_estimate
from xrano.experiments.report.gathered import Scored
from xrano.experiments.report.number_words import listed
from xrano.report.tables import Section, Table, plain_table
from xrano.scoring.exploratory_text import format_exploratory
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
    """Lift by size of the lesion, over all responses."""
    own = strata[
        (strata["response"] == ALL)
        & (strata["metric"] == PRIMARY_METRIC)
        & (strata["region"] == PRIMARY_REGION)
        & (strata["n_pairs"] > 0)
    ]
    if own.empty:
        return None
    rows = [
        [
            str(row["stratum"]),
            method_name(str(row["method"])),
            show_estimate([row["estimate"], row["low"], row["high"]], signed=True),
            str(row["n_patients"]),
            str(row["n_pairs"]),
        ]
        for row in own.to_dict("records")
    ]
    return plain_table(
        "strata",
        "log2 lift by size of the lesion, over all responses",
        ("lesion", "method", "log2 lift", "patients", "pairs"),
        rows,
        folded=f"By size of the lesion ({len(rows)} rows)",
    )


def _segmenters(segmenters: pd.DataFrame) -> Table | None:
    """The same maps in the masks of two segmentations."""
    own = segmenters[
        (segmenters["response"] == ALL)
        & (segmenters["metric"] == PRIMARY_METRIC)
        & (segmenters["region"] == PRIMARY_REGION)
        & (segmenters["n_pairs"] > 0)
    ]
    if own.empty:
        return None
    rows = [
        [
            f"{row['segmentation_source']} against {row['against_source']}",
            method_name(str(row["method"])),
            str(row["statistic"]).replace("_", " "),
            show_estimate([row["estimate"], row["low"], row["high"]], signed=True),
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
