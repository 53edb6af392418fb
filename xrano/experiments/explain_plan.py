"""What explaining pairs of a run will take, before it starts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from xrano.attribution.methods import AttributionSettings
from xrano.experiments.explained_pairs import explainers_by_fold
from xrano.experiments.pair_regions import MOST_PARTS
from xrano.progress import minutes
from xrano.training.run import Run


def describe_explaining(
    run: Run,
    pairs: Sequence[dict[str, Any]],
    methods: Sequence[str],
    *,
    target: str = "predicted",
    settings: AttributionSettings | None = None,
) -> str:
    """Passes, memory and time of some pairs, in words.

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
    heading = f"{len(pairs)} pairs by {', '.join(explainer.methods)}, target {target}"
    if not plan.fits:
        return f"{heading}\n{plan.text()}"
    forward, backward = explainer.pass_seconds(shape)
    seconds = plan.seconds(forward, backward)
    return "\n".join(
        [
            heading,
            plan.text(),
            f"time: about {minutes(seconds)} a pair with {torch.get_num_threads()} threads "
            f"({minutes(forward)} a forward, {minutes(backward)} a backward), "
            f"{minutes(seconds * len(pairs))} in all",
        ]
    )
