"""The class that is explained, by its words: chosen for a pair, and told in a sidecar."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from xrano.attribution.methods import Contrast, TargetLike
from xrano.data.pair_volumes import PairVolumes
from xrano.errors import ConfigError, UnknownNameError
from xrano.rano import RESPONSES
from xrano.tasks import REST, Task

TARGET_CHOICES = ("predicted", "response", "all", *RESPONSES, REST)
"""Which class is explained: the network's, the true one, every one, or one by name.

Beside these, ``PD-SD`` explains the difference of two classes: why progression and not stable."""


def targets_of(target: str, pair: PairVolumes, task: Task) -> Sequence[TargetLike] | None:
    """Class indices, a contrast, or ``None`` for the class that the network will predict.

    Args:
        target: one of :data:`TARGET_CHOICES`, or a contrast such as ``PD-SD``.
        pair: whose response is meant by ``response``.
        task: whose classes the network tells apart.

    Raises:
        UnknownNameError: for an unknown target.
        ConfigError: for ``response`` of an unrated pair, or a class of another task.
    """
    wanted, minus, other = target.partition("-")
    if minus and wanted in task.classes and other in task.classes and wanted != other:
        return [Contrast.between(task.index(wanted), task.index(other))]
    if target not in TARGET_CHOICES:
        raise UnknownNameError("target", target, TARGET_CHOICES)
    if target == "predicted":
        return None
    if target == "all":
        return list(range(len(task.classes)))
    if target == "response" and not pair.response:
        raise ConfigError(f"{pair.pair_id} is unrated, so its response cannot be explained")
    if target not in ("response", *task.classes):
        raise ConfigError(
            f"the network knows the classes {', '.join(task.classes)}; target {target} is none"
        )
    return [task.index(pair.response if target == "response" else target)]


def target_meta(target: TargetLike, task: Task) -> dict[str, Any]:
    """What a sidecar says of a target: its index, or the weights of a contrast, and its name."""
    if not isinstance(target, Contrast):
        return {"target": target, "target_name": task.classes[target]}
    weights = {task.classes[index]: weight for index, weight in target.weights}
    return {"target": weights, "target_name": "-".join(weights)}
