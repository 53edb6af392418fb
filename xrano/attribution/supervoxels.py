"""Divide a grid into blocks, or a scan into supervoxels that follow its edges."""

from __future__ import annotations

from itertools import product

import torch
from torch import Tensor

COMPACTNESS = 0.5
"""Weight of distance in cells beside distance in standard deviations of the scans."""

ROUNDS = 3
"""How often centres move; they hardly do afterwards."""


def blocks(shape: tuple[int, int, int], edge: int) -> Tensor:
    """Integer labels ``(i, j, k)`` of cubes of ``edge`` voxels, cut off at the far sides.

    Example:
        >>> blocks((3, 1, 4), 2)[:, 0].tolist()
        [[0, 0, 1, 1], [0, 0, 1, 1], [2, 2, 3, 3]]
    """
    number = torch.zeros(1, dtype=torch.long)
    for axis, size in enumerate(shape):
        along = torch.arange(size) // edge
        view = [1, 1, 1]
        view[axis] = size
        number = number * (-(-size // edge)) + along.view(view)
    return number.expand(shape).contiguous()


def supervoxels(scans: Tensor, brain: Tensor, count: int) -> Tensor:
    """About ``count`` supervoxels of the brain, numbered from 1; everything outside it is 0.

    SLIC (Achanta et al. 2012, IEEE TPAMI 34:2274) on all channels: centres start on a regular
    grid, each voxel joins the nearest of the centres of its own and the neighbouring cells, by
    place and by intensity, and centres move to their voxels' mean. Pieces are not forced to be
    connected. Nothing is drawn: the same scans give the same supervoxels.

    Args:
        scans: ``(channel, i, j, k)``.
        brain: boolean ``(i, j, k)``.
        count: about how many; a cell's edge follows from it and the brain's volume.
    """
    voxels = int(brain.sum())
    labels = torch.zeros(brain.shape, dtype=torch.long, device=scans.device)
    if not voxels:
        return labels
    edge = max(1.0, (voxels / count) ** (1 / 3))
    features = scans[:, brain].double()
    # In standard deviations, and as one however many sequences there are.
    deviation = features.std(dim=1, unbiased=False, keepdim=True).clamp(min=1e-12)
    features = features / deviation / len(scans) ** 0.5
    places = torch.nonzero(brain).double().T / edge
    cells = places.floor().long()
    sizes = [int(axis.max()) + 1 for axis in cells]
    points = torch.cat([COMPACTNESS**0.5 * places, features])
    member = _flat(cells, sizes)
    total = sizes[0] * sizes[1] * sizes[2]
    for _ in range(ROUNDS):
        member = _nearest(points, cells, sizes, _centres(points, member, total))
    labels[brain] = torch.unique(member, return_inverse=True)[1] + 1
    return labels


def _flat(cells: Tensor, sizes: list[int]) -> Tensor:
    return (cells[0] * sizes[1] + cells[1]) * sizes[2] + cells[2]


def _centres(points: Tensor, member: Tensor, total: int) -> Tensor:
    """Mean point of each cell's members; infinitely far if it has none."""
    sums = points.new_zeros(len(points), total).index_add_(1, member, points)
    counts = torch.bincount(member, minlength=total)
    return torch.where(counts > 0, sums / counts.clamp(min=1), torch.inf)


def _nearest(points: Tensor, cells: Tensor, sizes: list[int], centres: Tensor) -> Tensor:
    best = points.new_full((points.shape[1],), torch.inf)
    member = _flat(cells, sizes)
    limits = torch.tensor(sizes, device=points.device).view(3, 1)
    for step in product((-1, 0, 1), repeat=3):
        near = cells + torch.tensor(step, device=points.device).view(3, 1)
        inside = ((near >= 0) & (near < limits)).all(dim=0)
        candidate = _flat(near.clamp(min=0).minimum(limits - 1), sizes)
        distance = (points - centres[:, candidate]).square().sum(dim=0)
        distance = torch.where(inside, distance, torch.inf)
        member = torch.where(distance < best, candidate, member)
        best = torch.minimum(best, distance)
    return member
