"""How far the training of a fold is, in memory and in its lines of ``metrics.jsonl``."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from xrano.atomic_files import write_text
from xrano.training.schedule import Plateau


@dataclass
class FoldProgress:
    """How far a training is: next epoch, best validation loss, epochs since it was reached.

    ``kept``: the weights of the best training loss, where the schedule goes back to them;
    ``lines``: of ``metrics.jsonl``, so that the file can be written anew.
    """

    plateau: Plateau
    epoch: int = 0
    best_loss: float = math.inf
    best_epoch: int = -1
    stale: int = 0
    kept: dict[str, Tensor] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)

    def note(self, val_loss: float) -> bool:
        """Take note of an epoch; whether its validation loss is the best so far."""
        better = val_loss < self.best_loss
        if better:
            self.best_loss, self.best_epoch, self.stale = val_loss, self.epoch, 0
        else:
            self.stale += 1
        self.epoch += 1
        return better

    def state(self) -> dict[str, Any]:
        """Numbers and tensors, for ``resume.pt``."""
        return {**self.__dict__, "plateau": asdict(self.plateau)}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> FoldProgress:
        """What :meth:`state` gave."""
        return cls(**{**state, "plateau": Plateau(**state["plateau"])})


def write_lines(path: Path, lines: Sequence[str]) -> None:
    """Write a JSON-lines file anew, whole or not at all."""
    write_text(path, "".join(f"{line}\n" for line in lines))
