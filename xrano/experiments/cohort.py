"""Explain and score every held-out pair of a run in one go, without keeping the maps.

Beside the trained network every method runs on random-weight copies of it, for the class that the
trained network predicted, and maps that need no network are scored as if they were methods. Each
pair leaves one file of rows; a run that was stopped goes on with the pairs that are missing.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from xrano.atomic_files import remove_leftovers
from xrano.attribution.methods import AttributionSettings
from xrano.data.agreement import with_agreement
from xrano.data.pair_volumes import PairVolumes, load_pair
from xrano.data.tissue_priors import store_priors
from xrano.errors import ConfigError
from xrano.experiments.cohort_masks import TrainingMasks, cohort_masks
from xrano.experiments.explained_cohort import held_out
from xrano.experiments.explained_pairs import explainers_by_fold, fold_data
from xrano.experiments.gathered_scores import GatheredScores, write_tables
from xrano.experiments.score_parts import read_part, write_part
from xrano.experiments.scored_pair import (
    Beside,
    MapScoring,
    NullRegions,
    PairScores,
    score_pair,
)
from xrano.experiments.scored_run import write_settings
from xrano.experiments.shards import Shard, of_shard
from xrano.experiments.tuned_thresholds import TUNING_PAIRS, tuned_thresholds
from xrano.explain import Explainer
from xrano.maps import AttributionMap
from xrano.progress import Progress, quiet
from xrano.scoring.crossed_masks import CohortMasks
from xrano.scoring.pair_masks import PairMasks, pair_masks
from xrano.scoring.rows import default_rectification, score_map
from xrano.scoring.tuned_dice import TunedThresholds
from xrano.training.random_copies import random_copy
from xrano.training.run import Run

_FORMAT = 7
"""Of the parts: files of another are made anew."""


@dataclass(frozen=True)
class CohortSettings:
    """What is explained and scored.

    ``methods``: with baselines; ``target``: as in :data:`xrano.target_words.TARGET_CHOICES`;
    ``copies``: random-weight copies of the network; ``reduction``: of channels; ``nulls``: the
    masks that are moved through the brain, ``primary``, ``all`` or ``none``; ``surrogates``: of
    each map, as smooth as it is; ``tuned_dice``: whether a threshold is tuned on training pairs.
    """

    methods: tuple[str, ...] = ("saliency", "gradcam", "ig:zero", "ig:prior")
    target: str = "predicted"
    copies: int = 3
    reduction: str = "sum"
    nulls: NullRegions = "primary"
    surrogates: int = 0
    tuned_dice: bool = False
    attribution: AttributionSettings = field(default_factory=AttributionSettings)

    def __post_init__(self) -> None:
        if self.copies < 0:
            raise ConfigError(f"copies ≥ 0 are needed, got {self.copies}")
        self.scoring()

    def scoring(self) -> MapScoring:
        """How each map is scored."""
        return MapScoring(self.reduction, self.nulls, self.surrogates)


def score_cohort(
    run: Run,
    out: Path,
    settings: CohortSettings | None = None,
    *,
    progress: Progress = quiet,
) -> pd.DataFrame:
    """Score all test pairs of the trained folds; the tables are also written.

    Args:
        run: a trained run.
        out: folder for ``scores.csv``, the tables beside it
            (:func:`~xrano.experiments.gathered_scores.write_tables`) and the rows of each pair.
        settings: methods, target, copies.
        progress: how to show progress.

    Returns:
        The score table: see :data:`xrano.scoring.score_table.SCORE_COLUMNS`.

    Raises:
        UnknownNameError: for an unknown method or target.
        ManifestError: if there is no pair to score.
    """
    settings, scores = settings or CohortSettings(), GatheredScores()
    cohort = _score(run, out, settings, None, progress, scores.add)
    write_settings(run, _asked(settings), out)
    return write_tables(scores, cohort, out)


def score_shard(
    run: Run,
    out: Path,
    settings: CohortSettings,
    shard: Shard,
    *,
    progress: Progress = quiet,
) -> None:
    """Score one shard of the pairs and keep their parts alone, none of them in memory.

    Once all shards are done :func:`score_cohort` writes the tables. Arguments and errors as there.
    """
    _score(run, out, settings, shard, progress, lambda _: None)


def _score(
    run: Run,
    out: Path,
    settings: CohortSettings,
    shard: Shard | None,
    progress: Progress,
    take: Callable[[PairScores], None],
) -> CohortMasks:
    """Score pairs, or read what is there of them; the masks that they are compared with."""
    remove_leftovers(out)
    everyone = held_out(run)
    records = of_shard(everyone, shard)
    explainers = _explainers(run, records, settings)
    beside = _BesideFolds(run, cohort_masks(run.store, everyone), settings, out, progress)
    for record in progress(records, "explaining and scoring"):
        fold = run.fold_of(record)
        trained, copies = explainers[fold]
        pair = load_pair(run.store, record, run.layout)
        part = out / "parts" / f"{pair.pair_id}.json"
        thresholds = beside.thresholds(fold, trained)
        key = _key(settings, pair, (trained, *copies), beside.cohort, thresholds)
        found = read_part(part, key)
        if found is None:
            found = score_pair(
                pair,
                masks_of(pair),
                _maps_of(pair, trained, copies, settings.target),
                beside.of(pair, fold, thresholds),
                settings.scoring(),
            )
            write_part(part, key, found)
        take(found)
    return beside.cohort


def _explainers(
    run: Run, records: Sequence[Mapping[Any, Any]], settings: CohortSettings
) -> dict[int, tuple[Explainer, list[Explainer]]]:
    """For each fold the trained network's explainer and those of its random-weight copies."""
    found = {}
    trained = explainers_by_fold(run, records, settings.methods, settings.attribution)
    for fold, explainer in trained.items():
        data = fold_data(run, fold, settings.methods)
        copies = [
            Explainer(
                random_copy(run, fold, draw),
                settings.methods,
                settings=settings.attribution,
                meta={"run": run.root.resolve().name, "weights": f"random-{draw}", "fold": fold},
                **data,
            )
            for draw in range(settings.copies)
        ]
        found[fold] = (explainer, copies)
    return found


class _BesideFolds:
    """What pairs are compared with beyond themselves, found once a fold and when needed."""

    def __init__(
        self, run: Run, cohort: CohortMasks, settings: CohortSettings, out: Path, bar: Progress
    ) -> None:
        self.cohort, self.priors = cohort, store_priors(run.store)
        self._run, self._settings, self._out, self._bar = run, settings, out, bar
        self._masks: dict[int, TrainingMasks] = {}
        self._thresholds: dict[int, TunedThresholds] = {}

    def of(self, pair: PairVolumes, fold: int, thresholds: TunedThresholds | None) -> Beside:
        if fold not in self._masks:
            self._masks[fold] = TrainingMasks(self._run, fold, self.cohort.source)
        mean = self._masks[fold].mean(pair.patient_id)
        stem = self._run.config.model.stem
        return Beside(self.cohort, mean, stem, thresholds, self.priors)

    def thresholds(self, fold: int, trained: Explainer) -> TunedThresholds | None:
        if not self._settings.tuned_dice:
            return None
        if fold not in self._thresholds:
            self._thresholds[fold] = tuned_thresholds(
                self._run,
                fold,
                trained,
                self._out,
                target=self._settings.target,
                reduction=self._settings.reduction,
                settings=self._settings.attribution,
                progress=self._bar,
            )
        return self._thresholds[fold]


def _maps_of(
    pair: PairVolumes, trained: Explainer, copies: Sequence[Explainer], target: str
) -> Iterator[AttributionMap]:
    """The maps of the trained network, then of its copies, for one network at a time."""
    explanation = trained.explain(pair, target)
    yield from explanation.maps
    said = {"predicted": explanation.predicted, "target_choice": target}
    # The class that the trained network predicted, whatever the copy would say.
    chosen = explanation.predicted if target == "predicted" else target
    # Its maps are done with before others are made: at 1 mm they are some gigabytes.
    del explanation
    for copy in copies:
        yield from copy.explain(pair, chosen, meta=said).maps


def _asked(settings: CohortSettings) -> dict[str, Any]:
    """The settings as JSON, with what a threshold was tuned on."""
    return {**asdict(settings), "tuning_pairs": TUNING_PAIRS if settings.tuned_dice else 0}


def score_one(
    attribution: AttributionMap, masks: PairMasks, reduction: str
) -> list[dict[str, Any]]:
    """Score one map by its default rectification; undefined numbers as ``None``, for JSON."""
    rows = score_map(
        attribution, masks, rectification=default_rectification(attribution), reduction=reduction
    )
    return [
        {key: None if isinstance(value, float) and value != value else value
         for key, value in row.items()}
        for row in rows
    ]  # fmt: skip


def masks_of(pair: PairVolumes) -> PairMasks:
    """The masks that maps of a pair are scored against, those where all segmentations agree too."""
    segmentations = with_agreement(pair.segmentations)
    return pair_masks(pair.grid, pair.brain, segmentations, pair_id=pair.pair_id)


def _key(
    settings: CohortSettings,
    pair: PairVolumes,
    explainers: Sequence[Explainer],
    cohort: CohortMasks,
    thresholds: TunedThresholds | None,
) -> str:
    text = json.dumps(
        [
            _FORMAT,
            asdict(settings),
            pair.content_hash(),
            explainers[0].clinical_vector(pair),
            [explainer.weights_sha256 for explainer in explainers],
            cohort.digest(),
            None if thresholds is None else thresholds.to_json(),
        ],
        sort_keys=True,
    )
    return hashlib.sha256(text.encode()).hexdigest()
