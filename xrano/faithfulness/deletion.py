"""Insertion and deletion: does the answer go, and come back, with the most relevant voxels first?

Petsiuk, Das and Saenko (RISE, BMVC 2018), in 3D and inside the brain alone: what a map says
outside of it is not asked, and the outside is never changed. At every step the infill stands in
the place of the voxels that are away.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from xrano.errors import ConfigError
from xrano.faithfulness.catalogue import FaithfulnessStatus, metric_row
from xrano.faithfulness.ordering import (
    PART_EDGE,
    RemovalOrder,
    at_random,
    by_relevance,
    part_labels,
)
from xrano.faithfulness.prediction import (
    BATCH,
    Predict,
    check_infilled,
    check_map,
    check_scans,
    target_values,
)
from xrano.faithfulness.random_maps import blur_matched

STEPS = 16
"""Steps from the whole brain to none."""

DRAWS = 2
"""Random orders, and random maps, that a map is compared with."""


@dataclass(frozen=True, eq=False)
class Curves:
    """The target's output as the brain goes and as it comes back, in one order.

    Attributes:
        fractions: (step,) share of the brain's voxels that went first, from 0 to 1.
        deletion: (step,) output when these are away.
        insertion: (step,) output when these are back and the rest of the brain is away.
    """

    fractions: NDArray[np.float64]
    deletion: NDArray[np.float64]
    insertion: NDArray[np.float64]

    @property
    def deletion_auc(self) -> float:
        """Area under the deletion curve, by trapezoids."""
        return float(np.trapezoid(self.deletion, self.fractions))

    @property
    def insertion_auc(self) -> float:
        """Area under the insertion curve, by trapezoids."""
        return float(np.trapezoid(self.insertion, self.fractions))


@dataclass(frozen=True, eq=False)
class PerturbationCurves:
    """Curves of a map beside those of random orders and of blur-matched random maps.

    Attributes:
        own: in the order of the map; ``None`` if the map is undefined.
        random_order: one a draw; their mean area is ``chance``.
        matched: one a draw; their mean area is ``reference``.
        status: ``ok``, or ``zero_map``.
    """

    own: Curves | None
    random_order: tuple[Curves, ...]
    matched: tuple[Curves, ...]
    status: FaithfulnessStatus

    def rows(self) -> list[dict[str, Any]]:
        """One row for ``deletion_auc`` and one for ``insertion_auc``."""
        return [
            metric_row(
                name,
                math.nan if self.own is None else getattr(self.own, name),
                chance=_mean_area(self.random_order, name),
                reference=_mean_area(self.matched, name),
                status=self.status,
            )
            for name in ("deletion_auc", "insertion_auc")
        ]


def insertion_deletion(
    predict: Predict,
    inputs: Tensor,
    relevance: Tensor,
    target: int,
    infilled: Tensor,
    brain: Tensor,
    *,
    steps: int = STEPS,
    ordering: str = "voxels",
    edge: int = PART_EDGE,
    draws: int = DRAWS,
    output: str = "probability",
    seed: int = 0,
    batch: int = BATCH,
) -> PerturbationCurves:
    """Take the brain away and put it back, most relevant parts first.

    With (1 + 2 draws) orders it takes 2 + 2 (steps − 1) (1 + 2 draws) forward passes.

    Args:
        predict: the network.
        inputs: (channel, i, j, k), left as they are.
        relevance: (i, j, k), finite and not negative.
        target: index of the class.
        infilled: (channel, i, j, k), from :func:`xrano.faithfulness.infill.infill`; used in the
            brain only.
        brain: (i, j, k) boolean.
        steps: from all to none; parts may be too large for as many.
        ordering: ``voxels``, ``blocks`` or ``supervoxels``.
        edge: size of blocks and supervoxels, in voxels.
        draws: random orders, and blur-matched maps; 0 for no comparison.
        output: ``probability`` or ``logit``.
        seed: of ties and draws; the global random state is not touched.
        batch: copies of the pair that run at once.

    Raises:
        ConfigError: for fewer than one step, or draws below 0.
        UnknownNameError: for an unknown ordering or output.
        GridMismatchError, VolumeError: if scans, infill, map and brain do not fit.
        ModelError: if the network's logits cannot be used.
    """
    check_scans(inputs, brain)
    check_infilled(inputs, infilled)
    check_map(relevance, brain)
    if steps < 1 or draws < 0:
        raise ConfigError(f"needed are 1 step and 0 draws or more, got {steps} and {draws}")
    labels = part_labels(inputs, brain, ordering, edge=edge)
    if not relevance[brain].any():
        return PerturbationCurves(None, (), (), FaithfulnessStatus.ZERO_MAP)
    ask = partial(target_values, predict, target=target, output=output, batch=batch)
    gone = torch.where(brain, infilled, inputs)
    whole, none = ask([inputs, gone])

    def follow(order: RemovalOrder) -> Curves:
        counts = order.cuts(steps)
        between = ask(_copies(inputs, gone, order, counts[1:-1])).reshape(-1, 2)
        return Curves(
            np.array([order.fraction(count) for count in counts]),
            np.array([whole, *between[:, 0], none]),
            np.array([none, *between[:, 1], whole]),
        )

    return PerturbationCurves(
        follow(by_relevance(relevance, labels, seed=seed)),
        tuple(follow(at_random(labels, seed=seed + 1 + draw)) for draw in range(draws)),
        tuple(
            follow(by_relevance(drawn, labels, seed=seed))
            for drawn in blur_matched(relevance, brain, draws=draws, seed=seed)
        ),
        FaithfulnessStatus.OK,
    )


def _copies(
    inputs: Tensor, gone: Tensor, order: RemovalOrder, counts: list[int]
) -> Iterator[Tensor]:
    """For each step the scans without its parts, and the infill with them."""
    for count in counts:
        first = order.first(count)
        yield torch.where(first, gone, inputs)
        yield torch.where(first, inputs, gone)


def _mean_area(curves: tuple[Curves, ...], name: str) -> float:
    areas = [getattr(one, name) for one in curves]
    return float(np.mean(areas)) if areas else math.nan
