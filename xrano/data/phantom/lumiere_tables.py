"""LUMIERE's three tables for a phantom cohort, with the irregularities of the real ones."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from xrano.atomic_files import write_text
from xrano.channels import KNOWN_SEQUENCES
from xrano.data.phantom.settings import PhantomSettings
from xrano.rano import Response, Role

RATING_COLUMNS = (
    "Patient",
    "Date",
    "LessThan3Months",
    "NonMeasurableLesions",
    "Rating (according to RANO, PD: Progressive disease, SD: Stable disease, PR: Partial "
    "response, CR: Complete response, Pre-Op: Pre-Operative, Post-Op: Post-Operative)",
    "Rating rationale (CRET: complete resection of the enhancing tumor, PRET: partial resection "
    "of the enhancing tumor, T2-Progr.: T2-Progression, L: Lesion)",
)
COMPLETENESS_COLUMNS = (
    "Patient",
    "Timepoint",
    *("CT1", "T1", "T2", "FLAIR", "DeepBraTumIA", "HD-GLIO-AUTO"),
    *("DeepBraTumIA-CoLlAGe", "HD-GLIO-AUTO-CoLlAGe"),
)
DEMOGRAPHICS_COLUMNS = (
    "Patient",
    "Survival time (weeks)",
    "Sex",
    "Age at surgery (years)",
    "IDH (WT: wild type)",
    "IDH method",
    "MGMT qualitative",
    "MGMT quantitative",
)

UNRATED_NONE, UNRATED_ABSENT = "rating None", "no rating row"
DUPLICATE, TRAILING_BLANK = "rated SD, then PD", "trailing blank in Post-Op"
MISSING_SEQUENCE = "no file of sequence"


@dataclass(frozen=True)
class SessionRecord:
    """What is known of one session without its images; volumes in ml."""

    patient_id: str
    session_id: str
    week: int
    role: Role
    surgery: bool
    new_lesion: bool
    enhancing_ml: float
    necrosis_ml: float
    oedema_ml: float
    rating: Response | None
    missing_sequence: str = ""


Quirks = Mapping[tuple[str, str], str]
"""(patient_id, session_id) to one of this module's words, for sessions that have one."""


def plan_missing(settings: PhantomSettings) -> dict[tuple[int, int], str]:
    """Which scans lack a sequence: (patient number, nth follow-up) to sequence."""
    if not settings.quirks or settings.patients < 4:
        return {}
    rng = np.random.default_rng([settings.seed, 0, 0])
    count = max(1, settings.patients // 16)
    numbers = rng.choice(settings.patients, size=count, replace=False) + 1
    return {
        (int(number), int(rng.integers(settings.visits[0]))): str(rng.choice(KNOWN_SEQUENCES))
        for number in numbers
    }


def plan_quirks(
    settings: PhantomSettings, records: Sequence[SessionRecord]
) -> dict[tuple[str, str], str]:
    """Which rows of the rating table are irregular; at most one irregularity a session."""
    if not settings.quirks or settings.patients < 4:
        return {}
    rng = np.random.default_rng([settings.seed, 0, 1])
    whole = [record for record in records if not record.missing_sequence]
    followups = [record for record in whole if record.role is Role.FOLLOWUP]
    several = max(1, settings.patients // 25) if settings.patients >= 8 else 0
    wanted = (
        (TRAILING_BLANK, [record for record in whole if record.role is Role.POSTOP], 1),
        (DUPLICATE, [r for r in followups if r.rating is Response.PD], int(several > 0)),
        (UNRATED_NONE, followups, max(1, several)),
        (UNRATED_ABSENT, followups, several),
    )
    quirks: dict[tuple[str, str], str] = {}
    for word, candidates, count in wanted:
        keys = [(record.patient_id, record.session_id) for record in candidates]
        free = [key for key in keys if key not in quirks]
        chosen = rng.permutation(len(free))[:count]
        quirks.update({free[int(index)]: word for index in chosen})
    return quirks


def write_ratings(path: Path, records: Iterable[SessionRecord], quirks: Quirks) -> None:
    """``LUMIERE-ExpertRating-v202211.csv``."""
    rows: list[list[str]] = []
    for record in records:
        quirk = quirks.get((record.patient_id, record.session_id), "")
        if quirk == UNRATED_ABSENT:
            continue
        for rating in _ratings(record, quirk):
            early = "x" if quirk == UNRATED_NONE else ""
            rationale = "Not a timepoint for RANO measurement" if early else _rationale(record)
            rows.append([record.patient_id, record.session_id, early, "", rating, rationale])
    _write_csv(path, RATING_COLUMNS, rows)


def write_completeness(
    path: Path, records: Iterable[SessionRecord], settings: PhantomSettings
) -> None:
    """``LUMIERE-datacompleteness.csv``: ``x`` where a file is there."""
    hdglio = "x" if settings.hdglio else ""
    rows = [
        [record.patient_id, record.session_id]
        + ["" if column == record.missing_sequence else "x" for column in COMPLETENESS_COLUMNS[2:6]]
        + ["x", hdglio, "", ""]
        for record in records
    ]
    _write_csv(path, COMPLETENESS_COLUMNS, rows)


def write_demographics(
    path: Path, records: Sequence[SessionRecord], settings: PhantomSettings
) -> None:
    """``LUMIERE-Demographics_Pathology.csv``; nobody is scanned after the survival week."""
    last: dict[str, int] = {}
    for record in records:
        last[record.patient_id] = max(record.week, last.get(record.patient_id, 0))
    rows = []
    for patient_id, week in last.items():
        rng = np.random.default_rng([settings.seed, int(patient_id[-3:]), 4])
        methylated = rng.random() < 0.46
        known = rng.random() < 0.9
        survival = str(week + int(rng.integers(3, 60))) if rng.random() < 0.95 else "na"
        idh = str(rng.choice(["WT", "WT", "wt", "IDH1 neg, Sequencing required", "na"]))
        share = f"{rng.uniform(10, 90) if methylated else rng.uniform(0, 8):.2f}%"
        rows.append(
            [
                patient_id,
                survival,
                "male" if rng.random() < 0.5 else "female",
                str(int(np.clip(rng.normal(62.0, 9.0), 39, 80))),
                idh,
                "na" if idh == "na" else str(rng.choice(["IHC", "BES"])),
                ("methylated" if methylated else "not methylated") if known else "na",
                share if known and rng.random() < 0.8 else "na",
            ]
        )
    _write_csv(path, DEMOGRAPHICS_COLUMNS, rows)


def _ratings(record: SessionRecord, quirk: str) -> list[str]:
    if quirk == UNRATED_NONE:
        return ["None"]
    if quirk == DUPLICATE:
        return ["SD", "PD"]
    if record.role is Role.FOLLOWUP:
        return [str(record.rating)]
    text = "Pre-Op" if record.role is Role.PREOP else "Post-Op"
    return [text + " " if quirk == TRAILING_BLANK else text]


def _rationale(record: SessionRecord) -> str:
    if record.role is Role.PREOP:
        return ""
    if record.role is Role.POSTOP:
        return "PRET"
    if record.new_lesion:
        return "new L."
    diameter = 10.0 * (6.0 * record.enhancing_ml / np.pi) ** (1 / 3)
    return f"Target L.: {diameter:.0f}mm x {0.8 * diameter:.0f}mm" if diameter else ""


def _write_csv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    write_text(path, text.getvalue())
