"""Maps that need no network: what a method must beat to have learnt something."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from xrano.errors import GridMismatchError
from xrano.geometry import Grid
from xrano.maps import MERGED_CHANNEL, AttributionMap
from xrano.types import Volume

CHANGE = "change"
"""Method name of |current − prior|."""

_OF_THE_PAIR = (
    "run",
    "fold",
    "pair_id",
    "patient_id",
    "prior",
    "current",
    "response",
    "rating_source",
    "predicted",
    "spans_surgery",
)


def change_map(
    prior: Volume, current: Volume, grid: Grid, meta: Mapping[str, Any]
) -> AttributionMap:
    """|current − prior| summed over sequences, as if a method had given it.

    Methods that multiply by the input (integrated gradients) follow this map even on a network
    that was never trained.

    Args:
        prior: (sequence, i, j, k) the prior scan as the network receives it (normalised).
        current: (sequence, i, j, k) the current scan, likewise.
        grid: the grid of (i, j, k).
        meta: facts of the pair, as in the sidecar of any of its maps; those of the pair are kept
            (pair_id, patient_id, prior, current, response, predicted, run, fold, spans_surgery).

    Returns:
        A map with method ``change`` and weights ``none``, that explains no target.

    Raises:
        GridMismatchError: if the scans differ in shape or do not lie on the grid.
        VolumeError: if a voxel is NaN or infinite.

    Example:
        >>> grid = Grid((1, 1, 2), np.eye(4))
        >>> prior = np.zeros((2, 1, 1, 2), dtype=np.float32)
        >>> current = np.array([[[[1.0, -2.0]]], [[[0.5, 0.0]]]], dtype=np.float32)
        >>> change_map(prior, current, grid, {"pair_id": "P_a_b"}).data.ravel().tolist()
        [1.5, 2.0]
    """
    if prior.shape != current.shape:
        raise GridMismatchError(f"prior of shape {prior.shape}, current of shape {current.shape}")
    difference = np.abs(np.asarray(current, np.float32) - np.asarray(prior, np.float32))
    facts = {key: meta[key] for key in _OF_THE_PAIR if key in meta}
    facts.update(method=CHANGE, weights="none", layer="", baseline="")
    facts.update(target="", target_name="", target_choice="")
    return AttributionMap(difference.sum(axis=0)[None], grid, (MERGED_CHANNEL,), facts)
