"""The training of one fold, from random weights to the best epoch on validation patients.

Resuming gives the same result as never having stopped: the order of pairs and their random
changes follow from (seed, epoch), the learning rate from the step, and the state of network and
optimiser is written after every epoch.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.utils.data import DataLoader

from xrano.atomic_files import write_json
from xrano.errors import CheckpointError, ConfigError, SplitError
from xrano.evaluation.classification import balanced_accuracy
from xrano.models.classifier import ResponseClassifier
from xrano.training.checkpoint import load_resume, load_weights, save_resume
from xrano.training.config import RunConfig, TrainingConfig
from xrano.training.fabric import optimiser_step, start_fabric
from xrano.training.fold_data import FoldData
from xrano.training.fold_progress import FoldProgress, write_line
from xrano.training.loss import Loss, label_shares
from xrano.training.network import new_network, save_network
from xrano.training.prediction import forward, predict_all
from xrano.training.prefetch import prefetched
from xrano.training.sampling import EpochBatches, class_weights
from xrano.training.schedule import Plateau, cosine_rate
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
) -> None:
    """Train one fold into ``folder``: model.safetensors, metrics.jsonl, resume.pt, fold.json.

    Does nothing if ``fold.json`` says that the fold is finished; goes on from ``resume.pt`` if
    there is one.

    Args:
        config: the run.
        data: its pairs.
        folder: of the fold.
        seed: of the weights and the order.
        report: called after each epoch.
        pretrain: changes the new network's weights before there is an optimiser.

    Raises:
        CheckpointError: if ``resume.pt`` is broken or of another network.
        SplitError: if there are too few training pairs for one batch.
        ConfigError: if the training diverges, so that no epoch can be chosen, or this machine
            lacks the accelerator.
    """
    if (folder / "fold.json").is_file():
        return
    settings = config.training
    names = data.encoder.names if data.encoder is not None else ()
    network = new_network(config, seed=seed, clinical=names)
    resume = folder / "resume.pt"
    if not resume.is_file():
        pretrain(network)
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
    )
    progress = FoldProgress(plateau=Plateau(settings.learning_rate))
    if resume.is_file():
        progress = _resumed(resume, network, optimizer)
    fabric = start_fabric(settings.accelerator, settings.precision)
    model, tuned = fabric.setup(network, optimizer)
    classes = data.training.task.classes
    sampler = _sampler(data, settings, seed)
    loaders = _loaders(fabric, data, sampler, settings)
    loss = _loss(data, settings)
    writer = scalar_writer(folder / "tensorboard")

    while progress.epoch < settings.epochs and progress.stale < settings.patience:
        data.training.set_epoch(progress.epoch)
        sampler.set_epoch(progress.epoch)
        train_loss = _train_epoch(fabric, model, tuned, loaders[0], loss, data, progress, settings)
        logits, truth = predict_all(model, loaders[1], data.validation_clinical)
        hard = nn.functional.cross_entropy(logits, truth, weight=loss.class_weights)
        line = {
            "epoch": progress.epoch,
            "learning_rate": tuned.param_groups[0]["lr"],
            "train_loss": train_loss,
            "val_loss": float(hard),
            "val_balanced_accuracy": _balanced_accuracy(truth, logits, classes),
        }
        if progress.note(float(hard)):
            save_network(folder / "model.safetensors", network, config)
        if settings.schedule == "plateau":
            _hold_best(network, optimizer, progress, train_loss)
        write_line(folder / "metrics.jsonl", line)
        writer(line)
        state = {
            "network": network.state_dict(),
            "optimizer": optimizer.state_dict(),
            "progress": progress.state(),
        }
        save_resume(resume, state)
        report(line, settings.epochs)
    if progress.best_epoch < 0:
        raise ConfigError(
            f"{folder}: the validation loss was never a finite number in {progress.epoch} epochs; "
            "delete this folder and train with a lower learning_rate"
        )
    write_json(folder / "fold.json", {"best_epoch": progress.best_epoch, "epochs": progress.epoch})


def _resumed(path: Path, network: nn.Module, optimizer: torch.optim.Optimizer) -> FoldProgress:
    """Bring network and optimiser to where an interrupted training was; how far that is."""
    state = load_resume(path)
    try:
        load_weights(network, state["network"], path)
        optimizer.load_state_dict(state["optimizer"])
        return FoldProgress.from_state(state["progress"])
    except CheckpointError:
        raise
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise CheckpointError(
            f"{path} is no state of this training ({type(error).__name__}: {error}); delete it to "
            "train this fold from the start"
        ) from error


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


def _loaders(
    fabric: Fabric, data: FoldData, sampler: EpochBatches, settings: TrainingConfig
) -> tuple[Any, Any]:
    training = DataLoader(data.training, batch_sampler=sampler, num_workers=settings.workers)
    validation = DataLoader(
        data.validation, batch_size=settings.batch_size, num_workers=settings.workers
    )
    # The sampler has its own order; Fabric must not put another one in its place.
    return fabric.setup_dataloaders(training, validation, use_distributed_sampler=False)  # type: ignore[return-value]


def _sampler(data: FoldData, settings: TrainingConfig, seed: int) -> EpochBatches:
    indices = data.training.task.indices(list(data.training.pairs["response"]))
    balanced: Any = {"sampler": True, "both": True, "paper": "paper"}.get(settings.balancing, False)
    sampler = EpochBatches(indices, settings.batch_size, balanced=balanced, seed=seed)
    if not len(sampler):
        raise SplitError(
            f"{len(indices)} training pairs give no batch of two or more; index more patients "
            "or lower n_folds (--n_folds)"
        )
    return sampler


def _loss(data: FoldData, settings: TrainingConfig) -> Loss:
    task = data.training.task
    weights = torch.ones(len(task.classes))
    if settings.balancing in ("weights", "both", "paper"):
        indices = task.indices(list(data.training.pairs["response"]))
        weights = torch.tensor(class_weights(indices, len(task.classes)))
    scale = settings.ordinal_scale if settings.labels == "ordinal" else None
    return Loss(label_shares(len(weights), ordinal_scale=scale), weights, settings.focal_gamma)


def _balanced_accuracy(truth: Tensor, logits: Tensor, classes: tuple[str, ...]) -> float:
    names = np.array(classes, dtype=object)
    return balanced_accuracy(names[truth.numpy()], names[logits.argmax(dim=1).numpy()], classes)


def _train_epoch(
    fabric: Fabric,
    model: nn.Module,
    optimizer: Any,
    loader: Any,
    loss_of: Loss,
    data: FoldData,
    progress: FoldProgress,
    settings: TrainingConfig,
) -> float:
    """Mean loss over one epoch of steps."""
    model.train()
    losses = []
    batches = prefetched(loader, ahead=fabric.device.type != "cpu")
    for step, (inputs, truth, rows) in enumerate(batches):
        if settings.schedule == "plateau":
            rate = progress.plateau.rate
        else:
            rate = cosine_rate(settings, progress.epoch + step / len(loader))
        for group in optimizer.param_groups:
            group["lr"] = rate
        logits = forward(model, inputs, data.clinical, rows)
        loss = loss_of(logits, truth, data.confidence[rows.cpu()])
        optimiser_step(fabric, model, optimizer, loss)
        losses.append(loss.item())
    return float(np.mean(losses))
