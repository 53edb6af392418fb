"""The training of an encoder on a pretext task: images of one channel, each of one class."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from xrano.errors import ConfigError, SplitError
from xrano.models.factory import MODELS
from xrano.training.epoch import take_part
from xrano.training.fabric import optimiser_step, share_statistics, start_fabric
from xrano.training.prefetch import prefetched
from xrano.training.pretraining.config import PretrainingConfig
from xrano.training.randomness import own_randomness, seed_epoch
from xrano.training.ranks import ALONE, Ranks
from xrano.training.sampling import EpochBatches, OwnRows, own_batches


class PretextImages(Protocol):
    """A dataset of ``(image (1, i, j, k) float32, class index)``, the same for the same epoch."""

    def __len__(self) -> int:
        """How many images an epoch has."""
        ...

    def __getitem__(self, row: int) -> tuple[Tensor, int]: ...

    def set_epoch(self, epoch: int) -> None:
        """Draw what is random for this epoch from now on."""
        ...


@dataclass(frozen=True)
class PretextTask:
    """What an encoder learns: classes of images; ``held_out`` images only measure, or are none."""

    name: str
    classes: int
    training: PretextImages
    held_out: PretextImages | None


@dataclass(frozen=True)
class Machine:
    """Where and how exactly to compute: Lightning Fabric's words, and who shares the work."""

    accelerator: str = "auto"
    precision: str = "32-true"
    ranks: Ranks = ALONE


def single_image_network(name: str, classes: int, *, seed: int, checkpointing: bool) -> nn.Module:
    """A network of the table over images of one channel, with random weights.

    Its names and shapes are those of a run's network, but for the first convolution and the head.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        network: nn.Module = MODELS[name].build(1, classes, 1, checkpointing=checkpointing)
    return network


def train_pretext(
    network: nn.Module,
    task: PretextTask,
    config: PretrainingConfig,
    *,
    seed: int,
    machine: Machine,
    report: Callable[[str], object],
) -> list[dict[str, Any]]:
    """Train a network on a task, in place; the last epoch's weights stay.

    The order of images, their random changes and dropout follow from (seed, epoch); the global
    random state is left as it was.

    Args:
        network: of :func:`single_image_network`.
        task: the images.
        config: epochs, batch size and learning rate.
        seed: of order and dropout.
        machine: accelerator, precision and processes.
        report: called with a line after each epoch.

    Returns:
        For each epoch ``epoch``, ``loss`` (mean of the steps) and ``accuracy`` on the held-out
        images, ``None`` without any.

    Raises:
        SplitError: if there are too few images for one batch.
        ConfigError: if the loss is not finite, or the accelerator cannot be had.
    """
    count = len(task.training)
    order = EpochBatches([0] * count, config.batch_size, balanced=False, seed=seed)
    if not len(order):
        raise SplitError(
            f"pretraining {task.name} found {count} training images, a batch takes two or more; "
            "index more sessions or choose another kind"
        )
    ranks = machine.ranks
    fabric = start_fabric(machine.accelerator, machine.precision, ranks)
    history = []
    with own_randomness(fabric.device):
        optimizer = torch.optim.AdamW(network.parameters(), lr=config.learning_rate)
        model, tuned = fabric.setup(share_statistics(network, fabric), optimizer)
        batches, measured = _loaders(fabric, task, order, config.batch_size, ranks)
        for epoch in range(config.epochs):
            seed_epoch(fabric.device, seed, epoch, ranks.index)
            task.training.set_epoch(epoch)
            order.set_epoch(epoch)
            loss = _train_epoch(fabric, model, tuned, batches, order, ranks)
            if not np.isfinite(loss):
                raise ConfigError(
                    f"pretraining {task.name} diverged in epoch {epoch + 1}: its loss is {loss}; "
                    "lower pretraining.learning_rate"
                )
            accuracy = None
            if measured is not None and task.held_out is not None:
                accuracy = _right(model, measured, ranks) / len(task.held_out)
            history.append({"epoch": epoch, "loss": loss, "accuracy": accuracy})
            report(_line(task, epoch, config.epochs, loss, accuracy))
    network.cpu()
    return history


def _loaders(
    fabric: Fabric, task: PretextTask, order: EpochBatches, batch_size: int, ranks: Ranks
) -> tuple[Any, Any]:
    training: Any = DataLoader(_as_dataset(task.training), batch_sampler=OwnRows(order, ranks))
    # The sampler has its own order; Fabric must not put another one in its place.
    training = fabric.setup_dataloaders(training, use_distributed_sampler=False)
    if task.held_out is None:
        return training, None
    own = own_batches(len(task.held_out), batch_size, ranks)
    held_out: Any = DataLoader(_as_dataset(task.held_out), batch_sampler=own)
    return training, fabric.setup_dataloaders(held_out, use_distributed_sampler=False)


def _as_dataset(images: PretextImages) -> Dataset[Any]:
    dataset: Any = images
    return dataset  # type: ignore[no-any-return]


def _train_epoch(
    fabric: Fabric,
    model: nn.Module,
    optimizer: Any,
    loader: Any,
    order: EpochBatches,
    ranks: Ranks,
) -> float:
    model.train()
    losses, samples = [], 0
    fetched = prefetched(loader, ahead=fabric.device.type != "cpu")
    for (images, classes), whole in zip(fetched, order, strict=True):
        own = len(ranks.part(whole))
        if ranks.count > 1:
            take_part(model, own)
        logits = model(images[:own]).float()
        loss = nn.functional.cross_entropy(logits, classes[:own], reduction="sum") / len(whole)
        # Of several processes' gradients the mean is taken, where the sum is meant.
        optimiser_step(fabric, model, optimizer, loss * ranks.count)
        losses.append(loss.item())
        samples += own
    ranks.level_statistics(model, samples)
    return float(np.mean(ranks.total(torch.tensor(losses, dtype=torch.float64)).numpy()))


@torch.no_grad()
def _right(model: nn.Module, loader: Any, ranks: Ranks) -> float:
    """How many images of all processes are told right."""
    model.eval()
    right = [(model(images).argmax(dim=1) == classes).sum().item() for images, classes in loader]
    return float(ranks.total(torch.tensor(sum(right), dtype=torch.float64)))


def _line(task: PretextTask, epoch: int, epochs: int, loss: float, accuracy: float | None) -> str:
    start = f"pretraining {task.name}: epoch {epoch + 1} of {epochs}, loss {loss:.3f}"
    if accuracy is None or task.held_out is None:
        return start
    return (
        f"{start}, accuracy {accuracy:.3f} on {len(task.held_out)} held-out images "
        f"(chance {1 / task.classes:.3f})"
    )
