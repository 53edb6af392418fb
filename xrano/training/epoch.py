"""One epoch of training steps, by one process or by several that share every batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.data import DataLoader

from xrano.errors import SplitError
from xrano.training.config import TrainingConfig
from xrano.training.fabric import optimiser_step
from xrano.training.fold_data import FoldData
from xrano.training.fold_progress import FoldProgress
from xrano.training.loss import Loss, label_shares
from xrano.training.prediction import forward
from xrano.training.prefetch import prefetched
from xrano.training.ranks import Ranks
from xrano.training.sampling import EpochBatches, OwnRows, class_weights, own_batches
from xrano.training.schedule import cosine_rate


@dataclass(frozen=True)
class Steps:
    """What the steps of a fold take.

    ``batches``: of all processes; ``training`` and ``validation``: loaders of this process's part;
    ``truth``: (training row,) class indices; ``loss``: of a batch.
    """

    batches: EpochBatches
    training: Any
    validation: Any
    truth: Tensor
    loss: Loss


def make_steps(
    fabric: Fabric, data: FoldData, settings: TrainingConfig, ranks: Ranks, *, seed: int
) -> Steps:
    """The steps of a fold.

    Raises:
        SplitError: if there are too few training pairs for one batch.
    """
    truth = data.training.task.indices(list(data.training.pairs["response"]))
    batches = _batches(truth, settings, seed)
    training = DataLoader(
        data.training, batch_sampler=OwnRows(batches, ranks), num_workers=settings.workers
    )
    validation = DataLoader(
        data.validation,
        batch_sampler=own_batches(len(data.validation), settings.batch_size, ranks),
        num_workers=settings.workers,
    )
    # The sampler has its own order; Fabric must not put another one in its place.
    own: Any = fabric.setup_dataloaders(training, validation, use_distributed_sampler=False)
    return Steps(batches, own[0], own[1], torch.tensor(truth), _loss(data, settings))


def train_epoch(
    fabric: Fabric,
    model: nn.Module,
    optimizer: Any,
    steps: Steps,
    data: FoldData,
    progress: FoldProgress,
    settings: TrainingConfig,
    ranks: Ranks,
) -> float:
    """Mean loss over one epoch of steps, the same in every process."""
    model.train()
    losses, samples = [], 0
    fetched = prefetched(steps.training, ahead=fabric.device.type != "cpu")
    batches = zip(fetched, steps.batches, strict=True)
    for step, ((inputs, truth, rows), whole) in enumerate(batches):
        if settings.schedule == "plateau":
            rate = progress.plateau.rate
        else:
            rate = cosine_rate(settings, progress.epoch + step / len(steps.batches))
        for group in optimizer.param_groups:
            group["lr"] = rate
        own = len(ranks.part(whole))
        if ranks.count > 1:
            take_part(model, own)
        inputs, truth, rows = inputs[:own], truth[:own], rows[:own]
        logits = forward(model, inputs, data.clinical, rows)
        weight = steps.loss.weight(steps.truth[whole], data.confidence[whole])
        loss = steps.loss(logits, truth, data.confidence[rows.cpu()], total=weight)
        # Of several processes' gradients the mean is taken, where the sum is meant.
        optimiser_step(fabric, model, optimizer, loss * ranks.count)
        losses.append(loss.item())
        samples += own
    ranks.level_statistics(model, samples)
    return float(np.mean(ranks.total(torch.tensor(losses, dtype=torch.float64)).numpy()))


def take_part(model: nn.Module, own: int) -> None:
    """Let a network train on its part of a batch.

    A part of no sample has no statistics to normalise by: only layers that share theirs with the
    other processes are told of it.
    """
    model.train()
    if own == 0:
        for module in model.modules():
            if isinstance(module, _BatchNorm) and not isinstance(module, nn.SyncBatchNorm):
                module.eval()


def _batches(truth: list[int], settings: TrainingConfig, seed: int) -> EpochBatches:
    balanced: Any = {"sampler": True, "both": True, "paper": "paper"}.get(settings.balancing, False)
    batches = EpochBatches(truth, settings.batch_size, balanced=balanced, seed=seed)
    if not len(batches):
        raise SplitError(
            f"{len(truth)} training pairs give no batch of two or more; index more patients "
            "or lower n_folds (--n_folds)"
        )
    return batches


def _loss(data: FoldData, settings: TrainingConfig) -> Loss:
    task = data.training.task
    weights = torch.ones(len(task.classes))
    if settings.balancing in ("weights", "both", "paper"):
        indices = task.indices(list(data.training.pairs["response"]))
        weights = torch.tensor(class_weights(indices, len(task.classes)))
    scale = settings.ordinal_scale if settings.labels == "ordinal" else None
    return Loss(label_shares(len(weights), ordinal_scale=scale), weights, settings.focal_gamma)
