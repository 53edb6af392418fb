"""Grad-CAM: a layer's features weighted by their mean gradient (Selvaraju et al., ICCV 2017)."""

from __future__ import annotations

import captum.attr
from torch import Tensor, nn

from xrano.attribution.class_gradients import ClassGradients
from xrano.errors import ModelError


def grad_cam(gradients: ClassGradients, target: int) -> Tensor:
    """The map ``(1, a, b, c)`` on the layer's own grid, signed.

    Equation 2 of the paper without its ReLU: the negative part is kept, and dropped by name
    (rectification ``positive``) where the map is scored or drawn.
    """
    if gradients.activation is None:
        raise ModelError("Grad-CAM needs the features of a layer, none was captured")
    gradient = gradients.layer[target]
    weights = gradient.mean(dim=tuple(range(2, gradient.ndim)), keepdim=True)
    return (weights * gradients.activation).sum(dim=1)


def captum_grad_cam(model: nn.Module, inputs: Tensor, target: int, layer: nn.Module) -> Tensor:
    """The same by Captum, one class at a time."""
    cam = captum.attr.LayerGradCam(model, layer)
    result: Tensor = cam.attribute(inputs, target=target, relu_attributions=False)
    return result[0].detach()
