"""What scoring a run will take, in time and on disk, before it starts.

Passes are counted and one of each is timed; scoring is timed on a map of noise against the masks
of the first pair. Both are rough: networks cache, maps differ, other pairs have more lesions.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from xrano.attribution.methods import MethodRequest
from xrano.data.pair_volumes import PairVolumes, load_pair
from xrano.experiments.cohort import CohortSettings, masks_of
from xrano.experiments.explained_cohort import held_out
from xrano.experiments.explained_pairs import explainers_by_fold
from xrano.experiments.pair_regions import MOST_PARTS
from xrano.experiments.saved_maps import saved_facts
from xrano.experiments.score_parts import pack_rows
from xrano.experiments.scored_pair import Beside, MapScoring, PairScores, score_maps
from xrano.experiments.shards import Shard, of_shard
from xrano.experiments.tuned_thresholds import TUNING_PAIRS
from xrano.maps import AttributionMap
from xrano.progress import minutes
from xrano.scoring.crossed_masks import CohortMasks
from xrano.scoring.tables import table_of
from xrano.training.random_copies import ESTIMATION_PAIRS
from xrano.training.run import Run

_REFERENCES = 6
"""About how many reference maps a pair has beside ``change``."""

_QUICK = 5.0
"""Passes of fewer seconds are timed twice."""


@dataclass(frozen=True)
class _Cost:
    """Of one map or pair: seconds, bytes of its part, bytes of its lines in the tables."""

    seconds: float
    part: int = 0
    lines: int = 0

    def __add__(self, other: _Cost) -> _Cost:
        return _Cost(self.seconds + other.seconds, self.part + other.part, self.lines + other.lines)

    def __mul__(self, times: int) -> _Cost:
        return _Cost(self.seconds * times, self.part * times, self.lines * times)


def describe_scoring(
    run: Run, out: Path, settings: CohortSettings, *, shard: Shard | None = None
) -> str:
    """Time and disk of :func:`~xrano.experiments.cohort.score_cohort`, in words.

    Raises:
        ManifestError: if there is no pair to score.
        UnknownNameError: for an unknown method, baseline or layer.
        ModelError: if a method does not fit the network.
    """
    pairs = of_shard(held_out(run), shard)
    if not pairs:
        return "no pair is left for this part"
    labels = list(dict.fromkeys(MethodRequest.parse(name).label for name in settings.methods))
    found = sum((out / "parts" / f"{row['pair_id']}.json").is_file() for row in pairs)
    targets = len(run.task.classes) if settings.target == "all" else 1
    what = f"{len(pairs)} pairs by {', '.join(labels)}, the trained network and {settings.copies} "
    what += "random-weight copies"
    one = [dict(pairs[0])]
    trained = explainers_by_fold(run, one, settings.methods, settings.attribution)
    explainer, shape = next(iter(trained.values())), run.store.grid.shape
    chosen = "all" if settings.target == "all" else "predicted"
    plan = explainer.plan(shape, chosen, regions=MOST_PARTS)
    if not plan.fits:
        return f"{what}\n{plan.text()}"
    passes = explainer.pass_seconds(shape)
    if sum(passes) < _QUICK:
        # The first pass of a small network is mostly memory being taken.
        passes = min(passes, explainer.pass_seconds(shape), key=sum)
    forward, backward = passes
    each = plan.seconds(forward, backward)
    folds = len({run.fold_of(row) for row in pairs})
    drawn = min(ESTIMATION_PAIRS, len(run.pairs())) * settings.copies
    before = folds * (drawn * forward + TUNING_PAIRS * each * settings.tuned_dice)
    score = _scoring_cost(
        load_pair(run.store, pairs[0], run.layout),
        settings.scoring(),
        stem=run.config.model.stem,
        own=len(labels) * targets,
        copies=len(labels) * targets * settings.copies,
    )
    return _text(
        what,
        len(pairs),
        _Cost(each * (1 + settings.copies)) + score,
        out,
        seconds_before=before,
        found=f"; {found} pairs have a part there, which is kept if it still holds" * bool(found),
    )


def describe_saved(run: Run, folder: Path, out: Path, how: MapScoring) -> str:
    """Time and disk of :func:`~xrano.experiments.saved_maps.score_saved_maps`, in words.

    Raises:
        ManifestError: if there is no map.
        UnknownNameError: if the first map's pair is not in the store.
    """
    facts = saved_facts(folder)
    ids = list(dict.fromkeys(of["pair_id"] for of in facts.values()))
    pair = load_pair(run.store, run.pair(ids[0]), run.layout)
    each = -(-len(facts) // len(ids))
    cost = _scoring_cost(pair, how, stem=run.config.model.stem, own=each, copies=0)
    cost = cost + _Cost(0.0, -cost.part)
    return _text(f"{len(facts)} maps of {len(ids)} pairs", len(ids), cost, out)


def _text(
    what: str,
    pairs: int,
    each: _Cost,
    out: Path,
    *,
    seconds_before: float = 0.0,
    found: str = "",
) -> str:
    seconds = seconds_before + pairs * each.seconds
    megabytes = pairs * (each.part + each.lines) / 1e6
    return (
        f"{what}: about {minutes(seconds)} with {torch.get_num_threads()} threads "
        f"({each.seconds:.1f} s a pair), {megabytes:.0f} MB in {out}{found}"
    )


def _scoring_cost(pair: PairVolumes, how: MapScoring, *, stem: str, own: int, copies: int) -> _Cost:
    """Of a pair with so many maps of the network and of its copies, networks left out."""
    masks = masks_of(pair)
    beside = Beside(CohortMasks("", (), (), (), ()), None, stem)
    few = MapScoring(how.reduction, how.nulls)

    def cost(weights: str, method: str = "saliency", how: MapScoring = few) -> _Cost:
        noise = _noise(pair, weights, method)
        start = time.perf_counter()
        found = score_maps(pair, masks, [noise], beside, how)
        seconds = time.perf_counter() - start
        lines = sum(
            len(table_of(name, getattr(found, name)).to_csv(index=False))
            for name in ("scores", "nulls", "shares")
        )
        return _Cost(seconds, _part_bytes(found), lines)

    first = cost("trained")
    once = cost("trained")
    shared = _Cost(max(0.0, first.seconds - once.seconds))
    total = shared + once * own + cost("none", "change") + cost("none", "edges") * _REFERENCES
    if copies:
        total += cost("random-0") * copies
    if how.surrogates:
        one, three = (cost("trained", how=MapScoring(how.reduction, "none", n)) for n in (1, 3))
        slope = max(0.0, three.seconds - one.seconds) / 2
        total += _Cost(own * (one.seconds + slope * (how.surrogates - 1)))
    return total


def _part_bytes(found: PairScores) -> int:
    return sum(len(json.dumps(pack_rows(rows))) for rows in vars(found).values())


def _noise(pair: PairVolumes, weights: str, method: str) -> AttributionMap:
    rng = np.random.default_rng(0)
    data = rng.standard_normal((len(pair.layout), *pair.grid.shape), dtype=np.float32)
    meta = {
        "pair_id": pair.pair_id,
        "patient_id": pair.patient_id,
        "response": pair.response,
        "predicted": "SD",
        "target_name": "SD",
        "target_choice": "predicted",
        "method": method,
        "weights": weights,
    }
    return AttributionMap(data, pair.grid, pair.layout.names, meta)
