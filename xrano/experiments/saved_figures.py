"""Figures from what other commands have written: scores, layers, a study, an audit."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from xrano.errors import ManifestError
from xrano.evaluation.calibration import (
    calibrated_error,
    expected_calibration_error,
    probabilities,
    reliability_bins,
)
from xrano.evaluation.predictions import read_predictions
from xrano.experiments.audit.audit_figures import write_figures
from xrano.experiments.audit.audit_files import read_audit
from xrano.experiments.audit.audit_result import AuditResult
from xrano.experiments.layer_files import LAYER_NUMBERS, held_out_figure
from xrano.experiments.study.study_figures import WITHOUT_NETWORK, forest_row
from xrano.scoring.table_files import read_frame
from xrano.scoring.tables import read_table
from xrano.tasks import RESPONSE, TASKS
from xrano.text_files import read_json
from xrano.training.run import Run
from xrano.viz.forest_figure import forest_figure
from xrano.viz.forest_rows import ForestRow
from xrano.viz.overlap_figure import primary_figure
from xrano.viz.reliability_figure import (
    ReliabilityBin,
    calibration_figure,
    reliability_figure,
)


def overlap_of(scores: Path) -> Figure:
    """The primary analysis of a folder of scores.

    Raises:
        ManifestError: if its summary is missing or empty.
    """
    summary = read_table("summary", scores)
    if summary.empty:
        raise ManifestError(f"the summary in {scores} is empty: no pair could be scored")
    return primary_figure(summary)


def reliability_of(run: Run) -> Figure:
    """How often the out-of-fold predictions of a run are right, by their confidence.

    Raises:
        CheckpointError: if the run has no predictions.
        ManifestError: if none is of a rated pair, or they have no logits.
    """
    rows = read_predictions(run.predictions, run.task.classes)
    if rows.logits is None:
        raise ManifestError(f"{run.root / 'predictions.csv'} holds no logits")
    chances = probabilities(rows.logits[0])
    predicted = rows.predicted[0]
    confidence = np.take_along_axis(chances, predicted[:, None], axis=1)[:, 0]
    bins = reliability_bins(confidence, predicted == rows.truth)
    return reliability_figure(
        [ReliabilityBin(**asdict(item)) for item in bins],
        title="network",
        error=expected_calibration_error(bins),
        error_if_calibrated=calibrated_error(confidence),
    )


def layers_of(folder: Path) -> Figure:
    """The sweep over layers that ``xrano layers`` wrote, of held-out pairs.

    Raises:
        ManifestError: if its summary is missing, or holds no held-out pair.
    """
    path = folder / "layers_summary.csv"
    table = read_frame(
        path, numbers=LAYER_NUMBERS, counts=("n_pairs", "n_patients"), flags=("chosen",)
    )
    figure = held_out_figure(table)
    if figure is None:
        raise ManifestError(f"{path} has no held-out pair")
    return figure


def study_of(folder: Path) -> dict[str, Figure]:
    """The forest plot of each task of a study, and the reliability of its first arm.

    Raises:
        ManifestError: if the folder holds no finished study.
    """
    try:
        evaluations: dict[str, Any] = read_json(folder / "study.json")["evaluations"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ManifestError(f"{folder} holds no finished study ({error})") from error
    rows = read_frame(folder / "study.csv").to_dict("records")
    found: dict[str, Figure] = {}
    for task in TASKS.values():
        own = [
            forest_row(
                str(row["name"]),
                evaluations[row["name"]],
                str(row["approach"]) if row["kind"] == "arm" else WITHOUT_NETWORK,
                str(row["verdict"]),
                is_reference=row["kind"] != "arm",
            )
            for row in rows
            if tuple(evaluations[row["name"]]["classes"]) == task.classes
        ]
        own = _by_approach(own)
        if own:
            name = "study_forest" if task is RESPONSE else f"study_forest-{task.name}"
            found[name] = forest_figure(
                own, n_classes=len(task.classes), paper_line=task is RESPONSE
            )
    base = next((row["name"] for row in rows if row["kind"] == "arm"), "")
    calibration = evaluations[base]["calibration"] if base else None
    if calibration:
        found["study_reliability"] = calibration_figure(calibration, title=str(base))
    return found


def write_audit_figures(
    folder: Path, out: Path, suffix: str = ".png", *, width: str | float | None = None
) -> list[Path]:
    """Draw a finished audit again.

    Raises:
        ManifestError: if the folder holds no finished audit.
    """
    saved = read_audit(folder)
    result = AuditResult(
        settings=saved.settings,
        models=saved.models,
        scores=saved.scores,
        separation=saved.separation,
        median_ml=saved.median_ml,
        planned=len(saved.models),
        probes=pd.DataFrame(),
    )
    return write_figures(result, out, suffix, width=width)


def _by_approach(rows: list[ForestRow]) -> list[ForestRow]:
    order = list(dict.fromkeys(row.approach for row in rows))
    return sorted(rows, key=lambda row: (row.is_reference, order.index(row.approach)))


def most_visits(run: Run) -> str:
    """The patient with the most predicted pairs, the first by name of several.

    Without predictions the one with the most pairs.

    Raises:
        ManifestError: if the run has no pair.
    """
    path = run.root / "predictions.csv"
    pairs: pd.DataFrame = run.predictions if path.is_file() else run.pairs()
    if pairs.empty:
        raise ManifestError(f"{run.store.root} has no pair that the run can take")
    return str(pairs["patient_id"].value_counts().sort_index().idxmax())
