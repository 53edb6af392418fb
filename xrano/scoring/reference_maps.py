r"""Maps that need no network: what a method must beat to have learnt something.

* ``uniform``: the same everywhere; scores chance.
* ``centre``: a Gaussian in the middle of the brain, half as wide as the brain.
* ``change``: \|current − prior\|, which is also \|x − x′\| of a method with the prior scan as
  baseline.
* ``input_difference``: \|x − x′\| of another baseline.
* ``enhancement``: what is brighter on CT1 than on T1, of both scans.
* ``edges``: the gradient's magnitude of the current scan.
* ``training_mask``: the mean mask of training pairs: where tumours lie.
* ``mask``: the mask itself seen through the cells of a class activation map
  (:mod:`xrano.metrics.resolution`); it is no map of the pair but one of each mask.

None explains a target; all have weights ``none``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xrano.errors import GridMismatchError
from xrano.geometry import Grid
from xrano.maps import MERGED_CHANNEL, AttributionMap, Rectification
from xrano.scoring.pair_masks import PairMasks
from xrano.scoring.rows import map_facts, reference_cell, score_row
from xrano.types import Mask, Volume

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
    return _reference(difference.sum(axis=0), grid, meta, CHANGE)


def uniform_map(grid: Grid, meta: Mapping[str, Any]) -> AttributionMap:
    """One everywhere."""
    return _reference(np.ones(grid.shape, np.float32), grid, meta, "uniform")


def centre_map(brain: Mask, grid: Grid, meta: Mapping[str, Any]) -> AttributionMap:
    """A Gaussian around the brain's centre of mass, whose SD is half the brain's along each axis.

    Args:
        brain: (i, j, k) boolean, not empty.
        grid: its grid.
        meta: as :func:`change_map`.
    """
    exponent = np.zeros(grid.shape)
    for axis, places in enumerate(np.nonzero(brain)):
        shape = [1, 1, 1]
        shape[axis] = -1
        away = np.arange(grid.shape[axis]).reshape(shape) - places.mean()
        exponent = exponent + (away / max(places.std() / 2, 0.5)) ** 2
    return _reference(np.exp(-exponent / 2).astype(np.float32), grid, meta, "centre")


def input_difference_map(
    inputs: NDArray[np.float32],
    baseline: NDArray[np.float32],
    name: str,
    grid: Grid,
    meta: Mapping[str, Any],
) -> AttributionMap:
    """|x − x′| summed over channels, for the baseline of a name."""
    if inputs.shape != baseline.shape:
        raise GridMismatchError(f"inputs of shape {inputs.shape}, baseline of {baseline.shape}")
    values = np.abs(inputs - baseline).sum(axis=0)
    return _reference(values, grid, meta, "input_difference", name)


def enhancement_map(
    ct1: NDArray[np.float32], t1: NDArray[np.float32], grid: Grid, meta: Mapping[str, Any]
) -> AttributionMap:
    """CT1 − T1 where it is positive, summed over scans (scan, i, j, k)."""
    values = np.clip(ct1 - t1, 0, None).sum(axis=0)
    return _reference(values, grid, meta, "enhancement")


def edges_map(current: NDArray[np.float32], grid: Grid, meta: Mapping[str, Any]) -> AttributionMap:
    """The magnitude of the spatial gradient (per mm), summed over sequences (sequence, i, j, k)."""
    total = np.zeros(grid.shape, np.float32)
    axes = [axis for axis in range(3) if grid.shape[axis] > 1]
    for volume in current:
        slopes = [np.gradient(volume, grid.spacing[axis], axis=axis) for axis in axes]
        total += np.sqrt(sum((slope**2 for slope in slopes), start=np.zeros_like(volume)))
    return _reference(total, grid, meta, "edges")


def training_mask_map(
    mean_mask: NDArray[np.floating[Any]], grid: Grid, meta: Mapping[str, Any]
) -> AttributionMap:
    """The share of training pairs with tumour in each voxel, none of them of this patient."""
    return _reference(np.asarray(mean_mask, np.float32), grid, meta, "training_mask")


def resolution_rows(
    cam: AttributionMap, case: PairMasks, *, reduction: str
) -> list[dict[str, Any]]:
    """What each mask itself scores when seen through the cells of a class activation map.

    Rows of method ``mask`` with the map's layer, of the cells that references are scored on: the
    ``reference`` of the map's own rows as a map of its own.
    """
    facts = {
        **map_facts(_reference(cam.data[0], cam.grid, cam.meta, "mask"), case),
        "layer": str(cam.meta["layer"]),
        "reduction": reduction,
        "rectification": str(Rectification.POSITIVE),
    }
    rows = []
    for cell in filter(reference_cell, case.cells):
        found = case.at_cells(cell, cam.grid)
        rows += [score_row(facts, cell, name, score, score) for name, score in found.items()]
    return rows


def _reference(
    values: Volume, grid: Grid, meta: Mapping[str, Any], method: str, baseline: str = ""
) -> AttributionMap:
    facts = {key: meta[key] for key in _OF_THE_PAIR if key in meta}
    facts.update(method=method, weights="none", layer="", baseline=baseline)
    facts.update(target="", target_name="", target_choice="")
    return AttributionMap(np.asarray(values, np.float32)[None], grid, (MERGED_CHANNEL,), facts)
