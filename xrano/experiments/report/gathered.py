"""Everything that a report is made of, read once; what cannot be read is said and left out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from xrano.errors import CheckpointError, ManifestError, XranoError
from xrano.evaluation.evaluate import evaluate_predictions
from xrano.experiments.audit.audit_files import SavedAudit, read_audit
from xrano.experiments.audit.own_run import place_run, run_notes
from xrano.experiments.evaluated_run import NETWORK
from xrano.experiments.faithfulness_files import SUMMARY_COLUMNS
from xrano.experiments.report.sources import Sources
from xrano.experiments.scored_run import excluded_by_cohort, excluded_by_run
from xrano.scoring.primary_source import primary_source
from xrano.scoring.report import score_report
from xrano.scoring.summary import primary_pairs
from xrano.scoring.table_files import read_frame
from xrano.scoring.tables import TABLES, read_table
from xrano.text_files import is_cut_off, read_json
from xrano.training.run import Run


@dataclass(frozen=True, eq=False)
class Scored:
    """A scoring folder.

    ``tables``: by name; ``lacking``: names of tables that an older version did not write, or that
    cannot be read; ``facts``: ``settings.json``; ``report``: of
    :func:`xrano.scoring.report.score_report`; ``source``: whose segmentation the primary analysis
    takes; ``primary``: its values, a row a method and pair.
    """

    tables: Mapping[str, pd.DataFrame]
    lacking: tuple[str, ...]
    facts: Mapping[str, Any]
    report: Mapping[str, Any]
    source: str
    primary: pd.DataFrame

    def table(self, name: str) -> pd.DataFrame:
        """A table, empty if it is lacking."""
        return self.tables.get(name, pd.DataFrame(columns=list(TABLES[name].columns)))


@dataclass(frozen=True, eq=False)
class Judged:
    """How right the network is.

    ``found``: name to :func:`~xrano.evaluation.evaluate.evaluate_predictions`, the network first;
    empty if it cannot be told, and ``why`` says why. ``complete``: the references are there.
    """

    found: Mapping[str, Mapping[str, Any]]
    complete: bool
    why: str = ""
    remarks: Mapping[str, str] | None = None

    @property
    def network(self) -> Mapping[str, Any] | None:
        """The network's own evaluation."""
        return self.found.get(NETWORK)


@dataclass(frozen=True, eq=False)
class Audited:
    """An audit, and where the run lies on its scale.

    ``placed``: ``None`` if it cannot be told; ``why`` says why.
    """

    audit: SavedAudit
    placed: pd.DataFrame | None
    notes: tuple[str, ...] = ()
    why: str = ""


@dataclass(frozen=True, eq=False)
class Gathered:
    """All of it; ``None`` where there is nothing of the run."""

    run: Run
    sources: Sources
    predictions: pd.DataFrame | None
    judged: Judged
    scored: Scored | None
    audited: Audited | None
    faithfulness: pd.DataFrame | None
    cases: pd.DataFrame
    exclusions: pd.DataFrame


def gather(run: Run, sources: Sources) -> Gathered:
    """Read everything.

    Raises:
        ManifestError: if the run has no pair to show, its scores cannot be read at all, or a table
            of them is cut off.
        CheckpointError: if its predictions are there and cannot be read.
    """
    predictions, judged = _judged(run)
    scored = None if sources.scores.path is None else _scored(sources.scores.path)
    faithfulness = None
    if sources.faithfulness.path is not None:
        faithfulness = _faithfulness(sources.faithfulness.path)
    cases = run.tested_pairs()
    if cases.empty:
        raise ManifestError(
            f"{run.root} has no held-out pair to report: train a fold first (xrano train)"
        )
    return Gathered(
        run,
        sources,
        predictions,
        judged,
        scored,
        _audited(run, sources),
        faithfulness,
        cases,
        _exclusions(run),
    )


def _judged(run: Run) -> tuple[pd.DataFrame | None, Judged]:
    try:
        table = run.predictions
    except CheckpointError as error:
        if (run.root / "predictions.csv").is_file():
            raise
        why = str(error) if run.config.training.epochs else "the network is untrained"
        return None, Judged({}, complete=False, why=why.replace(str(run.root), run.root.name))
    saved = _saved_evaluation(run, len(table))
    if saved is not None:
        found = dict(saved["evaluations"])
        # Files have their keys sorted; the network goes first.
        ordered = {NETWORK: found.pop(NETWORK), **found}
        return table, Judged(ordered, complete=True, remarks=saved.get("reference_remarks"))
    try:
        own = evaluate_predictions(table, classes=run.task.classes)
    except XranoError as error:
        return table, Judged({}, complete=False, why=str(error))
    return table, Judged({NETWORK: own}, complete=False)


def _saved_evaluation(run: Run, n_pairs: int) -> dict[str, Any] | None:
    """``evaluation.json``, unless it is of other predictions (a fold was added) or broken."""
    try:
        saved: dict[str, Any] = read_json(run.root / "evaluation.json")
        own = saved["evaluations"][NETWORK]
        fits = own["n_pairs"] == n_pairs and tuple(own["classes"]) == run.task.classes
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return saved if fits else None


def _scored(folder: Path) -> Scored:
    tables: dict[str, pd.DataFrame] = {}
    lacking = []
    for name in TABLES:
        try:
            tables[name] = read_table(name, folder)
        except ManifestError:
            path = folder / f"{name}.csv"
            # An older version writes other tables, but none by halves.
            if path.is_file() and is_cut_off(path):
                raise
            lacking.append(name)
    if "scores" not in tables:
        # Without it nothing can be told: the reader's own words say why.
        read_table("scores", folder)
    try:
        facts = read_json(folder / "settings.json")
    except (OSError, ValueError):
        facts = {}
    source = primary_source(tables["scores"])
    return Scored(
        tables,
        tuple(lacking),
        facts if isinstance(facts, dict) else {},
        score_report(tables, facts if isinstance(facts, dict) else {}),
        source or "",
        primary_pairs(tables["scores"], source),
    )


def _audited(run: Run, sources: Sources) -> Audited | None:
    if sources.audit.path is None:
        return None
    audit = read_audit(sources.audit.path)
    if sources.scores.path is None:
        return Audited(audit, None, why="the run has no scores to place on its scale")
    try:
        notes = run_notes(run, sources.scores.path, audit)
        return Audited(audit, place_run(audit, sources.scores.path), notes)
    except XranoError as error:
        return Audited(audit, None, why=str(error).replace(f"{audit.root}", audit.root.name))


def _faithfulness(folder: Path) -> pd.DataFrame:
    path = folder / "faithfulness_summary.csv"
    counts = ("n_pairs", "n_patients", "n_undefined")
    words = ("metric", "method", "infill", "setting", "quantity", "better", "descriptive")
    numbers = tuple(name for name in SUMMARY_COLUMNS if name not in (*counts, *words))
    table = read_frame(path, numbers=numbers, counts=counts, flags=("descriptive",))
    missing = [name for name in SUMMARY_COLUMNS if name not in table]
    if missing:
        raise ManifestError(
            f"{path} lacks the columns {', '.join(missing)}: it is of another version of xrano; "
            "run xrano faithfulness again, or leave it out"
        )
    return table


def _exclusions(run: Run) -> pd.DataFrame:
    """Sessions that are the current scan of no pair: of the cohort, then of this run."""
    cohort, own = excluded_by_cohort(run), excluded_by_run(run).assign(step="run")
    found = [own] if cohort is None else [cohort.assign(step="cohort"), own]
    return pd.concat(found, ignore_index=True)
