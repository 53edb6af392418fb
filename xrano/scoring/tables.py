"""The tables of a scoring folder, each in one row of :data:`TABLES`.

To add a table: give it a row here. Rows that come from single pairs are a field of that name of
:class:`~xrano.experiments.scored_pair.PairScores`, filled where the pair is scored; whatever
follows from all pairs is written by :func:`write_table` once they are there. Reading, Parquet and
``report.json`` then know it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import pandas as pd

from xrano.errors import ManifestError, UnknownNameError
from xrano.scoring.accounting_summary import ACCOUNTING_SUMMARY_COLUMNS
from xrano.scoring.accounting_table import ACCOUNTING_COLUMNS
from xrano.scoring.cell_table import CELL_COLUMNS, CELL_COUNTS, CELL_FLAGS, CELL_NUMBERS
from xrano.scoring.claims import CLAIM_COLUMNS, CLAIM_COUNTS, CLAIM_NUMBERS
from xrano.scoring.crossed_masks import COHORT_COLUMNS, CROSSED_COLUMNS, crossed_table
from xrano.scoring.lesion_table import LESION_COLUMNS
from xrano.scoring.null_table import NULL_COLUMNS, NULL_NUMBERS, null_table
from xrano.scoring.row_frames import Rows, frame_of
from xrano.scoring.score_table import SCORE_COLUMNS, read_scores, score_table, write_scores
from xrano.scoring.shares import SHARE_COLUMNS
from xrano.scoring.shuffle import SHUFFLE_COLUMNS
from xrano.scoring.strata import STRATA_COLUMNS, STRATA_NUMBERS
from xrano.scoring.summary import SUMMARY_COLUMNS
from xrano.scoring.table_files import read_frame, write_frame


@dataclass(frozen=True)
class Table:
    """What a table holds.

    Attributes:
        columns: all of them, in order.
        row: what one row is, in words.
        numbers: columns of floats, NaN where undefined.
        counts: columns of whole numbers.
        flags: columns of booleans; the others are words.
        parquet: whether it has a Parquet file beside the CSV: the long ones.
        in_report: whether its rows stand in ``report.json`` as they are: the short ones.
    """

    columns: tuple[str, ...]
    row: str
    numbers: tuple[str, ...] = ()
    counts: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    parquet: bool = False
    in_report: bool = False


TABLES: Mapping[str, Table] = MappingProxyType(
    {
        "scores": Table(
            SCORE_COLUMNS,
            "map, mask and metric",
            numbers=("value", "chance", "reference"),
            flags=("spans_surgery",),
            parquet=True,
        ),
        "nulls": Table(
            NULL_COLUMNS,
            "map, mask, metric and null",
            numbers=NULL_NUMBERS,
            counts=("B",),
            parquet=True,
        ),
        "shares": Table(
            SHARE_COLUMNS,
            "map, scan and sequence",
            numbers=("share", "expected"),
            flags=("one_visit",),
        ),
        "lesions": Table(
            LESION_COLUMNS,
            "lesion of a pair",
            numbers=("prior_ml", "current_ml", "prior_product_mm2", "current_product_mm2"),
            counts=("n_prior", "n_current"),
            flags=("measurable",),
        ),
        "accounting": Table(
            ACCOUNTING_COLUMNS,
            "map and part of the volume; the shares of a map add up to 1",
            numbers=("share", "expected"),
            flags=("spans_surgery",),
            parquet=True,
        ),
        "accounting_summary": Table(
            ACCOUNTING_SUMMARY_COLUMNS,
            "response, method and part of the volume",
            numbers=("share", "expected", "lift"),
            counts=("n_patients", "n_pairs", "n_undefined"),
            flags=("descriptive",),
            in_report=True,
        ),
        "crossed": Table(
            CROSSED_COLUMNS,
            "map and mask of a patient: what the shuffle test permutes",
            numbers=("mass", "chance"),
            parquet=True,
        ),
        "cohort_masks": Table(
            COHORT_COLUMNS, "pair whose mask is exchanged in the shuffle test", counts=("voxels",)
        ),
        "shuffle": Table(
            SHUFFLE_COLUMNS,
            "response and method against other patients' masks",
            numbers=("lift", "mean", "sd", "z", "percentile", "p", "p_adjusted", "size_ratio"),
            counts=("B", "n_patients", "n_pairs"),
            flags=("descriptive",),
            in_report=True,
        ),
        "summary": Table(
            SUMMARY_COLUMNS,
            "response and method: the primary analysis",
            numbers=(
                *("lift", "lift_low", "lift_high", "gain", "gain_low", "gain_high"),
                *("mean_value", "mean_chance", "random_lift", "mean_reference", "of_reference"),
            ),
            counts=(
                *("n_patients", "n_pairs", "n_undefined", "n_copies", "n_gain_pairs"),
                *("n_gain_patients", "n_resamples"),
            ),
            flags=("descriptive", "gain_descriptive"),
            in_report=True,
        ),
        "claims": Table(
            CLAIM_COLUMNS,
            "claim of the paper",
            numbers=CLAIM_NUMBERS,
            counts=CLAIM_COUNTS,
            flags=("descriptive",),
            in_report=True,
        ),
        **{
            name: Table(
                STRATA_COLUMNS if name == "strata" else CELL_COLUMNS,
                row,
                numbers=STRATA_NUMBERS if name == "strata" else CELL_NUMBERS,
                counts=CELL_COUNTS,
                flags=CELL_FLAGS,
            )
            for name, row in (
                ("exploratory", "response, method, target choice, region and stratum: exploratory"),
                ("paired_methods", "difference between two methods: exploratory"),
                ("strata", "response, method and lesion size: exploratory"),
                ("segmenters", "method in the masks of two segmentations: exploratory"),
            )
        },
    }
)
"""Every table by the name of its file."""


def table_of(name: str, rows: Rows) -> pd.DataFrame:
    """Rows as a table of a name: all columns in order, undefined numbers NaN.

    Raises:
        UnknownNameError: if there is no such table.
    """
    known = _known(name)
    if name == "nulls":
        return null_table(rows)
    if name == "crossed":
        return crossed_table(rows)
    frame = score_table(rows) if name == "scores" else frame_of(rows, known.columns)
    return frame.astype(dict.fromkeys(known.numbers, "float64"))


def write_table(name: str, frame: pd.DataFrame, folder: Path) -> None:
    """Write a table into a scoring folder, whole or not at all.

    Raises:
        UnknownNameError: if there is no such table.
        ManifestError: if it lacks a column, or a score is there twice.
    """
    known, path = _known(name), Path(folder) / f"{name}.csv"
    if name == "scores":
        write_scores(frame, path)
        return
    _check_columns(known, frame, str(path))
    write_frame(frame, path, parquet=known.parquet)


def read_table(name: str, folder: Path) -> pd.DataFrame:
    """Read a table of a scoring folder with the types of its columns.

    Raises:
        UnknownNameError: if there is no such table.
        ManifestError: if the file is missing, broken or of an older schema.
    """
    known, path = _known(name), Path(folder) / f"{name}.csv"
    if name == "scores":
        return read_scores(path)
    frame = read_frame(path, numbers=known.numbers, counts=known.counts, flags=known.flags)
    _check_columns(known, frame, str(path))
    return frame


def tables_in(
    folder: Path, known: Mapping[str, pd.DataFrame] = MappingProxyType({})
) -> dict[str, pd.DataFrame]:
    """All known tables that a folder holds, by name; those given are not read."""
    there = [name for name in TABLES if (Path(folder) / f"{name}.csv").is_file()]
    return {name: known[name] if name in known else read_table(name, folder) for name in there}


def _known(name: str) -> Table:
    if name not in TABLES:
        raise UnknownNameError("table", name, TABLES)
    return TABLES[name]


def _check_columns(known: Table, frame: pd.DataFrame, name: str) -> None:
    missing = [column for column in known.columns if column not in frame]
    if missing:
        beyond = [str(column) for column in frame if column not in known.columns]
        raise ManifestError(
            f"{name} lacks the columns {', '.join(missing)}"
            + (f" and has {', '.join(beyond)} beyond them" if beyond else "")
            + ": it is of another version of xrano. Score again: xrano score RUN --out FOLDER "
            "writes it anew"
        )
