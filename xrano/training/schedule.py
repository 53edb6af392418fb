"""The learning rate over a training: a cosine of the step, or the paper's steps down."""

from __future__ import annotations

import math
from dataclasses import dataclass

from xrano.training.config import TrainingConfig

DROP = 0.1
"""What the rate is multiplied by on a plateau."""


def cosine_rate(settings: TrainingConfig, epoch: float) -> float:
    """Linear rise over the warm-up, then a cosine to zero at the last epoch."""
    warmup = min(settings.warmup_epochs, settings.epochs)
    if epoch < warmup:
        return settings.learning_rate * (epoch + 0.1) / (warmup + 0.1)
    through = (epoch - warmup) / max(settings.epochs - warmup, 1)
    return settings.learning_rate * 0.5 * (1 + math.cos(math.pi * min(through, 1.0)))


@dataclass
class Plateau:
    """The paper's schedule: an epoch whose training loss is no better is undone.

    The weights go back to those of the best training loss, the optimiser starts afresh, and the
    rate falls to a tenth.

    ``rate``: now; ``best_loss``: of training; ``failures``: epochs in a row without a better one.
    """

    rate: float
    best_loss: float = math.inf
    failures: int = 0

    def improved(self, training_loss: float) -> bool:
        """Take note of an epoch's training loss; if it is no better, the rate falls."""
        if training_loss < self.best_loss:
            self.best_loss, self.failures = training_loss, 0
            return True
        self.failures += 1
        self.rate *= DROP
        return False
