"""Scores that are linear in the mask: a sum of per-voxel weights of the map over the mask.

For a fixed map and a mask of m voxels the score is ``of_sum(Σ_mask weights)``. One sum for every
place of the mask is then one cross-correlation (:mod:`xrano.metrics.placement`). Ties are settled
by their expected value in the weights, as everywhere. Average precision is not of this kind: its
precision at one voxel depends on where the others are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xrano.metrics.formulas import top_count
from xrano.metrics.ranked import RankedMap

Array = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class LinearScore:
    """One score as a sum over the mask.

    Attributes:
        key: what the weights depend on, given the map and m; equal keys have equal weights.
        weights: (n,) per-voxel weights of a map, in the order of its values.
        of_sum: the score from their sum over the mask.
    """

    key: Callable[[RankedMap, int], tuple[str, int]]
    weights: Callable[[RankedMap, int], Array]
    of_sum: Callable[[Array, RankedMap, int], Array]


def _top(size: Callable[[RankedMap, int], int], of_sum: Any) -> LinearScore:
    """A score of the mask's share in the strongest ``size`` voxels."""
    return LinearScore(
        lambda ranked, m: ("top", size(ranked, m)),
        lambda ranked, m: ranked.top_weights(size(ranked, m)),
        of_sum,
    )


def _k(ranked: RankedMap, m: int) -> int:  # noqa: ARG001
    return top_count(ranked.n)


def _auroc(sums: Array, ranked: RankedMap, m: int) -> Array:
    # Mann-Whitney: the sum of mid-ranks, less what the mask's own voxels make of it.
    return np.asarray((ranked.n * sums - m * (m + 1) / 2) / (m * (ranked.n - m)))


LINEAR: Mapping[str, LinearScore] = MappingProxyType(
    {
        "relevance_mass_accuracy": LinearScore(
            lambda ranked, m: ("mass", 0),  # noqa: ARG005
            lambda ranked, m: ranked.values / ranked.total,  # noqa: ARG005
            lambda sums, ranked, m: sums,  # noqa: ARG005
        ),
        "relevance_rank_accuracy": _top(lambda ranked, m: m, lambda sums, ranked, m: sums / m),  # noqa: ARG005
        "top_k_intersection": _top(_k, lambda sums, ranked, m: sums / _k(ranked, m)),
        "top_fraction_dice": _top(_k, lambda sums, ranked, m: 2 * sums / (_k(ranked, m) + m)),
        "auroc": LinearScore(
            lambda ranked, m: ("midrank", 0),  # noqa: ARG005
            lambda ranked, m: ranked.midranks / ranked.n,  # noqa: ARG005
            _auroc,
        ),
    }
)
"""Scores whose weights are dense, by the catalogue's names. Dice at the area-matched threshold is
the relevance rank accuracy."""

POINTING: Mapping[str, float] = MappingProxyType(
    {"pointing_game": 0.0, "pointing_game_5mm": 5.0, "pointing_game_10mm": 10.0}
)
"""Scores whose weights are the map's few equal maxima, and their tolerance in mm: linear in the
mask grown by the tolerance."""
