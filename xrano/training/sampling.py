"""The order in which a training epoch reads its pairs, drawn from (seed, epoch) alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np
from torch.utils.data import Sampler

from xrano.training.ranks import Ranks


class EpochBatches(Sampler[list[int]]):
    """Batches of row numbers: a shuffle, or a draw that shows every response equally often.

    A last batch of one is left out: batch statistics of one sample with a last grid of one voxel
    do not exist.

    Args:
        responses: class index of each row.
        batch_size: rows in a batch.
        balanced: whether to draw with replacement, each response with the same chance; ``paper``
            draws with the paper's weights, one minus a response's share, which leave the common
            ones more common.
        seed: with the epoch, decides the order.
    """

    def __init__(
        self,
        responses: Sequence[int],
        batch_size: int,
        *,
        balanced: bool | Literal["paper"],
        seed: int,
    ) -> None:
        self._responses = np.asarray(responses)
        self._batch_size = batch_size
        self._balanced = balanced
        self._seed = seed
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Use the order of this epoch from now on."""
        self._epoch = epoch

    def _order(self) -> list[int]:
        rng = np.random.default_rng([self._seed, self._epoch])
        count = len(self._responses)
        if not self._balanced:
            return [int(row) for row in rng.permutation(count)]
        frequency = np.bincount(self._responses)[self._responses]
        chance = 1 - frequency / count if self._balanced == "paper" else 1 / frequency
        if not chance.any():  # one response alone
            chance = np.ones(count)
        return [int(row) for row in rng.choice(count, size=count, p=chance / chance.sum())]

    def __iter__(self) -> Iterator[list[int]]:
        order = self._order()
        starts = range(0, len(order), self._batch_size)
        batches = [order[start : start + self._batch_size] for start in starts]
        yield from (batch for batch in batches if len(batch) > 1 or self._batch_size == 1)

    def __len__(self) -> int:
        return batch_count(len(self._responses), self._batch_size)


def batch_count(rows: int, batch_size: int) -> int:
    """How many batches an epoch has; a last one of a single row is left out.

    Example:
        >>> batch_count(254, 4), batch_count(9, 4)
        (64, 2)
    """
    whole, rest = divmod(rows, batch_size)
    return whole + int(rest > 1)


class OwnRows(Sampler[list[int]]):
    """One process's rows of every batch.

    Of a batch with fewer rows than processes a process may have none; it is then given the first
    row, as there is no reading of nothing, and has to leave it out.

    Args:
        batches: of all processes.
        ranks: the processes.
    """

    def __init__(self, batches: Sampler[list[int]], ranks: Ranks) -> None:
        self._batches = batches
        self._ranks = ranks

    def __iter__(self) -> Iterator[list[int]]:
        for batch in self._batches:
            yield self._ranks.part(batch) or batch[:1]

    def __len__(self) -> int:
        return len(self._batches)  # type: ignore[arg-type]


def own_batches(count: int, batch_size: int, ranks: Ranks) -> list[list[int]]:
    """Every n-th of the batches in which one process would read rows in their order.

    Example:
        >>> from xrano.training.ranks import ALONE
        >>> own_batches(5, 2, ALONE)
        [[0, 1], [2, 3], [4]]
    """
    rows = range(count)
    return ranks.part([list(rows[at : at + batch_size]) for at in range(0, count, batch_size)])


def class_weights(responses: Sequence[int], num_classes: int) -> list[float]:
    """Weights inverse to the frequency of each class, with mean 1 over the rows.

    A class that does not occur in training gets weight 1: it may still occur in validation, and
    with no weight at all a validation loss of such pairs alone would be 0/0.

    Example:
        >>> class_weights([0, 0, 0, 1], 3)
        [0.6666666666666666, 2.0, 1.0]
    """
    counts = np.bincount(responses, minlength=num_classes)
    present = counts > 0
    weights = np.where(present, len(responses) / np.maximum(counts, 1) / present.sum(), 1.0)
    return [float(weight) for weight in weights]
