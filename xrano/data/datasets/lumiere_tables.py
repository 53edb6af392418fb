"""LUMIERE's own CSV files: expert ratings, demographics and data completeness.

The long headers are found by their beginnings (both ``Rating (according ...)`` and ``Rating
rationale (...)`` start alike), and under the shorter names that copies of the dataset use.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from xrano.data.datasets.lumiere_layout import parse_session_name
from xrano.data.pairs import ExclusionReason
from xrano.errors import ManifestError, UnknownNameError
from xrano.rano import Rating, Role, parse_rating

RATING_FILES = ("*expertrating*.csv", "ratings.csv")
DEMOGRAPHICS_FILES = ("*demographics*.csv",)
COMPLETENESS_FILES = ("*datacompleteness*.csv",)

_PATIENT = ("patient",)
_SESSION = ("date", "timepoint", "time point")
_TOO_EARLY = re.compile(r"(less than|<)\s*3\s*months", re.IGNORECASE)
_SWALLOWED = re.compile(r"\nPatient-\d")
_NO_TIMEPOINT = re.compile(r"not a time\s*point", re.IGNORECASE)

SessionKey = tuple[str, str]
"""patient_id and session_id."""


@dataclass(frozen=True)
class ExpertRating:
    """What the rating table says about one session: one row, or several brought together.

    ``exclude_reason`` is empty or an :class:`~xrano.data.pairs.ExclusionReason`; ``rating`` is
    empty where there is no response to use.
    """

    rating: str
    role: str
    raw: str
    exclude_reason: str


@dataclass(frozen=True)
class _Row:
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


def read_ratings(path: Path, duplicates: str) -> dict[SessionKey, ExpertRating]:
    """Read the expert ratings, one entry a session.

    Args:
        path: the CSV file.
        duplicates: what to do where a session has two different ratings: ``exclude`` both, or
            take the ``last`` or the ``first``. Equal ones count as one.

    Raises:
        ManifestError: if the file is missing or no CSV, lacks a column, or holds an unknown rating
            or an unnamed session.
    """
    rows: dict[SessionKey, list[_Row]] = {}
    table = _Table(
        path,
        patient=_PATIENT,
        session=_SESSION,
        rating=("rating (…", "rano", "rating"),
        too_early=("lessthan3…",),
        rationale=("rating rationale…", "ratingrationale", "rationale"),
        optional=("too_early", "rationale"),
    )
    for line, cells in table.rows():
        try:
            rating = parse_rating(cells["rating"])
        except UnknownNameError as error:
            raise ManifestError(f"{path}, line {line}: {error}") from error
        row = _Row(rating, bool(cells["too_early"].strip()), cells["rationale"])
        rows.setdefault((cells["patient"], cells["session"]), []).append(row)
    return {key: _merge(found, duplicates) for key, found in rows.items()}


def read_completeness(path: Path) -> list[SessionKey]:
    """The sessions that the dataset says there are images of.

    Raises:
        ManifestError: if the file is missing or no CSV, lacks a column, or leaves one unnamed.
    """
    table = _Table(path, patient=_PATIENT, session=_SESSION)
    return [(cells["patient"], cells["session"]) for _, cells in table.rows()]


def read_demographics(path: Path) -> dict[str, dict[str, object]]:
    """The clinical columns of each patient; ``na`` becomes an empty string or NaN.

    Raises:
        ManifestError: if the file is missing or no CSV, lacks a column, or holds an age or a
            survival that is no number.
    """
    table = _Table(
        path,
        patient=_PATIENT,
        age=("age…",),
        sex=("sex",),
        idh=("idh (…", "idh"),
        mgmt=("mgmt qualitative", "mgmt"),
        survival_weeks=("survival…",),
    )
    clinical: dict[str, dict[str, object]] = {}
    for line, cells in table.rows():
        known = {name: "" if text.lower() == "na" else text for name, text in cells.items()}
        entry: dict[str, object] = {name: known[name] for name in ("sex", "idh", "mgmt")}
        if known["idh"].lower() == "wt":
            entry["idh"] = "WT"
        for name in ("age", "survival_weeks"):
            try:
                entry[name] = float(known[name]) if known[name] else math.nan
            except ValueError as error:
                raise ManifestError(
                    f"{path}, line {line}: {name} is {known[name]!r}; a number or 'na' is needed"
                ) from error
        clinical[known["patient"]] = entry
    return clinical


def _merge(rows: Sequence[_Row], duplicates: str) -> ExpertRating:
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


def _entry(rating: Rating, rows: Sequence[_Row]) -> ExpertRating:
    reason = ""
    if rating.role not in (Role.PREOP, Role.POSTOP):
        if any(row.too_early or _TOO_EARLY.search(row.rationale) for row in rows):
            reason = str(ExclusionReason.LESS_THAN_3_MONTHS)
        elif any(_NO_TIMEPOINT.search(row.rationale) for row in rows):
            reason = str(ExclusionReason.NOT_A_RANO_TIMEPOINT)
    return ExpertRating(str(rating.response or ""), str(rating.role), rating.raw, reason)


class _Table:
    """Rows of a CSV file whose columns are found by the beginnings of their names."""

    def __init__(
        self, path: Path, *, optional: Sequence[str] = (), **wanted: Sequence[str]
    ) -> None:
        self.path = path
        try:
            with path.open(encoding="utf-8-sig", newline="") as file:
                reader = csv.reader(file)
                self._lines = [(reader.line_num, row) for row in reader]
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise ManifestError(
                f"{path} is no readable CSV ({error}); save it as UTF-8, separated by commas"
            ) from error
        if any(_SWALLOWED.search(cell) for _, row in self._lines for cell in row):
            raise ManifestError(f"{path}: a quote is opened and not closed; mend the file")
        header = [name.strip() for name in self._lines[0][1]] if self._lines else []
        self._columns = {name: _position(header, names) for name, names in wanted.items()}
        missing = [
            " or ".join(names)
            for name, names in wanted.items()
            if self._columns[name] is None and name not in optional
        ]
        if missing:
            raise ManifestError(
                f"{path} lacks a column {', a column '.join(missing)} (in any case); found: "
                f"{'; '.join(header) or 'an empty file'}"
            )

    def rows(self) -> Iterable[tuple[int, dict[str, str]]]:
        """Line number and cells of each row, by wanted name; blank rows are left out."""
        for line, row in self._lines[1:]:
            if not any(cell.strip() for cell in row):
                continue
            cells = {
                name: row[index] if index is not None and index < len(row) else ""
                for name, index in self._columns.items()
            }
            cells = {
                name: text if name in ("rating", "rationale") else text.strip()
                for name, text in cells.items()
            }
            self._check(line, cells)
            yield line, cells

    def _check(self, line: int, cells: Mapping[str, str]) -> None:
        try:
            if not cells["patient"]:
                raise ManifestError("the patient is not named")
            if "session" in cells:
                parse_session_name(cells["session"])
        except ManifestError as error:
            raise ManifestError(f"{self.path}, line {line}: {error}") from error


def _position(header: Sequence[str], names: Sequence[str]) -> int | None:
    """The column with one of the names, the first name first; ``…`` stands for any ending."""
    lowered = [column.lower() for column in header]
    for name in names:
        for index, column in enumerate(lowered):
            if column == name or (name.endswith("…") and column.startswith(name[:-1])):
                return index
    return None
