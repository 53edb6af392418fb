"""Score maps that were saved as files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from xrano.data.pair_volumes import load_pair
from xrano.errors import ManifestError
from xrano.experiments.cohort import masks_of, score_one
from xrano.map_files import find_maps, load_map
from xrano.maps import in_common_world
from xrano.progress import Progress, quiet
from xrano.scoring.pair_masks import PairMasks
from xrano.scoring.score_table import score_table, write_scores
from xrano.training.run import Run


def _has_cells(path: Path) -> bool:
    """Whether a map was carried over from a feature grid whose own file lies beside it.

    The cells are scored, as in a cohort run: interpolated first and rectified afterwards, a
    negative cell would eat into its neighbours.
    """
    return path.with_name(path.name.replace("_stat-", "_res-cells_stat-")).is_file()


def score_saved_maps(
    run: Run, folder: Path, out: Path, *, reduction: str = "sum", progress: Progress = quiet
) -> pd.DataFrame:
    """Score every finished map below a folder against the masks of its pair.

    Args:
        run: the run whose store holds the pairs.
        folder: folder of maps.
        out: folder for ``scores.csv``.
        reduction: of channels.
        progress: how to show progress.

    Raises:
        ManifestError: if there is no map.
        UnknownNameError: if a map belongs to a pair that the store does not have.
        VolumeError: if a map is broken.
    """
    paths = [path for path in find_maps(folder) if not _has_cells(path)]
    if not paths:
        raise ManifestError(f"{folder} holds no finished map (*_statmap.nii.gz with its .json)")
    masks: dict[str, PairMasks] = {}
    rows: list[dict[str, Any]] = []
    for path in progress(paths, "scoring"):
        attribution = in_common_world(load_map(path))
        pair_id = attribution.meta["pair_id"]
        if pair_id not in masks:
            # Maps are sorted by patient and session: one pair's masks at a time are enough.
            masks = {pair_id: masks_of(load_pair(run.store, run.pair(pair_id), run.layout))}
        rows += score_one(attribution, masks[pair_id], reduction)
    table = score_table(rows)
    table[["value", "chance"]] = table[["value", "chance"]].astype(float)
    write_scores(table, out / "scores.csv")
    return table
