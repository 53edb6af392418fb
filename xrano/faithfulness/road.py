"""ROAD: remove and debias (Rong et al. 2022, arXiv:2202.00449), in 3D and in the brain alone.

A given percentage of the brain is imputed from what is left (:mod:`xrano.faithfulness.imputation`)
once from the most relevant voxels down and once from the least relevant ones up. Unlike a blur or
a constant, the imputed voxels show neither what was there nor, thanks to the noise, where it was.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from xrano.errors import ConfigError
from xrano.faithfulness.catalogue import FaithfulnessStatus, metric_row
from xrano.faithfulness.imputation import impute, neighbour_weights
from xrano.faithfulness.ordering import RemovalOrder, at_random, by_relevance, part_labels
from xrano.faithfulness.prediction import (
    BATCH,
    Predict,
    check_map,
    check_scans,
    target_values,
)
from xrano.faithfulness.random_maps import blur_matched

PERCENTAGES = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0)
"""Of the brain's voxels. The paper's tens would begin beyond what a tumour fills."""

NOISE = 0.1
"""Standard deviation of the noise, in those of each channel in the brain."""


@dataclass(frozen=True, eq=False)
class RoadCurves:
    """The target's output at each percentage.

    Attributes:
        fractions: (percentage,) share of the brain's voxels that were imputed.
        most_relevant_first: (percentage,) output without the most relevant voxels.
        least_relevant_first: (percentage,) output without the least relevant ones.
    """

    fractions: NDArray[np.float64]
    most_relevant_first: NDArray[np.float64]
    least_relevant_first: NDArray[np.float64]

    def values(self) -> dict[str, float]:
        """``road_most_relevant_first``, ``road_least_relevant_first`` and their ``road_gap``."""
        most, least = self.most_relevant_first.mean(), self.least_relevant_first.mean()
        names = ("road_most_relevant_first", "road_least_relevant_first", "road_gap")
        return dict(zip(names, map(float, (most, least, least - most)), strict=True))


@dataclass(frozen=True, eq=False)
class RoadScores:
    """ROAD of a map beside that of random orders and of blur-matched random maps.

    Attributes:
        own: of the map; ``None`` if it is undefined.
        random_order: (draw, percentage) output in random orders, which have no other end.
        matched: one a draw.
        status: ``ok``, or ``zero_map``.
    """

    own: RoadCurves | None
    random_order: NDArray[np.float64]
    matched: tuple[RoadCurves, ...]
    status: FaithfulnessStatus

    def rows(self) -> list[dict[str, Any]]:
        """One row for each of the three numbers."""
        random = float(self.random_order.mean()) if self.random_order.size else math.nan
        chance = {"road_gap": 0.0}
        names = ("road_most_relevant_first", "road_least_relevant_first", "road_gap")
        drawn = [one.values() for one in self.matched]
        return [
            metric_row(
                name,
                math.nan if self.own is None else self.own.values()[name],
                chance=chance.get(name, random),
                reference=float(np.mean([one[name] for one in drawn])) if drawn else math.nan,
                status=self.status,
            )
            for name in names
        ]


def road(
    predict: Predict,
    inputs: Tensor,
    relevance: Tensor,
    target: int,
    brain: Tensor,
    *,
    percentages: Sequence[float] = PERCENTAGES,
    noise: float = NOISE,
    draws: int = 1,
    output: str = "probability",
    seed: int = 0,
    batch: int = BATCH,
) -> RoadScores:
    """Impute the most, and the least, relevant voxels, and follow the target.

    It takes (2 + 3 draws) forward passes a percentage, and as many sparse systems. The noise is
    the same for every copy of the pair, so that orders differ by what they hide alone.

    Args:
        predict: the network.
        inputs: (channel, i, j, k), left as they are.
        relevance: (i, j, k), finite and not negative.
        target: index of the class.
        brain: (i, j, k) boolean.
        percentages: of the brain's voxels, above 0 and below 100.
        noise: standard deviation, in those of each channel over the brain.
        draws: random orders, and blur-matched maps; 0 for no comparison.
        output: ``probability`` or ``logit``.
        seed: of noise, ties and draws; the global random state is not touched.
        batch: copies of the pair that run at once.

    Raises:
        ConfigError: for a percentage out of range or none, or negative noise or draws.
        UnknownNameError: for an unknown output.
        GridMismatchError, VolumeError: if scans, map and brain do not fit.
        ModelError: if the network's logits cannot be used.
    """
    check_scans(inputs, brain)
    check_map(relevance, brain)
    if not percentages or not all(0 < share < 100 for share in percentages):
        raise ConfigError(f"percentages lie between 0 and 100, got {list(percentages)}")
    if noise < 0 or draws < 0:
        raise ConfigError(f"noise and draws are 0 or more, got {noise} and {draws}")
    if not relevance[brain].any():
        return RoadScores(None, np.empty((0, 0)), (), FaithfulnessStatus.ZERO_MAP)
    labels = part_labels(inputs, brain)
    imputer = _Imputer(inputs, brain, noise, np.random.default_rng(seed))
    ask = partial(target_values, predict, target=target, output=output, batch=batch)

    def follow(order: RemovalOrder) -> NDArray[np.float64]:
        return ask(imputer.without(order.first(count)) for count in _counts(order, percentages))

    def both(values: Tensor) -> RoadCurves:
        order = by_relevance(values, labels, seed=seed)
        shares = np.array([order.fraction(count) for count in _counts(order, percentages)])
        return RoadCurves(shares, follow(order), follow(order.reversed()))

    drawn = [follow(at_random(labels, seed=seed + 1 + draw)) for draw in range(draws)]
    return RoadScores(
        both(relevance),
        np.array(drawn).reshape(draws, len(percentages)),
        tuple(both(one) for one in blur_matched(relevance, brain, draws=draws, seed=seed)),
        FaithfulnessStatus.OK,
    )


def _counts(order: RemovalOrder, percentages: Sequence[float]) -> Iterator[int]:
    """Voxels to hide; of a tiny brain at least one stays."""
    for share in percentages:
        yield min(order.cut(share / 100), len(order.sizes) - 1)


class _Imputer:
    """Scans with some voxels imputed from the others, with one pattern of noise."""

    def __init__(
        self, inputs: Tensor, brain: Tensor, noise: float, rng: np.random.Generator
    ) -> None:
        self._inputs, self._brain = inputs, brain
        self._values = inputs[:, brain].detach().cpu().double().numpy()
        deviations = self._values.std(axis=1, keepdims=True)
        self._noise = noise * deviations * rng.standard_normal(self._values.shape)
        self._weights = neighbour_weights(brain.cpu().numpy())

    def without(self, hidden: Tensor) -> Tensor:
        """(channel, i, j, k) with the hidden voxels imputed."""
        place = hidden[self._brain].cpu().numpy()
        filled = impute(self._values, place, self._weights) + self._noise
        scans = self._inputs.detach().clone()
        scans[:, hidden] = torch.from_numpy(filled[:, place]).to(scans)
        return scans
