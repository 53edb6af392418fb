"""Grad-CAM: a layer's features weighted by their mean gradient (Selvaraju et al., ICCV 2017)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import captum.attr
from torch import Tensor, nn

from xrano.attribution.method_spec import Attribution, MethodSpec

if TYPE_CHECKING:
    from xrano.attribution.requests import MethodRequest
    from xrano.attribution.work import Work

CAM_FITS = "networks that name convolutional layers (cam_layers); transformers: tokengrad"


def weigh_by_mean(features: Sequence[Tensor], gradients: Sequence[Tensor]) -> Tensor:
    """The map ``(a, b, c)`` on the layer's own grid, signed.

    Equation 2 of the paper without its ReLU: the negative part is kept, and dropped by name
    (rectification ``positive``) where the map is scored or drawn.
    """
    ((activation,), (gradient,)) = features, gradients
    weights = gradient.mean(dim=(2, 3, 4), keepdim=True)
    return (weights * activation).sum(dim=1)[0]


def grad_cam(work: Work, request: MethodRequest) -> list[Attribution]:
    """Grad-CAM at each layer."""
    return work.cam(request, weigh_by_mean)


SPEC = MethodSpec(
    "Grad-CAM",
    "Selvaraju et al. 2017, arXiv:1610.02391",
    grad_cam,
    captum="LayerGradCam",
    uses_layer=True,
    coarse=True,
    settings=("layer",),
    fits=CAM_FITS,
    cams=(weigh_by_mean,),
)


def captum_grad_cam(model: nn.Module, inputs: Tensor, target: int, layer: nn.Module) -> Tensor:
    """The same by Captum, one class at a time."""
    cam = captum.attr.LayerGradCam(model, layer)
    result: Tensor = cam.attribute(inputs, target=target, relu_attributions=False)
    return result[0].detach()
