"""Saliency: the gradient of a logit by the input (Simonyan et al., arXiv:1312.6034)."""

from __future__ import annotations

import captum.attr
from torch import Tensor, nn

from xrano.attribution.class_gradients import ClassGradients


def saliency(gradients: ClassGradients, target: int) -> Tensor:
    """The signed input gradient ``(channel, i, j, k)`` of one logit."""
    return gradients.inputs[target][0]


def captum_saliency(model: nn.Module, inputs: Tensor, target: int) -> Tensor:
    """The same by Captum, one class at a time; signed, which is not Captum's default."""
    result: Tensor = captum.attr.Saliency(model).attribute(inputs, target=target, abs=False)
    return result[0].detach()
