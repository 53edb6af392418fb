"""Several processes that train one network together, each on its part of every batch.

What they compute is what one process would: a batch is divided, gradients are added up, and what
is decided or written is decided and written by the first process alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from xrano.errors import OtherProcessError

_Item = TypeVar("_Item")
_Found = TypeVar("_Found")


@dataclass(frozen=True)
class Ranks:
    """The processes of a training, as one of them sees them.

    ``fabric``: what joins them, launched; none for a process that trains alone.
    """

    fabric: Fabric | None = None

    @property
    def count(self) -> int:
        """How many processes."""
        return 1 if self.fabric is None else self.fabric.world_size

    @property
    def index(self) -> int:
        """Which of them this one is, from 0."""
        return 0 if self.fabric is None else self.fabric.global_rank

    @property
    def first(self) -> bool:
        """Whether this is the one that decides, writes and speaks."""
        return self.index == 0

    def part(self, items: Sequence[_Item]) -> list[_Item]:
        """This process's share of a sequence: every ``count``-th item; it may be none."""
        return list(items[self.index :: self.count])

    def by_first(self, work: Callable[[], _Found]) -> _Found:
        """What the first process finds or does; the others wait for it, and are given the same.

        Raises:
            OtherProcessError: in the others, if ``work`` fails; the first raises what it raised.
        """
        if self.fabric is None:
            return work()
        answer: tuple[bool, _Found | None] = (False, None)
        if self.first:
            try:
                answer = (True, work())
            except Exception:
                self.fabric.broadcast(answer)
                raise
        done, found = self.fabric.broadcast(answer)
        if not done:
            raise OtherProcessError("the first process of this training failed, and says why")
        return found  # type: ignore[return-value]

    def total(self, values: Tensor) -> Tensor:
        """The sum of every process's tensor, all of one shape; the same to the bit in each."""
        if self.fabric is None:
            return values
        # It sums in place.
        own = values.detach().clone().to(self.fabric.device)
        summed: Any = self.fabric.all_reduce(own, reduce_op="sum")
        whole: Tensor = summed.to(values.device)
        return whole

    def gathered(self, rows: Sequence[int], values: Tensor, shape: tuple[int, int]) -> Tensor:
        """A table of which every process has some rows.

        Args:
            rows: those of this process; no row is in two.
            values: (row, column) float32.
            shape: of the whole table.
        """
        if self.fabric is None:
            return values
        whole = torch.zeros(shape)
        if len(rows):
            whole[list(rows)] = values
        return self.total(whole)

    def level_statistics(self, network: nn.Module, samples: int) -> None:
        """Give every process the mean of all processes' running statistics.

        Args:
            network: whose statistics.
            samples: how many this process has seen since the last time; its weight in the mean.
        """
        buffers = [buffer for buffer in network.buffers() if buffer.is_floating_point()]
        if self.fabric is None or not buffers:
            return
        own = torch.cat([buffer.flatten() for buffer in buffers]) * samples
        mean = self.total(own) / self.total(torch.tensor(float(samples))).to(own.device)
        for buffer, part in zip(buffers, mean.split([b.numel() for b in buffers]), strict=True):
            buffer.copy_(part.view_as(buffer))


ALONE = Ranks()
"""A process that trains by itself."""
