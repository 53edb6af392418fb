"""The reader of LUMIERE (Suter et al., Sci Data 2022;9:768): its tree and CSV files to tables.

The tree is the truth about images, the rating table about responses; they join on patient and
session name. What one has and the other lacks stays in the sessions table with a reason.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from os import PathLike
from pathlib import Path

import pandas as pd

from xrano.data.datasets.lumiere_layout import (
    ATLAS_SEGMENTATION,
    HDGLIO_SEGMENTATION,
    SessionFiles,
    atlas_images,
    find_imaging,
    holds_images,
    image_file,
    parse_session_name,
    read_session_directory,
    session_folders,
)
from xrano.data.datasets.lumiere_tables import (
    COMPLETENESS_FILES,
    DEMOGRAPHICS_FILES,
    RATING_FILES,
    ExpertRating,
    SessionKey,
    find_table,
    read_completeness,
    read_demographics,
    read_ratings,
)
from xrano.data.datasets.measured_volumes import MEASURED_VOLUMES, check_measured_volumes
from xrano.data.pairs import ExclusionReason
from xrano.data.tables import SEGMENTATION_COLUMNS, session_table
from xrano.errors import ManifestError, UnknownNameError
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

IMAGE_SOURCES = ("atlas",)
"""``atlas``: DeepBraTumIA's skull-stripped images, all of them on one 1 mm grid in MNI152 space."""

DUPLICATES = ("exclude", "last", "first")
"""What to do where a session has two different ratings."""


def read_lumiere(
    root: str | PathLike[str], *, image_source: str = "atlas", duplicates: str = "exclude"
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read a copy of LUMIERE, or anything in its layout.

    A rating of ``week-WWW`` that no session bears goes to ``week-WWW-K`` if that is the only
    session of the week without a rating; the extra column ``rating_match`` then says ``suffix``
    (``name`` otherwise). Sessions that only the rating or the completeness table names are kept
    with ``exclude_reason`` ``no_images``; a session without atlas images keeps its row with empty
    paths.

    Args:
        root: the folder ``Imaging``, one above it, or one patient's folder in it. The CSV files
            may lie in it, beside ``Imaging`` or above; of them only the ratings are needed.
        image_source: a name in :data:`IMAGE_SOURCES`.
        duplicates: ``exclude`` sessions that were rated twice and differently (default), or take
            the ``last`` or the ``first`` rating in the file.

    Returns:
        ``(sessions, segmentations)``, sorted by patient, week and suffix. Segmentations are
        ``deepbratumia`` on the atlas grid and ``hdglio`` on a grid of each session.

    Raises:
        ManifestError: naming the file, if there is no tree or no rating table, or a table holds
            what it must not.
        UnknownNameError: if image_source or duplicates is unknown.
    """
    if image_source not in IMAGE_SOURCES:
        raise UnknownNameError("image source", image_source, IMAGE_SOURCES)
    if duplicates not in DUPLICATES:
        raise UnknownNameError("way with duplicate ratings", duplicates, DUPLICATES)
    root = Path(root).absolute()
    imaging = find_imaging(root)
    folders = {key: folder for key, folder in session_folders(root).items() if holds_images(folder)}
    ratings, listed, clinical = _read_tables(root, imaging, duplicates)
    if root.parent == imaging:
        # One patient's folder was asked for; what the tables say of others is no gap.
        ratings = {key: rating for key, rating in ratings.items() if key[0] == root.name}
        listed = [key for key in listed if key[0] == root.name]
    matches = _match(ratings, folders)
    keys = {*folders, *matches.values(), *listed}
    rated = {session: (ratings[key], key) for key, session in matches.items()}
    rows = [
        _session(key, position, folders.get(key), rated.get(key), clinical.get(key[0], {}))
        for key, position in _ordered(keys)
    ]
    segmentations = [row for key, _ in _ordered(folders) for row in _segmentations(key, folders)]
    return session_table(rows), pd.DataFrame(
        segmentations, columns=list(SEGMENTATION_COLUMNS), dtype="str"
    )


def _read_tables(
    root: Path, imaging: Path, duplicates: str
) -> tuple[dict[SessionKey, ExpertRating], list[SessionKey], dict[str, dict[str, object]]]:
    """Ratings, sessions named as complete, and clinical data, from the nearest files."""
    places = list(dict.fromkeys([imaging, imaging.parent, root, imaging.parent.parent]))
    ratings = find_table(places, RATING_FILES)
    if ratings is None:
        raise ManifestError(
            f"no table of ratings, such as LUMIERE-ExpertRating-v202211.csv or ratings.csv, in "
            f"{', '.join(str(place) for place in places)}"
        )
    completeness = find_table(places, COMPLETENESS_FILES)
    demographics = find_table(places, DEMOGRAPHICS_FILES)
    return (
        read_ratings(ratings, duplicates),
        read_completeness(completeness) if completeness else [],
        read_demographics(demographics) if demographics else {},
    )


def _match(
    ratings: Iterable[SessionKey], folders: Mapping[SessionKey, Path]
) -> dict[SessionKey, SessionKey]:
    """The session that each rated name belongs to; its own name if there is no such session."""
    rated = set(ratings)
    matches: dict[SessionKey, SessionKey] = {}
    for patient, name in rated:
        week, suffix = parse_session_name(name)
        candidates = [
            key
            for key in folders
            if key[0] == patient and key not in rated and parse_session_name(key[1])[0] == week
        ]
        unnamed = (patient, name) not in folders and suffix == 0
        fits = unnamed and len(candidates) == 1
        matches[patient, name] = candidates[0] if fits else (patient, name)
    return matches


def _ordered(keys: Iterable[SessionKey]) -> Iterable[tuple[SessionKey, int]]:
    """Sessions by patient, week and suffix, with their position among the patient's."""
    position: dict[str, int] = {}
    for key in sorted(keys, key=lambda key: (key[0], parse_session_name(key[1]))):
        position[key[0]] = position.get(key[0], -1) + 1
        yield key, position[key[0]]


def _session(
    key: SessionKey,
    order: int,
    folder: Path | None,
    rated: tuple[ExpertRating, SessionKey] | None,
    clinical: Mapping[str, object],
) -> dict[str, object]:
    week, _ = parse_session_name(key[1])
    rating = rated[0] if rated else ExpertRating("", str(Role.UNKNOWN), "", "")
    return {
        "dataset": "lumiere",
        "patient_id": key[0],
        "session_id": key[1],
        "order": order,
        "week": week,
        "days": 7 * week,
        "role": rating.role,
        "rating": rating.rating,
        "rating_raw": rating.raw,
        "rating_source": "expert" if rating.rating else "",
        "exclude_reason": rating.exclude_reason if folder else str(ExclusionReason.NO_IMAGES),
        **(atlas_images(folder) if folder else {}),
        "space": "atlas",
        **clinical,
        "rating_match": "" if rated is None else "name" if rated[1] == key else "suffix",
    }


def _segmentations(key: SessionKey, folders: Mapping[SessionKey, Path]) -> list[dict[str, str]]:
    patient, session = key
    return [
        {
            "patient_id": patient,
            "session_id": session,
            "source": source,
            "scheme": f"lumiere-{source}",
            "path": path,
            "space": space,
        }
        for source, stem, space in (
            ("deepbratumia", ATLAS_SEGMENTATION, "atlas"),
            ("hdglio", HDGLIO_SEGMENTATION, "session"),
        )
        if (path := image_file(folders[key] / stem))
    ]
