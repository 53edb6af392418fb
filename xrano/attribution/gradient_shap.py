"""GradientSHAP: expected gradients (Erion et al. 2021; Lundberg & Lee 2017).

The mean of (x − x') · ∂F(x' + α (x − x')) over training pairs x' and α uniform in 0…1: integrated
gradients whose baseline is a distribution.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from xrano.attribution.baselines import PATHS
from xrano.attribution.method_spec import Attribution, MethodSpec, Passes, Question
from xrano.attribution.model_state import accumulating
from xrano.attribution.point_gradients import sum_gradients

if TYPE_CHECKING:
    from xrano.attribution.requests import MethodRequest
    from xrano.attribution.work import Work


def gradient_shap(work: Work, request: MethodRequest) -> list[Attribution]:
    """The mean over draws; its gap closes slowly, by the square root of their number."""
    references = work.baseline(request.baseline)
    rows, alphas = draws(len(references), work.settings.n_samples, work.settings.seed)

    def make(start: int, stop: int) -> tuple[Tensor, Tensor]:
        reference = references[torch.as_tensor(rows[start:stop], device=references.device)]
        alpha = torch.as_tensor(alphas[start:stop]).to(references).view(-1, 1, 1, 1, 1)
        difference = work.inputs - reference
        factors = difference.to(accumulating(difference.dtype)) / len(rows)
        return reference + alpha * difference, factors

    found = sum_gradients(
        work.model,
        work.objective,
        make,
        len(rows),
        memory_bytes=work.settings.memory_bytes,
        at_once=work.at_once,
    )
    # Only references that were drawn count in what the map should sum to.
    mean = work.baseline_outputs(request.baseline)[torch.as_tensor(rows)].mean(dim=0)
    changes = (work.outputs() - mean).tolist()
    return [
        work.result(
            request,
            target,
            found.sums[target],
            convergence_delta=float(found.sums[target].double().sum()) - change,
            details={"references": len(references)},
        )
        for target, change in zip(work.targets, changes, strict=True)
    ]


def draws(
    references: int, samples: int, seed: int
) -> tuple[
    np.ndarray[tuple[int], np.dtype[np.int64]], np.ndarray[tuple[int], np.dtype[np.float64]]
]:
    """Which reference and which point of its path each sample takes."""
    generator = np.random.default_rng(seed)
    rows = generator.integers(references, size=samples)
    return rows, generator.uniform(size=samples)


def _passes(question: Question) -> Passes:
    samples = question.settings.n_samples
    references = question.references.get(question.request.baseline, 1)
    return Passes(samples + references, samples * question.backwards)


SPEC = MethodSpec(
    "GradientSHAP (expected gradients)",
    "Lundberg & Lee 2017, arXiv:1705.07874; Erion et al. 2021, arXiv:1906.10670",
    gradient_shap,
    captum="GradientShap",
    multiplicative=True,
    baselines=("training", *PATHS),
    settings=("n_samples", "seed", "memory_gb"),
    stochastic=True,
    graphs=1,
    passes=_passes,
)
