"""``xrano train``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from xrano.training.config import ModelConfig, RunConfig, TrainingConfig
from xrano.training.pretraining.config import PretrainingConfig

EXAMPLE = (
    "xrano train store --out runs/first --preset laptop   (presets: demo, laptop, paper, "
    "paper-protocol; an untrained run:  --training.epochs 0)"
)
POSITIONAL_HELP = "folder that xrano prepare wrote"


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
) -> None:
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
    if ranks.first:
        _tell(finished, out)


def _tell(finished: Any, out: Path) -> None:
    """What is there now, and what is next."""
    if finished.config.training.epochs:
        if finished.leak_note:
            print(finished.leak_note)
        print(f"predictions in {out / 'predictions.csv'}; next:  xrano evaluate {out}")
    else:
        print(f"an untrained {finished.config.model.name} in {finished.root}")
        print(f"next:  xrano explain {out} --pair ID --out explained")
