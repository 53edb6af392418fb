"""Judge a run beside what a user would pick instead, and keep the numbers beside it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from xrano.atomic_files import write_json
from xrano.evaluation.evaluate import evaluate_predictions
from xrano.evaluation.text import format_comparison, rule_note
from xrano.references.catalogue import reference_predictions
from xrano.training.run import Run

NETWORK = "network"


@dataclass(frozen=True)
class EvaluatedRun:
    """The network and each reference by one measure.

    ``found``: name to :func:`~xrano.evaluation.evaluate.evaluate_predictions`, the network first;
    ``notes``: what to say beside the numbers.
    """

    found: dict[str, dict[str, Any]]
    notes: tuple[str, ...]

    def text(self) -> str:
        """A table for the terminal, with its notes."""
        return "\n".join([format_comparison(self.found), *self.notes])


def evaluate_run(run: Run, *, n_resamples: int = 2000, seed: int = 0) -> EvaluatedRun:
    """The network beside the references on the same pairs; writes ``evaluation.json``.

    Raises:
        CheckpointError: if the run's training is not finished.
    """
    table = run.predictions
    folds = table.set_index("pair_id")["fold"]
    pairs = run.pairs()
    pairs = pairs[pairs["pair_id"].isin(folds.index)]
    test = pairs.assign(fold=[int(folds[pair]) for pair in pairs["pair_id"]])
    training = {int(fold): run.training_pairs(int(fold)) for fold in sorted(set(folds))}
    references, remarks = reference_predictions(
        run.store, test, training, task=run.task, seed=run.config.seed
    )
    found = {
        name: evaluate_predictions(
            rows, classes=run.task.classes, n_resamples=n_resamples, seed=seed
        )
        for name, rows in {NETWORK: table, **references}.items()
    }
    write_json(
        run.root / "evaluation.json",
        {"evaluations": found, "reference_remarks": remarks, "warning": run.leak_note},
    )
    notes = [run.leak_note, rule_note(table), *(f"{name}: {why}" for name, why in remarks.items())]
    return EvaluatedRun(found, tuple(note for note in notes if note))
