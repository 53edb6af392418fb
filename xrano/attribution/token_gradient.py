"""Token gradients: what stands in Grad-CAM's place for a transformer of patches."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xrano.attribution.hires_cam import multiply_cells
from xrano.attribution.method_spec import Attribution, MethodSpec

if TYPE_CHECKING:
    from xrano.attribution.requests import MethodRequest
    from xrano.attribution.work import Work


def token_gradient(work: Work, request: MethodRequest) -> list[Attribution]:
    """Embedding times gradient, summed over a patch's features, on the grid of patches.

    Before the first block a token stands for its own patch alone; attention mixes them later. A
    shared encoder embeds the patches of each scan, and both count. It is HiResCAM at the embedding,
    without the claim that a convolution makes of its cells.
    """
    return work.cam(request, multiply_cells)


SPEC = MethodSpec(
    "Token gradient",
    "gradient × activation at the patch embedding; cf. Draelos & Carin 2020, arXiv:2011.08891",
    token_gradient,
    captum="LayerGradientXActivation",
    multiplicative=True,
    uses_layer=True,
    coarse=True,
    settings=("layer",),
    fits="transformers with one patch embedding; convolutional networks: gradcam",
    cams=(multiply_cells,),
    token_layers=True,
)
