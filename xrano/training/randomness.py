"""The global random state while training: dropout draws from it, and nobody else is to notice."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


@contextmanager
def own_randomness(device: torch.device) -> Iterator[None]:
    """Dropout and loaders draw from the global state; put it back afterwards."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        yield


def seed_epoch(device: torch.device, seed: int, epoch: int, rank: int = 0) -> None:
    """Let what is drawn from here on follow from seed and epoch.

    Args:
        device: of the network.
        seed: of the training.
        epoch: from 0.
        rank: of the process; each of several draws its own.
    """
    entropy = [seed, epoch, rank] if rank else [seed, epoch]
    mixed = int(np.random.SeedSequence(entropy).generate_state(1)[0])
    torch.default_generator.manual_seed(mixed)
    if device.type == "cuda":
        with torch.cuda.device(device):
            torch.cuda.manual_seed(mixed)
