"""From an index to a prepared store: every session of a pair onto one common grid.

The images must already lie in one common space (LUMIERE's atlas images do). The common grid has
the axes of the first scan turned to RAS+, the spacing asked for, and is cropped to the union of
all brains. Voxels are moved once, and not at all where grids only differ by flips and crops.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import ndimage

from xrano.atomic_files import write_json
from xrano.data.common_grid import common_grid, read_brain
from xrano.data.label_schemes import REGIONS, has_region, region_mask
from xrano.data.datasets.measured_volumes import MEASURED_VOLUMES, check_measured_volumes
from xrano.data.pair_volumes import session_pair_statistics
from xrano.data.prepare_settings import PrepareSettings
from xrano.data.store import (
    FORMAT,
    PreparedSession,
    read_details,
    read_prepared,
    session_path,
    unmark,
    write_manifest,
    write_prepared,
)
from xrano.data.tables import sequence_columns, write_table
from xrano.data.volumes import Scan, read_labels, read_mask, read_scan, require_on_grid
from xrano.errors import CheckpointError, ManifestError, VolumeError
from xrano.geometry import Grid, resample, to_ras
from xrano.progress import Progress, quiet
from xrano.types import Mask


def prepare_cohort(
    sessions: pd.DataFrame,
    segmentations: pd.DataFrame,
    pairs: pd.DataFrame,
    out: Path,
    settings: PrepareSettings | None = None,
    *,
    progress: Progress = quiet,
) -> Grid:
    """Write a prepared store of all sessions that take part in a pair.

    A session whose file is already there, made from the same files with the same settings, is
    not made again. ``store.json`` comes last, and goes first where a store is made anew.

    Args:
        sessions: the sessions table, image paths absolute.
        segmentations: the segmentations table.
        pairs: the pairs table.
        out: the store's folder.
        settings: spacing and normalisation.
        progress: how to show progress.

    Returns:
        The common grid.

    Raises:
        ManifestError: if there is no pair, or sessions lie in no common space.
        VolumeError, GridMismatchError, LabelSchemeError: if an image cannot be used; the message
            names the file.
    """
    settings = settings or PrepareSettings()
    used = _sessions_of(sessions, pairs)
    names = tuple(name for name in sequence_columns(used) if (used[name] != "").any())
    rows = used.to_dict("records")
    grid = common_grid(progress(rows, "reading brains"), names, settings.spacing_mm)
    by_session = {
        key: group.to_dict("records")
        for key, group in segmentations.groupby(["patient_id", "session_id"])
    }
    volumes: list[dict[str, object]] = []
    for row in progress(rows, "preparing sessions"):
        found = by_session.get((row["patient_id"], row["session_id"]), [])
        labelled = [item for item in found if item["space"] == row["space"]]
        volumes += _prepare_one(row, labelled, names, grid, settings, out)
    measured = progress(pairs.to_dict("records"), "normalising")
    statistics = _pair_statistics(measured, grid, settings, out)
    unmark(out)
    write_table(out / "sessions.csv", used)
    write_table(out / "segmentations.csv", segmentations)
    write_table(out / "pairs.csv", pairs)
    write_table(out / "volumes.csv", pd.DataFrame(volumes, columns=VOLUME_COLUMNS))
    write_json(out / "statistics.json", statistics)
    write_manifest(out, grid, names, asdict(settings))
    return grid


VOLUME_COLUMNS = ["patient_id", "session_id", "source", "region", "ml"]


def _sessions_of(sessions: pd.DataFrame, pairs: pd.DataFrame) -> pd.DataFrame:
    if pairs.empty:
        raise ManifestError("there is no pair to prepare: see exclusions.csv for the reasons")
    wanted = {
        (pair["patient_id"], pair[role])
        for pair in pairs.to_dict("records")
        for role in ("prior_session", "current_session")
    }
    keys = list(zip(sessions["patient_id"], sessions["session_id"], strict=True))
    missing = sorted(wanted - set(keys))
    if missing:
        raise ManifestError(f"pairs name sessions that the sessions table lacks: {missing[:3]}")
    used = sessions[[key in wanted for key in keys]].reset_index(drop=True)
    spaces = sorted(set(used["space"]))
    if spaces != ["atlas"]:
        raise ManifestError(
            f"sessions must lie in one common space (space = atlas), found {', '.join(spaces)}; "
            "register the images of each patient to a common space first, or set the column "
            "'space' to atlas if they are"
        )
    return used


def _prepare_one(
    row: Mapping[str, Any],
    segmentations: list[dict[Any, Any]],
    names: tuple[str, ...],
    grid: Grid,
    settings: PrepareSettings,
    out: Path,
) -> list[dict[str, object]]:
    """Write one session's file if it is not there yet; the volumes of its regions in ml."""
    path = session_path(out, row["patient_id"], row["session_id"])
    key = _input_key(row, segmentations, names, grid, settings)
    cached = path.with_suffix(".json")
    if cached.is_file() and _is_made(path, key):
        volumes: list[dict[str, object]] = json.loads(cached.read_text(encoding="utf-8"))
        return volumes
    session, volumes = prepare_session(row, segmentations, names, grid, key=key)
    unmark(out)
    write_json(cached, volumes)
    write_prepared(path, session, grid)
    return volumes


def prepare_session(
    row: Mapping[str, Any],
    segmentations: list[dict[Any, Any]],
    names: tuple[str, ...],
    grid: Grid,
    *,
    key: str = "",
) -> tuple[PreparedSession, list[dict[str, object]]]:
    """Read a session and bring it to a grid.

    Args:
        row: its row of the sessions table.
        segmentations: its rows of the segmentations table.
        names: sequences to read, as far as the session has them.
        grid: the grid wanted.
        key: hash of what the session is made from.

    Returns:
        The session, and the volume in ml of each region of each segmentation, counted on the
        segmentation's own grid.

    Raises:
        VolumeError, GridMismatchError, LabelSchemeError: naming the file.
    """
    scans = {name: read_scan(row[name]) for name in names if row[name]}
    if not scans:
        raise VolumeError(f"{row['patient_id']} {row['session_id']} has no image of {names}")
    reference = next(iter(scans.values()))
    for scan in scans.values():
        require_on_grid(scan, reference)
    if row.get("brain_mask"):
        require_on_grid(read_mask(row["brain_mask"]), reference)
    brain, brain_grid = read_brain(row, names)
    brain = resample(brain, brain_grid, grid, order=0)
    labelled, volumes = {}, []
    for item in segmentations:
        labels = read_labels(item["path"], item["scheme"])
        require_on_grid(labels, reference)
        if item["scheme"] == "lumiere-deepbratumia":
            measured = labels.path.with_name(MEASURED_VOLUMES)
            check_measured_volumes(labels.labels, 1000 * labels.grid.voxel_ml, measured)
        labelled[item["source"]] = (
            resample(labels.labels, labels.grid, grid, order=0),
            item["scheme"],
        )
        volumes += [
            {
                "patient_id": row["patient_id"],
                "session_id": row["session_id"],
                "source": item["source"],
                "region": region,
                "ml": region_mask(labels.labels, item["scheme"], region).sum()
                * labels.grid.voxel_ml,
            }
            for region in REGIONS
            if has_region(item["scheme"], region)
        ]
    images, scale = {}, {}
    for name, scan in scans.items():
        images[name], scale[name] = _to_grid(scan, grid, brain)
    session = PreparedSession(
        row["patient_id"], row["session_id"], images, brain, labelled, scale, key
    )
    return session, volumes


def _to_grid(scan: Scan, grid: Grid, brain: Mask) -> tuple[NDArray[np.float16], float]:
    """A scan on the grid as float16 with its scale: the 99.9th percentile of the brain is 1."""
    # Turned first, so that axis n of the scan is axis n of the grid.
    data, source = to_ras(scan.data, scan.grid.affine)
    # Without a smoothing as wide as the new voxels, coarse sampling would alias.
    ratio = np.array(grid.spacing) / np.array(source.spacing)
    sigma = np.sqrt(np.maximum(ratio**2 - 1, 0)) / 2.355
    if (ratio > 1.01).any():
        data = ndimage.gaussian_filter(data, sigma)
    moved = resample(data, source, grid)
    scale = float(np.percentile(np.abs(moved[brain]), 99.9)) if brain.any() else 0.0
    if not scale > 0:
        raise VolumeError(f"{scan.path} shows nothing inside the brain")
    # Far outliers would overflow float16; sixty times the brain's brightest is an artefact.
    return np.clip(moved / scale, -60000, 60000).astype(np.float16), scale


def _pair_statistics(
    pairs: Iterable[Mapping[str, Any]], grid: Grid, settings: PrepareSettings, out: Path
) -> dict[str, Any]:
    found = {}
    for pair in pairs:
        prior, current = (
            read_prepared(session_path(out, pair["patient_id"], pair[role]))
            for role in ("prior_session", "current_session")
        )
        try:
            found[pair["pair_id"]] = session_pair_statistics(
                prior,
                current,
                grid.spacing,
                normalisation=settings.normalisation,
                margin_mm=settings.margin_mm,
            )
        except VolumeError as error:
            raise VolumeError(f"{pair['pair_id']}: {error}") from error
    return {
        "normalisation": settings.normalisation,
        "margin_mm": settings.margin_mm,
        "pairs": found,
    }


def _is_made(path: Path, key: str) -> bool:
    try:
        return path.is_file() and bool(read_details(path)["key"] == key)
    except CheckpointError:
        return False


def _input_key(
    row: Mapping[str, Any],
    segmentations: list[dict[Any, Any]],
    names: tuple[str, ...],
    grid: Grid,
    settings: PrepareSettings,
) -> str:
    """A hash of the files (use, name, size, change time), the grid and the settings."""
    paths = [([name], row[name]) for name in (*names, "brain_mask") if row.get(name)]
    for item in segmentations:
        path = Path(item["path"])
        uses = [item["source"], item["scheme"]]
        paths += [(uses, str(path)), (uses, str(path.with_name(MEASURED_VOLUMES)))]
    files = []
    for use, name in paths:
        status = Path(name).stat() if Path(name).is_file() else None
        files.append([use, name, status and status.st_size, status and status.st_mtime_ns])
    made_from = [FORMAT, files, grid.shape, grid.affine.tolist(), asdict(settings)]
    return hashlib.sha256(json.dumps(made_from).encode()).hexdigest()
