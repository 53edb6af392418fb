"""What each step of a network does to the places of what it carries.

A convolution or pooling with kernel k, dilation d, stride s and padding p puts the centre of its
output cell o at input position ``s·o + (d·(k−1))/2 − p`` along each axis; padding by p alone is
the same with k = s = 1. Steps that are neither of these and keep the shape keep the places too,
except for those listed here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 - the usual name
from torch import Tensor


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
        """The geometry after one convolution, pooling or padding."""
        new_stride, new_offset = [], []
        for axis in range(3):
            shift = dilation[axis] * (kernel[axis] - 1) / 2 - padding[axis]
            new_offset.append(self.offset[axis] + self.stride[axis] * shift)
            new_stride.append(self.stride[axis] * stride[axis])
        return FeatureGeometry(_triple(new_stride), _triple(new_offset))


Step = tuple[tuple[int, int, int], tuple[int, int, int], tuple[int, int, int], tuple[int, int, int]]
"""Kernel, stride, padding and dilation along the three axes."""


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


def _padding(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Step:
    sizes: Sequence[int] = _argument(args, kwargs, 1, "pad", ())
    # Two numbers an axis, the last axis first.
    before = [*sizes[::2], 0, 0, 0]
    return (1, 1, 1), (1, 1, 1), (before[2], before[1], before[0]), (1, 1, 1)


STEPS: Mapping[Any, Callable[[tuple[Any, ...], Mapping[str, Any]], Step]] = {
    torch.conv3d: _convolution,
    F.max_pool3d: _max_pooling,
    F.max_pool3d_with_indices: _max_pooling,
    torch.max_pool3d: _max_pooling,
    F.avg_pool3d: _pooling,
    F.pad: _padding,
}
"""Function of torch to its arithmetic."""

_MOVERS = frozenset({
    "flip", "fliplr", "flipud", "roll", "rot90", "sort", "argsort", "topk",
    "transpose", "transpose_", "swapaxes", "swapdims", "permute", "movedim", "moveaxis",
    "T", "H", "mT", "mH", "gather", "take_along_dim", "scatter", "cumsum", "cumprod",
    "grid_sample", "grid_sampler", "grid_sampler_3d",
    "matmul", "__matmul__", "__rmatmul__", "linear", "bilinear", "einsum", "tensordot",
    "scaled_dot_product_attention",
})  # fmt: skip
"""Steps that may keep the shape, but not the place of what they carry."""


def keeps_places(
    func: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> bool:
    """Whether a step that keeps the spatial shape keeps the places too."""
    name = getattr(func, "__name__", "")
    if name == "__get__":  # a property, such as Tensor.mT
        name = getattr(getattr(func, "__self__", None), "__name__", "")
    if name == "index_select":
        return _argument(args, kwargs, 1, "dim", 0) in (0, 1, -5, -4)
    if name in ("__getitem__", "__setitem__"):
        # Reading a part of an axis shows in the shape, writing to a part does not.
        part_of_axis = name == "__setitem__" and not _takes_whole_axes(args[1])
        return _indexes_channels_only(args[1]) and not part_of_axis
    return name not in _MOVERS and not name.startswith("fft_")


def _indexes_channels_only(index: Any) -> bool:
    """Whether lists and tensors, which can reorder, stand only for batch and channel."""
    entries = _entries(index)
    plain = (int, slice, type(None), type(Ellipsis))
    reordering = [n for n, entry in enumerate(entries) if not isinstance(entry, plain)]
    if not reordering:
        return True
    before = entries[: max(reordering)]
    return max(reordering) < 2 and not any(entry is None or entry is Ellipsis for entry in before)


def _takes_whole_axes(index: Any) -> bool:
    """Whether everything behind batch and channel is a bare colon."""
    entries = _entries(index)
    start = next((n for n, entry in enumerate(entries[:2]) if entry is Ellipsis), 2)
    return all(
        entry is Ellipsis or (isinstance(entry, slice) and entry == slice(None))
        for entry in entries[start:]
    )


def _entries(index: Any) -> tuple[Any, ...]:
    return index if isinstance(index, tuple) else (index,)
