"""Carrying arrays between grids in world space: the one place where voxels are interpolated."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from xrano.errors import GridMismatchError
from xrano.geometry import Grid, Shape3
from xrano.types import Affine, Mask

Outside: TypeAlias = Literal["zero", "edge"]


def index_map(source: Grid, target: Grid) -> Affine:
    """The affine (4, 4) from voxel indices of ``target`` to voxel indices of ``source``.

    Entries within 1e-6 of an integer are set to it, so that a flip or a crop is exact.
    """
    mapping = np.linalg.inv(source.affine) @ target.affine
    nearest = np.rint(mapping)
    return np.where(np.abs(mapping - nearest) < 1e-6, nearest, mapping)


def resample(
    data: NDArray[Any],
    source: Grid,
    target: Grid,
    *,
    order: Literal[0, 1] = 1,
    outside: Outside = "zero",
) -> NDArray[Any]:
    """Carry an array (i, j, k) from one grid to another in world space.

    Args:
        data: values on ``source``.
        source: grid of ``data``.
        target: grid wanted.
        order: 1 trilinear (maps, images), 0 nearest (labels, masks). No higher order, which
            would ring below zero.
        outside: value beyond the centres of the source's outermost voxels: ``zero``, or ``edge``
            for the nearest value (a coarse class activation map speaks for its whole cell).

    Returns:
        Array of ``target.shape``; float for order 1 (the input's dtype if floating, else
        float32), the input's dtype for order 0.

    Raises:
        GridMismatchError: if ``data`` does not have the source's shape.
    """
    if data.shape != source.shape:
        raise GridMismatchError(f"array of shape {data.shape} on a grid of shape {source.shape}")
    mapping = index_map(source, target)
    exact = _integer_crop(data, mapping, target.shape, outside)
    if exact is not None:
        return exact if order == 0 or data.dtype.kind == "f" else exact.astype(np.float32)
    if order == 1 and data.dtype.kind != "f":
        data = data.astype(np.float32)
    # Only along an axis that both grids share can a whole face lie on the border.
    faces_meet = outside == "zero" and bool((mapping[:3, :3] == 0).any())
    moved = ndimage.affine_transform(
        data.astype(_COMPUTED_AS.get(data.dtype, data.dtype), copy=False),
        mapping[:3, :3],
        offset=mapping[:3, 3],
        output_shape=target.shape,
        order=order,
        mode="nearest" if faces_meet or outside == "edge" else "constant",
    ).astype(data.dtype, copy=False)
    if faces_meet:
        moved[~_reached(mapping, data.shape, target.shape)] = 0
    return np.asarray(moved)


_COMPUTED_AS = {np.dtype(np.bool_): np.uint8, np.dtype(np.float16): np.float32}
"""Types that scipy cannot interpolate, and what stands in for them."""


def _reached(mapping: Affine, source: tuple[int, ...], target: Shape3) -> Mask:
    """Voxels of the target whose centre lies between the source's outermost voxel centres.

    Rounding may put a centre 1e-15 beyond them; scipy's own ``constant`` mode then loses the
    whole outer face of a grid that covers the same field at another spacing.
    """
    index = np.ogrid[: target[0], : target[1], : target[2]]
    inside = np.ones(target, dtype=np.bool_)
    for size, row in zip(source, mapping[:3], strict=True):
        # Summed over the axes that matter alone, so that most sums stay lines.
        position = sum((row[axis] * index[axis] for axis in np.flatnonzero(row[:3])), row[3])
        inside &= (position >= -1e-6) & (position <= size - 1 + 1e-6)
    return inside


def _integer_crop(
    data: NDArray[Any], mapping: Affine, shape: Shape3, outside: Outside
) -> NDArray[Any] | None:
    """Flips, permutations and whole-voxel shifts by indexing alone; ``None`` if it is not one."""
    linear = mapping[:3, :3]
    if not np.array_equal(mapping, np.rint(mapping)) or not np.array_equal(
        np.abs(linear) @ np.ones(3), np.ones(3)
    ):
        return None
    source_axis = [int(np.argmax(np.abs(linear[axis]))) for axis in range(3)]
    if sorted(source_axis) != [0, 1, 2]:
        return None
    # source axis s is read along target axis source_axis[s]
    indices: list[NDArray[np.intp]] = []
    valid = np.ones(shape, dtype=bool)
    for axis, target_axis in enumerate(source_axis):
        step = int(linear[axis, target_axis])
        index = np.arange(shape[target_axis]) * step + int(mapping[axis, 3])
        inside = (index >= 0) & (index < data.shape[axis])
        view = [1, 1, 1]
        view[target_axis] = -1
        indices.append(np.clip(index, 0, data.shape[axis] - 1).reshape(view))
        valid &= inside.reshape(view)
    picked = data[tuple(indices)]
    if outside == "edge":
        return np.ascontiguousarray(picked)
    return np.where(valid, picked, np.zeros((), dtype=data.dtype))
