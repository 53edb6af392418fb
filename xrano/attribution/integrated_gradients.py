"""Integrated gradients (Sundararajan et al., ICML 2017), all classes at once, in bounded memory.

``IG_c = (x_c − x'_c) · ∫₀¹ ∂F/∂x_c (x' + α (x − x')) dα``, by Gauss–Legendre quadrature of
``n_steps`` points, Captum's default, or by nested trapezoids until the completeness gap
(``convergence_delta``, ``Σ IG − (F(x) − F(x'))``) is small (:mod:`xrano.attribution.stop_rule`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import captum.attr
import numpy as np
import torch
from torch import Tensor, nn

from xrano.attribution.baselines import PATHS
from xrano.attribution.method_spec import Attribution, MethodSpec, Passes, Question
from xrano.attribution.point_gradients import PointSums, per_point, sum_gradients
from xrano.attribution.stop_rule import NestedRule, most_points

if TYPE_CHECKING:
    from xrano.attribution.requests import MethodRequest
    from xrano.attribution.work import Work


@dataclass(frozen=True)
class Path:
    """The straight path from a baseline to the scans of a piece of work, and their difference."""

    work: Work
    baseline: Tensor
    difference: Tensor

    def gradients(self, alphas: np.ndarray[Any, Any], weights: np.ndarray[Any, Any]) -> PointSums:
        """Weighted gradients at points of the path."""

        def make(start: int, stop: int) -> tuple[Tensor, Tensor]:
            alpha = torch.as_tensor(alphas[start:stop]).to(self.baseline).view(-1, 1, 1, 1, 1)
            points = (alpha * self.difference).add_(self.baseline)
            return points, per_point(torch.as_tensor(weights[start:stop]), self.difference)

        return sum_gradients(
            self.work.model,
            self.work.objective,
            make,
            len(alphas),
            memory_bytes=self.work.settings.memory_bytes,
            at_once=self.work.at_once,
            one=self.work.point_bytes,
        )


def integrated_gradients(work: Work, request: MethodRequest) -> list[Attribution]:
    """Integrate along the straight path; each step's forward serves every target."""
    baseline = work.baseline(request.baseline)
    path = Path(work, baseline, work.inputs - baseline)
    changes = work.outputs() - work.baseline_outputs(request.baseline)[0]
    if work.settings.tolerance is not None:
        return _until_closed(work, request, path, changes)
    nodes, node_weights = np.polynomial.legendre.leggauss(work.settings.n_steps)
    found = path.gradients((nodes + 1) / 2, node_weights / 2)
    results = []
    for target, change in zip(work.targets, changes.tolist(), strict=True):
        # In place: at full resolution the maps of all targets are as large as the graph.
        values = found.sums[target].mul_(path.difference[0])
        gap = float(values.double().sum()) - change
        unread = ("tolerance", "max_steps")
        results.append(work.result(request, target, values, convergence_delta=gap, unread=unread))
    return results


def _until_closed(
    work: Work, request: MethodRequest, path: Path, changes: Tensor
) -> list[Attribution]:
    settings = work.settings
    rule = NestedRule(path.gradients, path.difference[0], work.targets, changes)
    scale = work.largest_change(request.baseline)
    tolerance = settings.tolerance or 0.0
    found = rule.run(tolerance * scale, settings.max_steps)
    return [
        work.result(
            request,
            target,
            found[target].values,
            convergence_delta=found[target].gap,
            details={
                "n_steps": found[target].points,
                "quadrature": f"nested {found[target].rule}",
                "converged": found[target].converged,
            },
        )
        for target in work.targets
    ]


def _passes(question: Question) -> Passes:
    settings = question.settings
    if settings.tolerance is None:
        steps = settings.n_steps
        return Passes(steps + 1, steps * question.backwards)
    steps = most_points(settings.max_steps)
    return Passes(steps + 1, steps * question.backwards, at_most=True)


SPEC = MethodSpec(
    "Integrated gradients",
    "Sundararajan et al. 2017, arXiv:1703.01365",
    integrated_gradients,
    captum="IntegratedGradients",
    multiplicative=True,
    baselines=PATHS,
    settings=("n_steps", "tolerance", "max_steps", "memory_gb"),
    graphs=1,
    passes=_passes,
)


def captum_integrated_gradients(
    model: nn.Module, inputs: Tensor, target: int, baseline: Tensor, n_steps: int
) -> Tensor:
    """The same by Captum, one class at a time, one step a forward."""
    method = captum.attr.IntegratedGradients(model)
    result: Tensor = method.attribute(
        inputs, baselines=baseline, target=target, n_steps=n_steps, internal_batch_size=1
    )
    return result[0].detach()
