"""LUMIERE's CSV files, wherever they lie around the tree."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

from xrano.data.datasets.lumiere_clinical import read_demographics
from xrano.data.datasets.lumiere_layout import SessionKey, find_imaging
from xrano.data.datasets.lumiere_tables import (
    COMPLETENESS_FILES,
    DEMOGRAPHICS_FILES,
    RATING_FILES,
    RatingRow,
    find_table,
    read_completeness,
    read_rating_rows,
)
from xrano.errors import ManifestError


@dataclass(frozen=True)
class CohortTables:
    """LUMIERE's CSV files: rating rows, sessions named as complete, clinical data by patient."""

    ratings: list[RatingRow]
    listed: list[SessionKey]
    clinical: dict[str, dict[str, object]]


def _table_places(root: Path) -> list[Path]:
    imaging = find_imaging(root)
    return list(dict.fromkeys([imaging, imaging.parent, root, imaging.parent.parent]))


def read_cohort_tables(root: Path, notes: list[str]) -> CohortTables:
    """Read the nearest files; of one patient's folder what concerns that patient.

    Args:
        root: the cohort's or a patient's folder.
        notes: what is odd and was not refused is added here, in words.

    Raises:
        ManifestError: if there is no table of ratings, or a table holds what it must not.
    """
    places = _table_places(root)
    ratings = find_table(places, RATING_FILES)
    if ratings is None:
        raise ManifestError(
            f"no table of ratings, such as LUMIERE-ExpertRating-v202211.csv or ratings.csv, in "
            f"{', '.join(str(place) for place in places)}"
        )
    completeness = find_table(places, COMPLETENESS_FILES)
    demographics = find_table(places, DEMOGRAPHICS_FILES)
    tables = CohortTables(
        read_rating_rows(ratings),
        list(read_completeness(completeness)) if completeness else [],
        read_demographics(demographics, notes) if demographics else {},
    )
    if root.parent != places[0]:
        return tables
    # One patient's folder was asked for; what the tables say of others is no gap.
    return CohortTables(
        [row for row in tables.ratings if row.patient_id == root.name],
        [key for key in tables.listed if key[0] == root.name],
        tables.clinical,
    )


def lumiere_selection_tables(
    root: str | PathLike[str], sequences: Iterable[str]
) -> tuple[list[RatingRow], dict[SessionKey, frozenset[str]]]:
    """The rating rows as they stand, and which sequences the completeness table promises.

    Raises:
        ManifestError: if there is no completeness table, or it lacks the column of a sequence.
    """
    root = Path(root).absolute()
    places = _table_places(root)
    completeness = find_table(places, COMPLETENESS_FILES)
    if completeness is None:
        raise ManifestError(
            "no table of completeness, such as LUMIERE-datacompleteness.csv, in "
            f"{', '.join(str(place) for place in places)}; the paper's selection is made of it"
        )
    tables = read_cohort_tables(root, [])
    listed = read_completeness(completeness, tuple(sequences))
    return tables.ratings, {key: listed[key] for key in listed if key in set(tables.listed)}
