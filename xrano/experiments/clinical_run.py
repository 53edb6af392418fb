"""Shares of images and clinical data over all held-out pairs of a run, as files."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from xrano.attribution.methods import AttributionSettings
from xrano.data.tables import write_table
from xrano.experiments.clinical_shares import clinical_shares, summarise_shares
from xrano.progress import Progress, quiet
from xrano.training.run import Run


def score_clinical(
    run: Run,
    out: Path,
    *,
    settings: AttributionSettings | None = None,
    n_resamples: int = 2000,
    progress: Progress = quiet,
) -> pd.DataFrame:
    """Write ``clinical_shares.csv`` and, by response, ``clinical_summary.csv``; the latter.

    Each pair is explained by the network that never saw it.

    Args:
        run: a run whose networks take clinical data.
        out: folder of the tables.
        settings: of integrated gradients.
        n_resamples: resamples of patients behind each interval.
        progress: how to show progress.
    """
    pairs = run.pairs()
    parts = []
    for fold in run.trained_folds:
        encoder = run.encoder(fold)
        if encoder is not None:
            parts.append(
                clinical_shares(
                    run.model(fold),
                    encoder,
                    pairs[run.is_tested(pairs, fold)].reset_index(drop=True),
                    run.store,
                    classes=run.task.classes,
                    settings=settings,
                    progress=progress,
                )
            )
    table = pd.concat(parts, ignore_index=True)
    write_table(out / "clinical_shares.csv", table)
    summary = summarise_shares(table, n_resamples=n_resamples)
    write_table(out / "clinical_summary.csv", summary)
    return summary


def format_clinical(summary: pd.DataFrame) -> str:
    """Shares over all responses, for the terminal."""
    rows = summary[summary["response"] == "all"]
    lines = ["relevance of images and clinical data (share of absolute integrated gradients):"]
    lines += [
        f"  {row['variable']:<18} {row['share']:6.3f} [{row['low']:.3f}, {row['high']:.3f}]"
        for row in rows.to_dict("records")
    ]
    lines.append(
        "  the share of the images grows with their number of voxels; signed totals, which add up "
        "to the change of the logit, are in the table"
    )
    return "\n".join(lines)
