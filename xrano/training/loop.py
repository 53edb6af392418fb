"""The training of one fold, from random weights to the best epoch on validation patients.

Resuming gives the same result as never having stopped: the order of pairs and their random
changes follow from (seed, epoch), the learning rate from the step, and the state of network and
optimiser is written after every epoch.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.utils.data import DataLoader

from xrano.atomic_files import write_json, write_text
from xrano.channels import ChannelLayout
from xrano.data.dataset import PairDataset, class_indices
from xrano.errors import ConfigError, SplitError
from xrano.models.factory import create_model
from xrano.rano import RESPONSES
from xrano.training.checkpoint import load_resume, load_weights, save_resume, save_weights
from xrano.training.config import RunConfig, TrainingConfig
from xrano.training.evaluation import balanced_accuracy
from xrano.training.prefetch import prefetched
from xrano.training.sampling import EpochBatches, class_weights
from xrano.training.tensorboard import scalar_writer

_NAMES = np.array([str(response) for response in RESPONSES], dtype=object)

EpochReport = Callable[[dict[str, Any], int], None]
"""Called after each epoch with its line of metrics.jsonl and the number of epochs."""


@dataclass(frozen=True)
class FoldData:
    """The pairs of one fold: those that train and those that choose the epoch."""

    training: PairDataset
    validation: PairDataset


def train_fold(
    config: RunConfig, data: FoldData, folder: Path, *, seed: int, report: EpochReport
) -> None:
    """Train one fold into ``folder``: model.safetensors, metrics.jsonl, resume.pt, fold.json.

    Does nothing if ``fold.json`` says that the fold is finished; goes on from ``resume.pt`` if
    there is one.

    Raises:
        CheckpointError: if ``resume.pt`` is broken or of another network.
        SplitError: if there are too few training pairs for one batch.
        ConfigError: if the training diverges, so that no epoch can be chosen, or this machine
            lacks the accelerator.
    """
    if (folder / "fold.json").is_file():
        return
    settings = config.training
    layout = ChannelLayout(config.model.sequences)
    network = create_model(
        config.model.name,
        layout,
        len(RESPONSES),
        stem=config.model.stem,
        seed=seed,
        checkpointing=config.model.checkpointing,
    )
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
    )
    progress = _Progress()
    resume = folder / "resume.pt"
    if resume.is_file():
        state = load_resume(resume)
        load_weights(network, state["network"], resume)
        optimizer.load_state_dict(state["optimizer"])
        progress = _Progress(**state["progress"])
    fabric = _fabric(settings)
    model, tuned = fabric.setup(network, optimizer)
    responses = class_indices(list(data.training.pairs["response"]))
    sampler = EpochBatches(
        responses,
        settings.batch_size,
        balanced=settings.balancing in ("sampler", "both"),
        seed=seed,
    )
    if not len(sampler):
        raise SplitError(
            f"{len(responses)} training pairs give no batch of two or more; index more patients "
            "or ask for fewer folds"
        )
    loaders = _loaders(fabric, data, sampler, settings)
    weights = _loss_weights(responses, settings).to(fabric.device)
    writer = scalar_writer(folder / "tensorboard")

    while progress.epoch < settings.epochs and progress.stale < settings.patience:
        data.training.set_epoch(progress.epoch)
        sampler.set_epoch(progress.epoch)
        train_loss = _train_epoch(fabric, model, tuned, loaders[0], weights, progress, settings)
        logits, truth = predict_all(model, loaders[1])
        val_loss = float(nn.functional.cross_entropy(logits, truth, weight=weights.cpu()))
        line = {
            "epoch": progress.epoch,
            "learning_rate": tuned.param_groups[0]["lr"],
            "train_loss": train_loss,
            "val_loss": val_loss,
            "val_balanced_accuracy": balanced_accuracy(
                _NAMES[truth.numpy()], _NAMES[logits.argmax(dim=1).numpy()]
            ),
        }
        if progress.note(val_loss):
            save_weights(
                folder / "model.safetensors",
                network.state_dict(),
                model=config.model.name,
                layout=layout,
                num_classes=len(RESPONSES),
                stem=config.model.stem,
            )
        _write_line(folder / "metrics.jsonl", line)
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


@dataclass
class _Progress:
    """How far a training is: next epoch, best validation loss, epochs since it was reached."""

    epoch: int = 0
    best_loss: float = math.inf
    best_epoch: int = -1
    stale: int = 0

    def note(self, val_loss: float) -> bool:
        better = val_loss < self.best_loss
        if better:
            self.best_loss, self.best_epoch, self.stale = val_loss, self.epoch, 0
        else:
            self.stale += 1
        self.epoch += 1
        return better

    def state(self) -> dict[str, Any]:
        return dict(self.__dict__)


def _fabric(settings: TrainingConfig) -> Fabric:
    precision: Any = settings.precision
    try:
        fabric = Fabric(accelerator=settings.accelerator, devices=1, precision=precision)
    except (RuntimeError, ValueError) as error:
        raise ConfigError(
            f"accelerator {settings.accelerator} with precision {precision} cannot be had on this "
            f"machine: {error}"
        ) from error
    fabric.launch()
    return fabric


def _loaders(
    fabric: Fabric, data: FoldData, sampler: EpochBatches, settings: TrainingConfig
) -> tuple[Any, Any]:
    training = DataLoader(data.training, batch_sampler=sampler, num_workers=settings.workers)
    validation = DataLoader(
        data.validation, batch_size=settings.batch_size, num_workers=settings.workers
    )
    # The sampler has its own order; Fabric must not put another one in its place.
    return fabric.setup_dataloaders(training, validation, use_distributed_sampler=False)  # type: ignore[return-value]


def _loss_weights(responses: list[int], settings: TrainingConfig) -> Tensor:
    if settings.balancing in ("weights", "both"):
        return torch.tensor(class_weights(responses, len(RESPONSES)))
    return torch.ones(len(RESPONSES))


def _train_epoch(
    fabric: Fabric,
    model: nn.Module,
    optimizer: Any,
    loader: Any,
    weights: Tensor,
    progress: _Progress,
    settings: TrainingConfig,
) -> float:
    """Mean loss over one epoch of steps."""
    model.train()
    losses = []
    batches = prefetched(loader, ahead=fabric.device.type != "cpu")
    for step, (inputs, truth, _rows) in enumerate(batches):
        rate = learning_rate(settings, progress.epoch + step / len(loader))
        for group in optimizer.param_groups:
            group["lr"] = rate
        loss = nn.functional.cross_entropy(model(inputs).float(), truth, weight=weights)
        optimizer.zero_grad()
        fabric.backward(loss)
        # Infinite gradients are ordinary in 16-mixed: its scaler leaves such a step out.
        fabric.clip_gradients(model, optimizer, max_norm=5.0, error_if_nonfinite=False)
        optimizer.step()
        losses.append(loss.item())
    return float(np.mean(losses))


def learning_rate(settings: TrainingConfig, epoch: float) -> float:
    """Linear rise over the warm-up, then a cosine to zero at the last epoch."""
    warmup = min(settings.warmup_epochs, settings.epochs)
    if epoch < warmup:
        return settings.learning_rate * (epoch + 0.1) / (warmup + 0.1)
    through = (epoch - warmup) / max(settings.epochs - warmup, 1)
    return settings.learning_rate * 0.5 * (1 + math.cos(math.pi * min(through, 1.0)))


@torch.no_grad()
def predict_all(model: nn.Module, loader: Any) -> tuple[Tensor, Tensor]:
    """Logits ``(n, class)`` float32 and class indices ``(n,)`` of a loader, on the CPU."""
    model.eval()
    logits, truth = [], []
    for inputs, indices, _rows in loader:
        logits.append(model(inputs).float().cpu())
        truth.append(indices.cpu())
    return torch.cat(logits), torch.cat(truth)


def _write_line(path: Path, line: dict[str, Any]) -> None:
    """Append a line to a JSON-lines file; a line of the same epoch or later is replaced."""
    kept = []
    if path.is_file():
        for text in path.read_text(encoding="utf-8").splitlines():
            if json.loads(text)["epoch"] < line["epoch"]:
                kept.append(text)
    write_text(path, "\n".join([*kept, json.dumps(line)]) + "\n")
