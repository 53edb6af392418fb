"""A run for notebooks: whom it was trained and tested on, by what network, and how well."""

from __future__ import annotations

import numpy as np
import pandas as pd

from xrano.errors import CheckpointError
from xrano.evaluation.classification import balanced_accuracy_from, confusion_counts
from xrano.jupyter import html
from xrano.training.run import Run


def run_words(run: Run) -> str:
    """One line: name, network, held-out patients and pairs, balanced accuracy."""
    tested = run.tested_pairs()
    accuracy = balanced_accuracy(run)
    told = f", balanced accuracy {accuracy:.2f}" if accuracy == accuracy else ""
    return (
        f"{run.root.resolve().name}: {run.config.model.name} on "
        f"{', '.join(run.layout.sequences)}, {len(tested)} held-out pairs of "
        f"{tested['patient_id'].nunique()} patients{told}"
    )


def run_html(run: Run) -> str:
    """A card with the facts of a run and a row a response."""
    tested, model = run.tested_pairs(), run.config.model
    accuracy = balanced_accuracy(run)
    chance = 1 / len(run.task.classes)
    told = {
        "network": f"{model.name}, stem {model.stem}",
        "sequences": ", ".join(run.layout.sequences),
        "task": f"{run.task.name}: {', '.join(run.task.classes)}",
        "folds trained": f"{len(run.trained_folds)} of {len(run.splits['folds'])}",
        "held out": f"{len(tested)} pairs of {tested['patient_id'].nunique()} patients",
        "balanced accuracy": f"{html.number(accuracy)} (chance {chance:.2f})",
    }
    if run.leak_note:
        told["warning"] = run.leak_note
    rows = _by_response(tested, run)
    return html.card(
        f"Run {run.root.resolve().name}",
        html.facts(told),
        html.table(("response", "patients", "pairs", "predicted right"), rows),
    )


def balanced_accuracy(run: Run) -> float:
    """Mean recall over the classes that occur; NaN of a run without predictions."""
    table = _predictions(run)
    if table is None or table.empty:
        return float("nan")
    truth, said = (
        np.array(run.task.indices(table[column].tolist()), dtype=np.intp)
        for column in ("response", "predicted")
    )
    return float(balanced_accuracy_from(confusion_counts(truth, said, len(run.task.classes))))


def _predictions(run: Run) -> pd.DataFrame | None:
    try:
        table = run.predictions
    except CheckpointError:
        return None
    return table[table["response"] != ""]


def _by_response(tested: pd.DataFrame, run: Run) -> list[tuple[str, int, int, str]]:
    table = _predictions(run)
    rows = []
    for response, own in tested.groupby("response", sort=False):
        said = None if table is None else table[table["response"] == response]
        right = "–"
        if said is not None and response and len(said):
            hits = int((said["predicted"] == run.task.class_of(str(response))).sum())
            right = f"{hits} of {len(said)}"
        rows.append((str(response) or "unrated", own["patient_id"].nunique(), len(own), right))
    return sorted(rows)
