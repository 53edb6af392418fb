"""Numbers that tell a badly prepared session: one row a session, every column with its unit.

==========================  ======================================================================
column                      meaning
==========================  ======================================================================
sequences, missing          names, those of the store that the session has and lacks
source_NAME_shape           voxels along i, j, k of the scan that the sequence was made from
source_NAME_spacing_mm      its voxel size along i, j, k in mm
source_NAME_axes            where its axes i, j, k run to, such as LPS
source_NAME_obliquity_deg   largest angle of one of its axes with the nearest world axis, degrees
grid_shape, …               the same of the grid that all sequences lie on now
brain_ml                    volume of the brain mask
dice_previous, dice_first   Dice of the brain mask with that of the patient's session before, and
                            with that of the first; 0 to 1, empty for a first session
ceiling_share_NAME          share of the brain's voxels at the sequence's largest value: a scan
                            saturated at 32767 leaves a plateau there
empty_share_NAME            share of the brain's voxels that are exactly 0: beyond the field of view
mi_previous_NAME            mutual information with the same sequence of the session before, in
                            nats, where both scans show brain
mi_NAME_OTHER               mutual information of two sequences of the session in its brain, nats
tumour_ml_SOURCE            volume of the whole tumour by each segmentation, on its own grid
flags                       what stands apart, in words; see :mod:`xrano.data.quality.quality_flags`
==========================  ======================================================================
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd

from xrano.atomic_files import write_text
from xrano.data.label_schemes import WHOLE
from xrano.data.mutual_information import mutual_information
from xrano.data.preparation.jobs import run_jobs
from xrano.data.quality.quality_flags import EMPTY_BRAIN, UNREADABLE, flag_sessions
from xrano.data.quality.segmenter_agreement import dice
from xrano.data.store import PreparedSession, Store, read_details, read_prepared
from xrano.errors import CheckpointError
from xrano.geometry import Grid
from xrano.progress import Progress, quiet
from xrano.text_files import read_json

_VERSION = 1
"""Of the numbers: cached ones of another version are made anew."""


@dataclass(frozen=True)
class _Patient:
    """A patient's sessions in their order, and the tumour's ml by session and source."""

    patient_id: str
    session_ids: tuple[str, ...]
    tumour_ml: Mapping[str, Mapping[str, float]]


def session_quality(
    store: Store, *, cache: Path | None = None, jobs: int = 1, progress: Progress = quiet
) -> pd.DataFrame:
    """Measure every session of a store.

    A file that cannot be read has a row too, without numbers and with a flag.

    Args:
        store: an opened store.
        cache: folder for each patient's numbers, so that a second run measures only what has
            changed; nothing is kept without it.
        jobs: how many processes; 0 for one a core.
        progress: how to show progress.

    Returns:
        One row a session, in the order of the sessions table; columns as the module says.
    """
    volumes = _tumour_volumes(store)
    patients = [
        _Patient(str(patient), tuple(group["session_id"]), volumes.get(str(patient), {}))
        for patient, group in store.sessions.groupby("patient_id", sort=False)
    ]
    measure = partial(_measure_patient, store, cache)
    outcomes = run_jobs(measure, patients, jobs=jobs, progress=progress, what="measuring sessions")
    rows: list[dict[str, Any]] = []
    for outcome in outcomes:
        if outcome.error is not None:
            raise outcome.error
        rows += outcome.value or []
    table = pd.DataFrame(rows)
    # The columns of later sessions (a new sequence) come where the first session's order has them.
    ordered = sorted(table.columns, key=_column_order)
    return flag_sessions(table[ordered])


def describe_grid(grid: Grid) -> dict[str, Any]:
    """Shape, spacing (mm), axes and obliquity (degrees) of a grid, as the table has them.

    Example:
        >>> turned = np.array([[0, 0, 3.0, 0], [-1.0, 0, 0, 0], [0, 2.0, 0, 0], [0, 0, 0, 1]])
        >>> describe_grid(Grid((4, 5, 6), turned))
        {'shape': '4×5×6', 'spacing_mm': '1×2×3', 'axes': 'PSR', 'obliquity_deg': 0.0}
    """
    angles = np.degrees(nib.affines.obliquity(grid.affine))
    return {
        "shape": "×".join(str(size) for size in grid.shape),
        "spacing_mm": "×".join(f"{size:.4g}" for size in grid.spacing),
        "axes": "".join(nib.orientations.aff2axcodes(grid.affine)),
        "obliquity_deg": round(float(np.abs(angles).max()), 2),
    }


def source_grids(details: Mapping[str, Any]) -> dict[str, Grid]:
    """The grid of the scan that each sequence was made from, by a session file's metadata.

    Empty for a store of an older version, which does not tell.
    """
    return {
        name: Grid(tuple(source["shape"][:3]), np.array(source["affine"]))
        for name, source in (details.get("sources") or {}).items()
    }


def _tumour_volumes(store: Store) -> dict[str, dict[str, dict[str, float]]]:
    """Patient to session to source to ml."""
    volumes = store.volumes
    found: dict[str, dict[str, dict[str, float]]] = {}
    for row in volumes[volumes["region"] == WHOLE].to_dict("records"):
        of_patient = found.setdefault(row["patient_id"], {})
        of_patient.setdefault(row["session_id"], {})[row["source"]] = float(row["ml"])
    return found


def _measure_patient(store: Store, cache: Path | None, patient: _Patient) -> list[dict[str, Any]]:
    key = _patient_key(store, patient)
    kept = None if cache is None else cache / f"{key[:32]}.json"
    if kept is not None and kept.is_file():
        with suppress(OSError, ValueError):
            found: list[dict[str, Any]] = read_json(kept)
            return found
    rows = []
    first: PreparedSession | None = None
    previous: PreparedSession | None = None
    for number, session_id in enumerate(patient.session_ids):
        path = store.session_path(patient.patient_id, session_id)
        row: dict[str, Any] = {"patient_id": patient.patient_id, "session_id": session_id}
        try:
            details, session = read_details(path), read_prepared(path)
        except CheckpointError:
            rows.append({**row, "flags": UNREADABLE})
            previous = None
            continue
        first = session if number == 0 else first
        row |= _measure(store, session, details)
        row |= _compare(session, previous, None if number == 0 else first, store.sequences)
        volumes = patient.tumour_ml.get(session_id, {})
        rows.append(row | {f"tumour_ml_{source}": ml for source, ml in volumes.items()})
        previous = session
    if kept is not None:
        write_text(kept, json.dumps(rows))
    return rows


def _measure(store: Store, session: PreparedSession, details: Mapping[str, Any]) -> dict[str, Any]:
    """What a session shows by itself."""
    present = [name for name in store.sequences if name in session.sequences]
    row: dict[str, Any] = {
        "sequences": " ".join(present),
        "missing": " ".join(name for name in store.sequences if name not in present),
    }
    for name, grid in source_grids(details).items():
        row |= {f"source_{name}_{what}": value for what, value in describe_grid(grid).items()}
    row |= {f"grid_{what}": value for what, value in describe_grid(store.grid).items()}
    brain = session.brain
    row["brain_ml"] = float(brain.sum()) * store.grid.voxel_ml
    row["flags"] = "" if brain.any() else EMPTY_BRAIN
    inside = {name: session.sequences[name][brain] for name in present}
    for name, values in inside.items():
        row[f"ceiling_share_{name}"] = ceiling_share(values)
        row[f"empty_share_{name}"] = float((values == 0).mean()) if values.size else None
    for one, other in itertools.combinations(present, 2):
        row[f"mi_{one}_{other}"] = _number(mutual_information(inside[one], inside[other]))
    return row


def ceiling_share(values: np.ndarray[Any, Any]) -> float | None:
    """Share of values within one step of float16 (one part in 1024) of the largest.

    Example:
        >>> ceiling_share(np.array([1.0, 2.0, 4.0, 4.0], dtype=np.float16))
        0.5
    """
    if not values.size:
        return None
    top = float(values.max())
    return float((values.astype(np.float32) >= top - abs(top) / 1024).mean())


def _compare(
    session: PreparedSession,
    previous: PreparedSession | None,
    first: PreparedSession | None,
    sequences: Sequence[str],
) -> dict[str, Any]:
    """What a session shows beside the patient's earlier ones."""
    row: dict[str, Any] = {
        f"dice_{name}": None if other is None else _number(dice(session.brain, other.brain))
        for name, other in (("previous", previous), ("first", first))
    }
    if previous is None:
        return row
    common = session.brain & previous.brain
    for name in sequences:
        if name in session.sequences and name in previous.sequences:
            both = (scan.sequences[name][common] for scan in (session, previous))
            row[f"mi_previous_{name}"] = _number(mutual_information(*both))
    return row


def _number(value: float) -> float | None:
    """JSON knows no NaN."""
    return float(value) if np.isfinite(value) else None


def _patient_key(store: Store, patient: _Patient) -> str:
    """A hash of everything that a patient's rows follow from."""
    files = []
    for session_id in patient.session_ids:
        path = store.session_path(patient.patient_id, session_id)
        files.append(file_mark(path))
    made_from = [_VERSION, patient.patient_id, patient.session_ids, patient.tumour_ml, files]
    grid = [store.grid.shape, store.grid.affine.tolist(), store.sequences]
    text = json.dumps([made_from, grid], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def file_mark(path: Path) -> tuple[int, int]:
    """Size and change time (ns) of a file, zeros if it is missing: equal for a file unchanged."""
    if not path.is_file():
        return 0, 0
    status = path.stat()
    return status.st_size, status.st_mtime_ns


_ORDER = (
    *("patient_id", "session_id", "flags", "sequences", "missing", "brain_ml", "dice_previous"),
    *("dice_first", "tumour_ml_", "mi_previous_", "mi_", "ceiling_share_", "empty_share_"),
    *("grid_", "source_"),
)


def _column_order(column: str) -> int:
    places: Sequence[int] = [
        number
        for number, start in enumerate(_ORDER)
        if column == start or (start.endswith("_") and column.startswith(start))
    ]
    return places[0]
