"""LayerCAM fused over layers (Jiang et al. 2021, section III-C)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from xrano.attribution.layer_cam import multiply_positive
from xrano.attribution.method_spec import Attribution, MethodSpec
from xrano.attribution.placement import place_cells

if TYPE_CHECKING:
    from xrano.attribution.requests import MethodRequest
    from xrano.attribution.work import Work

GAMMA = 2.0
"""The paper's scale: tanh(2 · map / its largest value)."""


def fused_layer_cam(work: Work, request: MethodRequest) -> list[Attribution]:
    """The cell-wise largest of every layer's scaled map, on the finest layer's grid.

    The positive parts are scaled to 0…1 by layer, so that magnitudes do not compare between targets
    or pairs. Coarse maps are placed by the cells' own centres if these are known.
    """
    layers = work.layers[request.method]
    found = []
    for target in work.targets:
        maps = {layer: work.shared.cams[multiply_positive, layer, target] for layer in layers}
        finest = max(layers, key=lambda layer: maps[layer].numel())
        _, a, b, c = maps[finest].shape
        places = {layer: work.place(layer) for layer in layers}
        placed = [
            place_cells(scaled(maps[layer]), (a, b, c), places[layer], places[finest])
            for layer in layers
        ]
        values = torch.stack(placed).amax(dim=0)
        details: dict[str, Any] = {"layers": list(layers), "placed": work.place_of is not None}
        if not values.any():
            details["remark"] = "zero_map"
        found.append(
            work.result(
                request,
                target,
                values,
                layer="+".join(layers),
                grid_layer=finest,
                details=details,
            )
        )
    return found


def scaled(values: Tensor) -> Tensor:
    """tanh(2 · positive part / its largest value), in 0…0.964; zeros if there is none."""
    positive = values.clamp(min=0)
    largest = positive.max()
    return torch.tanh(GAMMA * positive / largest) if largest > 0 else positive


SPEC = MethodSpec(
    "LayerCAM fused over layers",
    "Jiang et al. 2021, doi:10.1109/TIP.2021.3089943",
    fused_layer_cam,
    signed=False,
    uses_layer=True,
    coarse=True,
    settings=("layer",),
    fits="networks that name two convolutional layers or more (cam_layers)",
    cams=(multiply_positive,),
    fewest_layers=2,
)
