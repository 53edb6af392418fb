"""The training of one fold, from random weights to the best epoch on validation patients.

Resuming gives the same result as never having stopped: the order of pairs and their random
changes follow from (seed, epoch), the learning rate from the step, and the state of network and
optimiser is written after every epoch.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from xrano.atomic_files import write_json
from xrano.errors import CheckpointError, ConfigError
from xrano.evaluation.classification import balanced_accuracy
from xrano.models.classifier import ResponseClassifier
from xrano.training.checkpoint import load_resume, load_weights, save_resume
from xrano.training.config import RunConfig, TrainingConfig
from xrano.training.epoch import Steps, make_steps, train_epoch
from xrano.training.fabric import share_statistics, start_fabric
from xrano.training.finished_fold import is_trained, require_weights
from xrano.training.fold_data import FoldData
from xrano.training.fold_progress import FoldProgress, write_lines
from xrano.training.network import new_network, save_network
from xrano.training.prediction import predict_all
from xrano.training.randomness import own_randomness, seed_epoch
from xrano.training.ranks import ALONE, Ranks
from xrano.training.sampling import own_batches
from xrano.training.schedule import Plateau
from xrano.training.tensorboard import scalar_writer

EpochReport = Callable[[dict[str, Any], int], None]
"""Called after each epoch with its line of metrics.jsonl and the number of epochs."""


def train_fold(
    config: RunConfig,
    data: FoldData,
    folder: Path,
    *,
    seed: int,
    report: EpochReport,
    pretrain: Callable[[ResponseClassifier], object] = lambda _network: None,
    ranks: Ranks = ALONE,
) -> None:
    """Train one fold into ``folder``: model.safetensors, metrics.jsonl, resume.pt, fold.json.

    Does nothing if ``fold.json`` says that the fold is finished and its files are whole; goes on
    from ``resume.pt`` if there is one, which also holds the lines of ``metrics.jsonl``.

    Args:
        config: the run.
        data: its pairs.
        folder: of the fold.
        seed: of the weights, the order and dropout; the global random state is left as it was.
        report: called after each epoch.
        pretrain: changes the new network's weights before there is an optimiser.
        ranks: the processes that share the work; the first of them writes.

    Raises:
        CheckpointError: if ``resume.pt`` is broken or of another network, or the weights of the
            best epoch are lost.
        SplitError: if there are too few training pairs for one batch.
        ConfigError: if the training diverges, so that no epoch can be chosen, or this machine
            lacks the accelerator.
    """
    if ranks.by_first(lambda: is_trained(folder)):
        return
    settings = config.training
    names = data.encoder.names if data.encoder is not None else ()
    network = new_network(config, seed=seed, clinical=names)
    resume = folder / "resume.pt"
    state = ranks.by_first(lambda: load_resume(resume) if resume.is_file() else None)
    if state is None:
        pretrain(network)
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
    )
    progress = FoldProgress(plateau=Plateau(settings.learning_rate))
    if state is not None:
        progress = _resumed(resume, state, network, optimizer)
        ranks.by_first(lambda: write_lines(folder / "metrics.jsonl", progress.lines))
    fabric = start_fabric(settings.accelerator, settings.precision, ranks)
    model, tuned = fabric.setup(share_statistics(network, fabric), optimizer)
    steps = make_steps(fabric, data, settings, ranks, seed=seed)
    writer = scalar_writer(folder / "tensorboard") if ranks.first else None

    with own_randomness(fabric.device):
        while progress.epoch < settings.epochs and progress.stale < settings.patience:
            epoch = progress.epoch
            data.training.set_epoch(epoch)
            steps.batches.set_epoch(epoch)
            seed_epoch(fabric.device, seed, epoch, ranks.index)
            train_loss = train_epoch(fabric, model, tuned, steps, data, progress, settings, ranks)
            line = {
                "epoch": epoch,
                "learning_rate": tuned.param_groups[0]["lr"],
                "train_loss": train_loss,
                **_validated(model, steps, data, settings, ranks),
            }
            if progress.note(line["val_loss"]) and ranks.first:
                save_network(folder / "model.safetensors", network, config)
            if settings.schedule == "plateau":
                _hold_best(network, optimizer, progress, train_loss)
            progress.lines.append(json.dumps(line))
            if writer is not None:
                write_lines(folder / "metrics.jsonl", progress.lines)
                writer(line)
                save_resume(resume, _state(network, optimizer, progress))
                report(line, settings.epochs)
    if progress.best_epoch < 0:
        raise ConfigError(
            f"{folder}: the validation loss was never a finite number in {progress.epoch} epochs; "
            "delete this folder and train with a lower learning_rate"
        )
    told = {"best_epoch": progress.best_epoch, "epochs": progress.epoch}
    ranks.by_first(lambda: write_json(folder / "fold.json", told))


def _validated(
    model: nn.Module, steps: Steps, data: FoldData, settings: TrainingConfig, ranks: Ranks
) -> dict[str, float]:
    """Loss and balanced accuracy on the validation pairs, the same in every process."""
    logits, truth = predict_all(model, steps.validation, data.validation_clinical)
    if ranks.count > 1:
        task, responses = data.validation.task, list(data.validation.pairs["response"])
        rows = list(chain(*own_batches(len(responses), settings.batch_size, ranks)))
        logits = ranks.gathered(rows, logits, (len(responses), len(task.classes)))
        truth = torch.tensor(task.indices(responses))
    hard = nn.functional.cross_entropy(logits, truth, weight=steps.loss.class_weights)
    accuracy = _balanced_accuracy(truth, logits, data.training.task.classes)
    return {"val_loss": float(hard), "val_balanced_accuracy": accuracy}


def _state(
    network: nn.Module, optimizer: torch.optim.Optimizer, progress: FoldProgress
) -> dict[str, Any]:
    return {
        "network": network.state_dict(),
        "optimizer": optimizer.state_dict(),
        "progress": progress.state(),
    }


def _resumed(
    path: Path, state: dict[str, Any], network: nn.Module, optimizer: torch.optim.Optimizer
) -> FoldProgress:
    """Bring network and optimiser to where an interrupted training was; how far that is."""
    try:
        load_weights(network, state["network"], path)
        optimizer.load_state_dict(state["optimizer"])
        progress = FoldProgress.from_state(state["progress"])
        kept = len(progress.lines)
    except CheckpointError:
        raise
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise CheckpointError(
            f"{path} is no state of this training ({type(error).__name__}: {error}); delete it to "
            "train this fold from the start"
        ) from error
    if kept != progress.epoch:
        raise CheckpointError(
            f"{path} is of an earlier version of xrano, which kept no metrics in it; delete it to "
            "train this fold from the start"
        )
    if progress.best_epoch >= 0:
        require_weights(path.parent)
    return progress


def _hold_best(
    network: nn.Module, optimizer: torch.optim.Optimizer, progress: FoldProgress, train_loss: float
) -> None:
    """The paper's schedule: keep the weights of the best training loss, or go back to them."""
    if progress.plateau.improved(train_loss) or not progress.kept:
        progress.kept = {name: value.clone() for name, value in network.state_dict().items()}
    else:
        load_weights(network, progress.kept, Path("the best epoch"))
        optimizer.state.clear()
    progress.stale = progress.plateau.failures


def _balanced_accuracy(truth: Tensor, logits: Tensor, classes: tuple[str, ...]) -> float:
    names = np.array(classes, dtype=object)
    return balanced_accuracy(names[truth.numpy()], names[logits.argmax(dim=1).numpy()], classes)
