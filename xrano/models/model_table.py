"""What each network is: weights, cells and feature grids at a given size, without running it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from xrano.channels import ChannelLayout
from xrano.errors import ModelError
from xrano.models.classifier import ResponseClassifier
from xrano.models.factory import MODELS, create_model

Shape3 = tuple[int, int, int]


@dataclass(frozen=True)
class ModelRow:
    """One network over one grid.

    ``stride`` is the size of a cell in voxels; ``grids`` are the shapes of its feature grids from
    coarse to fine, empty if the grid is too small for the network.
    """

    name: str
    parameters: int
    stride: Shape3
    grids: tuple[Shape3, ...]
    has_cam: bool
    description: str


def describe_model(
    name: str, layout: ChannelLayout, shape: Shape3, *, stem: str = "concat"
) -> ModelRow:
    """A row of the table; nothing but shapes is computed.

    Args:
        name: a key of :data:`xrano.models.factory.MODELS`.
        layout: the input channels.
        shape: voxels along i, j, k.
        stem: a key of :data:`xrano.models.stems.STEMS`.

    Raises:
        UnknownNameError: if there is no such network or stem.

    Example:
        >>> row = describe_model("densenet121", ChannelLayout(("T1",)), (240, 240, 155))
        >>> row.grids[0], row.stride
        ((7, 7, 4), (32, 32, 32))
    """
    with torch.device("meta"):
        model = create_model(name, layout, stem=stem).eval()
    spec = MODELS[name]
    inside = "backbone.encoder." if stem == "siamese" else "backbone."
    try:
        grids = output_grids(model, [inside + layer for layer in spec.grids], shape)
    except ModelError:
        grids = ()
    return ModelRow(
        name,
        sum(parameter.numel() for parameter in model.parameters()),
        spec.stride,
        grids,
        bool(model.cam_layers),
        spec.description,
    )


def output_grids(
    model: ResponseClassifier, layers: Iterable[str], shape: Shape3
) -> tuple[Shape3, ...]:
    """Shapes ``(a, b, c)`` of what layers of a network on the ``meta`` device give.

    Raises:
        ModelError: if the network does not run on a grid of this shape.
    """
    found: dict[str, Shape3] = {}
    modules, names = dict(model.named_modules()), list(layers)
    handles = [modules[name].register_forward_hook(_noting(found, name)) for name in names]
    try:
        with torch.no_grad():
            model(torch.empty((1, len(model.layout), *shape), device="meta"))
    except (RuntimeError, ValueError) as error:
        raise ModelError(f"the network does not run on {shape} voxels: {error}") from error
    finally:
        for handle in handles:
            handle.remove()
    return tuple(found[name] for name in names)


def _noting(found: dict[str, Shape3], name: str) -> Callable[[nn.Module, object, Tensor], None]:
    def note(_module: nn.Module, _args: object, output: Tensor) -> None:
        found[name] = (output.shape[2], output.shape[3], output.shape[4])

    return note
