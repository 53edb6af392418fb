"""Explain and score every held-out pair of a run in one go, without keeping the maps.

Beside the trained network every method runs on random-weight copies of it, for the class that the
trained network predicted, and maps that need no network are scored as if they were methods. Each
pair leaves one file of rows; a run that was stopped goes on with the pairs that are missing.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from xrano.atomic_files import write_text
from xrano.attribution.methods import AttributionSettings
from xrano.data.pair_volumes import PairVolumes, load_pair
from xrano.errors import ConfigError
from xrano.experiments.cohort_masks import TrainingMasks, cohort_masks
from xrano.experiments.explained_cohort import held_out
from xrano.experiments.explained_pairs import explainers_by_fold, fold_data
from xrano.experiments.scored_pair import (
    NullRegions,
    PairScores,
    lesions_of,
    mask_rows,
    null_regions,
    reference_maps,
    score_maps,
    scores_of,
    write_tables,
)
from xrano.experiments.shards import Shard, of_shard
from xrano.explain import Explainer
from xrano.maps import AttributionMap
from xrano.progress import Progress, quiet
from xrano.scoring.pair_masks import PairMasks, pair_masks
from xrano.scoring.rows import default_rectification, score_map
from xrano.scoring.shuffle import CohortMasks
from xrano.training.random_copies import random_copy
from xrano.training.run import Run

_FORMAT = 2
"""Of the parts: files of another are made anew."""


@dataclass(frozen=True)
class CohortSettings:
    """What is explained and scored.

    ``methods``: with baselines; ``target``: as in :data:`xrano.explain.TARGET_CHOICES`;
    ``copies``: random-weight copies of the network; ``reduction``: of channels; ``nulls``: the
    masks that are moved through the brain, ``primary``, ``all`` or ``none``.
    """

    methods: tuple[str, ...] = ("saliency", "gradcam", "ig:zero", "ig:prior")
    target: str = "predicted"
    copies: int = 3
    reduction: str = "sum"
    nulls: NullRegions = "primary"
    attribution: AttributionSettings = field(default_factory=AttributionSettings)

    def __post_init__(self) -> None:
        if self.copies < 0:
            raise ConfigError(f"copies ≥ 0 are needed, got {self.copies}")
        null_regions(self.nulls)


def score_cohort(
    run: Run,
    out: Path,
    settings: CohortSettings | None = None,
    *,
    shard: Shard | None = None,
    progress: Progress = quiet,
) -> pd.DataFrame:
    """Score all test pairs of the trained folds; the tables are also written.

    One shard scores its pairs and writes their parts alone; once all have, a call without a shard
    writes the table.

    Args:
        run: a trained run.
        out: folder for ``scores.csv``, the tables beside it
            (:func:`~xrano.experiments.scored_pair.write_tables`) and the rows of each pair.
        settings: methods, target, copies.
        shard: the part of the pairs that this process scores; all if not given.
        progress: how to show progress.

    Returns:
        The score table of the pairs scored: see :data:`xrano.scoring.score_table.SCORE_COLUMNS`.

    Raises:
        UnknownNameError: for an unknown method or target.
        ManifestError: if there is no pair to score.
    """
    settings = settings or CohortSettings()
    everyone = held_out(run)
    records = of_shard(everyone, shard)
    explainers = _explainers(run, records, settings)
    cohort = cohort_masks(run.store, everyone)
    training: dict[int, TrainingMasks] = {}
    scores = PairScores()
    for record in progress(records, "explaining and scoring"):
        fold = run.fold_of(record)
        trained, copies = explainers[fold]
        pair = load_pair(run.store, record, run.layout)
        part = out / "parts" / f"{pair.pair_id}.json"
        key = _key(settings, pair, trained, copies, cohort)
        found = _read_part(part, key)
        if found is None:
            if fold not in training:
                training[fold] = TrainingMasks(run, fold, cohort.source)
            beside = _Beside(cohort, training[fold].mean(pair.patient_id), run.config.model.stem)
            found = _score_pair(pair, trained, copies, settings, beside)
            # Not indented: the indenting encoder took a twelfth of the time of a pair.
            write_text(part, json.dumps({"key": key, **vars(found)}, allow_nan=False))
        scores.add(found)
    return scores_of(scores) if shard is not None else write_tables(scores, cohort, out)


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


@dataclass(frozen=True, eq=False)
class _Beside:
    """What a pair is compared with beyond itself."""

    cohort: CohortMasks
    training_mask: NDArray[np.float32] | None
    stem: str


def _score_pair(
    pair: PairVolumes,
    trained: Explainer,
    copies: Sequence[Explainer],
    settings: CohortSettings,
    beside: _Beside,
) -> PairScores:
    masks = masks_of(pair)
    explanation = trained.explain(pair, settings.target)
    maps: list[AttributionMap] = [*explanation.maps]
    for copy in copies:
        said = {"predicted": explanation.predicted, "target_choice": settings.target}
        # The class that the trained network predicted, whatever the copy would say.
        target = explanation.predicted if settings.target == "predicted" else settings.target
        maps += copy.explain(pair, target, meta=said).maps
    meta = explanation.maps[0].meta
    maps += reference_maps(pair, settings.methods, meta, beside.training_mask)
    found = score_maps(
        pair,
        masks,
        maps,
        beside.cohort,
        reduction=settings.reduction,
        stem=beside.stem,
        nulls=settings.nulls,
    )
    found.rows += mask_rows(explanation.maps, masks, reduction=settings.reduction)
    found.add(lesions_of(pair, masks))
    return found


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
    """The masks that maps of a pair are scored against."""
    return pair_masks(pair.grid, pair.brain, pair.segmentations, pair_id=pair.pair_id)


def _key(
    settings: CohortSettings,
    pair: PairVolumes,
    trained: Explainer,
    copies: Sequence[Explainer],
    cohort: CohortMasks,
) -> str:
    weights = [explainer.weights_sha256 for explainer in (trained, *copies)]
    text = json.dumps(
        [
            _FORMAT,
            asdict(settings),
            pair.content_hash(),
            trained.clinical_vector(pair),
            weights,
            cohort.digest(),
        ],
        sort_keys=True,
    )
    return hashlib.sha256(text.encode()).hexdigest()


def _read_part(part: Path, key: str) -> PairScores | None:
    if not part.is_file():
        return None
    try:
        content = json.loads(part.read_text(encoding="utf-8"))
    except ValueError:
        return None
    if content.pop("key", "") != key:
        return None
    return PairScores(**content)
