"""``xrano train``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from xrano.cli.answers import Answer
from xrano.training.config import ModelConfig, RunConfig, TrainingConfig
from xrano.training.pretraining.config import PretrainingConfig

EXAMPLE = (
    "xrano train store --out runs/first --preset laptop   (presets: demo, laptop, paper, "
    "paper-protocol; an untrained run:  --training.epochs 0)"
)
POSITIONAL_HELP = "folder that xrano prepare wrote"

JSON_KEYS = {
    "run": "folder of the run",
    "network": "its name",
    "folds": "folds with finished weights",
    "predictions": "file of the out-of-fold predictions; null for an untrained run",
    "leak": "how the protocol leaks, in words; empty if it does not",
}


def run(
    store: Path,
    out: Path,
    model: ModelConfig = ModelConfig(),
    training: TrainingConfig = TrainingConfig(),
    task: str = "response",
    cases: tuple[str, ...] = (),
    pretraining: PretrainingConfig = PretrainingConfig(),
    grouping: str = "patient",
    selection: str = "inner",
    n_folds: int = 5,
    folds: tuple[int, ...] = (),
    validation_fraction: float = 0.2,
    seed: int = 0,
    splits: str = "",
    devices: int = 1,
) -> Answer | None:
    """Train a network fold by fold; a run that was stopped goes on where it was.

    Args:
        store: the prepared store.
        out: folder for the run.
        model: network and sequences.
        training: how it is trained.
        task: response (CR, PR, SD, PD), or progression (PD or rest).
        cases: sequences that a pair must have beside the network's own.
        pretraining: what the network learns before.
        grouping: what a fold keeps together: patient, or timepoint (the paper's, which leaks).
        selection: where the epoch is chosen: inner, or test (the paper's, which leaks).
        n_folds: how many folds.
        folds: which folds to train; all if none is named.
        validation_fraction: share of the training pairs that choose the epoch.
        seed: of folds, weights, order and augmentation.
        splits: a splits.json to use in the place of new folds.
        devices: processes of this machine that share every batch, a device each; under torchrun or
            srun all tasks do.
    """
    config = RunConfig(
        store=str(store),
        model=model,
        training=training,
        task=task,
        cases=tuple(cases),
        pretraining=pretraining,
        grouping=grouping,
        selection=selection,
        n_folds=n_folds,
        folds=tuple(folds),
        validation_fraction=validation_fraction,
        seed=seed,
        splits=splits,
    )
    from xrano.cli.terminal import EpochBar
    from xrano.progress import minutes
    from xrano.training.fabric import start_ranks
    from xrano.training.plan import describe_plan
    from xrano.training.train_run import train_run

    ranks = start_ranks(training.accelerator, training.precision, devices)
    if training.epochs and ranks.first:
        print(describe_plan(config, minutes))
        if ranks.count > 1:
            print(f"{ranks.count} processes share every batch of {training.batch_size} pairs")
    bar = EpochBar()
    finished = train_run(config, out, report=bar, say=print, ranks=ranks)
    bar.close()
    return _answer(finished, out) if ranks.first else None


def _answer(finished: Any, out: Path) -> Answer:
    """What is there now, and what is next."""
    trained = finished.config.training.epochs > 0
    predictions = out / "predictions.csv"
    if trained:
        lines = [finished.leak_note] if finished.leak_note else []
        lines.append(f"predictions in {predictions}; next:  xrano evaluate {out}")
    else:
        lines = [
            f"an untrained {finished.config.model.name} in {finished.root}",
            f"next:  xrano explain {out} --pair ID --out explained",
        ]
    values = {
        "run": out,
        "network": finished.config.model.name,
        "folds": finished.trained_folds,
        "predictions": predictions if trained else None,
        "leak": finished.leak_note,
    }
    return Answer("\n".join(lines), values)
