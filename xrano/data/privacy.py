"""Whether a header or a name looks as if it told who a patient is.

A heuristic, and no proof of the contrary: it knows names as DICOM writes them (``DOE^JOHN``, or a
value after ``PatientName``), and dates of :data:`BIRTH_YEARS` (``19560312``, ``1956-03-12``,
``12.03.1956``), in the free text of a NIfTI header, in the names of a file and the folders above
it, and in the identifiers of the tables. What was found is never repeated: only where it stands.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd

from xrano.data.table_columns import sequence_columns
from xrano.data.tables import records
from xrano.errors import VolumeError
from xrano.nifti_header import header_text

BIRTH_YEARS = (1900, 2010)
"""First and last year of a date that counts as one of birth; later ones are taken for scans'."""

FOLDERS = 3
"""How many folders above a file have their names looked at."""

NAMED = 3
"""How many files a warning names."""

NAME, BIRTH = "a patient's name", "a date of birth"

_CARET = re.compile(r"[^\W\d_]{2}[\w'’.-]{0,30}\^+[^\W\d_]")
_TOLD = re.compile(
    r"(?:patient|subject|pat)(?:['’]?s)?[\s_]*(name|birth[\s_]*date)[\"']?\s*[:=]\s*[\"']?"
    r"([^\"'\s,;}]+)",
    re.IGNORECASE,
)
_NOBODY = re.compile(r"(anon|none|null|n/?a\b|unknown|removed|de-?ident|x+$|0+$)", re.IGNORECASE)
_DATES = tuple(
    re.compile(pattern)
    for pattern in (
        r"(?<![\d.])(?P<y>\d{4})(?P<m>\d\d)(?P<d>\d\d)(?![\d.]*\d)",
        r"(?<!\d)(?P<y>\d{4})(?P<s>[-./])(?P<m>\d\d?)(?P=s)(?P<d>\d\d?)(?!\d)",
        r"(?<!\d)(?P<d>\d\d?)(?P<s>[-./])(?P<m>\d\d?)(?P=s)(?P<y>\d{4})(?!\d)",
        r"(?<!\d)(?P<m>\d\d?)(?P<s>[-./])(?P<d>\d\d?)(?P=s)(?P<y>\d{4})(?!\d)",
    )
)


@dataclass(frozen=True)
class Finding:
    """One place that looks as if it told who a patient is.

    ``file`` is the column or source that names the file; ``place`` a field of its header,
    ``file name``, ``folder name``, or the identifier; ``looks_like`` says what it seems to hold.
    """

    patient_id: str
    session_id: str
    file: str
    path: str
    place: str
    looks_like: str

    @property
    def text(self) -> str:
        """One line that does not repeat what was found."""
        where = _safely(self.file, f"({self._name})" if self.place.startswith("header") else "")
        return f"{where}: its {self.place} looks like {self.looks_like}"

    @property
    def file_text(self) -> str:
        """Which file or identifier it is, as far as that repeats nothing of what was found."""
        if not self.path:
            return f"a {self.place}"
        key = f"{self.patient_id} {self.session_id}"
        return _safely(key, self.file, f"({self._name})")

    @property
    def _name(self) -> str:
        return Path(self.path).name


PRIVACY_COLUMNS = ("patient_id", "session_id", "file", "path", "place", "looks_like")
"""Columns of ``privacy.csv``."""


def looks_like(text: str) -> tuple[str, ...]:
    """What a text seems to hold: :data:`NAME`, :data:`BIRTH`, both or nothing.

    Example:
        >>> looks_like("DOE^JOHN 19560312"), looks_like("FSL5.0; TE=2.9; 2019-05-17")
        (("a patient's name", 'a date of birth'), ())
    """
    told = {match[1].lower()[:4] for match in _TOLD.finditer(text) if not _NOBODY.match(match[2])}
    named = bool(_CARET.search(text)) or "name" in told
    born = "birt" in told or any(
        _is_birth(match) for pattern in _DATES for match in pattern.finditer(text)
    )
    return (*((NAME,) if named else ()), *((BIRTH,) if born else ()))


def cohort_findings(sessions: pd.DataFrame, segmentations: pd.DataFrame) -> list[Finding]:
    """What stands out in the files that two tables name, each file looked at once.

    Only headers are read. A file that is not there or cannot be read is passed over: whoever reads
    its voxels complains of it.

    Args:
        sessions: a sessions table.
        segmentations: a segmentations table; what it tells of other sessions is left aside.
    """
    found: list[Finding] = []
    seen: set[str] = set()
    columns = [*sequence_columns(sessions), "brain_mask"]
    for row in records(sessions):
        key = (str(row["patient_id"]), str(row["session_id"]))
        found += _in_identifiers(key, seen)
        found += _in_files(key, {name: row.get(name, "") for name in columns}, seen)
    known = set(zip(sessions["patient_id"], sessions["session_id"], strict=True))
    for row in records(segmentations):
        key = (str(row["patient_id"]), str(row["session_id"]))
        if key not in known:
            continue
        found += _in_files(key, {str(row["source"]): row["path"]}, seen)
    return found


def privacy_table(findings: Iterable[Finding]) -> pd.DataFrame:
    """Findings as a table of :data:`PRIVACY_COLUMNS`."""
    return pd.DataFrame([asdict(one) for one in findings], columns=list(PRIVACY_COLUMNS))


def privacy_note(findings: Iterable[Finding], table: str = "") -> str:
    """One line on how many files stand out, the first of them named; empty if none does.

    Args:
        findings: all of them.
        table: the file that lists them, if one does.
    """
    found = list(findings)
    places = {one.path or f"{one.patient_id} {one.session_id}" for one in found}
    if not places:
        return ""
    kinds = " or ".join(sorted({one.looks_like for one in found}))
    look = "1 file or identifier looks" if len(places) == 1 else f"{len(places)} files look"
    named = list(dict.fromkeys(one.file_text for one in found))
    told = ", ".join(named[:NAMED]) + (" …" if len(named) > NAMED else "")
    listed = f"; {table} says which" if table else ""
    return (
        f"{look} as if header or name held {kinds} ({told}{listed}); take it out before images, "
        "tables or maps are passed on"
    )


def _safely(*words: str) -> str:
    """Words that do not themselves look as if they told who a patient is."""
    return " ".join(word for word in words if word and not looks_like(word))


def _in_identifiers(key: tuple[str, str], seen: set[str]) -> list[Finding]:
    return [
        Finding(*key, "sessions.csv", "", place, kind)
        for place, name in zip(("patient_id", "session_id"), key, strict=True)
        for kind in (() if _passed(f"{place} {name}", seen) else looks_like(name))
    ]


def _in_files(key: tuple[str, str], files: Mapping[str, Any], seen: set[str]) -> list[Finding]:
    found = []
    for name, value in files.items():
        path = str(value or "")
        if not path or _passed(path, seen):
            continue
        for place, text in _texts(Path(path)):
            found += [Finding(*key, name, path, place, kind) for kind in looks_like(text)]
    return list(dict.fromkeys(found))


def _texts(path: Path) -> list[tuple[str, str]]:
    """Places of a file and the text that stands there."""
    folders = path.parent.parts[-FOLDERS:]
    try:
        header = header_text(path)
    except (VolumeError, OSError):
        header = {}
    return [
        ("file name", path.name),
        *(("folder name", folder) for folder in folders),
        *((f"header's {name}", text) for name, text in header.items()),
    ]


def _passed(name: str, seen: set[str]) -> bool:
    """Whether something was looked at before; it counts as that from now on."""
    known = name in seen
    seen.add(name)
    return known


def _is_birth(match: re.Match[str]) -> bool:
    try:
        day = date(int(match["y"]), int(match["m"]), int(match["d"]))
    except ValueError:
        return False
    return BIRTH_YEARS[0] <= day.year <= BIRTH_YEARS[1]
