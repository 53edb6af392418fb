"""One attribution map against every mask of its pair, as tidy rows.

The map is made non-negative and reduced to one volume on its own grid, by the names given, then
carried to the grid of the masks if it lies on another, and scored inside the brain. Rectifying
first is what Grad-CAM's definition does, and keeps a coarse map within what its cells can say
(:func:`~xrano.metrics.resolution.mass_ceiling`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from xrano.data.label_schemes import WHOLE
from xrano.errors import ConfigError, GridMismatchError, ManifestError, UnknownNameError
from xrano.geometry import Grid
from xrano.maps import AttributionMap, Rectification
from xrano.metrics.catalogue import (
    MAP_METRICS,
    MASK_METRICS,
    METRICS,
    PLACE_METRICS,
    OverlapScore,
    score_map_alone,
    score_ranked,
)
from xrano.metrics.ranked import RankedMap, rank_map
from xrano.resampling import Outside, resample
from xrano.scoring.pair_masks import ALL_LESIONS, Cell, PairMasks
from xrano.scoring.score_table import SCORE_COLUMNS
from xrano.types import Volume

PRIMARY_REGION = "core/union"
"""Region and scope of the primary analysis: enhancing and necrosis of prior ∪ current."""

NO_MASK: Cell = ("", "", "", ALL_LESIONS)
"""The cell of metrics of the map alone: their rows have no source and no region."""


def default_rectification(attribution: AttributionMap) -> str:
    """``positive`` for class activation maps, ``absolute`` for signed voxel-wise maps.

    A class activation map's negative cells speak for other classes; the sign of a voxel-wise
    attribution only says whether a brighter voxel raises or lowers the target.
    """
    return str(Rectification.POSITIVE if attribution.coarse else Rectification.ABSOLUTE)


@dataclass(frozen=True, eq=False)
class SeenMap:
    """A map in the brain of its pair, sorted once for rows and nulls.

    Attributes:
        facts: what all its rows share, by column.
        ranked: its relevance in the brain.
        cells: the coarse grid whose cells it speaks for; ``None`` if they are not known, and of a
            voxel-wise map, which its resolution keeps from nothing.
    """

    facts: Mapping[str, Any]
    ranked: RankedMap
    cells: Grid | None = None


def score_map(
    attribution: AttributionMap,
    case: PairMasks,
    *,
    rectification: str,
    reduction: str,
    metrics: Iterable[str] | None = None,
    references: bool = True,
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
        metrics: keys of :data:`~xrano.metrics.catalogue.MASK_METRICS` and
            :data:`~xrano.metrics.catalogue.MAP_METRICS`; all if not given.
        references: whether the masks themselves are scored on the map's cells, where it has such.
        run: name of the run; the sidecar's if not given.
        fold: fold whose network made the map; the sidecar's if not given.

    Returns:
        A row for each mask and metric, absent masks included, with the columns of
        :data:`xrano.scoring.score_table.SCORE_COLUMNS`; then one for each metric of the map
        alone. Single lesions are left to :func:`score_seen`.

    Raises:
        ConfigError: if the rectification leaves values signed.
        GridMismatchError: if the map belongs to another pair.
        ManifestError: if the map's sidecar lacks what a row needs.
        UnknownNameError: for an unknown rectification, reduction or metric.
        VolumeError: if the brain mask is empty.
    """
    names = _check_names(metrics)
    seen = see_map(
        attribution, case, rectification=rectification, reduction=reduction, run=run, fold=fold
    )
    return score_seen(seen, case, metrics=names, chosen=all_lesions, references=references)


def see_map(
    attribution: AttributionMap,
    case: PairMasks,
    *,
    rectification: str,
    reduction: str,
    run: str = "",
    fold: int | str | None = None,
) -> SeenMap:
    """Rectify, reduce and sort a map in the brain of its pair. As :func:`score_map`."""
    facts = map_facts(attribution, case, run, fold)
    facts.update(reduction=str(reduction), rectification=str(rectification))
    relevance = relevance_on(attribution, case.grid, rectification, reduction)
    cells = attribution.grid if attribution.on_cells else None
    return SeenMap(facts, rank_map(relevance, case.domain), cells)


def score_seen(
    seen: SeenMap,
    case: PairMasks,
    *,
    metrics: Iterable[str] | None = None,
    chosen: Callable[[Cell], bool] = lambda cell: True,  # noqa: ARG005
    references: bool = True,
) -> list[dict[str, Any]]:
    """Rows of a map that was sorted, of the cells chosen; masks of equal voxels are scored once.

    Single lesions have no metrics in mm: the nearest lesion may be another one.
    """
    names = _check_names(metrics)
    of_mask = [name for name in names if name in MASK_METRICS]
    of_lesion = [name for name in names if name in METRICS]
    known: dict[tuple[Cell, bool], Mapping[str, OverlapScore]] = {}
    rows = []
    for cell, positions in case.positions.items():
        if not chosen(cell):
            continue
        single = not all_lesions(cell)
        key = (case.same_as[cell], single)
        if key not in known:
            wanted = of_lesion if single else of_mask
            placed = not PLACE_METRICS.keys().isdisjoint(wanted)
            known[key] = score_ranked(
                seen.ranked.within(positions, case.place(cell) if placed else None),
                metrics=wanted,
                least_voxels=case.least_voxels,
            )
        cells = seen.cells if references else None
        reached = {} if cells is None else case.at_cells(cell, cells)
        rows += [
            score_row(seen.facts, cell, name, score, reached.get(name))
            for name, score in known[key].items()
        ]
    for mask_key, why in case.absent.items():
        cell = (*mask_key, ALL_LESIONS)
        if chosen(cell):
            nothing = OverlapScore(math.nan, math.nan, why)
            rows += [score_row(seen.facts, cell, name, nothing) for name in of_mask]
    alone = score_map_alone(seen.ranked, metrics=[name for name in names if name in MAP_METRICS])
    return rows + [score_row(seen.facts, NO_MASK, name, score) for name, score in alone.items()]


def primary_cell(cell: Cell) -> bool:
    """Whether a cell is that of the primary analysis, in any segmentation."""
    return all_lesions(cell) and f"{cell[1]}/{cell[2]}" == PRIMARY_REGION


def reference_cell(cell: Cell) -> bool:
    """Whether copies and reference maps are scored against a cell.

    The core in every scope, those that CR is scored against (prior, vanished) among them, and of
    both scans the whole tumour, which every scheme has.
    """
    return all_lesions(cell) and (cell[1] == "core" or cell[1:3] == (WHOLE, "union"))


def all_lesions(cell: Cell) -> bool:
    """Whether a cell is about all lesions together."""
    return cell[3] == ALL_LESIONS


def _check_names(metrics: Iterable[str] | None) -> tuple[str, ...]:
    known = (*MASK_METRICS, *MAP_METRICS)
    names = known if metrics is None else tuple(metrics)
    for name in names:
        if name not in known:
            raise UnknownNameError("metric", name, known)
    return names


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


def map_facts(
    attribution: AttributionMap, case: PairMasks, run: str = "", fold: int | str | None = None
) -> dict[str, Any]:
    """What all rows of a map share, from its sidecar. Raises as :func:`score_map`."""
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
        "spans_surgery": bool(meta.get("spans_surgery", False)),
    }


def score_row(
    facts: Mapping[str, Any],
    cell: Cell,
    metric: str,
    score: OverlapScore,
    reference: OverlapScore | None = None,
) -> dict[str, Any]:
    """One row of a score table.

    Args:
        facts: of the map.
        cell: the mask.
        metric: its name.
        score: of the map.
        reference: of the mask itself, seen through the cells of the map, if it has such.
    """
    source, region, scope, lesion = cell
    row = {
        **facts,
        "segmentation_source": source,
        "region": f"{region}/{scope}" if region else "",
        "lesion": lesion,
        "metric": metric,
        "value": score.value,
        "chance": score.chance,
        "reference": math.nan if reference is None else reference.value,
        "status": str(score.status),
    }
    return {column: row[column] for column in SCORE_COLUMNS}
