"""HiResCAM: features times gradients, cell by cell (Draelos & Carin, arXiv:2011.08891)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch import Tensor

from xrano.attribution.grad_cam import CAM_FITS
from xrano.attribution.method_spec import Attribution, MethodSpec

if TYPE_CHECKING:
    from xrano.attribution.requests import MethodRequest
    from xrano.attribution.work import Work


def multiply_cells(features: Sequence[Tensor], gradients: Sequence[Tensor]) -> Tensor:
    """The map ``(a, b, c)``, signed: Σ over features (and runs of the layer) of A · g.

    At the last convolution of a network that ends in one linear layer, it sums to the logit less
    its bias, which Grad-CAM's mean gradients do not. Without the paper's optional ReLU.
    """
    products = [
        (activation * gradient).sum(dim=1)[0]
        for activation, gradient in zip(features, gradients, strict=True)
    ]
    return sum(products[1:], start=products[0])


def hires_cam(work: Work, request: MethodRequest) -> list[Attribution]:
    """HiResCAM at each layer."""
    return work.cam(request, multiply_cells)


SPEC = MethodSpec(
    "HiResCAM",
    "Draelos & Carin 2020, arXiv:2011.08891",
    hires_cam,
    captum="LayerGradientXActivation",
    multiplicative=True,
    uses_layer=True,
    coarse=True,
    settings=("layer",),
    fits=CAM_FITS,
    cams=(multiply_cells,),
)
