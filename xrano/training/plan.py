"""What a training will be, in words, before it starts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from xrano.channels import ChannelLayout
from xrano.data.store import open_store
from xrano.errors import SplitError
from xrano.training.config import RunConfig
from xrano.training.run import rated, run_pairs
from xrano.training.step_time import estimate_epoch_seconds
from xrano.training.train_run import check_names


def describe_plan(config: RunConfig, minutes: Callable[[float], str]) -> str:
    """Network, data and the estimated time of an epoch on this machine's processor.

    Args:
        config: the run.
        minutes: seconds in words.

    Raises:
        ManifestError: if the store is none.
        SplitError: if folds leave no pair to train on.
        UnknownNameError: for an unknown network.
    """
    store = open_store(Path(config.store))
    check_names(config, store)
    layout = ChannelLayout(config.model.sequences)
    every, found = len(rated(store.pairs)), len(rated(run_pairs(config, store)[0]))
    training = expected_training_pairs(config, found)
    if training == 0:
        raise SplitError(
            f"{found} rated pairs in {config.n_folds} folds leave none to train on: lower n_folds, "
            "or prepare more patients (an untrained run: --training.epochs 0)"
        )
    size = "×".join(str(size) for size in store.grid.shape)
    lines = [
        f"{config.model.name} on {', '.join(layout.sequences)} of both scans, {size} voxels; "
        f"about {training} training pairs a fold",
    ]
    if found < every:
        lines.append(f"{every - found} of {every} rated pairs lack one of these sequences")
    if torch.cuda.is_available() and config.training.accelerator in ("auto", "cuda", "gpu"):
        lines.append("training on the GPU; no estimate of its time")
    else:
        seconds = estimate_epoch_seconds(
            config.model,
            store.grid.shape,
            pairs=training,
            batch_size=config.training.batch_size,
        )
        most = minutes(seconds * config.training.epochs)
        lines.append(
            f"an epoch takes about {minutes(seconds)} on this machine, at most "
            f"{config.training.epochs} epochs ({most}) a fold"
        )
    return "\n".join(lines)


def expected_training_pairs(config: RunConfig, rated_pairs: int) -> int:
    """About how many pairs each fold of a run trains on.

    Example:
        >>> expected_training_pairs(RunConfig(n_folds=5, validation_fraction=0.2), 397)
        254
    """
    outside = rated_pairs * (config.n_folds - 1) / config.n_folds
    return int(outside * (1 - config.validation_fraction))
