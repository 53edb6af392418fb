"""GPUs that networks can run on, and those that are there but cannot be used."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch


@dataclass(frozen=True)
class Device:
    """One device: ``cuda`` or ``mps``, its name, memory in bytes, and whether it computes bf16."""

    kind: str
    name: str
    total: int | None
    free: int | None
    bf16: bool


def devices() -> tuple[Device, ...]:
    """All GPUs that torch can use."""
    found = []
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            free, total = torch.cuda.mem_get_info(index)
            with torch.cuda.device(index):
                bf16 = torch.cuda.is_bf16_supported()
            found.append(Device("cuda", torch.cuda.get_device_name(index), total, free, bf16))
    if torch.backends.mps.is_available():
        found.append(Device("mps", "Apple GPU", None, None, False))
    return tuple(found)


def unused_gpu(root: Path = Path("/")) -> str:
    """Why an NVIDIA GPU of this machine cannot be used; empty if it can, or there is none.

    Args:
        root: above ``dev``.
    """
    if torch.cuda.is_available() or not list((root / "dev").glob("nvidia[0-9]*")):
        return ""
    if torch.version.cuda is None:
        return (
            "there is an NVIDIA GPU, but this torch is built for the processor alone: install one "
            "for CUDA (https://pytorch.org/get-started)"
        )
    return (
        f"there is an NVIDIA GPU, but torch (CUDA {torch.version.cuda}) cannot use it: look at "
        "nvidia-smi (driver too old, or the GPU not given to this job)"
    )
