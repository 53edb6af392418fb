"""``xrano train``."""

from __future__ import annotations

from pathlib import Path

from xrano.training.config import ModelConfig, RunConfig, TrainingConfig

EXAMPLE = (
    "xrano train store --out runs/first --preset laptop   (presets: demo, laptop, paper; "
    "an untrained run:  --training.epochs 0)"
)
POSITIONAL_HELP = "folder that xrano prepare wrote"


def run(
    store: Path,
    out: Path,
    model: ModelConfig = ModelConfig(),
    training: TrainingConfig = TrainingConfig(),
    n_folds: int = 5,
    folds: tuple[int, ...] = (),
    validation_fraction: float = 0.2,
    seed: int = 0,
    splits: str = "",
) -> None:
    """Train a network fold by fold; a run that was stopped goes on where it was.

    Args:
        store: the prepared store.
        out: folder for the run.
        model: network and sequences.
        training: how it is trained.
        n_folds: folds grouped by patient.
        folds: which folds to train; all if none is named.
        validation_fraction: share of the training patients that choose the epoch.
        seed: of folds, weights, order and augmentation.
        splits: a splits.json to use in the place of new folds.
    """
    config = RunConfig(
        store=str(store),
        model=model,
        training=training,
        n_folds=n_folds,
        folds=tuple(folds),
        validation_fraction=validation_fraction,
        seed=seed,
        splits=splits,
    )
    from xrano.cli.terminal import EpochBar, minutes
    from xrano.training.plan import describe_plan
    from xrano.training.run import train_run

    if training.epochs:
        print(describe_plan(config, minutes))
    bar = EpochBar()
    finished = train_run(config, out, report=bar)
    bar.close()
    if training.epochs:
        print(f"predictions in {out / 'predictions.csv'}; next:  xrano evaluate {out}")
    else:
        print(f"an untrained {model.name} in {finished.root}")
        print(f"next:  xrano explain {out} --pair ID --out explained")
