"""Where the cells of a feature grid lie in the scan.

Every feature grid has a stride and an offset per axis, chained from the input through
convolutions and poolings (:mod:`xrano.models.position_steps`): cell i of DenseNet's last block is
centred at voxel 32·i + 14. Stretching the grid over the image instead would misplace the outer
cells by up to 20 voxels.

The chain is read while the network runs once on ``meta`` tensors (shapes without values), so it
holds for any module, functional calls included, as long as the way to the layer consists of
convolutions, poolings, paddings and steps that keep positions (normalisation, activation,
concatenation, sums).
"""

from __future__ import annotations

import copy
import math
import weakref
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from xrano.errors import ModelError
from xrano.geometry import Grid
from xrano.models.position_steps import STEPS, FeatureGeometry, keeps_places


def feature_grid(model: nn.Module, layer: str, channels: int, grid: Grid) -> Grid:
    """The grid, in world millimetres, of what a layer gives for an input on ``grid``.

    Args:
        model: the network; neither its weights nor its mode are touched.
        layer: a name of ``model.named_modules()``.
        channels: number of input channels.
        grid: grid of the input.

    Returns:
        Shape of the layer's output and the affine from its cells to millimetres.

    Raises:
        ModelError: if the layer is not on the way to the output, its output is not
            ``(batch, feature, a, b, c)``, or a step before it moves positions in a way that is
            not a convolution, pooling or padding.

    Example:
        >>> network = nn.Sequential(nn.Conv3d(1, 2, 3, stride=2, padding=1), nn.AvgPool3d(2))
        >>> feature_grid(network, "1", 1, Grid((16, 12, 8), np.eye(4))).affine[:3, 3].tolist()
        [1.0, 1.0, 1.0]
    """
    shadow = copy.deepcopy(model).to("meta").eval()
    captured: list[tuple[tuple[int, ...], FeatureGeometry | None]] = []
    with _GeometryTracer() as tracer, torch.no_grad():
        inputs = torch.empty((1, channels, *grid.shape), device="meta")
        tracer.start(inputs)
        module = dict(shadow.named_modules()).get(layer)
        if module is None:
            raise ModelError(f"the network has no module {layer!r}")
        module.register_forward_hook(
            lambda _module, _args, output: captured.append(
                (tuple(output.shape), tracer.geometry(output))
                if isinstance(output, Tensor)
                else ((), None)
            )
        )
        try:
            shadow(inputs)
        except (RuntimeError, NotImplementedError) as error:
            raise ModelError(
                f"the network does not run on an input of shape {tuple(inputs.shape)}: {error}"
            ) from error
    if not captured:
        raise ModelError(f"layer {layer!r} is not reached on the way from input to logits")
    shape, geometry = captured[-1]
    _check_not_empty(shape, layer, inputs)
    if len(shape) != 5 or geometry is None:
        raise ModelError(
            f"the output of layer {layer!r} has shape {shape} and cannot be placed in the scan: "
            "a class activation map needs (batch, feature, a, b, c) reached by convolutions, "
            "poolings, paddings and element-wise steps only"
        )
    to_input = np.diag([*geometry.stride, 1.0])
    to_input[:3, 3] = geometry.offset
    return Grid((shape[2], shape[3], shape[4]), grid.affine @ to_input)


def _check_not_empty(shape: tuple[int, ...], layer: str, inputs: Tensor) -> None:
    # Of an input smaller than a kernel some versions of torch make an empty output.
    if 0 in shape:
        raise ModelError(
            f"the network does not run on an input of shape {tuple(inputs.shape)}: the output of "
            f"layer {layer!r} has shape {shape}"
        )


class _GeometryTracer(TorchFunctionMode):
    """Carries a :class:`FeatureGeometry` from tensor to tensor while a network runs.

    ``None`` stands for a tensor that comes from the input by a way that cannot be followed.
    """

    def __init__(self) -> None:
        super().__init__()
        self._known: dict[int, tuple[weakref.ref[Tensor], FeatureGeometry | None]] = {}

    def start(self, inputs: Tensor) -> None:
        self._set(inputs, FeatureGeometry((1.0, 1.0, 1.0), (0.0, 0.0, 0.0)))

    def geometry(self, tensor: Tensor) -> FeatureGeometry | None:
        return self._known[id(tensor)][1] if self._comes_from_input(tensor) else None

    def _comes_from_input(self, tensor: Tensor) -> bool:
        # The id of a tensor that is gone may be another's by now.
        found = self._known.get(id(tensor))
        return found is not None and found[0]() is tensor

    def _set(self, tensor: Tensor, geometry: FeatureGeometry | None) -> None:
        self._known[id(tensor)] = (weakref.ref(tensor), geometry)

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = dict(kwargs or {})
        # Positions are read before the call: an in-place step returns its own input.
        sources = [
            (tuple(tensor.shape[2:]), self.geometry(tensor))
            for tensor in _tensors((args, kwargs))
            if self._comes_from_input(tensor)
        ]
        result = func(*args, **kwargs)
        if sources:
            written = args[0] if getattr(func, "__name__", "") == "__setitem__" else result
            for tensor in _tensors(written):
                self._set(tensor, _follow(func, args, kwargs, sources, tuple(tensor.shape)))
        return result


def _follow(
    func: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    sources: list[tuple[tuple[int, ...], FeatureGeometry | None]],
    shape: tuple[int, ...],
) -> FeatureGeometry | None:
    """The geometry of one result, from the spatial shapes and geometries of what it came from."""
    step = STEPS.get(func)
    if step is not None:
        first = sources[0][1]
        return None if first is None else first.through(*step(args, kwargs))
    # What is broadcast (a gate of 1 x 1 x 1) weights all places alike.
    found = {
        geometry
        for spatial, geometry in sources
        if spatial == shape[2:] and (geometry is not None or math.prod(spatial) > 1)
    }
    if len(shape) != 5 or len(found) != 1 or not keeps_places(func, args, kwargs):
        return None
    return found.pop()


def _tensors(value: Any) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        return [tensor for item in value for tensor in _tensors(item)]
    return []
