"""What follows from a score table: the primary analysis, a figure, the claims, the report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from xrano.atomic_files import write_json
from xrano.data.common_world import NO_COMMON_WORLD
from xrano.errors import ManifestError
from xrano.evaluation.text import rule_note
from xrano.scoring.accounting_summary import accounting_summary
from xrano.scoring.claims import claims_analysis, format_claims
from xrano.scoring.exploratory import exploratory_tables
from xrano.scoring.exploratory_text import format_exploratory
from xrano.scoring.primary_source import primary_source
from xrano.scoring.report import REPORT_FILE, score_report
from xrano.scoring.shares import one_visit_note
from xrano.scoring.shuffle import format_shuffle
from xrano.scoring.summary import primary_analysis
from xrano.scoring.summary_text import unlabelled_note
from xrano.scoring.tables import read_table, tables_in, write_table
from xrano.text_files import read_json
from xrano.viz.figure_files import save_figure
from xrano.viz.overlap_figure import primary_figure


def write_summary(table: pd.DataFrame, out: Path, *, n_resamples: int = 2000) -> pd.DataFrame:
    """Write what follows from a score table, and return the summary.

    ``summary.csv``, ``claims.csv``, ``accounting_summary.csv`` and ``overlap.png``, then the
    exploratory tables (:mod:`xrano.scoring.exploratory`), and last ``report.json``, from all
    tables that the folder holds.
    """
    source = primary_source(table)
    summary = primary_analysis(table, segmentation_source=source, n_resamples=n_resamples)
    write_table("summary", summary, out)
    claims = claims_analysis(table, segmentation_source=source, n_resamples=n_resamples)
    write_table("claims", claims, out)
    if (out / "accounting.csv").is_file():
        accounted = read_table("accounting", out)
        shares = accounting_summary(accounted, segmentation_source=source)
        write_table("accounting_summary", shares, out)
    if len(summary):
        save_figure(primary_figure(summary), out / "overlap.png")
    lesions = read_table("lesions", out) if (out / "lesions.csv").is_file() else None
    explored = exploratory_tables(table, lesions, source=source, n_resamples=n_resamples)
    for name, frame in explored.items():
        write_table(name, frame, out)
    write_report(out, scores=table)
    return summary


def write_report(out: Path, *, scores: pd.DataFrame | None = None) -> dict[str, Any]:
    """Write ``report.json`` of a scoring folder from the tables in it, and return it.

    See :mod:`xrano.scoring.report`.

    Args:
        out: the scoring folder.
        scores: its score table if that is at hand: by far the largest, it is not read again.

    Raises:
        ManifestError: if a table is broken or of an older schema.
    """
    tables = tables_in(out, {} if scores is None else {"scores": scores})
    facts = _facts(out / "settings.json")
    report = score_report(tables, facts, _notes(tables, facts))
    write_json(out / REPORT_FILE, report)
    return report


def written_notes(out: Path) -> list[str]:
    """What to print below the primary analysis: the tables beside it, in words.

    Args:
        out: folder of ``claims.csv``, ``shuffle.csv``, ``shares.csv``, ``exploratory.csv`` and
            ``settings.json``.
    """
    names = ("claims", "shuffle", "shares", "exploratory")
    tables = {name: read_table(name, out) for name in names}
    return _words(tables, _facts(out / "settings.json"))


def _words(tables: dict[str, pd.DataFrame], facts: dict[str, Any]) -> list[str]:
    apart = facts.get("run", {}).get("store", {}).get("one_world") is False
    notes = [NO_COMMON_WORLD] if apart else []
    notes += [
        words(tables[name])
        for name, words in (
            ("shuffle", format_shuffle),
            ("claims", format_claims),
            ("shares", one_visit_note),
            ("exploratory", format_exploratory),
        )
        if name in tables
    ]
    return [note for note in notes if note]


def _notes(tables: dict[str, pd.DataFrame], facts: dict[str, Any]) -> list[str]:
    """Every note that stands beside the numbers, a line each."""
    notes = _words(tables, facts)
    notes.append(str(facts.get("run", {}).get("leak", "")))
    if "scores" in tables:
        notes += [unlabelled_note(tables["scores"]), rule_note(tables["scores"])]
    return [line for note in notes for line in note.splitlines() if line]


def _facts(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        found: dict[str, Any] = read_json(path)
    except ValueError as error:
        raise ManifestError(
            f"{path} is no JSON ({error}); score again: xrano score RUN --out {path.parent}"
        ) from error
    return found
