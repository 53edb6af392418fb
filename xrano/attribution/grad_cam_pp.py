"""Grad-CAM++ (Chattopadhyay et al., WACV 2018, arXiv:1710.11063)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from xrano.attribution.grad_cam import CAM_FITS
from xrano.attribution.method_spec import Attribution, MethodSpec

if TYPE_CHECKING:
    from xrano.attribution.requests import MethodRequest
    from xrano.attribution.work import Work


def weigh_by_cells(features: Sequence[Tensor], gradients: Sequence[Tensor]) -> Tensor:
    """The map ``(a, b, c)``: features weighted by Σ α · max(gradient, 0).

    α = g² / (2 g² + g³ Σ A), the sum over the feature's cells: equation 19 for a class score that
    is the exponential of the output explained. So a small feature counts as much as a large one.
    Without the final ReLU; negative only where features are (a layer before its ReLU).
    """
    ((activation,), (gradient,)) = features, gradients
    square = gradient.square()
    below = 2 * square + square * gradient * activation.sum(dim=(2, 3, 4), keepdim=True)
    # Where the gradient is 0 so is its square: no weight, whatever stands for 0 / 0.
    alpha = torch.where(below != 0, square / torch.where(below != 0, below, 1), 0)
    weights = (alpha * gradient.clamp(min=0)).sum(dim=(2, 3, 4), keepdim=True)
    return (weights * activation).sum(dim=1)[0]


def grad_cam_pp(work: Work, request: MethodRequest) -> list[Attribution]:
    """Grad-CAM++ at each layer."""
    return work.cam(request, weigh_by_cells)


SPEC = MethodSpec(
    "Grad-CAM++",
    "Chattopadhyay et al. 2018, arXiv:1710.11063",
    grad_cam_pp,
    uses_layer=True,
    coarse=True,
    settings=("layer",),
    fits=CAM_FITS,
    cams=(weigh_by_cells,),
)
