"""Tables written by hand, and index folders: reading them without leaving their own ground.

A table from somebody else may name any file of this machine. So a strict reading follows a path
only where it lies, links followed, below the table's folder. An index that xrano wrote points to
data elsewhere on purpose; it says where in ``index.json``. That file is believed, short of folders
that hold far more than a cohort, and ``xrano prepare`` tells what it names: it guards against
accidents and careless tables, not against a folder made to deceive.
"""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import pandas as pd

from xrano.atomic_files import write_json
from xrano.data.cells import relative_path
from xrano.data.image_roots import covering_roots, named_images, outside_of
from xrano.data.table_columns import sequence_columns
from xrano.data.tables import read_segmentations, read_sessions, segmentation_table, write_table
from xrano.errors import ManifestError
from xrano.roots import bounds_nothing
from xrano.text_files import is_cut_off, read_json

INDEX_RECORD = "index.json"
"""Beside the tables of an index: ``root`` of the data, further roots ``also`` (where links lead),
``dataset``, ``settings``, and the ``tables`` that there must be."""

_NAMED = 5


def recognise(root: Path) -> bool:
    """Whether a folder holds a ``sessions.csv``, or is that file."""
    return _folder(root) is not None


def read_manifest(
    root: str | PathLike[str], *, allow_outside: bool = False
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read ``sessions.csv`` and, if it is there, ``segmentations.csv`` of a folder.

    Args:
        root: the folder, or its ``sessions.csv``.
        allow_outside: whether images may lie anywhere, rather than in the folder.

    Returns:
        ``(sessions, segmentations)`` as :func:`~xrano.data.tables.read_sessions` and
        :func:`~xrano.data.tables.read_segmentations` give them.

    Raises:
        ManifestError: as these two; if an image lies outside or is not there; if a segmentation
            is of a session that the first table does not know.
    """
    folder = _folder(Path(root))
    if folder is None:
        raise ManifestError(f"{root} holds no sessions.csv")
    sessions, segmentations = read_index(folder, allow_outside=allow_outside)
    columns = [*sequence_columns(sessions), "brain_mask"]
    named = [
        (f"{row['patient_id']} {row['session_id']} {column}", row[column])
        for row in sessions.to_dict("records")
        for column in columns
        if row[column]
    ] + [
        (f"{row['patient_id']} {row['session_id']} {row['source']}", row["path"])
        for row in segmentations.to_dict("records")
    ]
    absent = [f"{what} {path}" for what, path in named if not Path(path).is_file()]
    if absent:
        raise ManifestError(
            f"{folder}: {len(absent)} of {len(named)} files that its tables name do not exist: "
            f"{'; '.join(absent[:_NAMED])}{' …' if len(absent) > _NAMED else ''}"
        )
    return sessions, segmentations


def read_index(
    folder: str | PathLike[str], *, allow_outside: bool = False
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read the sessions and segmentations of an index, written by xrano or by hand.

    Args:
        folder: with ``sessions.csv``, perhaps ``segmentations.csv`` and ``index.json``.
        allow_outside: whether images may lie anywhere. Otherwise they must lie, links followed,
            below the folder or below the data's roots that ``index.json`` names.

    Raises:
        ManifestError: naming file, line, column and path, as :func:`read_manifest`, or if
            ``index.json`` is broken, or a table that it lists is missing or cut off. That an image
            exists is not checked here.
    """
    folder = Path(folder)
    roots = None if allow_outside else [folder, *recorded_roots(folder)]
    _require_tables(folder)
    try:
        sessions = read_sessions(folder / "sessions.csv", roots=roots)
    except ManifestError as error:
        if "--allow-outside" not in str(error) or (folder / INDEX_RECORD).is_file():
            raise
        raise ManifestError(
            f"{error} (an index that xrano index wrote says in {INDEX_RECORD} where its data are; "
            f"{folder} holds none)"
        ) from error
    path = folder / "segmentations.csv"
    segmentations = (
        read_segmentations(path, roots=roots) if path.is_file() else segmentation_table([])
    )
    known = set(zip(sessions["patient_id"], sessions["session_id"], strict=True))
    for row, key in enumerate(
        zip(segmentations["patient_id"], segmentations["session_id"], strict=True)
    ):
        if key not in known:
            raise ManifestError(
                f"{path}, line {row + 2}: {' '.join(key)} is no session of sessions.csv"
            )
    return sessions, segmentations


def write_index(
    folder: str | PathLike[str],
    sessions: pd.DataFrame,
    segmentations: pd.DataFrame,
    *,
    root: str | PathLike[str],
    dataset: str,
    settings: Mapping[str, Any] | None = None,
    more: Mapping[str, pd.DataFrame] | None = None,
) -> None:
    """Write ``index.json``, both tables, and further ones.

    ``index.json`` lists the tables and comes first, and further tables of an earlier index are
    removed: of an index that was stopped half-way one is missing, and :func:`read_index` says so.

    Images that lie outside of the root (behind a link in it, or because that was allowed) have
    their very folders recorded as further roots, so that the index can be read as strictly as any.

    Args:
        folder: where to; made if need be.
        sessions: a sessions table.
        segmentations: a segmentations table.
        root: the folder that the cohort was read from; written relative to the index where there
            is a way, so that both can move together.
        dataset: the reader's name.
        settings: its options, as far as JSON knows them.
        more: further tables by file name, such as ``pairs.csv``.
    """
    folder = Path(folder)
    tables = {"sessions.csv": sessions, "segmentations.csv": segmentations, **(more or {})}
    root = Path(root).resolve()
    root = root.parent if root.is_file() else root
    outside = outside_of(root, named_images(sessions, segmentations))
    further = map(str, covering_roots(outside, ()))
    record = {
        "root": relative_path(str(root), folder.resolve()),
        "also": [relative_path(also, folder.resolve()) for also in further],
        "dataset": dataset,
        "settings": dict(settings or {}),
        "tables": list(tables),
    }
    for name in more or {}:
        (folder / name).unlink(missing_ok=True)
    write_json(folder / INDEX_RECORD, record)
    for name, table in tables.items():
        write_table(folder / name, table)


def _require_tables(folder: Path) -> None:
    """Refuse an index that lacks a table that it lists, or the end of one."""
    record = _record(folder)
    for name in record.get("tables", ()):
        path = folder / str(name)
        if not path.is_file():
            raise ManifestError(
                f"{path} is missing, and {INDEX_RECORD} lists it: run xrano index again, or take "
                "it out of that list if the table is not wanted"
            )
        if is_cut_off(path):
            raise ManifestError(
                f"{path} is cut off: its last line has no end; run xrano index again, or end the "
                "line if you have edited the table"
            )


def recorded_roots(folder: Path) -> list[Path]:
    """Where ``index.json`` says that the data are, links followed; nothing without that file.

    Raises:
        ManifestError: if the file is broken, or names a folder that holds far more than data.
    """
    path = folder / INDEX_RECORD
    record = _record(folder)
    if not record:
        return []
    try:
        named = [record["root"], *record.get("also", [])]
        roots = [(folder.resolve() / name).resolve() for name in named]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ManifestError(_unreadable(path, error)) from error
    for root in roots:
        if bounds_nothing(root):
            raise ManifestError(
                f"{path} names {root} as the root of the data, which holds far more than a cohort "
                "and bounds nothing; name the cohort's folder, or allow any with --allow-outside"
            )
    return roots


def _record(folder: Path) -> dict[str, Any]:
    """What ``index.json`` holds; nothing of tables that were written by hand."""
    path = folder / INDEX_RECORD
    if not path.is_file():
        return {}
    try:
        record = read_json(path)
        if not isinstance(record, dict) or not isinstance(record.get("tables", []), list):
            raise ValueError("it is no record of an index")
    except (OSError, ValueError) as error:
        raise ManifestError(_unreadable(path, error)) from error
    return record


def _unreadable(path: Path, error: Exception) -> str:
    return f"{path} cannot be read ({type(error).__name__}: {error}); run xrano index again"


def _folder(root: Path) -> Path | None:
    if root.name == "sessions.csv" and root.is_file():
        return root.parent
    return root if (root / "sessions.csv").is_file() else None
