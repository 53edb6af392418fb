"""Score maps that were saved as files."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from xrano.data.pair_volumes import load_pair
from xrano.data.tissue_priors import store_priors
from xrano.errors import GridMismatchError, ManifestError
from xrano.experiments.cohort import masks_of
from xrano.experiments.cohort_masks import TrainingMasks, cohort_masks
from xrano.experiments.explained_units import require_whole_units
from xrano.experiments.gathered_scores import GatheredScores, write_tables
from xrano.experiments.scored_pair import (
    Beside,
    MapScoring,
    NullRegions,
    score_pair,
)
from xrano.experiments.scored_run import write_settings
from xrano.geometry import Grid
from xrano.map_files import find_maps, load_map, sidecar_path
from xrano.maps import AttributionMap, in_common_world
from xrano.progress import Progress, quiet
from xrano.text_files import read_json
from xrano.training.run import Run


def score_saved_maps(
    run: Run,
    folder: Path,
    out: Path,
    *,
    reduction: str = "sum",
    nulls: NullRegions = "primary",
    surrogates: int = 0,
    resample: bool = False,
    progress: Progress = quiet,
) -> pd.DataFrame:
    """Score every finished map below a folder against the masks of its pair.

    The maps that need no network are scored beside them, from the scans of the run's store.

    Args:
        run: the run whose store holds the pairs.
        folder: folder of maps.
        out: folder for ``scores.csv`` and the tables beside it.
        reduction: of channels.
        nulls: the masks that are moved through the brain.
        surrogates: of each map.
        resample: whether a map on another grid than the masks is carried there. Maps that xrano
            put on a scan itself always are. Rows of either say so (column ``resampled``).
        progress: how to show progress.

    Raises:
        ManifestError: if there is no map, or two are of one pair, method and target.
        GridMismatchError: if a map lies on another grid than the masks of its pair.
        UnknownNameError: if a map belongs to a pair that the store does not have.
        VolumeError: if a map is broken.
    """
    how = MapScoring(reduction, nulls, surrogates)
    facts = saved_facts(folder)
    require_whole_units(folder)
    _refuse_twice(facts)
    folds = {of["pair_id"]: of.get("fold") for of in facts.values()}
    cohort = cohort_masks(run.store, [run.pair(pair_id) for pair_id in folds])
    training: dict[int, TrainingMasks] = {}
    scores, priors = GatheredScores(), store_priors(run.store)
    files = progress(list(facts), "scoring")
    # Maps are sorted by patient and session: one pair's masks at a time are enough.
    for pair_id, paths in itertools.groupby(files, key=lambda path: facts[path]["pair_id"]):
        pair = load_pair(run.store, run.pair(pair_id), run.layout)
        mean, fold = None, folds[pair_id]
        if isinstance(fold, int) and 0 <= fold < len(run.splits["folds"]):
            if fold not in training:
                training[fold] = TrainingMasks(run, fold, cohort.source)
            mean = training[fold].mean(pair.patient_id)
        beside = Beside(cohort, mean, run.config.model.stem, priors=priors)
        maps = _loaded(paths, pair.grid, resample=resample)
        scores.add(score_pair(pair, masks_of(pair), maps, beside, how))
    asked = {"reduction": reduction, "nulls": nulls, "surrogates": surrogates, "maps": len(facts)}
    write_settings(run, {**asked, "resample": resample}, out)
    return write_tables(scores, cohort, out)


def saved_facts(folder: Path) -> dict[Path, dict[str, Any]]:
    """The sidecars of the maps below a folder that are scored, by file.

    A map carried over from a feature grid whose own file lies beside it is left out: the cells are
    scored, as in a cohort run; interpolated first and rectified afterwards, a negative cell would
    eat into its neighbours.

    Raises:
        ManifestError: if there is no map.
        VolumeError: if a sidecar is broken.
    """
    paths = [path for path in find_maps(folder) if not _has_cells(path)]
    if not paths:
        raise ManifestError(f"{folder} holds no finished map (*_statmap.nii.gz with its .json)")
    return {path: _facts(path) for path in paths}


def _has_cells(path: Path) -> bool:
    return path.with_name(path.name.replace("_stat-", "_res-cells_stat-")).is_file()


def _facts(path: Path) -> dict[str, Any]:
    """A map's sidecar, without its voxels; a broken one is refused as when the map is loaded."""
    try:
        found = read_json(sidecar_path(path))
        return {**found, "pair_id": str(found["pair_id"])}
    except (ValueError, KeyError, TypeError):
        meta = load_map(path).meta
    if not meta.get("pair_id"):
        raise ManifestError(f"{sidecar_path(path)} names no pair_id, so its map cannot be scored")
    return {**meta, "pair_id": str(meta["pair_id"])}


_SAME = ("pair_id", "method", "baseline", "layer", "target_name", "weights", "run")


def _refuse_twice(facts: Mapping[Path, Mapping[str, Any]]) -> None:
    """Two files whose rows could not be told apart: of two scans, settings, or copies of a map."""
    known: dict[tuple[str, ...], Path] = {}
    for path, of in facts.items():
        key = tuple(str(of.get(name) or "") for name in _SAME)
        if key in known:
            method = f"{of.get('method')}:{of.get('baseline') or ''}".rstrip(":")
            raise ManifestError(
                f"{of['pair_id']} would be scored twice by {method} (target "
                f"{of.get('target_name')}): {known[key]} and {path}; leave one of them out, or "
                "score their folders apart"
            )
        known[key] = path


def _loaded(paths: Iterable[Path], grid: Grid, *, resample: bool) -> Iterator[AttributionMap]:
    for path in paths:
        found = in_common_world(load_map(path))
        if not (resample or found.is_placed_on(grid)):
            raise GridMismatchError(
                f"{path} lies on {found.grid}, the masks of {found.meta['pair_id']} on {grid}, "
                "and its sidecar does not say how it came there. If both affines are of one "
                "world, --resample carries the map over, and the scores say so (resampled); an "
                "identity affine says nothing about where the patient is"
            )
        yield found
