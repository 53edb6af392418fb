"""Grids in world space: where voxels lie in millimetres, and how arrays travel between grids.

A *grid* is a shape and an affine from voxel index (i, j, k) to world millimetres (RAS+: x to the
patient's right, y to the front, z up). Voxel (0, 0, 0) is centred at ``affine @ (0, 0, 0, 1)``.
Everything that moves a map or a mask goes through here, so left and right are decided once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import nibabel as nib
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from xrano.errors import GridMismatchError
from xrano.types import Affine, Mask

AFFINE_TOLERANCE_MM = 1e-3
"""Two grids are one if every corner of the volume lies within this distance in both."""

Shape3: TypeAlias = tuple[int, int, int]


@dataclass(frozen=True, eq=False)
class Grid:
    """A shape (i, j, k) and an affine (4, 4) to world millimetres.

    Raises:
        GridMismatchError: if the shape is not three positive whole numbers, or the affine not a
            finite, invertible 4 x 4 matrix whose last row is 0 0 0 1.

    Example:
        >>> grid = Grid((4, 5, 6), np.diag([2.0, 2.0, 3.0, 1.0]))
        >>> grid.spacing, round(grid.voxel_ml, 4)
        ((2.0, 2.0, 3.0), 0.012)
    """

    shape: Shape3
    affine: Affine

    def __post_init__(self) -> None:
        affine = np.array(self.affine, dtype=np.float64)
        shape = tuple(int(size) for size in self.shape)
        if len(shape) != 3 or min(shape) < 1 or shape != tuple(self.shape):
            raise GridMismatchError(f"a grid has three positive whole sizes, got {self.shape}")
        if affine.shape != (4, 4) or not np.isfinite(affine).all():
            raise GridMismatchError(f"an affine is a finite 4 x 4 matrix, got {affine.tolist()}")
        if not np.allclose(affine[3], (0, 0, 0, 1), rtol=0, atol=1e-9):
            raise GridMismatchError(f"an affine ends in the row 0 0 0 1, got {affine.tolist()}")
        if abs(np.linalg.det(affine[:3, :3])) < 1e-12:
            raise GridMismatchError(f"the affine cannot be inverted: {affine.tolist()}")
        affine.setflags(write=False)
        object.__setattr__(self, "affine", affine)
        object.__setattr__(self, "shape", shape)

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Voxel size in mm along i, j, k."""
        i, j, k = (float(size) for size in nib.affines.voxel_sizes(self.affine))
        return i, j, k

    @property
    def voxel_ml(self) -> float:
        """Volume of one voxel in millilitres."""
        return float(abs(np.linalg.det(self.affine[:3, :3]))) / 1000.0

    def world(self, index: Any) -> NDArray[np.float64]:
        """World millimetres (..., 3) of voxel indices (..., 3)."""
        return np.asarray(nib.affines.apply_affine(self.affine, index), dtype=np.float64)

    def voxel(self, world: Any) -> NDArray[np.float64]:
        """Voxel indices (..., 3), not rounded, of world millimetres (..., 3)."""
        inverse = np.linalg.inv(self.affine)
        return np.asarray(nib.affines.apply_affine(inverse, world), dtype=np.float64)

    def matches(self, other: Grid) -> bool:
        """Whether both grids have one shape and put every corner within 0.001 mm."""
        if self.shape != other.shape:
            return False
        corners = _corners(self.shape)
        return bool(np.abs(self.world(corners) - other.world(corners)).max() <= AFFINE_TOLERANCE_MM)

    def crop(self, start: Shape3, shape: Shape3) -> Grid:
        """The grid of ``array[start : start + shape]``; ``start`` may be negative (padding)."""
        affine = self.affine.copy()
        affine[:3, 3] = self.world(start)
        return Grid(shape, affine)

    def __repr__(self) -> str:
        rows = "; ".join(" ".join(f"{value:g}" for value in row) for row in self.affine[:3])
        return f"Grid(shape={self.shape}, affine=[{rows}])"


def as_shape(sizes: Sequence[int]) -> Shape3:
    """The first three sizes as a shape (i, j, k)."""
    i, j, k = (int(size) for size in sizes[:3])
    return i, j, k


def image_grid(image: Any) -> Grid:
    """The grid of the first three axes of a nibabel image."""
    return Grid(as_shape(image.shape), image.affine)


def _corners(shape: Shape3) -> NDArray[np.float64]:
    axes = [(0.0, size - 1.0) for size in shape]
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)


def inverse(matrix: Affine) -> Affine:
    """The inverse of a (4, 4) matrix."""
    return np.asarray(np.linalg.inv(matrix), dtype=np.float64)


def moved_by(grid: Grid, matrix: Affine) -> Grid:
    """The grid of the same array after its world was moved by a matrix (4, 4)."""
    return Grid(grid.shape, np.asarray(matrix, dtype=np.float64) @ grid.affine)


def require_same_grid(a: Grid, b: Grid, *, a_name: str, b_name: str) -> None:
    """Refuse two grids that are not one.

    Raises:
        GridMismatchError: naming both, with both shapes and affines.
    """
    if not a.matches(b):
        raise GridMismatchError(
            f"{a_name} and {b_name} must lie on one grid, but {a_name} has {a} and {b_name} has {b}"
        )


def ras_grid(grid: Grid) -> Grid:
    """The grid of the same voxels when their axes run closest to R, A, S.

    Example:
        >>> affine = np.array([[0, 0, 3.0, 0], [-1, 0, 0, 9], [0, 2, 0, 0], [0, 0, 0, 1]])
        >>> grid = Grid((4, 5, 6), affine)
        >>> ras_grid(grid).shape, ras_grid(grid).spacing
        ((6, 4, 5), (3.0, 1.0, 2.0))
    """
    orientation = nib.orientations.io_orientation(grid.affine)
    sizes = np.empty(3, dtype=int)
    sizes[orientation[:, 0].astype(int)] = grid.shape
    return Grid(
        as_shape(sizes.tolist()),
        grid.affine @ nib.orientations.inv_ornt_aff(orientation, grid.shape),
    )


def to_ras(data: NDArray[Any], affine: Affine) -> tuple[NDArray[Any], Grid]:
    """Flip and permute the first three axes so that i, j, k run closest to R, A, S.

    No voxel is interpolated; the world position of every value stays.

    Args:
        data: (i, j, k, ...) array.
        affine: its affine.

    Returns:
        The reoriented array (contiguous) and its grid.

    Example:
        >>> data, grid = to_ras(np.arange(2).reshape(2, 1, 1), np.diag([-1.0, 1.0, 1.0, 1.0]))
        >>> data.ravel().tolist(), grid.affine[0].tolist()
        ([1, 0], [1.0, 0.0, 0.0, -1.0])
    """
    orientation = nib.orientations.io_orientation(affine)
    shape = tuple(data.shape[:3])
    turned = nib.orientations.apply_orientation(data, orientation)
    ras = affine @ nib.orientations.inv_ornt_aff(orientation, shape)
    return np.ascontiguousarray(turned), Grid(as_shape(turned.shape), ras)


def bounding_box(mask: Mask, *, margin: int = 0) -> tuple[Shape3, Shape3]:
    """Start and shape of the smallest box around a mask, grown by ``margin`` voxels each way.

    Raises:
        GridMismatchError: if the mask is empty.
    """
    if not mask.any():
        raise GridMismatchError("an empty mask has no bounding box")
    starts, sizes = [], []
    for axis in range(3):
        others = tuple(other for other in range(3) if other != axis)
        hit = np.flatnonzero(mask.any(axis=others))
        starts.append(int(hit[0]) - margin)
        sizes.append(int(hit[-1] - hit[0]) + 1 + 2 * margin)
    return (starts[0], starts[1], starts[2]), (sizes[0], sizes[1], sizes[2])


def dilate_mm(mask: Mask, spacing: tuple[float, float, float], radius_mm: float) -> Mask:
    """All voxels whose centre lies within ``radius_mm`` of the centre of a voxel of the mask."""
    if not mask.any():
        return mask.copy()
    distance: Any = ndimage.distance_transform_edt(~mask, sampling=spacing)
    # 3 x 1.1 mm is 3.3000000000000003: a voxel at the radius belongs, whatever the last bit says.
    return np.asarray(distance <= radius_mm + 1e-6)
