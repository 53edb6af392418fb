"""Integrated gradients (Sundararajan et al., ICML 2017), all classes at once, in bounded memory.

``IG_c = (x_c − x'_c) · ∫₀¹ ∂F/∂x_c (x' + α (x − x')) dα`` by Gauss–Legendre quadrature, the rule
that Captum uses by default. Its completeness gap (``convergence_delta``) is
``Σ IG − (F(x) − F(x'))``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import captum.attr
import numpy as np
import torch
from torch import Tensor, nn

from xrano.attribution.memory import graph_bytes
from xrano.attribution.model_state import require_logits
from xrano.errors import ConfigError


@dataclass(frozen=True)
class IntegratedGradients:
    """Maps ``(channel, i, j, k)`` and completeness gaps (convergence deltas) by target."""

    maps: dict[int, Tensor]
    gaps: dict[int, float]


def integrated_gradients(
    model: nn.Module,
    inputs: Tensor,
    baseline: Tensor,
    targets: Sequence[int],
    *,
    n_steps: int,
    memory_bytes: float,
) -> IntegratedGradients:
    """Integrate along the straight path; each step's forward serves every target.

    Args:
        model: the network, prepared by :func:`xrano.attribution.model_state.explaining`.
        inputs: ``(1, channel, i, j, k)``.
        baseline: the same shape.
        targets: class indices.
        n_steps: points of the quadrature.
        memory_bytes: what the graph of one chunk of steps may take; a chunk is one step at least.

    Raises:
        ConfigError: if there are no steps.
    """
    if n_steps < 1:
        raise ConfigError(f"integrated gradients needs n_steps ≥ 1, got {n_steps}")
    nodes, node_weights = np.polynomial.legendre.leggauss(n_steps)
    alphas, weights = (nodes + 1) / 2, node_weights / 2
    difference = inputs - baseline
    totals = {target: torch.zeros_like(inputs) for target in targets}
    with graph_bytes() as graph:
        _accumulate(model, baseline, difference, alphas[:1], weights[:1], totals)
    chunk = max(1, int(memory_bytes // max(graph.total, 1)))
    for start in range(1, n_steps, chunk):
        part = slice(start, start + chunk)
        _accumulate(model, baseline, difference, alphas[part], weights[part], totals)
    with torch.no_grad():
        # One by one: a batch of two would cost the memory that the chunk was chosen to save.
        end = require_logits(model(inputs.clone()), model, 1)[0].double()
        begin = require_logits(model(baseline.clone()), model, 1)[0].double()
    maps = {target: (total * difference)[0] for target, total in totals.items()}
    gaps = {
        target: float(maps[target].double().sum() - (end[target] - begin[target]))
        for target in targets
    }
    return IntegratedGradients(maps, gaps)


def _accumulate(
    model: nn.Module,
    baseline: Tensor,
    difference: Tensor,
    alphas: np.ndarray[tuple[int], np.dtype[np.float64]],
    weights: np.ndarray[tuple[int], np.dtype[np.float64]],
    totals: dict[int, Tensor],
) -> None:
    view = (-1, 1, 1, 1, 1)
    alpha = torch.as_tensor(alphas, dtype=baseline.dtype, device=baseline.device).view(view)
    weight = torch.as_tensor(weights, dtype=baseline.dtype, device=baseline.device).view(view)
    points = (baseline + alpha * difference).requires_grad_(True)
    logits = require_logits(model(points.clone()), model, len(points))
    for position, target in enumerate(totals):
        last = position == len(totals) - 1
        (gradient,) = torch.autograd.grad(logits[:, target].sum(), points, retain_graph=not last)
        totals[target] += (weight * gradient).sum(dim=0, keepdim=True)


def captum_integrated_gradients(
    model: nn.Module, inputs: Tensor, target: int, baseline: Tensor, n_steps: int
) -> Tensor:
    """The same by Captum, one class at a time, one step a forward."""
    method = captum.attr.IntegratedGradients(model)
    result: Tensor = method.attribute(
        inputs, baselines=baseline, target=target, n_steps=n_steps, internal_batch_size=1
    )
    return result[0].detach()
