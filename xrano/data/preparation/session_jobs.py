"""The pieces of work that preparing a cohort deals out to processes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from xrano.atomic_files import write_json
from xrano.data.datasets.measured_volumes import MEASURED_VOLUMES
from xrano.data.pair_volumes import session_pair_statistics
from xrano.data.preparation.common_grid import Extent, brain_extent
from xrano.data.preparation.jobs import collected_remarks
from xrano.data.preparation.placed_session import ToCommon, read_brain
from xrano.data.preparation.prepare_session import prepare_session
from xrano.data.preparation.prepare_settings import PrepareSettings
from xrano.data.preparation.session_placement import Placement
from xrano.data.store import (
    FORMAT,
    read_details,
    read_prepared,
    session_path,
    unmark,
    write_prepared,
)
from xrano.errors import CheckpointError, VolumeError
from xrano.geometry import Grid
from xrano.text_files import read_json


@dataclass(frozen=True, eq=False)
class ExtentJob:
    """Where one session's brain reaches on a grid."""

    row: Mapping[str, Any]
    names: tuple[str, ...]
    to_common: ToCommon
    base: Grid
    settings: PrepareSettings


def extent_of(job: ExtentJob) -> Extent:
    """First and last voxel of the base grid that the brain touches."""
    brain, grid = read_brain(job.row, job.names, job.to_common, job.settings.affine_from)
    return brain_extent(brain, grid, job.base)


@dataclass(frozen=True, eq=False)
class SessionJob:
    """One session to be written into a store."""

    row: Mapping[str, Any]
    segmentations: list[dict[Any, Any]]
    names: tuple[str, ...]
    grid: Grid
    placement: Placement
    settings: PrepareSettings
    out: Path


@dataclass(frozen=True, eq=False)
class PairJob:
    """One pair whose intensities are to be measured."""

    pair: Mapping[str, Any]
    spacing: tuple[float, float, float]
    settings: PrepareSettings
    out: Path


def keep_session(job: SessionJob) -> dict[str, Any]:
    """Write one session's file if it is not there yet; its record.

    The record, a JSON beside the file, holds ``file`` (relative to the store), ``sha256``,
    ``volumes`` (rows of ``volumes.csv``), ``remarks`` and ``key``, the hash of what the file was
    made from. It is written last: with it the session is finished.
    """
    path = session_path(job.out, job.row["patient_id"], job.row["session_id"])
    record_path = path.with_suffix(".json")
    key = _input_key(job)
    record = _finished(path, record_path, key)
    if record is not None:
        return record
    with collected_remarks() as remarks:
        session, volumes = prepare_session(
            job.row,
            job.segmentations,
            job.names,
            job.grid,
            to_common=job.placement.to_common,
            alignment=job.placement.alignment,
            settings=job.settings,
            key=key,
        )
    unmark(job.out)
    write_prepared(path, session, job.grid)
    record = {
        "file": path.relative_to(job.out).as_posix(),
        "sha256": _digest(path),
        "volumes": volumes,
        "remarks": remarks,
        "key": key,
    }
    write_json(record_path, record)
    return record


def _finished(path: Path, record_path: Path, key: str) -> dict[str, Any] | None:
    """The record of a session that is there, whole and made from the same input; else ``None``."""
    try:
        record: dict[str, Any] = read_json(record_path)
        made = record["key"] == key and read_details(path)["key"] == key
        # A disk that fails changes bytes and no date; the statistics read the file anyway.
        made = made and _digest(path) == record["sha256"]
    except (OSError, ValueError, TypeError, KeyError, CheckpointError):
        return None
    return record if made else None


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _input_key(job: SessionJob) -> str:
    """A hash of the files (use, name, size, change time), the grid, placement and settings."""
    row = job.row
    paths = [([name], row[name]) for name in (*job.names, "brain_mask") if row.get(name)]
    for item in job.segmentations:
        path = Path(item["path"])
        uses = [item["source"], item["scheme"], str(item.get("sequence") or "")]
        paths += [(uses, str(path)), (uses, str(path.with_name(MEASURED_VOLUMES)))]
    files = []
    for use, name in paths:
        status = Path(name).stat() if Path(name).is_file() else None
        files.append([use, name, status and status.st_size, status and status.st_mtime_ns])
    made_from = [
        FORMAT,
        files,
        str(row.get("brain_mask_sequence") or ""),
        job.grid.shape,
        job.grid.affine.tolist(),
        {name: matrix.tolist() for name, matrix in job.placement.to_common.items()},
        asdict(job.settings),
    ]
    return hashlib.sha256(json.dumps(made_from).encode()).hexdigest()


def statistics_of(job: PairJob) -> dict[str, Any]:
    """Intensity statistics of a pair, as ``statistics.json`` holds them."""
    prior, current = (
        read_prepared(session_path(job.out, job.pair["patient_id"], job.pair[role]))
        for role in ("prior_session", "current_session")
    )
    try:
        return session_pair_statistics(
            prior,
            current,
            job.spacing,
            normalisation=job.settings.normalisation,
            margin_mm=job.settings.margin_mm,
        )
    except VolumeError as error:
        raise VolumeError(f"{job.pair['pair_id']}: {error}") from error
