"""Ask a network about many changed copies of one pair, in chunks and without gradients."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from xrano.errors import ConfigError, GridMismatchError, ModelError, UnknownNameError, VolumeError

Predict: TypeAlias = Callable[[Tensor], Tensor]
"""Scans (n, channel, i, j, k) to logits (n, class); evaluation mode is the caller's duty."""

BATCH = 8
"""Copies of a pair that go through the network at once, unless the caller says otherwise."""

OUTPUTS = ("probability", "logit")
"""What of the target is followed: its share of the softmax, or its logit alone."""


def target_values(
    predict: Predict,
    scans: Iterable[Tensor],
    target: int,
    *,
    output: str = "probability",
    batch: int = BATCH,
) -> NDArray[np.float64]:
    """The target's probability or logit for each of several inputs.

    Args:
        predict: the network.
        scans: inputs (channel, i, j, k); made and dropped chunk by chunk.
        target: index of the class.
        output: one of :data:`OUTPUTS`.
        batch: inputs in a chunk.

    Returns:
        (n,) one number an input.

    Raises:
        UnknownNameError: for an unknown output.
        ConfigError: if a chunk would hold nothing, or there is no such class.
        ModelError: if the logits are not finite numbers (n, class).

    Example:
        >>> two = [torch.zeros(1, 1, 1, 1), torch.ones(1, 1, 1, 1)]
        >>> target_values(lambda x: x.flatten(1).repeat(1, 2), two, 1).tolist()
        [0.5, 0.5]
    """
    if output not in OUTPUTS:
        raise UnknownNameError("output", output, OUTPUTS)
    found: list[NDArray[np.float64]] = []
    with torch.no_grad():
        for chunk in _chunks(scans, batch):
            logits = _checked(predict(torch.stack(chunk)), len(chunk), target)
            values = logits.softmax(dim=1) if output == "probability" else logits
            found.append(values[:, target].cpu().numpy())
    return np.concatenate(found) if found else np.empty(0)


def check_scans(inputs: Tensor, brain: Tensor) -> None:
    """Refuse scans and a brain that do not belong together.

    Raises:
        GridMismatchError: if the scans are not (channel, i, j, k) on the brain's grid.
        VolumeError: if the brain is not boolean or empty, or the scans are not finite.
    """
    if inputs.ndim != 4 or inputs.shape[1:] != brain.shape:
        raise GridMismatchError(
            f"needed are scans (channel, i, j, k) on the brain's grid; the scans have shape "
            f"{tuple(inputs.shape)}, the brain {tuple(brain.shape)}"
        )
    if brain.dtype != torch.bool or not brain.any():
        raise VolumeError(f"the brain must be a boolean mask that is not empty, got {brain.dtype}")
    if not torch.isfinite(inputs).all():
        raise VolumeError("the scans hold NaN or infinite values")


def check_infilled(inputs: Tensor, infilled: Tensor) -> None:
    """Refuse an infill that does not fit the scans.

    Raises:
        GridMismatchError: if the shapes differ.
        VolumeError: if it is not finite.
    """
    if infilled.shape != inputs.shape:
        raise GridMismatchError(
            f"the infill has shape {tuple(infilled.shape)}, the scans {tuple(inputs.shape)}"
        )
    if not torch.isfinite(infilled).all():
        raise VolumeError("the infill holds NaN or infinite values")


def check_map(relevance: Tensor, brain: Tensor, *, signed: bool = False) -> None:
    """Refuse a map that cannot be judged in this brain.

    Args:
        relevance: (i, j, k), or (channel, i, j, k) if it is signed.
        brain: (i, j, k) boolean.
        signed: whether negative values and channels make sense here.

    Raises:
        GridMismatchError: if it lies on another grid.
        VolumeError: if a value is not finite, or negative where the map must be rectified.
    """
    if relevance.shape[-3:] != brain.shape or relevance.ndim not in ((3, 4) if signed else (3,)):
        raise GridMismatchError(
            f"the map has shape {tuple(relevance.shape)}, the brain {tuple(brain.shape)}; "
            "resample the map to the grid of the scans"
        )
    if not torch.isfinite(relevance).all():
        raise VolumeError("the map holds NaN or infinite values")
    if not signed and (relevance < 0).any():
        raise VolumeError("the map holds negative relevance; rectify it first, by name")


def _checked(logits: Tensor, count: int, target: int) -> Tensor:
    if logits.ndim != 2 or len(logits) != count or not torch.isfinite(logits).all():
        raise ModelError(
            f"the network must give finite logits ({count}, class), gave {tuple(logits.shape)}"
            + ("" if torch.isfinite(logits).all() else " with NaN or infinite values")
        )
    if not 0 <= target < logits.shape[1]:
        raise ConfigError(f"target {target} is none of the network's {logits.shape[1]} classes")
    return logits.double()


def _chunks(scans: Iterable[Tensor], batch: int) -> Iterator[list[Tensor]]:
    if batch < 1:
        raise ConfigError(f"a batch holds at least one input, got {batch}")
    remaining = iter(scans)
    while chunk := list(islice(remaining, batch)):
        yield chunk
