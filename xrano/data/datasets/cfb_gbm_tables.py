"""CFB-GBM's TSV files: availability of images, clinical data, and RANO classes of volumes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from xrano.data.cells import read_cells
from xrano.data.datasets.clinical_tables import Row, by_key, find_table, read_rows
from xrano.errors import ManifestError
from xrano.rano import Response

_Key = tuple[str, str]

_CLASS = re.compile(r"rano.*?t(\d+).*?t(\d+)", re.IGNORECASE)
_RESPONSES = {
    "complete response": Response.CR,
    "partial response": Response.PR,
    "stable disease": Response.SD,
    "progressive disease": Response.PD,
    # RANO 2.0 knows it beside the four classes; it is none of them.
    "minor response": None,
}
_SHORT = {"cr": "complete response", "pr": "partial response", "sd": "stable disease",
          "pd": "progressive disease", "mr": "minor response"}  # fmt: skip


@dataclass(frozen=True)
class CfbTables:
    """What the TSV files say; all of it may be empty.

    ``sessions``: every patient and time that a table names; ``days`` since ``t0``; ``gtv_types``:
    who drew a segmentation; ``clinical``: columns by patient; ``classes``: patient, later time and
    earlier time to the class as written.
    """

    sessions: frozenset[_Key]
    days: Mapping[_Key, float]
    gtv_types: Mapping[_Key, str]
    clinical: Mapping[str, Mapping[str, object]]
    classes: Mapping[tuple[str, str, str], tuple[str, Response | None]]

    def rating(self, patient: str, session: str, earlier: Sequence[str]) -> dict[str, str]:
        """The rating columns of a session against an earlier one, empty if there is no class."""
        found = [name for name in earlier if (patient, session, name) in self.classes]
        if not found:
            return {}
        raw, response = self.classes[patient, session, found[0]]
        return {
            "rating": str(response or ""),
            "rating_raw": raw,
            "rating_source": "rule" if response else "",
            "rating_against": found[0],
        }


def read_tables(folders: Iterable[Path]) -> CfbTables:
    """Read what there is, each kind of table from the first folder that has one.

    Raises:
        ManifestError: if a folder has two tables of one kind, a table lacks its key, or a cell is
            no number or no known class.
    """
    places = list(folders)
    days: dict[_Key, float] = {}
    sessions: set[_Key] = set()
    if path := find_table(places, ("*mri_availability*.tsv",)):
        columns = {"time": ("temporality",), "weeks": ("time_diff_t0 (weeks)", "time_diff_t0…")}
        availability = by_key(_rows(path, columns), _scan)
        sessions |= availability.keys()
        days = {key: 7 * row.number("weeks") for key, row in availability.items()}
    gtv_types = {}
    if path := find_table(places, ("*treatment_imaging_availability*.tsv",)):
        columns = {"time": ("temporality",), "gtv_type": ("gtv_type",)}
        drawn = by_key(_rows(path, columns), _scan)
        gtv_types = {key: row.text("gtv_type") for key, row in drawn.items()}
    clinical = {}
    if path := find_table(places, ("*clinical_data*.tsv",)):
        patients = by_key(_rows(path, _CLINICAL), _patient)
        clinical = {patient: _clinical(row) for patient, row in patients.items()}
    path = find_table(places, ("*rano_criteria*.tsv",))
    classes = _read_classes(path) if path else {}
    sessions |= {(patient, later) for patient, later, _ in classes}
    return CfbTables(frozenset(sessions), days, gtv_types, clinical, classes)


_CLINICAL: Mapping[str, Sequence[str]] = {
    "age": ("age_at_t0 (years)", "age…"),
    "sex": ("gender", "sex"),
    "survival": ("survival (weeks)", "survival…"),
}


def _rows(path: Path, columns: Mapping[str, Sequence[str]]) -> Iterable[Row]:
    return read_rows(path, {"patient": ("id_patient",), **columns}, key="patient")


def _patient(row: Row) -> str:
    text = row.cells["patient"].removesuffix(".0")
    if not text.isdigit():
        raise ManifestError(f"{row.place}: id_patient is {text!r}; a whole number is needed")
    return str(int(text))


def _scan(row: Row) -> _Key:
    return _patient(row), row.text("time").lower()


def _clinical(row: Row) -> dict[str, object]:
    # Counted from t0, some weeks after the operation.
    survival = row.number("survival")
    return {"age": row.number("age"), "sex": row.text("sex").lower(), "survival_weeks": survival}


def _read_classes(path: Path) -> dict[tuple[str, str, str], tuple[str, Response | None]]:
    """The columns ``rano_t0_to_t1`` and so on."""
    header = list(read_cells(path, ("id_patient",), separator="\t").columns)
    scans = {name: match for name in header if (match := _CLASS.fullmatch(name))}
    if not scans:
        raise ManifestError(
            f"{path} lacks columns such as rano_t0_to_t1; found: {'; '.join(header)}"
        )
    found: dict[tuple[str, str, str], tuple[str, Response | None]] = {}
    rows = by_key(_rows(path, {name: (name,) for name in scans}), _patient)
    for patient, row in rows.items():
        for name, match in scans.items():
            raw = row.text(name)
            if raw:
                key = patient, f"t{match[2]}", f"t{match[1]}"
                found[key] = raw, _response(row, name, raw)
    return found


def _response(row: Row, column: str, raw: str) -> Response | None:
    """The class in a text such as ``Progressive Disease`` or ``Progressive Disease (PD)``."""
    words = re.sub(r"\(.*?\)", " ", raw.lower()).replace("_", " ").replace("-", " ")
    words = " ".join(words.split())
    words = _SHORT.get(words, words)
    if words not in _RESPONSES:
        raise ManifestError(
            f"{row.place}: {column} is {raw!r}; needed is one of: {', '.join(_RESPONSES)}"
        )
    return _RESPONSES[words]
