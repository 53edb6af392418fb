"""Noisy linear imputation (Rong et al. 2022, arXiv:2202.00449), in 3D and in the brain alone.

Every hidden voxel is the weighted mean of its neighbours in the brain, hidden ones included:
one sparse linear system. In 2D the paper gives direct neighbours 1/6 and diagonal ones 1/12; here
the 6 voxels that share a face have 1/12 and the 12 that share an edge 1/24, which is the same
two to one and adds up to one. Where neighbours lie outside the brain the others count for more.
Neighbours are counted in voxels, however anisotropic the grid is.

:mod:`xrano.faithfulness.road` adds noise, so that smooth patches do not tell a network where
something was hidden.
"""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import cg

from xrano.errors import ConfigError, VolumeError
from xrano.types import Mask

if TYPE_CHECKING:
    Weights: TypeAlias = sparse.csr_array[np.float64, tuple[int, int]]

FACE_WEIGHT = 1 / 12
"""Weight of each of the 6 neighbours that share a face."""

EDGE_WEIGHT = 1 / 24
"""Weight of each of the 12 neighbours that share an edge."""

TOLERANCE = 1e-6
"""Residual at which the system counts as solved, relative to its right-hand side; the noise is
far above what that leaves."""


def neighbour_weights(brain: Mask) -> Weights:
    """(n, n) symmetric weights between the n voxels of a brain, in the order of ``map[brain]``.

    Example:
        >>> neighbour_weights(np.ones((1, 1, 3), dtype=bool)).toarray().round(3).tolist()
        [[0.0, 0.083, 0.0], [0.083, 0.0, 0.083], [0.0, 0.083, 0.0]]
    """
    number = np.full([size + 2 for size in brain.shape], -1, dtype=np.int64)
    number[1:-1, 1:-1, 1:-1][brain] = np.arange(np.count_nonzero(brain))
    places = np.argwhere(number >= 0)
    rows, columns, weights = [], [], []
    for step in product((-1, 0, 1), repeat=3):
        shared = sum(map(abs, step))
        if shared not in (1, 2):
            continue
        other = number[tuple((places + step).T)]
        found = np.flatnonzero(other >= 0)
        rows.append(found)
        columns.append(other[found])
        weights.append(np.full(found.size, FACE_WEIGHT if shared == 1 else EDGE_WEIGHT))
    where = (np.concatenate(rows), np.concatenate(columns))
    return sparse.csr_array((np.concatenate(weights), where), shape=(len(places), len(places)))


def impute(
    values: NDArray[np.float64], hidden: NDArray[np.bool_], weights: Weights
) -> NDArray[np.float64]:
    """The voxels of a brain with the hidden ones from those that are left, without noise.

    Args:
        values: (channel, n) voxels of the brain; what is hidden is not looked at.
        hidden: (n,) boolean.
        weights: from :func:`neighbour_weights`.

    Returns:
        (channel, n); hidden voxels that no path in the brain joins to one that is left have the
        mean of all that are left.

    Raises:
        ConfigError: if every voxel is hidden.
        VolumeError: if the system is not solved, which finite values do not lead to.

    Example:
        >>> line = neighbour_weights(np.ones((1, 1, 4), dtype=bool))
        >>> values, hidden = np.array([[3.0, 9, 9, 6]]), np.array([False, True, True, False])
        >>> impute(values, hidden, line).round(4).tolist()
        [[3.0, 4.0, 5.0, 6.0]]
    """
    if hidden.all():
        raise ConfigError("all of the brain is hidden, so nothing is left to impute it from")
    filled = np.array(values, dtype=np.float64)
    means = filled[:, ~hidden].mean(axis=1)
    filled[:, hidden] = means[:, None]
    joined = _joined(hidden, weights)
    if not joined.size:
        return filled
    rows = weights[joined, :]
    degree: NDArray[np.float64] = np.asarray(rows.sum(axis=1))
    system = (sparse.diags_array(degree) - rows[:, joined]).tocsr()
    jacobi = sparse.diags_array(1 / degree)
    sources = rows[:, np.flatnonzero(~hidden)]
    for channel, mean in enumerate(means):
        # Deviations from the mean start at 0, and a constant channel is solved at once.
        known = sources @ (filled[channel, ~hidden] - mean)
        found, unsolved = cg(system, known, rtol=TOLERANCE, atol=0.0, M=jacobi)
        if unsolved:
            raise VolumeError(f"imputing {joined.size} voxels failed after {unsolved} steps")
        filled[channel, joined] = mean + found
    return filled


def _joined(hidden: NDArray[np.bool_], weights: Weights) -> NDArray[np.intp]:
    """Hidden voxels from which a path of neighbours leads to one that is left."""
    unknown = np.flatnonzero(hidden)
    rows = weights[unknown, :]
    count, island = connected_components(rows[:, unknown], directed=False)
    beside_known = np.asarray(rows[:, np.flatnonzero(~hidden)].sum(axis=1)) > 0
    reached = np.zeros(count, dtype=bool)
    reached[island[beside_known]] = True
    return np.asarray(unknown[reached[island]], dtype=np.intp)
