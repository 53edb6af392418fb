"""LUMIERE's expert ratings and its list of complete sessions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from xrano.channels import KNOWN_SEQUENCES
from xrano.data.datasets.headed_table import PATIENT, SESSION, HeadedTable
from xrano.data.datasets.lumiere_layout import SessionKey
from xrano.data.pairing.exclusions import ExclusionReason
from xrano.errors import ManifestError, UnknownNameError
from xrano.rano import Rating, Role, parse_rating

RATING_FILES = ("*expertrating*.csv", "ratings.csv")
DEMOGRAPHICS_FILES = ("*demographics*.csv",)
COMPLETENESS_FILES = ("*datacompleteness*.csv",)

_TOO_EARLY = re.compile(r"(less than|<)\s*3\s*months", re.IGNORECASE)
_NO_TIMEPOINT = re.compile(r"not a time\s*point", re.IGNORECASE)


@dataclass(frozen=True)
class ExpertRating:
    """What the rating table says about one session: one row, or several brought together.

    ``exclude_reason`` is empty or an :class:`~xrano.data.pairing.exclusions.ExclusionReason`;
    ``rating`` is empty where there is no response to use.
    """

    rating: str
    role: str
    raw: str
    exclude_reason: str


@dataclass(frozen=True)
class RatingRow:
    """One row of the rating table as it stands; ``too_early`` is its column LessThan3Months."""

    patient_id: str
    session_id: str
    rating: Rating
    too_early: bool
    rationale: str


def find_table(folders: Iterable[Path], patterns: Sequence[str]) -> Path | None:
    """The first file, folder by folder, whose name in lower case matches one of the patterns.

    Raises:
        ManifestError: if a folder holds several.
    """
    for folder in folders:
        found = sorted(
            path
            for path in folder.glob("*.[cC][sS][vV]")
            if any(Path(path.name.lower()).match(pattern) for pattern in patterns)
        )
        if len(found) > 1:
            names = ", ".join(path.name for path in found)
            raise ManifestError(f"{folder} holds several tables of one kind ({names}); keep one")
        if found:
            return found[0]
    return None


def read_rating_rows(path: Path) -> list[RatingRow]:
    """The rows of the expert ratings, in the order of the file.

    Raises:
        ManifestError: if the file is missing or no CSV, lacks a column, or holds an unknown rating
            or an unnamed session.
    """
    table = HeadedTable(
        path,
        patient=PATIENT,
        session=SESSION,
        rating=("rating (…", "rano", "rating"),
        too_early=("lessthan3…",),
        rationale=("rating rationale…", "ratingrationale", "rationale"),
        optional=("too_early", "rationale"),
        verbatim=("rating", "rationale"),
    )
    rows: list[RatingRow] = []
    for line, cells in table.rows():
        try:
            rating = parse_rating(cells["rating"])
        except UnknownNameError as error:
            raise ManifestError(f"{path}, line {line}: {error}") from error
        names = (cells["patient"], cells["session"])
        rows.append(RatingRow(*names, rating, bool(cells["too_early"]), cells["rationale"]))
    return rows


def merge_ratings(rows: Iterable[RatingRow], duplicates: str) -> dict[SessionKey, ExpertRating]:
    """One entry a session, in the order of the rows.

    Args:
        rows: of the rating table.
        duplicates: what to do where a session has two different ratings: ``exclude`` both, or
            take the ``last`` or the ``first``. Equal ones count as one.
    """
    found: dict[SessionKey, list[RatingRow]] = {}
    for row in rows:
        found.setdefault((row.patient_id, row.session_id), []).append(row)
    return {key: _merge(group, duplicates) for key, group in found.items()}


def read_completeness(path: Path, needed: Sequence[str] = ()) -> dict[SessionKey, frozenset[str]]:
    """The sessions that the dataset says there are images of, and of which sequences.

    Args:
        path: the CSV file.
        needed: sequences whose columns must be there.

    Raises:
        ManifestError: if the file is missing or no CSV, lacks a column, or leaves a session
            unnamed.
    """
    table = HeadedTable(
        path,
        patient=PATIENT,
        session=SESSION,
        optional=[name for name in KNOWN_SEQUENCES if name not in needed],
        **{name: (name.lower(),) for name in KNOWN_SEQUENCES},
    )
    return {
        (cells["patient"], cells["session"]): frozenset(
            name for name in KNOWN_SEQUENCES if cells[name]
        )
        for _, cells in table.rows()
    }


def _merge(rows: Sequence[RatingRow], duplicates: str) -> ExpertRating:
    """Bring the rows of one session together."""
    # A row without response and role says nothing that could contradict another.
    telling = [row for row in rows if row.rating.response or row.rating.role != Role.UNKNOWN]
    telling = telling or list(rows)
    if len({(row.rating.response, row.rating.role) for row in telling}) == 1:
        return _entry(telling[-1].rating, rows)
    if duplicates in ("first", "last"):
        chosen = telling[0 if duplicates == "first" else -1]
        return _entry(chosen.rating, [chosen])
    roles = {row.rating.role for row in telling}
    # An operation that any row tells of lies between this scan and its neighbours.
    role = next(role for role in (Role.POSTOP, Role.PREOP, Role.FOLLOWUP) if role in roles)
    raw = " | ".join(row.rating.raw for row in telling)
    return ExpertRating("", str(role), raw, str(ExclusionReason.DUPLICATE_RATING))


def _entry(rating: Rating, rows: Sequence[RatingRow]) -> ExpertRating:
    reason = ""
    if rating.role not in (Role.PREOP, Role.POSTOP):
        if any(row.too_early or _TOO_EARLY.search(row.rationale) for row in rows):
            reason = str(ExclusionReason.LESS_THAN_3_MONTHS)
        elif any(_NO_TIMEPOINT.search(row.rationale) for row in rows):
            reason = str(ExclusionReason.NOT_A_RANO_TIMEPOINT)
    return ExpertRating(str(rating.response or ""), str(rating.role), rating.raw, reason)
