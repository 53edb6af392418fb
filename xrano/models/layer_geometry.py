"""Where the cells of a feature grid lie in the scan.

A convolution or pooling with kernel k, dilation d, stride s and padding p puts the centre of its
output cell o at input position ``s·o + (d·(k−1))/2 − p`` along each axis. Chained from the input,
every feature grid has a stride and an offset per axis: cell i of DenseNet's last block is centred
at voxel 32·i + 14. Stretching the grid over the image instead would misplace the outer cells by
up to 20 voxels.

The chain is read while the network runs once on ``meta`` tensors (shapes without values), so it
holds for any module, functional calls included, as long as the way to the layer consists of
convolutions, poolings and steps that keep positions (normalisation, activation, concatenation,
sums).
"""

from __future__ import annotations

import copy
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - the usual name
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from xrano.errors import ModelError
from xrano.geometry import Grid


@dataclass(frozen=True)
class FeatureGeometry:
    """Cell centre of index n along each axis: ``offset + stride · n``, in input voxels."""

    stride: tuple[float, float, float]
    offset: tuple[float, float, float]

    def through(
        self,
        kernel: tuple[int, int, int],
        stride: tuple[int, int, int],
        padding: tuple[int, int, int],
        dilation: tuple[int, int, int],
    ) -> FeatureGeometry:
        """The geometry after one convolution or pooling."""
        new_stride, new_offset = [], []
        for axis in range(3):
            shift = dilation[axis] * (kernel[axis] - 1) / 2 - padding[axis]
            new_offset.append(self.offset[axis] + self.stride[axis] * shift)
            new_stride.append(self.stride[axis] * stride[axis])
        return FeatureGeometry(_triple(new_stride), _triple(new_offset))


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
            not a convolution or pooling.

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
    if len(shape) != 5 or geometry is None:
        raise ModelError(
            f"the output of layer {layer!r} has shape {shape} and cannot be placed in the scan: "
            "a class activation map needs (batch, feature, a, b, c) reached by convolutions, "
            "poolings and element-wise steps only"
        )
    to_input = np.diag([*geometry.stride, 1.0])
    to_input[:3, 3] = geometry.offset
    return Grid((shape[2], shape[3], shape[4]), grid.affine @ to_input)


class _GeometryTracer(TorchFunctionMode):
    """Carries a :class:`FeatureGeometry` from tensor to tensor while a network runs."""

    def __init__(self) -> None:
        super().__init__()
        self._known: dict[int, tuple[weakref.ref[Tensor], FeatureGeometry]] = {}

    def start(self, inputs: Tensor) -> None:
        self._set(inputs, FeatureGeometry((1.0, 1.0, 1.0), (0.0, 0.0, 0.0)))

    def geometry(self, tensor: Tensor) -> FeatureGeometry | None:
        reference, geometry = self._known.get(id(tensor), (None, None))
        return geometry if reference is not None and reference() is tensor else None

    def _set(self, tensor: Tensor, geometry: FeatureGeometry) -> None:
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
            (tuple(tensor.shape), self.geometry(tensor)) for tensor in _tensors((args, kwargs))
        ]
        result = func(*args, **kwargs)
        placed = [(shape, geometry) for shape, geometry in sources if geometry is not None]
        if placed and isinstance(result, Tensor):
            geometry = self._follow(func, args, kwargs, placed, result)
            if geometry is not None:
                self._set(result, geometry)
        return result

    def _follow(
        self,
        func: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        placed: list[tuple[tuple[int, ...], FeatureGeometry]],
        result: Tensor,
    ) -> FeatureGeometry | None:
        shape, geometry = placed[0]
        step = _STEPS.get(func)
        if step is not None:
            return geometry.through(*step(args, kwargs))
        same_place = all(other == geometry for _, other in placed)
        keeps_positions = result.ndim == 5 and tuple(result.shape[2:]) == shape[2:]
        return geometry if same_place and keeps_positions and func not in _MOVERS else None


def _tensors(value: Any) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        return [tensor for item in value for tensor in _tensors(item)]
    return []


Step = tuple[tuple[int, int, int], tuple[int, int, int], tuple[int, int, int], tuple[int, int, int]]


def _argument(
    args: tuple[Any, ...], kwargs: Mapping[str, Any], index: int, name: str, default: Any
) -> Any:
    value = args[index] if len(args) > index else kwargs.get(name, default)
    return default if value is None else value


def _triple(value: Any) -> Any:
    items = (value,) * 3 if isinstance(value, (int, float)) else tuple(value)
    return items * 3 if len(items) == 1 else items


def _convolution(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Step:
    weight: Tensor = _argument(args, kwargs, 1, "weight", None)
    kernel = _triple(weight.shape[2:])
    dilation = _triple(_argument(args, kwargs, 5, "dilation", 1))
    padding = _argument(args, kwargs, 4, "padding", 0)
    if padding == "same":
        padding = tuple(d * (k - 1) // 2 for d, k in zip(dilation, kernel, strict=True))
    padding = 0 if padding == "valid" else padding
    return kernel, _triple(_argument(args, kwargs, 3, "stride", 1)), _triple(padding), dilation


def _pooling(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Step:
    kernel = _triple(_argument(args, kwargs, 1, "kernel_size", 1))
    stride = _argument(args, kwargs, 2, "stride", kernel)
    padding = _triple(_argument(args, kwargs, 3, "padding", 0))
    return kernel, _triple(stride if stride != () else kernel), padding, (1, 1, 1)


def _max_pooling(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Step:
    kernel, stride, padding, _ = _pooling(args, kwargs)
    return kernel, stride, padding, _triple(_argument(args, kwargs, 4, "dilation", 1))


_STEPS: Mapping[Any, Callable[[tuple[Any, ...], Mapping[str, Any]], Step]] = {
    torch.conv3d: _convolution,
    F.max_pool3d: _max_pooling,
    torch.max_pool3d: _max_pooling,
    F.avg_pool3d: _pooling,
}

# Steps that keep the shape but not the place of what they carry.
_MOVERS = {torch.flip, torch.roll, Tensor.flip, Tensor.roll, torch.transpose, Tensor.transpose,
           torch.permute, Tensor.permute}  # fmt: skip
