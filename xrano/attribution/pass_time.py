"""How long one pass takes on this machine, measured before many are made."""

from __future__ import annotations

import time
from contextlib import nullcontext

import torch
from torch import Tensor, nn

from xrano.attribution.model_state import explaining, run
from xrano.attribution.pass_estimate import recomputing
from xrano.attribution.pass_memory import pass_memory
from xrano.attribution.settings import AttributionSettings


def pass_seconds(
    model: nn.Module, scans: Tensor, settings: AttributionSettings
) -> tuple[float, float]:
    """Seconds of one forward and of one backward pass by the input.

    A backward pass that does not fit the memory is not run, and taken to last twice a forward.

    Args:
        model: the network; as it was afterwards.
        scans: (1, channel, i, j, k) where the network is, in its type.
        settings: precision and memory.
    """
    i, j, k = scans.shape[2:]
    memory = pass_memory(model, (i, j, k), settings.memory_bytes)
    with (
        explaining(model, precision=settings.precision),
        recomputing(model) if memory.recompute else nullcontext(),
        torch.set_grad_enabled(memory.fits),
    ):
        inputs = scans.detach().requires_grad_(memory.fits)
        start = _clock(inputs)
        logits = run(model, inputs)
        middle = _clock(inputs)
        if not memory.fits:
            return middle - start, 2 * (middle - start)
        torch.autograd.grad(logits.sum(), inputs)
        return middle - start, _clock(inputs) - middle


def _clock(tensor: torch.Tensor) -> float:
    """Seconds, when everything that was asked of a tensor's device is done."""
    if tensor.is_cuda:
        torch.cuda.synchronize(tensor.device)
    return time.perf_counter()
