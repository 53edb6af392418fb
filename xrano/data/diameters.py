"""Two perpendicular diameters of each lesion, and the sum of their products, as RANO 2010 has it.

Lesion: voxels of a mask that touch by a face, an edge or a corner. Axial plane: the plane of the
two voxel axes that run nearest to R and A, which on an oblique grid is not quite the world's.

The longest diameter of a lesion is its longest line within one axial slice; the perpendicular one
is the longest line at right angles to it in the same slice, wherever it lies. Where a lesion falls
apart in a slice, each part is measured by itself. Its outline is the convex hull of the middles of
its voxels' edges, so that the hole of an enhancing ring is measured across, and one voxel is one
spacing long. Discs of 15 mm or more come out too long by 0.4 to 0.8 voxels in the longest and by
−0.1 to 0.7 in the perpendicular diameter, on average over their place on the grid; whole voxels
would give 0.9 to 1.3 and 0.2 to 0.9, their centres −0.4 to −0.2 and −1.2 to −0.3.

Wen et al., J Clin Oncol 2010;28:1963: a lesion is measurable if both diameters are 10 mm or more,
and up to five target lesions are summed. Lesions are not followed from scan to scan here: the
largest of each scan count.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import ConvexHull

from xrano.errors import ConfigError, GridMismatchError
from xrano.geometry import Grid, to_ras
from xrano.types import Affine, Mask

MEASURABLE_MM = 10.0
"""Least length of both diameters of a measurable lesion."""

TARGET_LESIONS = 5
"""At most so many lesions are summed."""

_EDGES = np.array([(-0.5, 0.0), (0.5, 0.0), (0.0, -0.5), (0.0, 0.5)])
"""The middles of a voxel's edges in the axial plane, from its centre, in voxels."""


@dataclass(frozen=True)
class LesionDiameters:
    """One lesion, measured.

    ``longest`` and ``perpendicular``: mm, in the axial slice with the longest diameter.
    """

    longest: float
    perpendicular: float

    @property
    def product(self) -> float:
        """The product of both in mm²."""
        return self.longest * self.perpendicular

    def is_measurable(self, least_mm: float = MEASURABLE_MM) -> bool:
        """Whether both diameters are long enough."""
        # The 10 mm of a sum of spacings such as 0.1 must not hang on the last bit.
        return self.perpendicular >= least_mm - 1e-6


def lesion_diameters(mask: Mask, grid: Grid) -> list[LesionDiameters]:
    """Measure every lesion of a mask.

    Args:
        mask: (i, j, k) boolean, in any order of axes.
        grid: its grid, which may be oblique and anisotropic.

    Returns:
        The lesions, largest product first; none for an empty mask.

    Raises:
        GridMismatchError: if the mask does not have the grid's shape.

    Example:
        >>> grid = Grid((40, 40, 3), np.diag([1.0, 1.0, 5.0, 1.0]))
        >>> i, j, k = np.indices(grid.shape)
        >>> disc = np.hypot(i - 20, j - 20) <= 10
        >>> found = lesion_diameters(disc, grid)[0]
        >>> round(found.longest), round(found.perpendicular)
        (21, 21)
    """
    mask = np.asarray(mask, dtype=np.bool_)
    if mask.shape != grid.shape:
        raise GridMismatchError(
            f"the mask has shape {mask.shape}, its grid {grid.shape}; give the grid it lies on"
        )
    turned, ras = to_ras(mask, grid.affine)
    plane = _plane(ras.affine)
    lesions, _ = _connected(turned)
    found = [
        _measure(lesions[box] == number, plane)
        for number, box in enumerate(ndimage.find_objects(lesions), start=1)
    ]
    return sorted(found, key=lambda lesion: (-lesion.product, -lesion.longest))


def sum_of_products(
    mask: Mask, grid: Grid, *, most: int = TARGET_LESIONS, least_mm: float = MEASURABLE_MM
) -> float:
    """Tumour burden in mm²: the sum of products of the largest measurable lesions.

    Where something is left but nothing measurable, the burden is the largest product, kept below
    that of a measurable lesion (at most 99 % of ``least_mm²``): zero means that nothing is left.

    Args:
        mask: (i, j, k) boolean.
        grid: its grid.
        most: at most so many lesions, ≥ 1.
        least_mm: least length of both diameters of a measurable lesion.

    Raises:
        ConfigError: if ``most`` is less than 1 or ``least_mm`` negative.
        GridMismatchError: if the mask does not have the grid's shape.
    """
    if most < 1 or not least_mm >= 0:
        raise ConfigError(f"needed are most ≥ 1 and least_mm ≥ 0, got {most} and {least_mm}")
    lesions = lesion_diameters(mask, grid)
    measurable = [lesion.product for lesion in lesions if lesion.is_measurable(least_mm)]
    if measurable or not lesions:
        return math.fsum(measurable[:most])
    return min(lesions[0].product, 0.99 * least_mm**2)


def _plane(affine: Affine) -> NDArray[np.float64]:
    """(2, 2): steps of i and j (rows) in mm along two perpendicular axes of their plane."""
    _, upper = np.linalg.qr(affine[:3, :2])
    return np.asarray(upper.T, dtype=np.float64)


def _connected(mask: NDArray[np.bool_]) -> tuple[NDArray[np.int32], int]:
    """Numbers, from 1, of the parts that do not touch each other, and how many there are."""
    found: Any = ndimage.label(mask, structure=np.ones((3,) * mask.ndim))
    return found[0], int(found[1])


def _measure(lesion: Mask, plane: NDArray[np.float64]) -> LesionDiameters:
    """The diameters of one lesion (i, j, k) from its slice with the longest."""
    best = LesionDiameters(0.0, 0.0)
    for k in np.flatnonzero(lesion.any(axis=(0, 1))):
        parts, count = _connected(lesion[:, :, k])
        for number in range(1, count + 1):
            found = _diameters(_outline(parts == number) @ plane)
            if _rank(found) > _rank(best):
                best = found
    return best


def _rank(lesion: LesionDiameters) -> tuple[float, float]:
    # Slices of a cylinder differ in the last bit only: then the wider one counts.
    return round(lesion.longest, 6), lesion.perpendicular


def _outline(part: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(n, 2) points in voxels, with the same convex hull as the voxels' edge middles."""
    rows = np.flatnonzero(part.any(axis=1))
    first = part[rows].argmax(axis=1)
    last = part.shape[1] - 1 - part[rows, ::-1].argmax(axis=1)
    ends = np.concatenate([np.stack([rows, first], axis=1), np.stack([rows, last], axis=1)])
    return np.asarray((ends[:, None] + _EDGES).reshape(-1, 2), dtype=np.float64)


def _diameters(points: NDArray[np.float64]) -> LesionDiameters:
    """The diameters of the convex hull of points (n, 2) in mm, not all on one line."""
    hull = points[ConvexHull(points).vertices]
    squares = ((hull[:, None] - hull) ** 2).sum(axis=-1)
    longest = float(np.sqrt(squares.max()))
    # A square has two longest diameters, and rounding must not choose between them.
    pairs = np.argwhere(np.triu(squares >= squares.max() * (1 - 1e-9)))
    across = (_longest_across(hull, (hull[b] - hull[a]) / longest) for a, b in pairs)
    return LesionDiameters(longest, max(across))


def _longest_across(hull: NDArray[np.float64], direction: NDArray[np.float64]) -> float:
    """The longest line of a convex polygon (corner, 2) at right angles to a unit vector.

    Its length is concave and piecewise linear in the position along the vector, so the longest
    goes through a corner.
    """
    along, across = hull @ direction, hull @ np.array([-direction[1], direction[0]])
    following, height = np.roll(along, -1), np.roll(across, -1) - across
    with np.errstate(divide="ignore", invalid="ignore"):
        share = (along[:, None] - along) / (following - along)
    crossed = (share >= -1e-9) & (share <= 1 + 1e-9)
    crossing = across + share * height
    top = np.where(crossed, crossing, -np.inf).max(axis=1)
    bottom = np.where(crossed, crossing, np.inf).min(axis=1)
    return float((top - bottom).max())
