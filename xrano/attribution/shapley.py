"""Shapley values over a few players: regions × visits, or sequences × visits (Shapley 1953).

A player that is absent is replaced by a named infill. Up to eight players every coalition is run
and the values are exact; beyond, orders of the players are drawn (Castro et al. 2009), each with
its reverse. Values sum to F(scans) − F(infill) either way. A player that equals its infill changes
nothing, so its value is an exact 0 and it is left out: from the prior scan, the prior visit's.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from xrano.attribution.baselines import PATHS
from xrano.attribution.method_spec import Attribution, MethodSpec, Passes, Question
from xrano.attribution.perturbation import Part, channel_sets, outputs_of

if TYPE_CHECKING:
    from xrano.attribution.requests import MethodRequest
    from xrano.attribution.work import Work

EXACT = 8
"""Most players whose coalitions are all run: 256 forwards."""


@dataclass(frozen=True)
class ShapleyValues:
    """``values`` ``(player, target)`` and their standard errors, 0 if exact."""

    values: Tensor
    errors: Tensor
    coalitions: int


def shapley(work: Work, request: MethodRequest, *, players: str) -> list[Attribution]:
    """Each player's value, spread evenly over its voxels, so that a map sums to the change.

    The values themselves are in the details.
    """
    infill = work.baseline(request.baseline)[0]
    everyone = _players(work, request, players)
    active = [part for part in everyone if part.matters(work.inputs[0], infill)]
    found = shapley_values(work, active, infill)
    changes = (work.outputs() - work.baseline_outputs(request.baseline)[0]).tolist()
    results = []
    for column, target in enumerate(work.targets):
        values = torch.zeros_like(work.inputs[0], dtype=_dtype(work))
        worth = found.values[:, column].tolist()
        for part, value in zip(active, worth, strict=True):
            part.paint(values, value / part.size)
        said = {part.name: 0.0 for part in everyone}
        said.update({part.name: value for part, value in zip(active, worth, strict=True)})
        errors = {
            part.name: error
            for part, error in zip(active, found.errors[:, column].tolist(), strict=True)
        }
        exact = len(active) <= EXACT
        results.append(
            work.result(
                request,
                target,
                values,
                convergence_delta=math.fsum(worth) - changes[column],
                details={
                    "players": said,
                    "exact": exact,
                    "coalitions": found.coalitions,
                    **({} if exact else {"standard_errors": errors}),
                },
            )
        )
    return results


def _dtype(work: Work) -> torch.dtype:
    return torch.promote_types(work.inputs.dtype, torch.float32)


def _players(work: Work, request: MethodRequest, players: str) -> list[Part]:
    everywhere = torch.ones(work.shape, dtype=torch.bool, device=work.inputs.device)
    if players == "sequences":
        return [Part(name, sets, everywhere) for name, sets in channel_sets(work, "channel")]
    regions = work.need_regions(request.method)
    labels = regions.labels.to(work.inputs.device)
    return [
        Part(f"{visit} {regions.name(value)}", channels, labels == value)
        for value in torch.unique(labels).tolist()
        for visit, channels in channel_sets(work, "visit")
    ]


def shapley_values(work: Work, players: Sequence[Part], infill: Tensor) -> ShapleyValues:
    """The values of players that do not overlap; what is no player's stays as in the scans."""
    if len(players) <= EXACT:
        coalitions = [
            frozenset(n for n in range(len(players)) if code >> n & 1)
            for code in range(2 ** len(players))
        ]
        worth = _worth(work, players, infill, coalitions)
        values = _exact(worth, len(players), len(work.targets))
        return ShapleyValues(values, torch.zeros_like(values), len(coalitions))
    orders = _orders(len(players), work.settings.permutations, work.settings.seed)
    steps = {frozenset(order[:end].tolist()) for order in orders for end in range(len(order) + 1)}
    worth = _worth(work, players, infill, sorted(steps, key=sorted))
    gains = torch.stack([_gains(worth, order.tolist()) for order in orders])
    # An order and its reverse belong together: their mean is one draw.
    drawn = gains.unflatten(0, (-1, 2)).mean(dim=1)
    errors = drawn.std(dim=0) / len(drawn) ** 0.5 if len(drawn) > 1 else drawn[0] * torch.nan
    return ShapleyValues(drawn.mean(dim=0), errors, len(worth))


Coalition = frozenset[int]


def _worth(
    work: Work, players: Sequence[Part], infill: Tensor, coalitions: Sequence[Coalition]
) -> dict[Coalition, Tensor]:
    """The outputs ``(target,)`` with each coalition present."""

    def make(n: int) -> Tensor:
        scans = work.inputs[0].clone()
        for number, part in enumerate(players):
            if number not in coalitions[n]:
                part.hide(scans, infill)
        return scans

    outputs = outputs_of(work, make, len(coalitions))
    return dict(zip(coalitions, outputs, strict=True))


def _exact(worth: dict[Coalition, Tensor], players: int, targets: int) -> Tensor:
    """Σ over coalitions without the player of |S|! (n − |S| − 1)! / n! · (v(S ∪ player) − v(S))."""
    values = torch.zeros(players, targets, dtype=torch.float64)
    for player in range(players):
        for coalition, without in worth.items():
            if player in coalition:
                continue
            share = 1 / (players * math.comb(players - 1, len(coalition)))
            values[player] += share * (worth[coalition | {player}] - without).cpu()
    return values


def _orders(
    players: int, count: int, seed: int
) -> list[np.ndarray[tuple[int], np.dtype[np.int64]]]:
    """Drawn orders, each followed by its reverse."""
    generator = np.random.default_rng(seed)
    drawn = [generator.permutation(players) for _ in range(-(-count // 2))]
    return [order for one in drawn for order in (one, one[::-1])]


def _gains(worth: dict[Coalition, Tensor], order: Sequence[int]) -> Tensor:
    """What each player adds when it joins, ``(player, target)``."""
    gains: dict[int, Tensor] = {}
    present: Coalition = frozenset()
    for player in order:
        joined = present | {player}
        gains[player] = (worth[joined] - worth[present]).cpu()
        present = joined
    return torch.stack([gains[player] for player in range(len(order))])


def _passes(question: Question, *, players: str) -> Passes:
    count = question.channels if players == "sequences" else 2 * question.regions
    drawn = 2 * -(-question.settings.permutations // 2)
    forwards = 2**count if count <= EXACT else 2 + drawn * (count - 1)
    return Passes(forwards + 1, at_most=True)


def _spec(title: str, players: str, groups: str = "") -> MethodSpec:
    return MethodSpec(
        title,
        "Shapley 1953; Castro et al. 2009, doi:10.1016/j.cor.2008.04.004",
        partial(shapley, players=players),
        captum="ShapleyValues",
        baselines=PATHS,
        settings=("permutations", "seed", "memory_gb"),
        stochastic=True,
        groups=groups,
        passes=partial(_passes, players=players),
    )


REGIONS = _spec(
    "Shapley values of regions × visits", "regions", groups="a segmentation of the pair"
)
SEQUENCES = _spec("Shapley values of sequences × visits", "sequences")
