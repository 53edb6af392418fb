"""The torch dataset of a prepared store: opens files, normalises, augments, and nothing else."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd
import torch
from torch import Tensor
from torch.utils.data import Dataset

from xrano.channels import ChannelLayout
from xrano.data.augmentation import Augmentation
from xrano.data.pair_volumes import PairVolumes, load_pair
from xrano.data.store import Store
from xrano.tasks import RESPONSE, Task


class PairDataset(Dataset[tuple[Tensor, int, int]]):
    """Pairs of a store as ``(inputs (channel, i, j, k) float32, class index, row)``.

    Augmentation is drawn from ``(seed, epoch, row)``, so an epoch is the same whether it is read
    by one process or several, in one go or after a restart; call :meth:`set_epoch` before each.

    Args:
        store: an opened store.
        pairs: rows of its pairs table, rated.
        layout: the channels wanted.
        task: whose classes the indices are of.
        augmentation: random changes for training; none if not given.
        seed: of the random changes.
        cache_gb: normalised pairs are kept in memory up to this size.
    """

    def __init__(
        self,
        store: Store,
        pairs: pd.DataFrame,
        layout: ChannelLayout,
        *,
        task: Task = RESPONSE,
        augmentation: Augmentation | None = None,
        seed: int = 0,
        cache_gb: float = 0.0,
    ) -> None:
        self.store = store
        self.pairs = pairs.reset_index(drop=True)
        self.layout = layout
        self.task = task
        self.augmentation = augmentation
        self.seed = seed
        self._records: list[dict[Any, Any]] = self.pairs.to_dict("records")
        self._epoch = 0
        self._cache: dict[int, PairVolumes] = {}
        pair_bytes = 4 * len(layout) * math.prod(store.grid.shape)
        self._cached_pairs = int(cache_gb * 1e9 // pair_bytes)

    def __len__(self) -> int:
        return len(self._records)

    def set_epoch(self, epoch: int) -> None:
        """Draw the random changes of this epoch from now on."""
        self._epoch = epoch

    def volumes(self, row: int) -> PairVolumes:
        """The pair itself, without augmentation."""
        if row in self._cache:
            return self._cache[row]
        pair = load_pair(self.store, self._records[row], self.layout)
        if len(self._cache) < self._cached_pairs:
            self._cache[row] = pair
        return pair

    def __getitem__(self, row: int) -> tuple[Tensor, int, int]:
        pair = self.volumes(row)
        if self.augmentation is None:
            inputs = torch.from_numpy(pair.inputs.copy() if self._cached_pairs else pair.inputs)
        else:
            inputs = self.augmentation(pair.inputs, _mix(self.seed, self._epoch, row))
        return inputs, self.task.index(pair.response), row


def _mix(*numbers: int) -> int:
    """One well-mixed 32-bit seed of several numbers."""
    mixed = 0x9E3779B9
    for number in numbers:
        mixed = (mixed ^ (number + 0x85EBCA6B)) * 0xC2B2AE35 % 2**32
        mixed ^= mixed >> 15
    return mixed
