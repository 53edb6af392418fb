"""Where a network is explained: on the processor, or on this process's own GPU."""

from __future__ import annotations

import os
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from xrano.errors import ConfigError, UnknownNameError

NAMES = ("auto", "cpu", "cuda")
"""``auto`` is a GPU if there is one."""

_LOCAL_RANKS = ("LOCAL_RANK", "SLURM_LOCALID")
"""Variables of torchrun and of SLURM: which process of its machine this one is."""

CPU_GIGABYTES = 2.0
"""Memory for one chunk on a processor unless it is named: the same on every machine, so that maps
are too."""

GPU_SHARE = 0.6
"""The part of a GPU's memory for one chunk unless it is named; the rest is for gradients, kernels
and maps."""


def choose_device(name: str) -> str:
    """``cpu`` or ``cuda``.

    Args:
        name: one of :data:`NAMES`.

    Raises:
        UnknownNameError: for another name.
        ConfigError: if there is no GPU and one is asked for.

    Example:
        >>> choose_device("cpu")
        'cpu'
    """
    if name not in NAMES:
        raise UnknownNameError("device", name, NAMES)
    there = torch.cuda.is_available()
    if name == "cuda" and not there:
        raise ConfigError(
            "no CUDA device can be used on this machine (torch sees none; a torch built for CUDA "
            "and a driver are needed); take --device cpu"
        )
    return "cuda" if there and name != "cpu" else "cpu"


def own_device(
    name: str, count: int | None = None, environment: Mapping[str, str] | None = None
) -> torch.device:
    """The device of this process: on a machine with several GPUs the one of its local rank.

    Args:
        name: ``cpu`` or ``cuda``.
        count: GPUs of the machine; those that torch sees if not given.
        environment: variables; those of the process if not given.

    Example:
        >>> own_device("cuda", 4, {"LOCAL_RANK": "5"})
        device(type='cuda', index=1)
        >>> own_device("cpu")
        device(type='cpu')
    """
    if name == "cpu":
        return torch.device("cpu")
    variables = os.environ if environment is None else environment
    count = torch.cuda.device_count() if count is None else count
    ranks = [variables[key] for key in _LOCAL_RANKS if variables.get(key, "").isdigit()]
    return torch.device("cuda", int(ranks[0]) % max(count, 1) if ranks else 0)


def to_device(model: nn.Module, name: str) -> None:
    """Move a network, in the memory format that its convolutions run fastest in.

    Args:
        model: the network; moved itself.
        name: ``cpu`` or ``cuda``.

    Raises:
        ConfigError: if there is no such device.
    """
    device = own_device(choose_device(name))
    model.to(device)
    if device.type == "cuda":
        model.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]


def in_best_format(scans: Tensor) -> Tensor:
    """Scans ``(batch, channel, i, j, k)`` in the format of :func:`to_device`'s networks."""
    return scans.to(memory_format=torch.channels_last_3d) if scans.is_cuda else scans


def device_of(model: nn.Module) -> torch.device:
    """Where a network's weights lie; the processor if it has none."""
    return next(model.parameters(), torch.empty(0)).device


def usual_gigabytes(name: str) -> float:
    """Memory for one chunk on ``cpu`` or ``cuda`` if none is named.

    Example:
        >>> usual_gigabytes("cpu")
        2.0
    """
    if name == "cpu":
        return CPU_GIGABYTES
    total = torch.cuda.get_device_properties(own_device(name)).total_memory
    return round(GPU_SHARE * total / 1e9, 1)
