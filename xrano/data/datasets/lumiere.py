"""The reader of LUMIERE (Suter et al., Sci Data 2022;9:768): its tree and CSV files to tables.

The tree is the truth about images, the rating table about responses; they join on patient and
session name. What one has and the other lacks stays in the sessions table with a reason.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path

import pandas as pd

from xrano.data.datasets.listed_folder import ListedFolder
from xrano.data.datasets.lumiere_cohort_tables import read_cohort_tables
from xrano.data.datasets.lumiere_layout import (
    PHANTOM_DESCRIPTION,
    SessionFiles,
    SessionKey,
    list_sessions,
    ordered_sessions,
    parse_session_name,
    read_session_directory,
)
from xrano.data.datasets.lumiere_matching import disjoint_patients, match_ratings
from xrano.data.datasets.lumiere_sources import (
    SOURCE_SPACES,
    session_images,
    session_segmentations,
    source_notes,
)
from xrano.data.datasets.lumiere_tables import ExpertRating, merge_ratings
from xrano.data.datasets.measured_volumes import MEASURED_VOLUMES, check_measured_volumes
from xrano.data.pairing.exclusions import ExclusionReason
from xrano.data.table_columns import SEGMENTATION_COLUMNS
from xrano.data.tables import session_table
from xrano.errors import UnknownNameError
from xrano.rano import Role

__all__ = [
    "DUPLICATES",
    "IMAGE_SOURCES",
    "MEASURED_VOLUMES",
    "SessionFiles",
    "check_measured_volumes",
    "read_lumiere",
    "read_session_directory",
]

IMAGE_SOURCES = tuple(SOURCE_SPACES)
"""Which images are taken; see :data:`~xrano.data.datasets.lumiere_sources.SOURCE_SPACES`."""

DUPLICATES = ("exclude", "last", "first")
"""What to do where a session has two different ratings."""


def read_lumiere(
    root: str | PathLike[str], *, image_source: str = "atlas", duplicates: str = "exclude"
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read a copy of LUMIERE, or anything in its layout.

    A rating of ``week-WWW`` that no session bears goes to ``week-WWW-K`` if that is the only
    session of the week without a rating; the further column ``rating_match`` then says ``suffix``
    (``name`` otherwise). Sessions that only the rating or the completeness table names are kept
    with ``exclude_reason`` ``no_images``; a session without images of the source keeps its row
    with empty paths. Where all rated and all imaged weeks of a patient differ, no rating is laid
    to any scan: both kinds of rows get ``disjoint_dates``, and ``exclude_detail`` names them.
    ``weeks_since_first`` counts from the patient's first session with images.

    Args:
        root: the folder ``Imaging``, one above it, or one patient's folder in it. The CSV files
            may lie in it, beside ``Imaging`` or above; of them only the ratings are needed.
        image_source: a name in :data:`IMAGE_SOURCES`.
        duplicates: ``exclude`` sessions that were rated twice and differently (default), or take
            the ``last`` or the ``first`` rating in the file.

    Returns:
        ``(sessions, segmentations)``, sorted by patient, week and suffix; which segmentations,
        says :func:`~xrano.data.datasets.lumiere_sources.session_segmentations`.
        ``sessions.attrs["notes"]`` lists in words what is odd about the copy and was not refused.

    Raises:
        ManifestError: naming the file, if there is no tree or no rating table, or a table or the
            tree holds what it must not.
        UnknownNameError: if image_source or duplicates is unknown.
    """
    if image_source not in IMAGE_SOURCES:
        raise UnknownNameError("image source", image_source, IMAGE_SOURCES)
    if duplicates not in DUPLICATES:
        raise UnknownNameError("way with duplicate ratings", duplicates, DUPLICATES)
    root = Path(root).absolute()
    tree = list_sessions(root)
    notes = list(tree.notes)
    files, tables = tree.sessions, read_cohort_tables(root, notes)
    ratings = merge_ratings(tables.ratings, duplicates)
    matches = match_ratings(ratings, files)
    disjoint = disjoint_patients(ratings, files)
    keys = {*files, *matches.values(), *tables.listed}
    rated = {session: key for key, session in matches.items()}
    # A phantom has this layout, and must never be taken for patients.
    made = any((place / PHANTOM_DESCRIPTION).is_file() for place in (root, root.parent))
    dataset = "phantom" if made else "lumiere"
    firsts = _first_weeks(files)
    rows = []
    for key, order in ordered_sessions(keys):
        name = rated.get(key)
        rating = ratings[name] if name else None
        row = _Row(dataset, key, order, files.get(key), rating, name or key)
        if disjoint.get(key[0]) and (row.files or row.rating):
            row = replace(row, disjoint=disjoint[key[0]])
        clinical = tables.clinical.get(key[0], {})
        rows.append(row.cells(image_source, firsts.get(key[0]), clinical))
    sessions = session_table(rows)
    sessions.attrs["notes"] = [*notes, *source_notes(files, image_source), *_notes(sessions)]
    found = (
        {"patient_id": key[0], "session_id": key[1], **item}
        for key, _ in ordered_sessions(files)
        for item in session_segmentations(files[key], image_source)
    )
    columns = list(dict.fromkeys([*SEGMENTATION_COLUMNS, "sequence"]))
    return sessions, pd.DataFrame(list(found), columns=columns, dtype="str")


def _first_weeks(files: Iterable[SessionKey]) -> dict[str, int]:
    firsts: dict[str, int] = {}
    for patient, name in files:
        week, _ = parse_session_name(name)
        firsts[patient] = min(week, firsts.get(patient, week))
    return firsts


@dataclass(frozen=True)
class _Row:
    """One session of tree or tables; ``rated_as`` is its name in the rating table."""

    dataset: str
    key: SessionKey
    order: int
    files: ListedFolder | None
    rating: ExpertRating | None
    rated_as: SessionKey
    disjoint: str = ""

    def cells(
        self, image_source: str, first_week: int | None, clinical: Mapping[str, object]
    ) -> dict[str, object]:
        week, _ = parse_session_name(self.key[1])
        rating = self.rating or ExpertRating("", str(Role.UNKNOWN), "", "")
        reason = rating.exclude_reason if self.files else str(ExclusionReason.NO_IMAGES)
        match = "name" if self.rated_as == self.key else "suffix"
        return {
            "dataset": self.dataset,
            "patient_id": self.key[0],
            "session_id": self.key[1],
            "order": self.order,
            "week": week,
            "days": 7 * week,
            "role": rating.role,
            "rating": rating.rating,
            "rating_raw": rating.raw,
            "rating_source": "expert" if rating.rating else "",
            "exclude_reason": str(ExclusionReason.DISJOINT_DATES) if self.disjoint else reason,
            **(session_images(self.files, image_source) if self.files else {}),
            "space": SOURCE_SPACES[image_source],
            **clinical,
            "rating_match": match if self.rating else "",
            "exclude_detail": self.disjoint,
            "weeks_since_first": "" if first_week is None else week - first_week,
        }


def _notes(sessions: pd.DataFrame) -> list[str]:
    """What was joined or could not be, in words."""
    notes = []
    joined = sessions[sessions["rating_match"] == "suffix"]
    if len(joined):
        names = ", ".join(f"{p} {s}" for p, s in joined[["patient_id", "session_id"]].to_numpy())
        notes.append(
            f"{len(joined)} ratings without a suffix went to the only unrated scan of their week: "
            f"{names}"
        )
    disjoint = sessions[sessions["exclude_detail"] != ""].drop_duplicates("patient_id")
    notes += [
        f"{patient}: rated and imaged weeks have nothing in common, so it is left out ({detail})"
        for patient, detail in disjoint[["patient_id", "exclude_detail"]].to_numpy()
    ]
    return notes
