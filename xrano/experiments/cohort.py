"""Explain and score every held-out pair of a run in one go, without keeping the maps.

Beside the trained network every method runs on random-weight copies of it, for the class that the
trained network predicted, and |current − prior| is scored as if it were a method. Each pair leaves
one file of rows; a run that was stopped goes on with the pairs that are missing.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from xrano.atomic_files import write_text
from xrano.attribution.methods import AttributionSettings
from xrano.data.pair_volumes import PairVolumes, load_pair
from xrano.errors import ConfigError
from xrano.experiments.explained_cohort import held_out
from xrano.experiments.explained_pairs import clinical_of, explainers_by_fold
from xrano.experiments.shards import Shard, of_shard
from xrano.explain import Explainer
from xrano.maps import AttributionMap
from xrano.progress import Progress, quiet
from xrano.scoring.pair_masks import PairMasks, pair_masks
from xrano.scoring.reference_maps import change_map
from xrano.scoring.rows import default_rectification, score_map
from xrano.scoring.score_table import score_table, write_scores
from xrano.training.random_copies import random_copy
from xrano.training.run import Run


@dataclass(frozen=True)
class CohortSettings:
    """What is explained and scored.

    ``methods``: with baselines; ``target``: as in :data:`xrano.explain.TARGET_CHOICES`;
    ``copies``: random-weight copies of the network; ``reduction``: of channels.
    """

    methods: tuple[str, ...] = ("saliency", "gradcam", "ig:zero", "ig:prior")
    target: str = "predicted"
    copies: int = 3
    reduction: str = "sum"
    attribution: AttributionSettings = field(default_factory=AttributionSettings)

    def __post_init__(self) -> None:
        if self.copies < 0:
            raise ConfigError(f"copies ≥ 0 are needed, got {self.copies}")


def score_cohort(
    run: Run,
    out: Path,
    settings: CohortSettings | None = None,
    *,
    shard: Shard | None = None,
    progress: Progress = quiet,
) -> pd.DataFrame:
    """Score all test pairs of the trained folds; the table is also written.

    One shard scores its pairs and writes their parts alone; once all have, a call without a shard
    writes the table.

    Args:
        run: a trained run.
        out: folder for ``scores.csv`` and the rows of each pair.
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
    records = of_shard(held_out(run), shard)
    explainers = _explainers(run, records, settings)
    rows: list[dict[str, Any]] = []
    for record in progress(records, "explaining and scoring"):
        trained, copies = explainers[run.fold_of(record)]
        pair = load_pair(run.store, record, run.layout)
        part = out / "parts" / f"{pair.pair_id}.json"
        key = _key(settings, pair, trained, copies)
        found = _read_part(part, key)
        if found is None:
            found = _score_pair(pair, trained, copies, settings)
            # Not indented: the indenting encoder took a twelfth of the time of a pair.
            write_text(part, json.dumps({"key": key, "rows": found}, allow_nan=False))
        rows += found
    table = score_table(_with_nan(rows))
    if shard is None:
        write_scores(table, out / "scores.csv")
    return table


def _explainers(
    run: Run, records: Sequence[Mapping[Any, Any]], settings: CohortSettings
) -> dict[int, tuple[Explainer, list[Explainer]]]:
    """For each fold the trained network's explainer and those of its random-weight copies."""
    found = {}
    trained = explainers_by_fold(run, records, settings.methods, settings.attribution)
    for fold, explainer in trained.items():
        copies = [
            Explainer(
                random_copy(run, fold, draw),
                settings.methods,
                settings=settings.attribution,
                meta={"run": run.root.resolve().name, "weights": f"random-{draw}", "fold": fold},
                clinical=clinical_of(run, fold),
            )
            for draw in range(settings.copies)
        ]
        found[fold] = (explainer, copies)
    return found


def _score_pair(
    pair: PairVolumes, trained: Explainer, copies: Sequence[Explainer], settings: CohortSettings
) -> list[dict[str, Any]]:
    masks = masks_of(pair)
    explanation = trained.explain(pair, settings.target)
    maps: list[AttributionMap] = [*explanation.maps]
    for copy in copies:
        said = {"predicted": explanation.predicted, "target_choice": settings.target}
        # The class that the trained network predicted, whatever the copy would say.
        target = explanation.predicted if settings.target == "predicted" else settings.target
        maps += copy.explain(pair, target, meta=said).maps
    half = len(pair.layout.sequences)
    maps.append(
        change_map(pair.inputs[:half], pair.inputs[half:], pair.grid, explanation.maps[0].meta)
    )
    return [row for item in maps for row in score_one(item, masks, settings.reduction)]


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


def _with_nan(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {key: float("nan") if value is None else value for key, value in row.items()}
        for row in rows
    ]


def _key(
    settings: CohortSettings, pair: PairVolumes, trained: Explainer, copies: Sequence[Explainer]
) -> str:
    weights = [explainer.weights_sha256 for explainer in (trained, *copies)]
    text = json.dumps(
        [asdict(settings), pair.content_hash(), trained.clinical_vector(pair), weights],
        sort_keys=True,
    )
    return hashlib.sha256(text.encode()).hexdigest()


def _read_part(part: Path, key: str) -> list[dict[str, Any]] | None:
    if not part.is_file():
        return None
    try:
        content = json.loads(part.read_text(encoding="utf-8"))
    except ValueError:
        return None
    rows: list[dict[str, Any]] = content["rows"]
    return rows if content["key"] == key else None
