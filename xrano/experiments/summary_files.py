"""The primary analysis of a score table, as a table and a figure, and the paper's claims."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from xrano.atomic_files import write_text
from xrano.scoring.claims import claims_analysis, format_claims
from xrano.scoring.shares import one_visit_note
from xrano.scoring.shuffle import format_shuffle
from xrano.scoring.summary import primary_analysis
from xrano.viz.figure_files import save_figure
from xrano.viz.overlap_figure import primary_figure


def write_summary(table: pd.DataFrame, out: Path, *, n_resamples: int = 2000) -> pd.DataFrame:
    """Write ``summary.csv``, ``claims.csv`` and ``overlap.png`` and return the summary."""
    source = primary_source(table)
    summary = primary_analysis(table, segmentation_source=source, n_resamples=n_resamples)
    write_text(out / "summary.csv", summary.to_csv(index=False))
    claims = claims_analysis(table, segmentation_source=source, n_resamples=n_resamples)
    write_text(out / "claims.csv", claims.to_csv(index=False))
    if len(summary):
        save_figure(primary_figure(summary), out / "overlap.png")
    return summary


def primary_source(table: pd.DataFrame) -> str | None:
    """The segmentation that most pairs have; of several, the first by name."""
    segmented = table[
        ~table["status"].isin(["no_segmentation", "region_not_labelled"])
        & (table["segmentation_source"] != "")
    ]
    counts = segmented.groupby("segmentation_source")["pair_id"].nunique().sort_index()
    return str(counts.idxmax()) if len(counts) else None


def written_notes(out: Path) -> list[str]:
    """What to print below the primary analysis: the tables beside it, in words.

    Args:
        out: folder of ``claims.csv``, ``shuffle.csv`` and ``shares.csv``.
    """
    read = {
        name: pd.read_csv(out / f"{name}.csv", keep_default_na=False, na_values={})
        for name in ("claims", "shuffle", "shares")
    }
    numbers = {
        "claims": ("difference", "low", "high", "first_rate", "second_rate"),
        "shuffle": ("lift", "mean", "p", "p_adjusted"),
        "shares": ("share",),
    }
    for name, columns in numbers.items():
        for column in columns:
            read[name][column] = pd.to_numeric(read[name][column], errors="coerce")
    notes = (
        format_shuffle(read["shuffle"]),
        format_claims(read["claims"]),
        one_visit_note(read["shares"]),
    )
    return [note for note in notes if note]
