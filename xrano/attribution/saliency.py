"""Saliency: the gradient of a logit by the input (Simonyan et al., arXiv:1312.6034)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import captum.attr
from torch import Tensor, nn

from xrano.attribution.method_spec import Attribution, MethodSpec

if TYPE_CHECKING:
    from xrano.attribution.requests import MethodRequest
    from xrano.attribution.work import Work


def saliency(work: Work, request: MethodRequest) -> list[Attribution]:
    """The signed input gradients ``(channel, i, j, k)``."""
    return [work.result(request, target, work.shared.inputs[target]) for target in work.targets]


SPEC = MethodSpec(
    "Saliency",
    "Simonyan et al. 2013, arXiv:1312.6034",
    saliency,
    captum="Saliency",
    local=True,
    by_input=True,
)


def captum_saliency(model: nn.Module, inputs: Tensor, target: int) -> Tensor:
    """The same by Captum, one class at a time; signed, which is not Captum's default."""
    result: Tensor = captum.attr.Saliency(model).attribute(inputs, target=target, abs=False)
    return result[0].detach()
