"""One attribution map against every mask of its pair, as tidy rows.

The map is made non-negative and reduced to one volume on its own grid, by the names given, then
carried to the grid of the masks if it lies on another, and scored inside the brain. Rectifying
first is what Grad-CAM's definition does, and keeps a coarse map within what its cells can say
(:func:`~xrano.metrics.resolution.mass_ceiling`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from xrano.errors import ConfigError, GridMismatchError, ManifestError
from xrano.geometry import Grid
from xrano.maps import AttributionMap, Rectification
from xrano.metrics.catalogue import OverlapScore, check_metrics, score_ranked
from xrano.metrics.ranked import rank_map
from xrano.resampling import Outside, resample
from xrano.scoring.pair_masks import MaskKey, PairMasks
from xrano.scoring.score_table import SCORE_COLUMNS
from xrano.types import Volume


def default_rectification(attribution: AttributionMap) -> str:
    """``positive`` for class activation maps, ``absolute`` for signed voxel-wise maps.

    A class activation map's negative cells speak for other classes; the sign of a voxel-wise
    attribution only says whether a brighter voxel raises or lowers the target.
    """
    return str(Rectification.POSITIVE if attribution.coarse else Rectification.ABSOLUTE)


def score_map(
    attribution: AttributionMap,
    case: PairMasks,
    *,
    rectification: str,
    reduction: str,
    metrics: Iterable[str] | None = None,
    run: str = "",
    fold: int | str | None = None,
) -> list[dict[str, Any]]:
    """Score one map against every mask of its pair; the map is sorted once.

    Args:
        attribution: the map, on any grid of the same world.
        case: the masks.
        rectification: ``absolute``, ``positive`` or ``negative``
            (:func:`default_rectification` names the primary analysis's choice).
        reduction: ``sum``, ``mean`` or ``max`` over input channels.
        metrics: keys of :data:`xrano.metrics.catalogue.METRICS`; all if not given.
        run: name of the run; the sidecar's if not given.
        fold: fold whose network made the map; the sidecar's if not given.

    Returns:
        A row for each mask and metric, absent masks included, with the columns of
        :data:`xrano.scoring.score_table.SCORE_COLUMNS`.

    Raises:
        ConfigError: if the rectification leaves values signed.
        GridMismatchError: if the map belongs to another pair.
        ManifestError: if the map's sidecar lacks what a row needs.
        UnknownNameError: for an unknown rectification, reduction or metric.
        VolumeError: if the brain mask is empty.
    """
    names = check_metrics(metrics)
    facts = _facts(attribution, case, run, fold)
    facts.update(reduction=str(reduction), rectification=str(rectification))
    ranked = rank_map(relevance_on(attribution, case.grid, rectification, reduction), case.domain)
    scores = {
        key: score_ranked(ranked.within(positions), metrics=names, least_voxels=case.least_voxels)
        for key, positions in case.positions.items()
    }
    for key, why in case.absent.items():
        scores[key] = dict.fromkeys(names, OverlapScore(math.nan, math.nan, why))
    return [
        _row(facts, key, name, score) for key, by in scores.items() for name, score in by.items()
    ]


def relevance_on(
    attribution: AttributionMap, grid: Grid, rectification: str, reduction: str
) -> Volume:
    """One non-negative volume (i, j, k) on a grid: rectified, reduced, then carried there.

    Raises:
        ConfigError: if the rectification leaves values signed.
        UnknownNameError: for an unknown rectification or reduction.
    """
    if rectification == Rectification.NONE:
        raise ConfigError(
            "overlap scores need non-negative relevance: choose the rectification absolute, "
            "positive or negative, not none"
        )
    volume = attribution.reduced(rectification, reduction)
    if attribution.grid.matches(grid):
        return volume
    outside: Outside = "edge" if attribution.coarse else "zero"
    return resample(volume, attribution.grid, grid, outside=outside)


def _facts(
    attribution: AttributionMap, case: PairMasks, run: str, fold: int | str | None
) -> dict[str, Any]:
    """What all rows of a map share, from its sidecar."""
    meta = attribution.meta
    needed = ("pair_id", "patient_id", "response", "predicted", "target_name", "method")
    missing = [key for key in needed if meta.get(key) is None]
    if missing:
        raise ManifestError(
            f"the {meta.get('method', '')} map of {meta.get('pair_id', 'a pair')} cannot be "
            f"scored: its sidecar lacks {', '.join(missing)}"
        )
    if case.pair_id and meta["pair_id"] != case.pair_id:
        raise GridMismatchError(f"a map of {meta['pair_id']} against masks of {case.pair_id}")
    words = ("rating_source", "target_choice", "layer", "baseline")
    return {
        "run": run or str(meta.get("run") or ""),
        "weights": str(meta.get("weights") or "trained"),
        "fold": meta.get("fold", "") if fold is None else fold,
        **{key: str(meta[key]) for key in needed if key != "target_name"},
        "target": str(meta["target_name"]),
        **{key: str(meta.get(key) or "") for key in words},
        "lesion": "all",
        "spans_surgery": bool(meta.get("spans_surgery", False)),
    }


def _row(
    facts: Mapping[str, Any], key: MaskKey, metric: str, score: OverlapScore
) -> dict[str, Any]:
    source, region, scope = key
    row = {
        **facts,
        "segmentation_source": source,
        "region": f"{region}/{scope}",
        "metric": metric,
        "value": score.value,
        "chance": score.chance,
        "status": str(score.status),
    }
    return {column: row[column] for column in SCORE_COLUMNS}
