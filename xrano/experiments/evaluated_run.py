"""Judge a run and keep the numbers beside it."""

from __future__ import annotations

from typing import Any

from xrano.atomic_files import write_json
from xrano.training.evaluation import compare_references
from xrano.training.run import Run


def evaluate_run(run: Run, *, n_resamples: int = 2000, seed: int = 0) -> dict[str, dict[str, Any]]:
    """The network beside the majority class and the volumetric rule; ``evaluation.json``.

    Raises:
        CheckpointError: if the run's training is not finished.
    """
    table = run.predictions
    training = {int(fold): run.training_pairs(int(fold)) for fold in sorted(set(table["fold"]))}
    found = compare_references(
        table, training, run.pairs(), run.store.volumes, n_resamples=n_resamples, seed=seed
    )
    write_json(run.root / "evaluation.json", found)
    return found
