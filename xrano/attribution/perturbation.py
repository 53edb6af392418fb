"""Hide parts of the scans and see what the outputs do: batched forwards without a graph."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from xrano.attribution.memory import LAYERS_ALIVE, chunk_size, layer_bytes
from xrano.attribution.model_state import run

if TYPE_CHECKING:
    from xrano.attribution.work import Work


@dataclass(frozen=True)
class Part:
    """What is hidden as one: some channels of some voxels (``(i, j, k)``, boolean)."""

    name: str
    channels: tuple[int, ...]
    voxels: Tensor

    def hide(self, scans: Tensor, infill: Tensor) -> None:
        """Put the infill in the part's place, in the scans ``(channel, i, j, k)`` themselves."""
        for channel in self.channels:
            scans[channel] = torch.where(self.voxels, infill[channel], scans[channel])

    def matters(self, scans: Tensor, infill: Tensor) -> bool:
        """Whether hiding it changes the scans at all."""
        return any(
            bool(((scans[channel] != infill[channel]) & self.voxels).any())
            for channel in self.channels
        )

    def paint(self, values: Tensor, value: float) -> None:
        """Write a value where the part is."""
        for channel in self.channels:
            values[channel][self.voxels] = value

    @property
    def size(self) -> int:
        """Values that it holds."""
        return len(self.channels) * int(self.voxels.sum())


def channel_sets(work: Work, occlude: str) -> list[tuple[str, tuple[int, ...]]]:
    """What is hidden at once, by name: all channels, those of a visit, or one."""
    layout = work.layout
    if occlude == "pair":
        return [("", tuple(range(len(layout))))]
    if occlude == "channel":
        return [(name, (index,)) for index, name in enumerate(layout.names)]
    return [(str(visit), tuple(layout.select(timepoint=visit))) for visit in ("prior", "current")]


def outputs_of(work: Work, make: Callable[[int], Tensor], count: int) -> Tensor:
    """The outputs ``(count, target)``, in float64, of scans ``make(n)``.

    In batches that fit the budget; the first goes alone, and tells what a forward takes.
    """
    found = []
    start, size = 0, 1
    with torch.no_grad():
        while start < count:
            batch = torch.stack([make(n) for n in range(start, min(start + size, count))])
            with layer_bytes(work.model) as layers:
                logits = run(work.model, batch)
            found.append(work.objective.values(logits).double())
            if start == 0:
                size = chunk_size(work.settings.memory_bytes, LAYERS_ALIVE * layers.largest)
                size = min(size, work.settings.chunk or size)
            start += len(batch)
    if not found:
        return torch.zeros(0, len(work.targets), dtype=torch.float64)
    return torch.cat(found)


def hidden(work: Work, parts: Sequence[Part], infill: Tensor) -> Callable[[int], Tensor]:
    """What makes the scans without part ``n``."""

    def make(n: int) -> Tensor:
        scans = work.inputs[0].clone()
        parts[n].hide(scans, infill)
        return scans

    return make
