"""Score maps that were saved as files."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pandas as pd

from xrano.data.pair_volumes import load_pair
from xrano.errors import ManifestError
from xrano.experiments.cohort import masks_of
from xrano.experiments.cohort_masks import cohort_masks
from xrano.experiments.scored_pair import (
    NullRegions,
    PairScores,
    lesions_of,
    score_maps,
    write_tables,
)
from xrano.map_files import find_maps, load_map, sidecar_path
from xrano.maps import in_common_world
from xrano.progress import Progress, quiet
from xrano.training.run import Run


def _has_cells(path: Path) -> bool:
    """Whether a map was carried over from a feature grid whose own file lies beside it.

    The cells are scored, as in a cohort run: interpolated first and rectified afterwards, a
    negative cell would eat into its neighbours.
    """
    return path.with_name(path.name.replace("_stat-", "_res-cells_stat-")).is_file()


def _pair_id(path: Path) -> str:
    """The pair of a map, without its voxels; a broken sidecar is refused as when it is loaded."""
    try:
        return str(json.loads(sidecar_path(path).read_text(encoding="utf-8"))["pair_id"])
    except (ValueError, KeyError, TypeError):
        return str(load_map(path).meta["pair_id"])


def score_saved_maps(
    run: Run,
    folder: Path,
    out: Path,
    *,
    reduction: str = "sum",
    nulls: NullRegions = "primary",
    progress: Progress = quiet,
) -> pd.DataFrame:
    """Score every finished map below a folder against the masks of its pair.

    Args:
        run: the run whose store holds the pairs.
        folder: folder of maps.
        out: folder for ``scores.csv`` and the tables beside it.
        reduction: of channels.
        nulls: the masks that are moved through the brain.
        progress: how to show progress.

    Raises:
        ManifestError: if there is no map.
        UnknownNameError: if a map belongs to a pair that the store does not have.
        VolumeError: if a map is broken.
    """
    paths = [path for path in find_maps(folder) if not _has_cells(path)]
    if not paths:
        raise ManifestError(f"{folder} holds no finished map (*_statmap.nii.gz with its .json)")
    ids = dict.fromkeys(_pair_id(path) for path in paths)
    cohort = cohort_masks(run.store, [run.pair(pair_id) for pair_id in ids])
    scores = PairScores()
    maps = ((path, in_common_world(load_map(path))) for path in progress(paths, "scoring"))
    # Maps are sorted by patient and session: one pair's masks at a time are enough.
    for pair_id, of_pair in itertools.groupby(maps, key=lambda item: item[1].meta["pair_id"]):
        pair = load_pair(run.store, run.pair(pair_id), run.layout)
        masks = masks_of(pair)
        found = score_maps(
            pair,
            masks,
            (item for _, item in of_pair),
            cohort,
            reduction=reduction,
            stem=run.config.model.stem,
            nulls=nulls,
        )
        scores.add(found)
        scores.add(lesions_of(pair, masks))
    return write_tables(scores, cohort, out)
