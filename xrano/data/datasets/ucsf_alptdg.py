"""UCSF-ALPTDG (doi 10.1148/ryai.230182, non-commercial): 298 patients, two scans after treatment.

``NNNNNN/NNNNNN_time{1,2}_{t1,t1ce,t2,flair,seg}.nii.gz``, skull-stripped, 240 x 240 x 155 at 1 mm,
the two scans of a patient on one grid; labels of BraTS 2024, kept as floats. One workbook holds
both the segmented volumes and the clinical data. It says whether the enhancing part and the FLAIR
abnormality grew or shrank, which is no RANO rating: see :mod:`xrano.data.pairing.rule_ratings`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from types import MappingProxyType

import pandas as pd

from xrano.data.datasets.clinical_tables import Row, by_key, find_table, read_rows
from xrano.data.datasets.layout import (
    check_sequence_names,
    find_patients,
    nifti_files,
    pick_images,
)
from xrano.data.datasets.timeline import natural_key, place_in_time
from xrano.data.pairing.pairs import ExclusionReason
from xrano.data.tables import SPACES, segmentation_table, session_table
from xrano.errors import ManifestError, UnknownNameError
from xrano.rano import Role

SEQUENCES: Mapping[str, Sequence[str]] = MappingProxyType(
    {"T1": ("t1",), "CT1": ("t1ce",), "T2": ("t2",), "FLAIR": ("flair",)}
)
"""Sequence to the ending of its file; the dataset also holds ``t1ce-t1``, their difference."""

WORKBOOKS = ("*postopglioma*.xlsx", "*alptdg*.xlsx", "*lptdg*.xlsx")
VISIT_SHEET, CLINICAL_SHEET = "UCSF-LPTDG", "Clinical Info"
SCANS = ("time1", "time2")

_PATIENT = re.compile(r"\d{6}")
_GAP = "Days from 1st scan to 2nd scan"
_VISIT_COLUMNS: Mapping[str, Sequence[str]] = {
    "patient": ("SubjectID",),
    "age": ("Patient Age",),
    "sex": ("Patient Sex",),
    "et_change": ("ET_CHANGE_OVERALL",),
    "snfh_change": ("SNFH_CHANGE_OVERALL",),
}
_CLINICAL_COLUMNS: Mapping[str, Sequence[str]] = {
    "patient": ("SubjectID",),
    _GAP: (_GAP,),
    "idh": ("IDH",),
    "mgmt": ("MGMT",),
    "2nd SX": ("Days from 1st scan to 2nd SX",),
    "3rd SX": ("Days from 1st scan to 3rd SX",),
}
_MGMT = {"positive": "methylated", "methylated": "methylated", "unmethylated": "not methylated"}


def recognise(root: Path) -> bool:
    """Whether a folder holds patients in this layout."""
    try:
        return bool(find_patients(root, _is_patient, "100001"))
    except ManifestError:
        return False


def read_ucsf_alptdg(
    root: str | PathLike[str],
    *,
    sequences: Mapping[str, Sequence[str]] = SEQUENCES,
    space: str = "atlas",
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read a copy of UCSF-ALPTDG.

    Days are counted from the first scan. The workbook contradicts itself about the sign of its
    other day columns; so the second scan counts as post-operative if either sign puts an operation
    between the two, and survival is left out. ``et_change`` and ``snfh_change`` are the dataset's
    own words; files that no column has a use for are named in ``unused_files``.

    Args:
        root: the folder of the patients, one above it, or one patient's own. The workbook may lie
            there or above; without it time is ordinal and clinical columns are empty.
        sequences: sequence to the endings of file names that it may have; more become channels
            (``{"CT1-T1": ("t1ce-t1",)}``).
        space: ``atlas`` takes the images as they lie: the scans of a patient are aligned, while
            those of two patients are so only roughly. ``session`` has them aligned anew.

    Returns:
        ``(sessions, segmentations)``; segmentations are ``expert`` with ``brats2024`` labels.

    Raises:
        ManifestError: if there is no such tree, or the workbook is broken.
        UnknownNameError: if space is unknown.
        ConfigError: if the workbook cannot be read for want of openpyxl, or the name of a sequence
            is none.
    """
    check_sequence_names(sequences)
    if space not in SPACES:
        raise UnknownNameError("space", space, SPACES)
    root = Path(root).absolute()
    patients = {folder.name: folder for folder in find_patients(root, _is_patient, "100001")}
    cohort = next(iter(patients.values())).parent
    book = find_table([cohort, root, cohort.parent], WORKBOOKS)
    clinical = by_key(_read_sheet(book, CLINICAL_SHEET, _CLINICAL_COLUMNS), _subject)
    # Of a patient's two visits the second tells of the change.
    visits = {_subject(row): row for row in _read_sheet(book, VISIT_SHEET, _VISIT_COLUMNS)}
    # One patient's folder was asked for; what the workbook says of others is no gap.
    listed = (
        {} if root in patients.values() else {**dict.fromkeys(visits), **dict.fromkeys(clinical)}
    )
    sessions: list[dict[str, object]] = []
    segmentations: list[dict[str, object]] = []
    for patient in sorted({**listed, **patients}, key=natural_key):
        facts = {**_visit(visits.get(patient)), **_clinical(clinical.get(patient))}
        files = nifti_files(patients[patient]) if patient in patients else {}
        for session, time in place_in_time(
            {"time1": 0.0, "time2": _gap(clinical, patient)}
        ).items():
            prefix = f"{patient}_{session}_"
            own = {
                stem.removeprefix(prefix): path for stem, path in files.items() if prefix in stem
            }
            images, unused = pick_images(own, {**sequences, "/mask": ("seg",)})
            mask = images.pop("/mask")
            if session == SCANS[-1]:
                # What was made of both scans belongs to neither; it is named with the later.
                unused += [stem for stem in files if not re.match(rf"{patient}_time[12]_", stem)]
            key: dict[str, object] = {"patient_id": patient, "session_id": session}
            reason = "" if any(images.values()) else str(ExclusionReason.NO_IMAGES)
            sessions.append(
                {
                    "dataset": "ucsf-alptdg",
                    **key,
                    **time,
                    "role": str(_role(clinical.get(patient), session)),
                    "exclude_reason": reason,
                    **images,
                    "space": space,
                    **facts,
                    "unused_files": "; ".join(unused),
                }
            )
            if mask:
                made = {"source": "expert", "scheme": "brats2024", "path": mask, "space": space}
                segmentations.append({**key, **made})
    return session_table(sessions), segmentation_table(segmentations)


def _is_patient(folder: Path) -> bool:
    return bool(_PATIENT.fullmatch(folder.name)) and any(
        stem.startswith(f"{folder.name}_time") for stem in nifti_files(folder)
    )


def _read_sheet(
    book: Path | None, sheet: str, columns: Mapping[str, Sequence[str]]
) -> Iterable[Row]:
    return [] if book is None else read_rows(book, columns, key="patient", sheet=sheet)


def _subject(row: Row) -> str:
    return row.cells["patient"].removesuffix(".0")


def _gap(clinical: Mapping[str, Row], patient: str) -> float:
    return clinical[patient].number(_GAP) if patient in clinical else math.nan


def _role(row: Row | None, session: str) -> Role:
    if row is None or session != SCANS[-1]:
        return Role.FOLLOWUP
    gap = row.number(_GAP)
    between = any(0 < abs(row.number(name)) <= gap for name in ("2nd SX", "3rd SX"))
    return Role.POSTOP if between else Role.FOLLOWUP


def _visit(row: Row | None) -> dict[str, object]:
    if row is None:
        return {}
    words = {name: row.text(name) for name in ("et_change", "snfh_change")}
    return {"age": row.number("age"), "sex": row.text("sex").lower(), **words}


def _clinical(row: Row | None) -> dict[str, object]:
    if row is None:
        return {}
    mgmt = row.text("mgmt")
    return {"idh": row.text("idh"), "mgmt": _MGMT.get(mgmt.lower(), mgmt)}
