"""Guided Grad-CAM: guided gradients where Grad-CAM is positive (Selvaraju et al. 2017)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from xrano.attribution.grad_cam import weigh_by_mean
from xrano.attribution.guided_backprop import guided_passes
from xrano.attribution.method_spec import Attribution, MethodSpec
from xrano.attribution.placement import place_cells

if TYPE_CHECKING:
    from xrano.attribution.requests import MethodRequest
    from xrano.attribution.work import Work


def guided_grad_cam(work: Work, request: MethodRequest) -> list[Attribution]:
    """Guided gradients times Grad-CAM's positive part on the scans' grid.

    Cells are placed by their own centres if these are known (trilinear), else the grid is stretched
    over the scan as by Captum (nearest); the details say which.
    """
    guided = work.guided()
    found = []
    for layer in work.layers[request.method]:
        place = work.place(layer)
        for target in work.targets:
            cam = work.shared.cams[weigh_by_mean, layer, target].clamp(min=0)
            values = place_cells(cam, work.shape, place) * guided[target]
            details: dict[str, Any] = {"placed": place is not None}
            if not values.any():
                details["remark"] = "zero_map"
            found.append(work.result(request, target, values, layer=layer, details=details))
    return found


SPEC = MethodSpec(
    "Guided Grad-CAM",
    "Selvaraju et al. 2017, arXiv:1610.02391",
    guided_grad_cam,
    captum="GuidedGradCam",
    uses_layer=True,
    settings=("layer",),
    fits="networks with ReLU that name convolutional layers (cam_layers)",
    cams=(weigh_by_mean,),
    graphs=1,
    passes=guided_passes,
)
