"""Thresholds of Dice, tuned for each fold on maps of its training pairs by its own network."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from xrano.atomic_files import write_json
from xrano.attribution.methods import AttributionSettings
from xrano.data.agreement import with_agreement
from xrano.data.pair_volumes import PairVolumes, load_pair
from xrano.data.tables import records
from xrano.errors import ManifestError
from xrano.explain import Explainer
from xrano.metrics.thresholds import THRESHOLDS
from xrano.progress import Progress, quiet
from xrano.scoring.pair_masks import PairMasks, pair_masks
from xrano.scoring.rows import PRIMARY_REGION, default_rectification, see_map
from xrano.scoring.tuned_dice import ThresholdTuning, TunedThresholds
from xrano.text_files import read_json
from xrano.training.run import Run

TUNING_PAIRS = 32
"""Most training pairs of a fold whose maps a threshold is tuned on; a draw where there are more."""


def tuned_thresholds(
    run: Run,
    fold: int,
    explainer: Explainer,
    out: Path,
    *,
    target: str = "predicted",
    reduction: str = "sum",
    settings: AttributionSettings | None = None,
    progress: Progress = quiet,
) -> TunedThresholds:
    """The thresholds of a fold's methods; found once, and kept in ``out/thresholds``.

    The pairs are drawn from those that the fold trained on, none across surgery, as in the primary
    analysis; which are drawn, and what comes out, does not depend on any held-out pair.

    Args:
        run: a trained run.
        fold: the fold.
        explainer: of the fold's network.
        out: the scoring folder.
        target: the class whose maps are scored, of the training pairs likewise.
        reduction: of channels.
        settings: of the methods; they only tell whether what is kept still holds.
        progress: how to show progress.

    Raises:
        ManifestError: if the fold has no training pair.
    """
    pairs = run.training_pairs(fold)
    pairs = pairs[~pairs["spans_surgery"].astype(bool)].sort_values("pair_id")
    if pairs.empty:
        raise ManifestError(
            f"a threshold is tuned on training pairs, and fold {fold} of {run.root} has none: "
            "leave --tuned-dice out (an untrained run has nothing to tune on)"
        )
    drawn = pairs.sample(n=min(TUNING_PAIRS, len(pairs)), random_state=fold)
    drawn = drawn.sort_values("pair_id")
    loaded = [load_pair(run.store, row, run.layout).content_hash() for row in records(drawn)]
    asked = [explainer.methods, target, reduction, asdict(settings or AttributionSettings())]
    key = _key([explainer.weights_sha256, THRESHOLDS, *asked, loaded])
    kept = Path(out) / "thresholds" / f"fold-{fold}.json"
    known = _kept(kept, key)
    if known is not None:
        return known
    tuning = ThresholdTuning()
    for row in progress(records(drawn), f"tuning thresholds, fold {fold}"):
        pair = load_pair(run.store, row, run.layout)
        masks = _primary_masks(pair)
        for item in explainer.explain(pair, target).maps:
            named = default_rectification(item)
            tuning.add(see_map(item, masks, rectification=named, reduction=reduction), masks)
    found = tuning.found()
    pair_ids = [str(name) for name in drawn["pair_id"]]
    write_json(kept, {"key": key, "pairs": pair_ids, "thresholds": found.to_json()})
    return found


def _primary_masks(pair: PairVolumes) -> PairMasks:
    region, scope = PRIMARY_REGION.split("/")
    return pair_masks(
        pair.grid,
        pair.brain,
        with_agreement(pair.segmentations),
        regions=[region],
        scopes=[scope],
        pair_id=pair.pair_id,
    )


def _key(parts: Sequence[object]) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _kept(path: Path, key: str) -> TunedThresholds | None:
    """What an earlier call has found, if it was of the same things."""
    try:
        content = read_json(path)
        if content["key"] == key:
            return TunedThresholds.of_json(content["thresholds"])
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return None
