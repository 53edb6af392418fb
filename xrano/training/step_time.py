"""How long an epoch will take on this machine, from one measured step."""

from __future__ import annotations

import time

import torch
from torch import nn

from xrano.channels import ChannelLayout
from xrano.geometry import Shape3
from xrano.models.factory import create_model
from xrano.rano import RESPONSES
from xrano.training.config import ModelConfig


def estimate_epoch_seconds(
    model: ModelConfig, shape: Shape3, *, pairs: int, batch_size: int
) -> float:
    """Seconds for one pass over the training pairs, forward and backward, in float32.

    A small batch is measured (two steps, the first to warm up; one alone if it takes long) and
    scaled to the number of pairs; reading data is not in it.
    """
    layout = ChannelLayout(model.sequences)
    network = create_model(
        model.name,
        layout,
        len(RESPONSES),
        stem=model.stem,
        checkpointing=model.checkpointing,
    ).train()
    batch = min(batch_size, 2)
    inputs = torch.zeros((batch, len(layout), *shape))
    truth = torch.zeros(batch, dtype=torch.long)
    seconds = 0.0
    for _ in range(2):
        start = time.perf_counter()
        nn.functional.cross_entropy(network(inputs), truth).backward()
        seconds = time.perf_counter() - start
        if seconds > 20:
            break
    return seconds / batch * pairs
