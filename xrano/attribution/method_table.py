"""The table of methods: one row each, written in the method's own file."""

from __future__ import annotations

from collections.abc import Mapping

from xrano.attribution import (
    captum_adapter,
    deeplift,
    fused_layer_cam,
    grad_cam,
    grad_cam_pp,
    gradient_shap,
    guided_backprop,
    guided_grad_cam,
    hires_cam,
    input_x_gradient,
    integrated_gradients,
    layer_cam,
    occlusion,
    saliency,
    shapley,
    smoothgrad,
    token_gradient,
)
from xrano.attribution.method_spec import MethodSpec
from xrano.errors import UnknownNameError

METHODS: Mapping[str, MethodSpec] = {
    "saliency": saliency.SPEC,
    "input_x_gradient": input_x_gradient.SPEC,
    "smoothgrad": smoothgrad.SPEC,
    "ig": integrated_gradients.SPEC,
    "gradient_shap": gradient_shap.SPEC,
    "deeplift": deeplift.SPEC,
    "guided_backprop": guided_backprop.SPEC,
    "gradcam": grad_cam.SPEC,
    "gradcampp": grad_cam_pp.SPEC,
    "hirescam": hires_cam.SPEC,
    "layercam": layer_cam.SPEC,
    "layercam_fused": fused_layer_cam.SPEC,
    "guided_gradcam": guided_grad_cam.SPEC,
    "tokengrad": token_gradient.SPEC,
    "occlusion": occlusion.BLOCKS,
    "occlusion_supervoxels": occlusion.SUPERVOXELS,
    "occlusion_regions": occlusion.REGIONS,
    "shapley_regions": shapley.REGIONS,
    "shapley_sequences": shapley.SEQUENCES,
}
"""Name to row; beside them ``captum.NAME`` is any class of Captum's."""


def spec_of(method: str) -> MethodSpec:
    """The row of a method's name.

    Raises:
        UnknownNameError: if there is none; the message lists the methods.
    """
    if method in METHODS:
        return METHODS[method]
    if method.startswith(captum_adapter.PREFIX):
        return captum_adapter.captum_spec(method)
    raise UnknownNameError("method", method, (*METHODS, "captum.NAME"))
