"""Infidelity: is the relevance of a block how far the logit falls when the block is taken away?

Yeh et al. 2019 (arXiv:1901.09392), definition 2.1: the mean of (I·φ − (f(x) − f(x − I)))² over
perturbations I; here random blocks of the brain, replaced by the infill. A map's scale is an
accident of its method, so it is scaled to fit best, as the authors' code and Captum's
``normalize`` do. That scale may be negative: read the correlation beside it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from xrano.errors import ConfigError
from xrano.faithfulness.catalogue import FaithfulnessStatus, metric_row
from xrano.faithfulness.prediction import (
    BATCH,
    Predict,
    check_infilled,
    check_map,
    check_scans,
    target_values,
)
from xrano.faithfulness.random_maps import blur_matched

BLOCK_EDGE = 5
"""Edge of a block, in voxels."""

PERTURBATIONS = 100
"""Blocks that are tried."""

ROUNDING = 1e-6
"""Falls below this share of the logits are what batches of another size may do in float32."""

DRAWS = 5
"""Blur-matched random maps; they take no pass through the network."""


@dataclass(frozen=True)
class Agreement:
    """How the relevance of blocks agrees with the falls of the logit.

    Attributes:
        infidelity: mean squared difference, the map scaled to fit best; 0 or more.
        relative_infidelity: the same over the mean squared fall, 0 to 1.
        correlation: Pearson, −1 to 1; NaN if one of the two does not vary.
        scale: what the map was multiplied by.
    """

    infidelity: float
    relative_infidelity: float
    correlation: float
    scale: float


@dataclass(frozen=True, eq=False)
class InfidelityScores:
    """Infidelity of a map beside that of blur-matched random maps.

    Attributes:
        falls: (block,) fall of the target's logit without each block.
        predicted: (block,) the map's relevance of each block, not scaled.
        own: of the map; ``None`` if it is undefined.
        matched: one a draw.
        status: ``ok``, ``zero_map``, or ``no_change`` if no block changed the logit.
    """

    falls: NDArray[np.float64]
    predicted: NDArray[np.float64]
    own: Agreement | None
    matched: tuple[Agreement, ...]
    status: FaithfulnessStatus

    def rows(self) -> list[dict[str, Any]]:
        """One row each for infidelity, its relative form and the correlation."""
        zero_map = float(np.mean(self.falls**2)) if self.falls.size else math.nan
        return [
            metric_row(
                name,
                math.nan if self.own is None else getattr(self.own, field),
                chance=chance,
                reference=_mean([getattr(one, field) for one in self.matched]),
                status=self.status,
            )
            for name, field, chance in (
                ("infidelity", "infidelity", zero_map),
                ("relative_infidelity", "relative_infidelity", 1.0),
                ("infidelity_correlation", "correlation", 0.0),
            )
        ]


def infidelity(
    predict: Predict,
    inputs: Tensor,
    attribution: Tensor,
    target: int,
    infilled: Tensor,
    brain: Tensor,
    *,
    local: bool = False,
    perturbations: int = PERTURBATIONS,
    edge: int = BLOCK_EDGE,
    draws: int = DRAWS,
    seed: int = 0,
    batch: int = BATCH,
) -> InfidelityScores:
    """How well a signed map foretells what taking blocks away does to the target's logit.

    Args:
        predict: the network.
        inputs: (channel, i, j, k), left as they are.
        attribution: signed (i, j, k), whose value at a voxel speaks for all channels, or
            (channel, i, j, k).
        target: index of the class.
        infilled: (channel, i, j, k); used in the brain only.
        brain: (i, j, k) boolean.
        local: the map is a gradient, to be multiplied by what was taken away (I is the scans
            minus the perturbed ones). Otherwise it shares out the output (integrated gradients,
            occlusion, class activation maps), and a block's relevance is its sum (I is 1 in the
            block).
        perturbations: blocks to try, each around a random voxel of the brain.
        edge: of a block, in voxels; what lies outside the brain is left out.
        draws: blur-matched random maps; 0 for no comparison.
        seed: of the blocks and draws; the global random state is not touched.
        batch: copies of the pair that run at once.

    Raises:
        ConfigError: for a local map without channels, or a count below 1 (draws: below 0).
        GridMismatchError, VolumeError: if scans, infill, map and brain do not fit.
        ModelError: if the network's logits cannot be used.
    """
    check_scans(inputs, brain)
    check_infilled(inputs, infilled)
    check_map(attribution, brain, signed=True)
    _check_request(inputs, attribution, local, perturbations, edge, draws)
    if not local:
        # Channels that only add up are one map, also where random maps imitate it.
        attribution = attribution.reshape(-1, *brain.shape).sum(dim=0)
    if not attribution[..., brain].any():
        none = np.empty(0)
        return InfidelityScores(none, none, None, (), FaithfulnessStatus.ZERO_MAP)
    blocks = _blocks(brain, perturbations, edge, np.random.default_rng(seed))
    logits = target_values(
        predict, _copies(inputs, infilled, brain, blocks), target, output="logit", batch=batch
    )
    falls = logits[0] - logits[1:]

    def relevance(values: Tensor) -> NDArray[np.float64]:
        weighed = values * (inputs - infilled) if local else values
        merged = weighed.detach().double().reshape(-1, *brain.shape).sum(dim=0)
        within = torch.where(brain, merged, 0)
        return np.array([float(within[block].sum()) for block in blocks])

    predicted = relevance(attribution)
    if np.abs(falls).max() <= ROUNDING * np.abs(logits).max():
        return InfidelityScores(falls, predicted, None, (), FaithfulnessStatus.NO_CHANGE)
    drawn = blur_matched(attribution, brain, draws=draws, seed=seed)
    return InfidelityScores(
        falls,
        predicted,
        agreement(falls, predicted),
        tuple(agreement(falls, relevance(one)) for one in drawn),
        FaithfulnessStatus.OK,
    )


def _check_request(
    inputs: Tensor, attribution: Tensor, local: bool, perturbations: int, edge: int, draws: int
) -> None:
    if local and attribution.shape != inputs.shape:
        raise ConfigError(
            f"a local map is multiplied by the scans, channel by channel: it needs shape "
            f"{tuple(inputs.shape)}, has {tuple(attribution.shape)}"
        )
    if min(perturbations, edge) < 1 or draws < 0:
        raise ConfigError(
            f"needed are 1 block of 1 voxel and 0 draws or more, got {perturbations} blocks of "
            f"{edge} and {draws} draws"
        )


def agreement(falls: NDArray[np.float64], predicted: NDArray[np.float64]) -> Agreement:
    """Compare (block,) falls, not all 0, with (block,) relevance of any scale.

    Example:
        >>> found = agreement(np.array([2.0, 0.0]), np.array([1.0, 1.0]))
        >>> found.infidelity, found.relative_infidelity, found.scale
        (1.0, 0.5, 1.0)
    """
    own = float(predicted @ predicted)
    scale = float(predicted @ falls) / own if own else 0.0
    value = float(np.mean((scale * predicted - falls) ** 2))
    varies = falls.size > 1 and np.ptp(falls) > 0 and np.ptp(predicted) > 0
    correlation = float(np.corrcoef(falls, predicted)[0, 1]) if varies else math.nan
    return Agreement(value, value / float(np.mean(falls**2)), correlation, scale)


def _blocks(
    brain: Tensor, count: int, edge: int, rng: np.random.Generator
) -> list[tuple[slice, slice, slice]]:
    """Cubes around random voxels of the brain, cut off at the grid's sides."""
    centres = torch.nonzero(brain).cpu().numpy()
    corners = centres[rng.integers(len(centres), size=count)] - edge // 2
    return [
        (slice(max(0, i), i + edge), slice(max(0, j), j + edge), slice(max(0, k), k + edge))
        for i, j, k in corners.tolist()
    ]


def _copies(
    inputs: Tensor, infilled: Tensor, brain: Tensor, blocks: list[tuple[slice, slice, slice]]
) -> Iterator[Tensor]:
    """The scans, then the scans without each block."""
    yield inputs
    for block in blocks:
        where = (slice(None), *block)
        copy = inputs.detach().clone()
        copy[where] = torch.where(brain[block], infilled[where], inputs[where])
        yield copy


def _mean(values: list[float]) -> float:
    return float(np.mean(values)) if values else math.nan
