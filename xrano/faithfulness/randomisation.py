"""Does the map follow the weights? Model-parameter randomisation, Adebayo et al. 2018.

(NeurIPS, arXiv:1810.03292.) Weights are drawn anew block by block: *cascading*, from the logits
down, every block above staying random; or *independent*, one block at a time. A map that stays
as it was shows the scans, not what was learnt. The maps are compared by ranks in the brain
(:mod:`xrano.faithfulness.agreement`): a structural similarity over the whole grid, as in the
paper, rewards the zeros around the head.

Two things make the bare number misleading (Binder et al. 2023, arXiv:2211.12486). Noisy maps lose
their correlation at once, whatever they said before; and what a random network shows is shared by
all random networks. So beside each correlation stands that of two networks that were randomised
alike: a map follows the weights if it agrees with theirs less than they do with each other.

Normalisation statistics of a trained network do not fit random weights. ``settle`` may estimate
them anew; without it, activations below a random layer may vanish or explode.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from xrano.attribution.model_state import unwrapped
from xrano.errors import ModelError
from xrano.faithfulness.agreement import agreement_among, agreement_rows, agreement_with
from xrano.faithfulness.weight_blocks import WeightBlock, weight_blocks
from xrano.metrics.ranked import RankedMap
from xrano.models.classifier import initialise

CASCADING, INDEPENDENT = "cascading_randomisation", "independent_randomisation"

DRAWS = 2
"""Networks for each block: two, so that they can be compared with each other."""

_SEED_STEP = 7919
"""Between the seeds of two draws."""


@dataclass(frozen=True, eq=False)
class RandomisedNetwork:
    """A copy of a network with some blocks drawn anew, in evaluation mode.

    Attributes:
        block: the last block drawn.
        metrics: which of ``cascading_randomisation`` and ``independent_randomisation`` it is for;
            drawing the first block alone is both.
        network: the copy.
    """

    block: str
    metrics: tuple[str, ...]
    network: nn.Module


def randomised_networks(
    model: nn.Module,
    *,
    seed: int,
    fresh: Callable[[int], nn.Module] | None = None,
    settle: Callable[[nn.Module], object] | None = None,
    blocks: Sequence[WeightBlock] | None = None,
) -> Iterator[RandomisedNetwork]:
    """Copies of a network: cascading from the logits down, then each further block alone.

    Args:
        model: the network; neither its weights, mode nor hooks are changed.
        seed: of the weights; the global random state is not touched.
        fresh: gives a network of the same architecture that was never trained, for a seed; the
            layers' own defaults if not given.
        settle: estimates the normalisation statistics of a copy anew, in place
            (:func:`xrano.training.random_copies.estimate_statistics` does).
        blocks: from the logits down; those of :func:`weight_blocks` if not given.

    Yields:
        One copy at a time; 2 · blocks − 1 in all.

    Raises:
        ModelError: if the fresh network is another, or gives a block the weights that it has.
    """
    model = unwrapped(model)
    blocks = list(weight_blocks(model) if blocks is None else blocks)
    source = _reset(model, seed) if fresh is None else unwrapped(fresh(seed))
    for index, block in enumerate(blocks):
        metrics = (CASCADING, INDEPENDENT) if index == 0 else (CASCADING,)
        network = _drawn(model, source, blocks[: index + 1], settle)
        yield RandomisedNetwork(block.name, metrics, network)
    for block in blocks[1:]:
        yield RandomisedNetwork(block.name, (INDEPENDENT,), _drawn(model, source, [block], settle))


def draws(
    model: nn.Module, *, seed: int, count: int = DRAWS, **options: Any
) -> list[list[RandomisedNetwork]]:
    """:func:`randomised_networks` several times: for each copy its draws.

    Args:
        model: the network.
        seed: of the first draw.
        count: draws.
        options: of :func:`randomised_networks`.
    """
    drawn = [
        randomised_networks(model, seed=seed + _SEED_STEP * n, **options) for n in range(count)
    ]
    return [list(same) for same in zip(*drawn, strict=True)]


def randomisation_rows(
    own: Mapping[str, RankedMap], drawn: Sequence[Mapping[str, RankedMap]], which: RandomisedNetwork
) -> dict[str, list[dict[str, Any]]]:
    """Rows of each method for one block: the trained network's map against those of the copies.

    ``value`` is the mean over draws, ``reference`` the mean over pairs of draws.

    Args:
        own: method to map of the trained network.
        drawn: the same of each draw.
        which: the block, by any of its draws.
    """
    rows: dict[str, list[dict[str, Any]]] = {}
    for method, values in own.items():
        others = [maps[method] for maps in drawn]
        found, reference = agreement_with(values, others), agreement_among(others)
        rows[method] = [
            row
            for metric in which.metrics
            for row in agreement_rows(metric, found, reference, setting=which.block)
        ]
    return rows


def _reset(model: nn.Module, seed: int) -> nn.Module:
    network = copy.deepcopy(model)
    initialise(network, seed)
    return network


def _drawn(
    model: nn.Module,
    source: nn.Module,
    blocks: Sequence[WeightBlock],
    settle: Callable[[nn.Module], object] | None,
) -> nn.Module:
    network = copy.deepcopy(model)
    for block in blocks:
        _take(network, source, block)
    if settle is not None:
        settle(network)
    return network.eval()


def _take(network: nn.Module, source: nn.Module, block: WeightBlock) -> None:
    """Give a block the weights and statistics that it has in another network."""
    here, there = dict(network.named_modules()), dict(source.named_modules())
    changed = False
    for name in block.modules:
        if name not in here or name not in there:
            raise ModelError(f"the network to draw weights from, or to give them, lacks {name!r}")
        into = dict(here[name].named_parameters(recurse=False))
        new = dict(there[name].named_parameters(recurse=False))
        statistics = dict(there[name].named_buffers(recurse=False))
        if into.keys() != new.keys() or any(into[key].shape != new[key].shape for key in into):
            raise ModelError(f"module {name!r} of the network to draw weights from is another")
        with torch.no_grad():
            for key, parameter in into.items():
                changed |= not torch.equal(parameter, new[key].to(parameter))
                parameter.copy_(new[key])
            for key, buffer in here[name].named_buffers(recurse=False):
                buffer.copy_(statistics[key])
    if not changed:
        raise ModelError(
            f"block {block.name} has the same weights when drawn anew: its layers have no "
            "reset_parameters, or it was never trained; give a fresh network"
        )
