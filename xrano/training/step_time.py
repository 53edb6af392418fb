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
from xrano.training.fabric import start_fabric


def estimate_epoch_seconds(
    model: ModelConfig,
    shape: Shape3,
    *,
    pairs: int,
    batch_size: int,
    accelerator: str = "cpu",
    precision: str = "32-true",
) -> float:
    """Seconds for one pass over the training pairs, forward and backward, on one device.

    A batch (on a processor of at most two) is measured twice, the first time to warm up, or once
    if it takes long, and scaled to the number of pairs; reading data is not in it.

    Raises:
        ConfigError: if this machine lacks the accelerator.
    """
    fabric = start_fabric(accelerator, precision)
    on_processor = fabric.device.type == "cpu"
    layout = ChannelLayout(model.sequences)
    network = create_model(
        model.name,
        layout,
        len(RESPONSES),
        stem=model.stem,
        checkpointing=model.checkpointing,
    ).train()
    prepared = fabric.setup_module(network)
    batch = min(batch_size, 2) if on_processor else batch_size
    inputs = torch.zeros((batch, len(layout), *shape), device=fabric.device)
    truth = torch.zeros(batch, dtype=torch.long, device=fabric.device)
    seconds = 0.0
    for _ in range(2):
        start = time.perf_counter()
        fabric.backward(nn.functional.cross_entropy(prepared(inputs).float(), truth))
        if not on_processor:
            torch.cuda.synchronize()
        seconds = time.perf_counter() - start
        if seconds > 20:
            break
    return seconds / batch * pairs
