"""What explaining pairs of a run will take, before it starts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from xrano.attribution.methods import AttributionSettings
from xrano.experiments.explained_pairs import explainers_by_fold
from xrano.experiments.pair_regions import MOST_PARTS
from xrano.progress import minutes
from xrano.training.run import Run


@dataclass(frozen=True)
class ExplainPlan:
    """What explaining some pairs takes.

    Attributes:
        pairs: how many.
        methods: with baselines.
        target: as it was asked for.
        passes: in words, a line a step.
        forwards: forward passes a pair, at most.
        backwards: backward passes a pair, at most.
        fits: whether one pass fits the memory; without, nothing was measured.
        threads: that the measured passes had.
        forward_seconds: of one forward pass.
        backward_seconds: of one backward pass.
        seconds_per_pair: of all passes; reading and writing are not in it.
    """

    pairs: int
    methods: tuple[str, ...]
    target: str
    passes: str
    forwards: int
    backwards: int
    fits: bool
    threads: int
    forward_seconds: float | None = None
    backward_seconds: float | None = None
    seconds_per_pair: float | None = None

    def text(self) -> str:
        """For people."""
        lines = [
            f"{self.pairs} pairs by {', '.join(self.methods)}, target {self.target}",
            self.passes,
        ]
        each, forward, backward = (
            self.seconds_per_pair,
            self.forward_seconds,
            self.backward_seconds,
        )
        if each is not None and forward is not None and backward is not None:
            lines.append(
                f"time: about {minutes(each)} a pair with {self.threads} threads "
                f"({minutes(forward)} a forward, {minutes(backward)} a backward), "
                f"{minutes(each * self.pairs)} in all"
            )
        return "\n".join(lines)


def plan_explaining(
    run: Run,
    pairs: Sequence[dict[str, Any]],
    methods: Sequence[str],
    *,
    target: str = "predicted",
    settings: AttributionSettings | None = None,
) -> ExplainPlan:
    """Passes, memory and time of some pairs.

    One forward and one backward pass are run on a scan of noise to measure them; reading and
    writing are not in the time. A budget that no pass fits is told, and nothing is measured.

    Args:
        run: a trained run.
        pairs: rows of its pairs table.
        methods: with baselines.
        target: as in :data:`xrano.target_words.TARGET_CHOICES`.
        settings: of the methods.

    Raises:
        UnknownNameError: for an unknown method, baseline or layer.
        ModelError: if a method does not fit the network.
    """
    explainer = next(iter(explainers_by_fold(run, pairs[:1], methods, settings).values()))
    shape = run.store.grid.shape
    plan = explainer.plan(shape, target, regions=MOST_PARTS)
    found = ExplainPlan(
        len(pairs),
        tuple(explainer.methods),
        target,
        plan.text(),
        plan.forwards,
        plan.backwards,
        plan.fits,
        torch.get_num_threads(),
    )
    if not plan.fits:
        return found
    forward, backward = explainer.pass_seconds(shape)
    return replace(
        found,
        forward_seconds=forward,
        backward_seconds=backward,
        seconds_per_pair=plan.seconds(forward, backward),
    )
