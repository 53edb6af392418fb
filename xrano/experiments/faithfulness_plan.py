"""What a faithfulness run will take, before it starts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from xrano.experiments.explained_pairs import explainers_by_fold
from xrano.experiments.faithfulness_networks import SETTLING_PAIRS, seed_runs
from xrano.experiments.faithfulness_settings import FaithfulnessSettings, chosen_pairs, told
from xrano.experiments.pair_regions import MOST_PARTS
from xrano.faithfulness.infill import INFILLS
from xrano.faithfulness.motions import motions
from xrano.faithfulness.road import PERCENTAGES
from xrano.faithfulness.weight_blocks import weight_blocks
from xrano.progress import minutes
from xrano.training.random_copies import ESTIMATION_PAIRS
from xrano.training.run import Run


def describe_faithfulness(
    run: Run, out: Path, settings: FaithfulnessSettings, *, seeds: Sequence[Path] = ()
) -> str:
    """Which pairs and which tests, and about how long.

    Passes are counted, and one of each is timed on noise; reading, imputing and drawing maps are
    not in the time.

    Raises:
        ManifestError: if there is no pair to test.
        UnknownNameError: for an unknown method or baseline.
        ModelError: if a method does not fit the network.
    """
    pairs = chosen_pairs(run, settings.pairs, settings.seed)
    labels = settings.labels()
    explainer = next(
        iter(explainers_by_fold(run, pairs[:1], labels, settings.attribution).values())
    )
    shape = run.store.grid.shape
    plan = explainer.plan(shape, "predicted", regions=MOST_PARTS)
    forward, backward = explainer.pass_seconds(shape)
    others = len(seed_runs(run, seeds)) + len(run.trained_folds) - 1
    blocks = 2 * len(weight_blocks(run.model(run.fold_of(pairs[0])))) - 1
    explained, forwards = _passes(settings, len(labels), others, blocks)
    each = explained * plan.seconds(forward, backward) + forwards * forward
    folds = len({run.fold_of(row) for row in pairs})
    fold = 0
    if "randomisation" in settings.tests:
        fold += blocks * settings.draws * SETTLING_PAIRS
    if "agreement" in settings.tests:
        fold += settings.copies * ESTIMATION_PAIRS
    seconds = len(pairs) * each + folds * fold * forward
    known = sum(
        (out / "parts" / str(row["pair_id"]) / f"{test}.json").is_file()
        for row in pairs
        for test in settings.tests
    )
    kept = f"; {known} parts are there, and kept where they still hold" if known else ""
    return (
        f"{told(pairs)} by {', '.join(labels)}; {', '.join(settings.tests)}: about "
        f"{minutes(seconds)} of passes with {torch.get_num_threads()} threads "
        f"({explained} explanations and {forwards} further passes a pair){kept}"
    )


def _passes(
    settings: FaithfulnessSettings, methods: int, others: int, blocks: int
) -> tuple[int, int]:
    """Explanations by all methods, and further forward passes, of one pair."""
    # All but interventions begin with the maps of the pair as it is.
    explained, forwards = int(set(settings.tests) != {"interventions"}), 1
    if "perturbation" in settings.tests:
        curves = 2 + 2 * (settings.steps - 1) * (1 + 2 * settings.orders)
        imputed = len(PERCENTAGES) * (2 + 3 * settings.orders)
        forwards += methods * (len(INFILLS) * (curves + 1 + settings.blocks) + imputed)
        explained += 1 + settings.noisy
    if "interventions" in settings.tests:
        forwards += 2 * len(INFILLS) * (2 + settings.controls) + 6
    if "randomisation" in settings.tests:
        explained += blocks * settings.draws
    if "agreement" in settings.tests:
        explained += others + settings.copies
    if "misalignment" in settings.tests:
        explained += 1 + 2 * len(motions(directions=settings.directions))
    return explained, forwards
