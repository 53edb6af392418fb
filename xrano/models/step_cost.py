"""Time and peak memory of a training step, measured in a process of its own."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeVar

from xrano.errors import ModelError

T = TypeVar("T")


@dataclass(frozen=True)
class StepCost:
    """Seconds of one step, and bytes at its peak: weights, gradients, activations, workspace."""

    seconds: float
    peak_bytes: int


def measure_step(
    name: str,
    sequences: tuple[str, ...],
    shape: tuple[int, int, int],
    *,
    stem: str = "concat",
    batch: int = 1,
    checkpointing: bool = False,
    threads: int | None = None,
) -> StepCost:
    """Run forward and backward once (twice if quick, the second counts), in float32 on the CPU.

    Args:
        name: a key of :data:`xrano.models.factory.MODELS`.
        sequences: of the input.
        shape: voxels along i, j, k.
        stem: a key of :data:`xrano.models.stems.STEMS`.
        batch: pairs in the step.
        checkpointing: whether activations are computed again.
        threads: of torch; its default if not given.

    Raises:
        ModelError: if the step fails or does not fit into this machine's memory.
    """
    return in_own_process(_measure, name, sequences, shape, stem, batch, checkpointing, threads)


def in_own_process(work: Callable[..., T], *args: Any) -> T:
    """Call a function in a fresh process, so that its peak memory is its own.

    Raises:
        ModelError: if the process is killed (out of memory).
    """
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        try:
            return pool.submit(work, *args).result()
        except BrokenProcessPool as error:
            raise ModelError("the step was killed: not enough memory on this machine") from error
        except RuntimeError as error:
            raise ModelError(" ".join(str(error).split())) from error


def _measure(
    name: str,
    sequences: tuple[str, ...],
    shape: tuple[int, int, int],
    stem: str,
    batch: int,
    checkpointing: bool,
    threads: int | None,
) -> StepCost:
    import torch

    from xrano.channels import ChannelLayout
    from xrano.models.factory import create_model

    if threads:
        torch.set_num_threads(threads)
    start_bytes = memory_bytes()
    layout = ChannelLayout(sequences)
    model = create_model(name, layout, stem=stem, checkpointing=checkpointing).train()
    # At batch 1 a coarse last grid of one cell has no variance to normalise by.
    inputs = torch.randn(batch, len(layout), *shape)
    truth = torch.zeros(batch, dtype=torch.long)

    def step() -> None:
        model.zero_grad(set_to_none=True)
        torch.nn.functional.cross_entropy(model(inputs), truth).backward()

    return StepCost(seconds_of(step), peak_bytes() - start_bytes)


def seconds_of(step: Callable[[], None], *, patience: float = 20.0) -> float:
    """Seconds of a step: the second run, or the first if that took longer than ``patience``."""
    seconds = 0.0
    for _ in range(2):
        start = time.perf_counter()
        step()
        seconds = time.perf_counter() - start
        if seconds > patience:
            break
    return seconds


def peak_bytes() -> int:
    """The most memory that this process has held so far."""
    found = _from_proc("VmHWM")
    if found is not None:
        return found
    import resource

    # In bytes on macOS, in units of 1024 elsewhere.
    scale = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale


def memory_bytes() -> int:
    """The memory that this process holds now; its peak so far where that cannot be read."""
    found = _from_proc("VmRSS")
    return found if found is not None else peak_bytes()


def _from_proc(field: str) -> int | None:
    # A child's ru_maxrss starts at its parent's on Linux; this counter does not.
    path = Path(f"/proc/{os.getpid()}/status")
    if not path.is_file():
        return None
    for line in path.read_text(encoding="ascii", errors="ignore").splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    return None
