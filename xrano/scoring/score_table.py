"""The table of scores: its columns, and its form on disk."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from xrano.errors import ManifestError
from xrano.scoring.row_frames import Rows, frame_of
from xrano.scoring.table_files import read_frame, write_frame

SCORE_COLUMNS = (
    "run",
    "weights",
    "fold",
    "pair_id",
    "patient_id",
    "response",
    "rating_source",
    "predicted",
    "target",
    "target_choice",
    "method",
    "layer",
    "baseline",
    "reduction",
    "rectification",
    "segmentation_source",
    "region",
    "lesion",
    "metric",
    "value",
    "chance",
    "reference",
    "status",
    "spans_surgery",
)
"""Columns of a score table, in order. ``weights`` is ``trained``, ``random-0`` and so on for
random-weight copies, or ``none`` for a map that no network made; ``region`` is region and scope,
``core/union``, and empty (as is ``segmentation_source``) for metrics of the map alone, such as
``entropy`` or ``outside_brain_mass``, which is taken before anything is masked; ``lesion`` is
``all`` lesions together, or the number of one in ``lesions.csv``. ``value`` and ``chance`` are
NaN where undefined, with the reason in ``status``; missing words are empty, never NaN.
``reference`` is what the mask itself scores when it is seen at the map's own resolution, through
the cells of a class activation map: what the value is held against, and a ceiling only for the
metrics that :mod:`xrano.metrics.resolution` names. It is NaN for maps whose resolution keeps them
from nothing (voxel-wise ones) or is not known (carried over from another grid), for masks below
what is measurable and for metrics of the map alone."""

LATER_COLUMNS = ("reference",)
"""Columns that tables of the schema before lack; there they are read as undefined."""

ASKED_COLUMNS = ("threshold", "resampled")
"""Columns that a table has only if something of it was asked for, after the others:
``threshold``, the share of a map's maximum behind a ``dice_tuned`` (NaN in other rows);
``resampled``, whether the map was carried from another grid to that of the masks."""

SCORE_SCHEMA = 3
"""Raised when a column comes, goes, or changes its meaning."""

_OLDER_SCHEMAS = {1: frozenset(SCORE_COLUMNS) - {*LATER_COLUMNS, "rating_source"}}

_IDENTITY = (
    *("run", "weights", "pair_id", "method", "baseline", "layer", "target", "target_choice"),
    *("reduction", "rectification", "segmentation_source", "region", "lesion", "metric"),
)
"""Two rows that agree in these are one score twice."""


def score_table(rows: Rows) -> pd.DataFrame:
    """Rows of :func:`~xrano.scoring.rows.score_map` as a table with all columns in order."""
    rows = rows if isinstance(rows, Mapping) else list(rows)
    known = rows if isinstance(rows, Mapping) else {name for row in rows for name in row}
    asked = [column for column in ASKED_COLUMNS if column in known]
    table = frame_of(rows, (*SCORE_COLUMNS, *asked))
    if "threshold" in asked:
        table["threshold"] = table["threshold"].astype(float)
    if "resampled" in asked:
        table["resampled"] = table["resampled"].eq(True)
    return table.astype({"reference": float})


def write_scores(table: pd.DataFrame, path: Path) -> None:
    """Write a score table as CSV (and Parquet), whole or not at all.

    Raises:
        ManifestError: if a column is missing, or a score is there twice.
    """
    check_scores(table, str(path))
    check_once(table, str(path))
    write_frame(table, path, parquet=True)


def read_scores(path: Path) -> pd.DataFrame:
    """Read a score table: words as strings, numbers as floats, undefined numbers as NaN.

    :data:`LATER_COLUMNS` that it lacks are there, undefined.

    Raises:
        ManifestError: if the file is missing, lacks a column (of an older schema, say), or holds
            a score twice.
    """
    table = read_frame(
        path,
        numbers=("value", "chance", "reference", "threshold"),
        flags=("spans_surgery", "resampled"),
    )
    check_scores(table, str(path))
    check_once(table, str(path))
    for column in (name for name in LATER_COLUMNS if name not in table):
        table.insert(SCORE_COLUMNS.index(column), column, np.nan)
    return table


def check_scores(table: pd.DataFrame, name: str) -> None:
    """Refuse a table without the columns of a score table.

    Raises:
        ManifestError: naming the table, the columns that are missing and those beyond, the schema
            that it has, and what to do.
    """
    found = {str(column) for column in table.columns}
    missing = [name for name in SCORE_COLUMNS if name not in found and name not in LATER_COLUMNS]
    if not missing:
        return
    known = {*SCORE_COLUMNS, *ASKED_COLUMNS}
    beyond = [str(column) for column in table.columns if column not in known]
    has = [str(version) for version, columns in _OLDER_SCHEMAS.items() if columns <= found]
    raise ManifestError(
        f"{name} is no score table of schema {SCORE_SCHEMA}, which this xrano reads: "
        f"it lacks the columns {', '.join(missing)}"
        + (f" and has {', '.join(beyond)} beyond them" if beyond else "")
        + (f"; it is of schema {has[-1]}, of an older xrano" if has else "")
        + ". Score again: xrano score RUN --out FOLDER writes the table anew"
    )


def check_once(table: pd.DataFrame, name: str) -> None:
    """Refuse a table in which one score stands twice.

    Raises:
        ManifestError: naming the table, pair, method, and where both rows come from.
    """
    keys = list(_IDENTITY)
    again = np.flatnonzero(table.duplicated(keys))
    if not again.size:
        return
    second = table.iloc[again[0]]
    same = (table[keys] == second[keys]).all(axis=1).to_numpy()
    first = int(np.flatnonzero(same)[0])
    method = f"{second['method']}:{second['baseline']}".rstrip(":")
    where = f" in {second['region']}" if second["region"] else ""
    origins = " and ".join(
        f"row {at + 1} (run {row['run'] or '?'}, fold {row['fold']}, {row['weights']} weights, "
        f"value {row['value']})"
        for at, row in ((first, table.iloc[first]), (int(again[0]), second))
    )
    raise ManifestError(
        f"{name}: {second['pair_id']} is scored twice by {method} ({second['metric']}{where}, "
        f"target {second['target'] or 'none'}): {origins}, {again.size} such rows in all; keep "
        "the rows of one run in a table"
    )
