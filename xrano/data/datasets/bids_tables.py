"""The tables of a BIDS dataset: ``participants.tsv`` and each subject's ``sessions.tsv``."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

from xrano.data.datasets.clinical_tables import Row, by_key, read_rows
from xrano.errors import ManifestError, UnknownNameError
from xrano.rano import Role, parse_rating
from xrano.roots import is_file_name

_CLINICAL: Mapping[str, Sequence[str]] = {
    "subject": ("participant_id",),
    "age": ("age", "age_years", "age (years)"),
    "sex": ("sex", "gender"),
    "idh": ("idh", "idh_status"),
    "mgmt": ("mgmt", "mgmt_status"),
    "mgmt_percent": ("mgmt_percent",),
    "survival_weeks": ("survival_weeks", "survival (weeks)"),
}
_SESSIONS: Mapping[str, Sequence[str]] = {
    "session": ("session_id",),
    "days": ("days", "day", "days_since_baseline", "days_from_baseline"),
    "week": ("week", "weeks"),
    "acq_time": ("acq_time",),
    "rating": ("rating", "rano", "response"),
    "role": ("role",),
}


@dataclass(frozen=True)
class SubjectTables:
    """What ``sessions.tsv`` says of one subject: days (NaN if unknown) and rating columns."""

    days: Mapping[str, float]
    ratings: Mapping[str, Mapping[str, str]]

    def day(self, session: str) -> float:
        """Days of a session, NaN if unknown."""
        return self.days.get(session, math.nan)

    def rating(self, session: str) -> Mapping[str, str]:
        """The columns role and rating of a session, empty if it is not listed."""
        return self.ratings.get(session, {"role": str(Role.UNKNOWN)})


def read_participants(dataset: Path) -> dict[str, dict[str, object]]:
    """Clinical columns by subject; empty without a table.

    Raises:
        ManifestError: if the table lacks ``participant_id`` or a number is none.
    """
    path = dataset / "participants.tsv"
    if not path.is_file():
        return {}
    found: dict[str, dict[str, object]] = {}
    rows = by_key(
        read_rows(path, _CLINICAL, key="subject"), lambda row: _named(row, "subject", "sub-")
    )
    for subject, row in rows.items():
        words = {name: row.text(name) for name in ("sex", "idh", "mgmt")}
        numbers = {name: row.number(name) for name in ("age", "mgmt_percent", "survival_weeks")}
        found[subject] = {**words, **numbers}
    return found


def read_subject(dataset: Path, subject: str) -> SubjectTables:
    """A subject's ``sub-*_sessions.tsv``; empty without one.

    Days are taken from a column ``days``, else 7 x ``week``, else from ``acq_time`` since the
    earliest of the subject's. Ratings are read as LUMIERE writes them and count as an expert's.

    Raises:
        ManifestError: naming file and line, if a number, date, role or rating is none, or a
            session stands there twice.
    """
    path = dataset / subject / f"{subject}_sessions.tsv"
    if not path.is_file():
        return SubjectTables({}, {})
    rows = by_key(
        read_rows(path, _SESSIONS, key="session"), lambda row: _named(row, "session", "ses-")
    )
    dates = {name: _date(row) for name, row in rows.items()}
    first = min((day for day in dates.values() if day is not None), default=None)
    days = {}
    for name, row in rows.items():
        day = dates[name]
        since = math.nan if day is None or first is None else (day - first).days
        counted = row.number("days"), 7 * row.number("week"), since
        days[name] = next((day for day in counted if not math.isnan(day)), math.nan)
    return SubjectTables(days, {name: _rating(row) for name, row in rows.items()})


def _named(row: Row, column: str, prefix: str) -> str:
    """The folder that a row is about."""
    text = row.cells[column]
    name = text if text.startswith(prefix) else prefix + text
    if not is_file_name(name):
        raise ManifestError(
            f"{row.place}: {column} is {text[:80]!r}, which cannot be the name of a folder"
        )
    return name


def _date(row: Row) -> date | None:
    text = row.text("acq_time")
    try:
        # The day alone: hours of one zone cannot be held against those of another.
        return datetime.fromisoformat(text).date() if text else None
    except ValueError as error:
        raise ManifestError(
            f"{row.place}: acq_time is {text!r}; a date such as 2019-05-17T10:00:00 is needed"
        ) from error


def _rating(row: Row) -> dict[str, str]:
    raw, role = row.text("rating"), row.text("role").lower()
    try:
        rating = parse_rating(raw)
        known = Role(role) if role else rating.role
    except (UnknownNameError, ValueError) as error:
        raise ManifestError(f"{row.place}: {error}") from error
    return {
        "role": str(known),
        "rating": str(rating.response or ""),
        "rating_raw": raw,
        "rating_source": "expert" if rating.response else "",
    }
