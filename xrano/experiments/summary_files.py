"""The primary analysis of a score table, as a table and a figure."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from xrano.atomic_files import write_text
from xrano.scoring.summary import primary_analysis
from xrano.viz.figure_files import save_figure
from xrano.viz.overlap_figure import primary_figure


def write_summary(table: pd.DataFrame, out: Path, *, n_resamples: int = 2000) -> pd.DataFrame:
    """Write ``summary.csv`` and ``overlap.png`` and return the summary."""
    summary = primary_analysis(
        table, segmentation_source=primary_source(table), n_resamples=n_resamples
    )
    write_text(out / "summary.csv", summary.to_csv(index=False))
    if len(summary):
        save_figure(primary_figure(summary), out / "overlap.png")
    return summary


def primary_source(table: pd.DataFrame) -> str | None:
    """The segmentation that most pairs have; of several, the first by name."""
    segmented = table[~table["status"].isin(["no_segmentation", "region_not_labelled"])]
    counts = segmented.groupby("segmentation_source")["pair_id"].nunique().sort_index()
    return str(counts.idxmax()) if len(counts) else None
