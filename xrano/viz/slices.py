"""Where a picture lies in the patient: planes, edges, letters, and sampling in world space.

A *view* is one slice of an axis-aligned world grid, whatever the grid of the volumes that are
drawn on it: flipped (LAS), anisotropic, or oblique. Volumes are carried to the view in world
space, so the letters at its edges are true for every volume. Flips and permutations are read
without interpolation; a grid that is oblique to the world axes is interpolated.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from xrano.errors import GridMismatchError, UnknownNameError
from xrano.geometry import Grid
from xrano.resampling import Outside, resample
from xrano.viz.blocks import Block

_WORLD_LETTERS = (("L", "R"), ("P", "A"), ("I", "S"))


class Plane(StrEnum):
    """An anatomical plane, named for how it cuts the patient."""

    AXIAL = "axial"
    CORONAL = "coronal"
    SAGITTAL = "sagittal"

    @property
    def normal(self) -> int:
        """World axis (0 x, 1 y, 2 z) that is constant in the plane."""
        return {"axial": 2, "coronal": 1, "sagittal": 0}[self.value]

    @property
    def columns(self) -> int:
        """World axis along the width of the picture."""
        return 1 if self is Plane.SAGITTAL else 0

    @property
    def rows(self) -> int:
        """World axis along the height of the picture; its positive end is at the top."""
        return 1 if self is Plane.AXIAL else 2


class Convention(StrEnum):
    """From where the patient is looked at.

    ``radiological``: the patient's left is on the right of the picture, and sagittal pictures have
    the front on the left. ``neurological``: the patient's left is on the left, the front on the
    right.
    """

    RADIOLOGICAL = "radiological"
    NEUROLOGICAL = "neurological"


@dataclass(frozen=True)
class EdgeLetters:
    """The anatomical direction that each edge of a picture faces: L R, A P, S I."""

    left: str
    right: str
    top: str
    bottom: str


@dataclass(frozen=True, eq=False)
class SliceView:
    """One slice of the world, seen in one convention.

    Args:
        plane: which way it cuts.
        convention: which side of the patient is on the left of the picture.
        grid: axis-aligned RAS+ grid, one voxel thick along the plane's normal.
    """

    plane: Plane
    convention: Convention
    grid: Grid

    @property
    def mm(self) -> float:
        """World millimetre of the slice along the plane's normal."""
        return float(self.grid.affine[self.plane.normal, 3])

    @property
    def label(self) -> str:
        """``z = +24 mm`` and so on."""
        nearest = round(self.mm)
        # The half-way case is kept as it is: a slice at 2.5 mm is at neither 2 nor 3.
        text = f"{nearest:+d}" if abs(self.mm - nearest) < 0.05 else f"{self.mm:+.1f}"
        return f"{'xyz'[self.plane.normal]} = {text.replace('-', '−')} mm"

    @property
    def extent(self) -> tuple[float, float, float, float]:
        """World mm at the picture's left, right, bottom and top edge, as ``imshow`` takes them.

        In the radiological convention the left edge has the larger coordinate.
        """
        low, high = self._edges(self.plane.columns)
        bottom, top = self._edges(self.plane.rows)
        left, right = (high, low) if self._mirrored else (low, high)
        return left, right, bottom, top

    @property
    def size_mm(self) -> tuple[float, float]:
        """Width and height of the picture in mm."""
        left, right, bottom, top = self.extent
        return abs(right - left), abs(top - bottom)

    @property
    def letters(self) -> EdgeLetters:
        """The letter of each edge."""
        low, high = _WORLD_LETTERS[self.plane.columns]
        bottom, top = _WORLD_LETTERS[self.plane.rows]
        left, right = (high, low) if self._mirrored else (low, high)
        return EdgeLetters(left, right, top, bottom)

    def sample(
        self,
        data: NDArray[Any],
        source: Grid,
        *,
        order: Literal[0, 1] = 1,
        outside: Outside = "zero",
    ) -> NDArray[Any]:
        """The values of a volume on this slice, ready for ``imshow(..., extent=view.extent)``.

        Args:
            data: (i, j, k) on ``source``.
            source: grid of ``data``.
            order: 1 trilinear (images, maps), 0 nearest (masks).
            outside: value beyond the source, see :func:`xrano.resampling.resample`.

        Returns:
            (row, column) array: row 0 is the top of the picture, column 0 its left edge.

        Raises:
            GridMismatchError: if ``data`` does not have the shape of ``source``.
        """
        if data.shape != source.shape:
            raise GridMismatchError(
                f"array of shape {data.shape} on a grid of shape {source.shape}"
            )
        # Of the volume only what the slice passes through is read, converted and interpolated.
        block = Block.under(self.grid, source)
        cut = resample(data[block.index], block.of(source), self.grid, order=order, outside=outside)
        picture = cut.take(0, axis=self.plane.normal).T[::-1]
        return np.ascontiguousarray(picture[:, ::-1] if self._mirrored else picture)

    @property
    def _mirrored(self) -> bool:
        return self.convention is Convention.RADIOLOGICAL

    def _edges(self, axis: int) -> tuple[float, float]:
        spacing = self.grid.spacing[axis]
        low = float(self.grid.affine[axis, 3]) - spacing / 2
        return low, low + spacing * self.grid.shape[axis]


def parse_plane(name: str) -> Plane:
    """A plane by name.

    Raises:
        UnknownNameError: if there is no such plane.
    """
    if name not in tuple(Plane):
        raise UnknownNameError("plane", name, tuple(Plane))
    return Plane(name)


def parse_convention(name: str) -> Convention:
    """A convention by name.

    Raises:
        UnknownNameError: if there is no such convention.
    """
    if name not in tuple(Convention):
        raise UnknownNameError("convention", name, tuple(Convention))
    return Convention(name)
