"""Rigid motions of the current scan in world space: which ones, and what they do to arrays."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from xrano.channels import ChannelLayout, Timepoint
from xrano.errors import ConfigError, UnknownNameError
from xrano.geometry import Grid, moved_by
from xrano.maps import AttributionMap
from xrano.resampling import resample
from xrano.types import Affine, Mask

SIZES = (1.0, 2.0, 3.0)
"""Millimetres, and degrees."""

KINDS = ("shift", "turn")

DIRECTIONS = np.array([[1, 1, 1], [-1, -1, 1], [1, -1, -1], [-1, 1, -1]]) / math.sqrt(3)
"""Corners of a tetrahedron, as directions of shifts and as axes of turns: spread evenly, none of
them along an axis of the grid, where a shift by whole voxels would not blur."""


@dataclass(frozen=True)
class Motion:
    """A rigid motion of world space.

    Attributes:
        kind: ``shift`` or ``turn``.
        size: mm, or degrees.
        direction: (3,) unit vector in R, A, S: of the shift, or the axis of the turn.

    Raises:
        UnknownNameError: for another kind.

    Example:
        >>> Motion("turn", 2.0, (0.0, 0.0, 1.0)).label
        '2°'
    """

    kind: str
    size: float
    direction: tuple[float, float, float]

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise UnknownNameError("motion", self.kind, KINDS)

    @property
    def label(self) -> str:
        """``1 mm``, ``2°``."""
        return f"{self.size:g}" + (" mm" if self.kind == "shift" else "°")

    def matrix(self, centre: NDArray[np.float64]) -> Affine:
        """(4, 4) from where a point was to where it goes; turns leave the centre in its place.

        Args:
            centre: (3,) world mm.
        """
        moved = np.eye(4)
        step = self.size * np.asarray(self.direction)
        if self.kind == "shift":
            moved[:3, 3] = step
            return moved
        moved[:3, :3] = Rotation.from_rotvec(step, degrees=True).as_matrix()
        moved[:3, 3] = centre - moved[:3, :3] @ centre
        return moved


def motions(sizes: Sequence[float] = SIZES, directions: int = 2) -> tuple[Motion, ...]:
    """Shifts, then turns, of every size in the first few of :data:`DIRECTIONS`.

    Raises:
        ConfigError: if a size is not positive, or there are not as many directions.
    """
    if not 1 <= directions <= len(DIRECTIONS) or not sizes or min(sizes) <= 0:
        raise ConfigError(
            f"motions need sizes above 0 and 1 to {len(DIRECTIONS)} directions, got "
            f"{list(sizes)} and {directions}"
        )
    return tuple(
        Motion(kind, float(size), (float(r), float(a), float(s)))
        for kind in KINDS
        for size in sizes
        for r, a, s in DIRECTIONS[:directions]
    )


def brain_centre(brain: Mask, grid: Grid) -> NDArray[np.float64]:
    """The mean place (3,) of the brain's voxels, world mm."""
    return np.asarray(grid.world(np.argwhere(brain).mean(axis=0)), dtype=np.float64)


def move_current(
    values: NDArray[np.float32], layout: ChannelLayout, grid: Grid, *matrices: Affine
) -> NDArray[np.float32]:
    """The channels of the current scan moved, by one matrix after the other.

    Args:
        values: (channel, i, j, k), left as they are.
        layout: which channel is which.
        grid: of the values.
        matrices: (4, 4) each; what comes in from beyond the grid is 0.

    Raises:
        GridMismatchError: if the values do not lie on the grid.
    """
    moved = values.copy()
    for channel in layout.select(timepoint=Timepoint.CURRENT):
        for matrix in matrices:
            moved[channel] = resample(moved[channel], moved_by(grid, matrix), grid)
    return moved


def move_map(attribution: AttributionMap, layout: ChannelLayout, matrix: Affine) -> AttributionMap:
    """A map moved as the current scan was: its current channels go along, its prior ones stay.

    A map with one channel for both scans cannot be told apart, and goes along as a whole.
    """
    grid = attribution.grid
    if attribution.channels == layout.names:
        data = move_current(attribution.data, layout, grid, matrix)
    else:
        outside: Any = "edge" if attribution.coarse else "zero"
        source = moved_by(grid, matrix)
        data = np.stack([resample(one, source, grid, outside=outside) for one in attribution.data])
    return AttributionMap(data, grid, attribution.channels, attribution.meta)
