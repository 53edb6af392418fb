"""What the tumour's own mask scores when it is seen through the cells of a coarse map.

A class activation map of a deep layer speaks for cells of several centimetres and cannot score
like a voxel-wise map, however right it is. Two numbers say how much of a low score is the grid:

* :func:`resolution_reference`, what the mask itself scores after being averaged to the cells and
  carried back the way a map is. A reference for mass, rank and pointing: a map that knows the
  tumour as well as its cells allow.
* :func:`mass_ceiling`, the most that any non-negative map on those cells can score in relevance
  mass, which the reference does not exceed. It is reached by a map that is zero but for one cell,
  so it bounds what is possible without being a sensible aim. There is no such bound for rank.
"""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from xrano.errors import GridMismatchError, VolumeError
from xrano.geometry import Grid, bounding_box
from xrano.metrics.catalogue import OverlapScore
from xrano.metrics.overlap import score_overlap
from xrano.metrics.ranked import check_mask
from xrano.resampling import index_map, resample
from xrano.types import Mask, Volume

RESOLUTION_METRICS = ("relevance_mass_accuracy", "relevance_rank_accuracy", "pointing_game")


def resolution_reference(
    mask: Mask, domain: Mask, cam_grid: Grid, grid: Grid
) -> dict[str, OverlapScore]:
    """Scores of the mask seen at the resolution of a coarse grid.

    Args:
        mask: (i, j, k) boolean on ``grid``.
        domain: (i, j, k) boolean on ``grid``: the brain.
        cam_grid: the coarse grid, in the same world.
        grid: the grid of mask and domain.

    Returns:
        A score for each of :data:`RESOLUTION_METRICS`; undefined for an empty mask.

    Raises:
        GridMismatchError: if mask or domain do not have the grid's shape.
        VolumeError: if they are not boolean, or the domain is empty.

    Example:
        >>> grid, cells = Grid((4, 1, 1), np.eye(4)), Grid((1, 1, 1), np.diag([4.0, 1, 1, 1]))
        >>> mask = np.array([True, False, False, False]).reshape(4, 1, 1)
        >>> scores = resolution_reference(mask, np.ones_like(mask), cells, grid)
        >>> scores["relevance_mass_accuracy"].value  # one cell sees the whole volume alike
        0.25
    """
    view = CellView(domain, cam_grid, grid)
    return score_overlap(view.seen(mask), mask, domain=domain, metrics=RESOLUTION_METRICS)


class CellView:
    """Masks of one brain as they look through the cells of a coarse grid.

    What all masks share, the cell of each voxel, is found once.

    Args:
        domain: (i, j, k) boolean on ``grid``: the brain.
        cam_grid: the coarse grid, in the same world.
        grid: the grid of masks and domain.

    Raises:
        GridMismatchError: if the domain does not have the grid's shape.
        VolumeError: if it is not boolean, or empty.
    """

    def __init__(self, domain: Mask, cam_grid: Grid, grid: Grid) -> None:
        _check_domain(domain, grid)
        self._domain, self._cam_grid, self._grid = domain, cam_grid, grid
        self._cell_of = _nearest_cells(cam_grid, grid)
        self._voxels = np.bincount(self._cell_of.ravel(), minlength=int(np.prod(cam_grid.shape)))

    def seen(self, mask: Mask) -> Volume:
        """(i, j, k) a mask averaged to the cells and carried back, the way a map is.

        Raises:
            GridMismatchError: if the mask does not have the grid's shape.
            VolumeError: if it is not boolean.
        """
        _check_mask(mask, self._grid)
        shares = _shares(mask & self._domain, self._cell_of, self._voxels)
        # In float32, as maps are: there equal shares stay tied, whose interpolation in float64
        # would differ in the last digit and decide the pointing game by rounding.
        cells = shares.astype(np.float32).reshape(self._cam_grid.shape)
        found = np.zeros(self._grid.shape, dtype=np.float32)
        # A voxel takes from cells that are at most one beyond its nearest.
        near = ndimage.maximum_filter(cells, size=3, mode="nearest").ravel() > 0
        reached = near[self._cell_of]
        if reached.any():
            start, shape = bounding_box(reached)
            box = tuple(slice(a, a + b) for a, b in zip(start, shape, strict=True))
            part = self._grid.crop(start, shape)
            found[box] = resample(cells, self._cam_grid, part, outside="edge")
        return found


def mask_to_cells(mask: Mask, cam_grid: Grid, grid: Grid) -> NDArray[np.float64]:
    """The share of each cell's voxels that lie in the mask.

    A voxel belongs to the cell whose centre is nearest along each axis of the coarse grid; beyond
    the outermost cells, to the outermost, as when a coarse map is carried to voxels.

    Args:
        mask: (i, j, k) boolean on ``grid``.
        cam_grid: the coarse grid.
        grid: the grid of the mask.

    Returns:
        Shares of the shape of ``cam_grid``; 0 for a cell without voxels.
    """
    place = _nearest_cells(cam_grid, grid)
    voxels = np.bincount(place.ravel(), minlength=int(np.prod(cam_grid.shape)))
    return _shares(mask, place, voxels).reshape(cam_grid.shape)


def mass_ceiling(mask: Mask, domain: Mask, cam_grid: Grid, grid: Grid) -> float:
    """The highest relevance mass accuracy of any non-negative map on a coarse grid.

    Trilinear interpolation is linear in the cells, so the mass accuracy is a weighted mean of what
    each cell alone would score, and its maximum is the best single cell. It holds for maps that
    are rectified on their own grid, before they are carried to voxels.

    Args:
        mask: (i, j, k) boolean on ``grid``.
        domain: (i, j, k) boolean on ``grid``: the brain.
        cam_grid: the coarse grid, in the same world.
        grid: the grid of mask and domain.

    Returns:
        0 to 1; NaN for a mask without voxels in the domain.

    Raises:
        GridMismatchError: if mask or domain do not have the grid's shape.
        VolumeError: if they are not boolean, or the domain is empty.

    Example:
        >>> grid, cells = Grid((4, 1, 1), np.eye(4)), Grid((4, 1, 1), np.eye(4))
        >>> mask = np.array([True, False, False, False]).reshape(4, 1, 1)
        >>> mass_ceiling(mask, np.ones_like(mask), cells, grid)
        1.0
    """
    _check(mask, domain, grid)
    if not (mask & domain).any():
        return float("nan")
    coordinates = _coordinates(cam_grid, grid)
    inside = _cell_mass(mask & domain, coordinates, cam_grid)
    total = _cell_mass(domain, coordinates, cam_grid)
    # A cell that touches no voxel of the domain can carry no relevance there.
    return float((inside[total > 0] / total[total > 0]).max())


def _check(mask: Mask, domain: Mask, grid: Grid) -> None:
    _check_mask(mask, grid)
    _check_domain(domain, grid)


def _check_mask(mask: Mask, grid: Grid, name: str = "mask") -> None:
    if mask.shape != grid.shape:
        raise GridMismatchError(f"the {name} has shape {mask.shape}, its grid {grid.shape}")
    check_mask(mask, grid.shape, name=name)


def _check_domain(domain: Mask, grid: Grid) -> None:
    _check_mask(domain, grid, "scoring domain")
    if not domain.any():
        raise VolumeError("the scoring domain (brain) is empty: nothing can be scored")


def _nearest_cells(cam_grid: Grid, grid: Grid) -> NDArray[np.int32]:
    """(i, j, k) the flat index of the cell that each voxel belongs to."""
    place = np.zeros(grid.shape, dtype=np.int32)
    for coordinate, size in zip(_coordinates(cam_grid, grid), cam_grid.shape, strict=True):
        # Halves go up, and rounding errors of the affine do not decide where.
        cell = np.floor(coordinate + (0.5 + 1e-9)).astype(np.int32)
        place = place * size + np.clip(cell, 0, size - 1)
    return place


def _shares(
    mask: Mask, cell_of: NDArray[np.int32], voxels: NDArray[np.intp]
) -> NDArray[np.float64]:
    """(cell,) the share of each cell's voxels that lie in a mask."""
    inside = np.bincount(cell_of[mask], minlength=voxels.size)
    shares: NDArray[np.float64] = inside / np.maximum(voxels, 1)
    return shares


def _coordinates(cam_grid: Grid, grid: Grid) -> list[NDArray[np.float64]]:
    """Where each voxel of ``grid`` lies along each axis of the coarse grid, in cells."""
    mapping = index_map(cam_grid, grid)
    i, j, k = np.ogrid[: grid.shape[0], : grid.shape[1], : grid.shape[2]]
    return [row[0] * i + row[1] * j + row[2] * k + row[3] for row in mapping[:3]]


def _cell_mass(
    voxels: Mask, coordinates: list[NDArray[np.float64]], cam_grid: Grid
) -> NDArray[np.float64]:
    """Summed trilinear weight (cell,) of each cell over the voxels: the adjoint of resampling."""
    lower, upper, share = [], [], []
    for coordinate, size in zip(coordinates, cam_grid.shape, strict=True):
        position = np.clip(coordinate[voxels], 0, size - 1)
        floor = np.minimum(np.floor(position).astype(np.intp), max(size - 2, 0))
        lower.append(floor)
        upper.append(np.minimum(floor + 1, size - 1))
        share.append(position - floor)
    mass = np.zeros(int(np.prod(cam_grid.shape)))
    for corner in itertools.product((0, 1), repeat=3):
        place = np.zeros(int(voxels.sum()), dtype=np.intp)
        weight = np.ones(place.size)
        for axis, size in enumerate(cam_grid.shape):
            place = place * size + (upper[axis] if corner[axis] else lower[axis])
            weight *= share[axis] if corner[axis] else 1 - share[axis]
        mass += np.bincount(place, weights=weight, minlength=mass.size)
    return mass
