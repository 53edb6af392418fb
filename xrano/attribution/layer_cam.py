"""LayerCAM: features times positive gradients, cell by cell (Jiang et al., IEEE TIP 2021)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch import Tensor

from xrano.attribution.grad_cam import CAM_FITS
from xrano.attribution.method_spec import Attribution, MethodSpec

if TYPE_CHECKING:
    from xrano.attribution.requests import MethodRequest
    from xrano.attribution.work import Work


def multiply_positive(features: Sequence[Tensor], gradients: Sequence[Tensor]) -> Tensor:
    """The map ``(a, b, c)``: Σ over features of A · max(g, 0), equations 5 and 6.

    Without the final ReLU; negative only where features are (a layer before its ReLU).
    """
    ((activation,), (gradient,)) = features, gradients
    return (activation * gradient.clamp(min=0)).sum(dim=1)[0]


def layer_cam(work: Work, request: MethodRequest) -> list[Attribution]:
    """LayerCAM at each layer; made for fine layers, where mean gradients say little."""
    return work.cam(request, multiply_positive)


SPEC = MethodSpec(
    "LayerCAM",
    "Jiang et al. 2021, doi:10.1109/TIP.2021.3089943",
    layer_cam,
    uses_layer=True,
    coarse=True,
    settings=("layer",),
    fits=CAM_FITS,
    cams=(multiply_positive,),
)
