"""SmoothGrad: the mean gradient of noisy copies of the scans (Smilkov et al., arXiv:1706.03825)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from xrano.attribution.method_spec import Attribution, MethodSpec, Passes, Question
from xrano.attribution.model_state import accumulating
from xrano.attribution.point_gradients import per_point, sum_gradients

if TYPE_CHECKING:
    from xrano.attribution.requests import MethodRequest
    from xrano.attribution.work import Work


def smoothgrad(work: Work, request: MethodRequest) -> list[Attribution]:
    """Mean signed gradients; the noise's standard deviation is a share of the input's range."""
    settings = work.settings
    deviation = settings.noise * float(work.inputs.max() - work.inputs.min())
    noise = NoiseDraws(work.inputs, deviation, settings.seed)

    def make(start: int, stop: int) -> tuple[Tensor, Tensor]:
        weights = [1 / settings.n_samples] * (stop - start)
        return work.inputs + noise.draw(stop - start), per_point(weights, work.inputs)

    found = sum_gradients(
        work.model,
        work.objective,
        make,
        settings.n_samples,
        memory_bytes=settings.memory_bytes,
        at_once=work.at_once,
    )
    said = {"noise_deviation": deviation}
    return [
        work.result(request, target, found.sums[target], details=said) for target in work.targets
    ]


class NoiseDraws:
    """Gaussian noise of a seed, the same however many are drawn at once, on whatever device."""

    def __init__(self, like: Tensor, deviation: float, seed: int) -> None:
        self._like, self._deviation = like, deviation
        self._generator = torch.Generator().manual_seed(seed)

    def draw(self, count: int) -> Tensor:
        """The next draws, ``(count, channel, i, j, k)``."""
        shape = self._like.shape[1:]
        dtype = accumulating(self._like.dtype)
        drawn = [torch.randn(shape, generator=self._generator, dtype=dtype) for _ in range(count)]
        return self._deviation * torch.stack(drawn).to(self._like)


def _passes(question: Question) -> Passes:
    samples = question.settings.n_samples
    return Passes(samples, samples * question.backwards)


SPEC = MethodSpec(
    "SmoothGrad",
    "Smilkov et al. 2017, arXiv:1706.03825",
    smoothgrad,
    captum="NoiseTunnel",
    local=True,
    settings=("n_samples", "noise", "seed", "memory_gb"),
    stochastic=True,
    graphs=1,
    passes=_passes,
)
