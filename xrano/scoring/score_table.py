"""The table of scores: its columns, and its form on disk."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from xrano.atomic_files import write_text
from xrano.errors import ManifestError

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
    "status",
    "spans_surgery",
)
"""Columns of a score table, in order. ``weights`` is ``trained``, ``random-0`` and so on for
random-weight copies, or ``none`` for a map that no network made; ``region`` is region and scope,
``core/union``, and empty (as is ``segmentation_source``) for metrics of the map alone, such as
``entropy`` or ``outside_brain_mass``, which is taken before anything is masked; ``lesion`` is
``all`` lesions together, or the number of one in ``lesions.csv``. ``value`` and ``chance`` are
NaN where undefined, with the reason in ``status``; missing words are empty, never NaN."""


def score_table(rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Rows of :func:`~xrano.scoring.rows.score_map` as a table with all columns in order."""
    return pd.DataFrame(list(rows), columns=list(SCORE_COLUMNS))


def write_scores(table: pd.DataFrame, path: Path) -> None:
    """Write a score table as CSV, whole or not at all.

    Raises:
        ManifestError: if a column is missing.
    """
    check_scores(table, str(path))
    write_text(Path(path), table.to_csv(index=False))


def read_scores(path: Path) -> pd.DataFrame:
    """Read a score table: words as strings, numbers as floats, undefined numbers as NaN.

    Raises:
        ManifestError: if the file is missing, or lacks a column.
    """
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
        check_scores(table, str(path))
        for column in ("value", "chance"):
            table[column] = table[column].replace("", "nan").astype(float)
    except ManifestError:
        raise
    except (OSError, ValueError) as error:
        raise ManifestError(f"cannot read the score table {path}: {error}") from error
    table["spans_surgery"] = table["spans_surgery"] == "True"
    return table


def check_scores(table: pd.DataFrame, name: str) -> None:
    """Refuse a table without the columns of a score table.

    Raises:
        ManifestError: naming the table and the columns that are missing.
    """
    missing = [column for column in SCORE_COLUMNS if column not in table.columns]
    if missing:
        raise ManifestError(f"{name} is no score table: it lacks the columns {', '.join(missing)}")
