"""Sums of gradients over many points: paths, noise, draws; all targets share each forward."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from xrano.attribution.memory import chunk_size, graph_bytes
from xrano.attribution.model_state import accumulating, run
from xrano.attribution.targets import Objective, TargetLike

MakePoints = Callable[[int, int], tuple[Tensor, Tensor]]
"""Points ``start`` to ``stop`` as ``(n, channel, i, j, k)`` and the factor of each one's gradient,
which may be broadcast to that shape."""


@dataclass(frozen=True)
class PointSums:
    """For each target Σ factor · gradient ``(channel, i, j, k)``, and its output at each point."""

    sums: dict[TargetLike, Tensor]
    outputs: dict[TargetLike, Tensor]


def sum_gradients(
    model: nn.Module,
    objective: Objective,
    make: MakePoints,
    count: int,
    *,
    memory_bytes: float,
    at_once: int,
    one: int | None = None,
) -> PointSums:
    """Add up gradients over points, in chunks that keep to a memory budget.

    What a graph takes is told, or the first point goes alone and tells it. Half-precision gradients
    are added up in float32, point after point, so that a chunk takes no memory for products.

    Args:
        model: the network, prepared by :func:`xrano.attribution.model_state.explaining`.
        objective: what is explained.
        make: gives the points.
        count: how many points there are.
        memory_bytes: what the graph of one chunk may take; a chunk is one point at least.
        at_once: most points of a chunk.
        one: what the graph of one point takes, in bytes, if that is known.
    """
    sums: dict[TargetLike, Tensor] = {}
    outputs: dict[TargetLike, list[Tensor]] = {target: [] for target in objective.targets}
    start, size = 0, 1 if one is None else min(chunk_size(memory_bytes, one), at_once)
    while start < count:
        stop = min(start + size, count)
        points, factors = make(start, stop)
        leaf = points.detach().requires_grad_(True)
        with graph_bytes() as graph:
            logits = run(model, leaf)
        for target, value in zip(
            objective.targets, objective.values(logits.detach()).T, strict=True
        ):
            outputs[target].append(value.double())
        for target, (gradient,) in objective.gradients(logits, [leaf]):
            gradient = gradient.to(factors.dtype)
            if target not in sums:
                sums[target] = torch.zeros_like(gradient[0])
            for factor, slope in zip(factors, gradient, strict=True):
                sums[target].addcmul_(factor, slope)
        if start == 0 and one is None:
            size = min(chunk_size(memory_bytes, graph.total), at_once)
        start = stop
    return PointSums(sums, {target: torch.cat(values) for target, values in outputs.items()})


def per_point(values: Sequence[float] | Tensor, like: Tensor) -> Tensor:
    """Numbers of points, shaped to weight ``(n, channel, i, j, k)``."""
    numbers = torch.as_tensor(values, dtype=torch.float64)
    return numbers.to(like.device, accumulating(like.dtype)).view(-1, 1, 1, 1, 1)
