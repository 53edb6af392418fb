"""Time and peak memory of one training step, with activation checkpointing and without.

The plain loop is MONAI's DenseNet264 in float32 with AdamW; the other is xrano's network with
``checkpointing``. Each runs alone in a process of its own, one after the other::

    python -m benchmarks.training_step
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

import torch
from monai.networks.nets.densenet import DenseNet264
from torch import nn

from xrano.channels import ChannelLayout
from xrano.models.factory import create_model
from xrano.models.step_cost import in_own_process, memory_bytes, peak_bytes, seconds_of

SEQUENCES = ("T1", "T2", "FLAIR")
CLASSES = 4
NEEDED = 0.6
"""Most memory with checkpointing, as a share of the plain loop's."""


@dataclass(frozen=True)
class Measured:
    """One way of training: seconds of a step, its peak memory, its loss and its gradients."""

    seconds: float
    peak_bytes: int
    loss: float
    gradient: torch.Tensor


def measure(kind: str, shape: tuple[int, int, int], batch: int, threads: int) -> Measured:
    """Two steps of one kind (one, if it is slow); called in a process of its own."""
    torch.set_num_threads(threads)
    start = memory_bytes()
    network = _network(kind)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4)
    inputs = torch.randn(
        batch, 2 * len(SEQUENCES), *shape, generator=torch.Generator().manual_seed(0)
    )
    truth = torch.zeros(batch, dtype=torch.long)
    losses: list[float] = []
    gradients: list[torch.Tensor] = []

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        loss = nn.functional.cross_entropy(network(inputs), truth)
        loss.backward()
        if not losses:
            losses.append(float(loss.detach()))
            gradients.extend(p.grad.flatten()[:64].clone() for p in network.parameters())
        optimizer.step()

    seconds = seconds_of(step)
    return Measured(seconds, peak_bytes() - start, losses[0], torch.cat(gradients))


def _network(kind: str) -> nn.Module:
    ours = create_model("densenet264", ChannelLayout(SEQUENCES), CLASSES, checkpointing=True)
    if kind == "checkpointing":
        return ours.train()
    plain = DenseNet264(spatial_dims=3, in_channels=2 * len(SEQUENCES), out_channels=CLASSES)
    plain.load_state_dict(ours.backbone.state_dict())
    return plain.train()


def main() -> None:
    """Measure both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shape", type=int, nargs=3, default=(240, 240, 155))
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    arguments = parser.parse_args()
    print(f"torch {torch.__version__}, {arguments.threads} threads")
    size = "×".join(str(length) for length in arguments.shape)
    print(f"DenseNet264, {arguments.batch}×{2 * len(SEQUENCES)}×{size}, float32, AdamW")
    found = {}
    for kind in ("plain", "checkpointing"):
        one = in_own_process(
            measure, kind, tuple(arguments.shape), arguments.batch, arguments.threads
        )
        found[kind] = one
        print(f"{kind:>14}: {one.seconds:.1f} s, {one.peak_bytes / 1e9:.2f} GB at the peak")
    plain, lean = found["plain"], found["checkpointing"]
    apart = float((plain.gradient - lean.gradient).abs().max() / plain.gradient.abs().max())
    print(
        f"memory {lean.peak_bytes / plain.peak_bytes:.2f}× (needed: ≤ {NEEDED}×), time "
        f"{lean.seconds / plain.seconds:.2f}×, losses {plain.loss:.6f} and {lean.loss:.6f}, "
        f"gradients apart by {apart:.1e} of the largest"
    )


if __name__ == "__main__":
    main()
