"""What is explained: classes and contrasts of them, as logit, log-softmax or probability."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from xrano.errors import ConfigError, ModelError, is_out_of_memory


@dataclass(frozen=True)
class Contrast:
    """A weighted sum over classes: PD − SD asks "why progression and not stable?".

    Args:
        weights: (class index, weight), each class once.

    Raises:
        ConfigError: if no class has a weight, one is named twice, or a weight is not finite.

    Example:
        >>> Contrast.between(3, 2).weights
        ((3, 1.0), (2, -1.0))
    """

    weights: tuple[tuple[int, float], ...]

    def __post_init__(self) -> None:
        classes = [index for index, _ in self.weights]
        if len(set(classes)) != len(classes):
            raise ConfigError(f"a contrast names each class once, got {list(self.weights)}")
        values = [weight for _, weight in self.weights]
        if not all(math.isfinite(weight) for weight in values) or not any(values):
            raise ConfigError(f"a contrast needs finite weights, not all 0; got {values}")

    @classmethod
    def between(cls, wanted: int, other: int) -> Contrast:
        """The output of one class minus that of another."""
        return cls(((wanted, 1.0), (other, -1.0)))


TargetLike = int | Contrast
"""A class index or a contrast."""


class Objective:
    """The numbers to explain, one a target, and the fewest backward passes for all of them.

    The gradient of every target is a sum over classes of the logits' gradients, with factors that
    are known from the logits. So for more targets than classes (all classes and their contrasts),
    only the classes are differentiated.

    Args:
        targets: class indices and contrasts, each once.
        num_classes: number of logits.
        output: a name in :data:`xrano.attribution.settings.OUTPUTS`.

    Raises:
        ConfigError: for no target, or one out of range.
    """

    def __init__(
        self, targets: Sequence[TargetLike], num_classes: int, output: str = "logit"
    ) -> None:
        check_targets(targets, num_classes)
        self.targets = tuple(targets)
        self.output = output
        self._matrix = torch.zeros(len(targets), num_classes, dtype=torch.float64)
        for row, target in enumerate(targets):
            weights = target.weights if isinstance(target, Contrast) else ((target, 1.0),)
            for index, weight in weights:
                self._matrix[row, index] = weight
        # Log-softmax and probability of one class depend on the logits of all.
        involved = self._matrix.any(dim=0) if output == "logit" else torch.ones(num_classes)
        self._involved = [index for index, used in enumerate(involved.tolist()) if used]

    @property
    def by_class(self) -> bool:
        """Whether classes are differentiated, and the targets' gradients summed from them."""
        return len(self._involved) < len(self.targets)

    @property
    def backwards(self) -> int:
        """Backward passes that a forward pass needs."""
        return min(len(self._involved), len(self.targets))

    def values(self, logits: Tensor) -> Tensor:
        """The numbers ``(batch, target)`` of logits ``(batch, class)``, at least in float32."""
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
        if self.output == "log_softmax":
            logits = torch.log_softmax(logits, dim=1)
        elif self.output == "probability":
            logits = torch.softmax(logits, dim=1)
        return logits @ self._matrix.to(logits).T

    def slopes(self, logits: Tensor) -> Tensor:
        """Derivatives of each number by each logit, ``(batch, target, class)``."""
        logits = logits.detach()
        rows = self._matrix.to(logits).expand(len(logits), -1, -1)
        if self.output == "logit":
            return rows
        shares = torch.softmax(logits, dim=1)[:, None]
        if self.output == "log_softmax":
            return rows - rows.sum(dim=2, keepdim=True) * shares
        return shares * (rows - (rows * shares).sum(dim=2, keepdim=True))

    def gradients(
        self, logits: Tensor, sources: Sequence[Tensor]
    ) -> Iterator[tuple[TargetLike, list[Tensor]]]:
        """Each target with its gradients by the sources, in the order of the targets.

        The graph of the logits is freed by the last one.

        Args:
            logits: ``(batch, class)``, with a graph to the sources.
            sources: tensors whose first axis is the batch.

        Raises:
            ModelError: if the logits cannot be differentiated by a source.
        """
        slopes = self.slopes(logits)
        if not self.by_class:
            for row, target in enumerate(self.targets):
                last = row == len(self.targets) - 1
                yield target, _backward(logits, slopes[:, row], sources, last=last)
            return
        by_class = []
        for index in self._involved:
            seed = torch.zeros_like(logits)
            seed[:, index] = 1
            last = index == self._involved[-1]
            by_class.append(_backward(logits, seed, sources, last=last))
        for row, target in enumerate(self.targets):
            factors = slopes[:, row, self._involved].unbind(dim=1)
            yield (
                target,
                [
                    sum(
                        (
                            _along(factor, parts[number]) * parts[number]
                            for factor, parts in zip(factors, by_class, strict=True)
                        ),
                        start=torch.zeros_like(source),
                    )
                    for number, source in enumerate(sources)
                ],
            )


def _along(factor: Tensor, values: Tensor) -> Tensor:
    return factor.to(values).view(-1, *(1,) * (values.ndim - 1))


def _backward(
    logits: Tensor, seed: Tensor, sources: Sequence[Tensor], *, last: bool
) -> list[Tensor]:
    try:
        found = torch.autograd.grad(logits, list(sources), seed, retain_graph=not last)
    except RuntimeError as error:
        if is_out_of_memory(error):
            raise
        raise ModelError(
            f"the logits cannot be differentiated by the input or layer: {error}"
        ) from error
    return [gradient.detach() for gradient in found]


def check_targets(targets: Sequence[TargetLike], num_classes: int) -> None:
    """Refuse no target, or one that is not of the classes.

    Raises:
        ConfigError: then.
    """
    if not targets:
        raise ConfigError("name at least one target class")
    for target in targets:
        weights = target.weights if isinstance(target, Contrast) else ((target, 1.0),)
        for index, _ in weights:
            if not 0 <= index < num_classes:
                raise ConfigError(f"target {index} is not one of the {num_classes} classes")
