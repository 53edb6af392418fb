"""MU-Glioma-Post (TCIA, doi 10.7937/7k9k-3c83, CC BY 4.0): 203 patients after surgery.

``PatientID_NNNN/Timepoint_K/PatientID_NNNN_Timepoint_K_ENDING.nii.gz``: skull-stripped scans on the
SRI24 atlas (240 x 240 x 155, 1 mm) and a tumour mask with BraTS 2024 labels. The workbook
``MU-Glioma-Post_ClinicalData-*.xlsx`` counts days from the diagnosis and knows the date of the
first progression, but there is no RANO rating: see :mod:`xrano.data.pairing.rule_ratings`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
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
    subfolders,
)
from xrano.data.datasets.timeline import natural_key, place_in_time
from xrano.data.pairing.pairs import ExclusionReason
from xrano.data.tables import segmentation_table, session_table
from xrano.errors import ManifestError
from xrano.rano import Role

SEQUENCES: Mapping[str, Sequence[str]] = MappingProxyType(
    {
        "T1": ("brain_t1n",),
        "CT1": ("brain_t1c",),
        "T2": ("brain_t2w",),
        "FLAIR": ("brain_t2f",),
    }
)
"""Sequence to the ending of its file."""

CLINICAL_FILES = ("*clinicaldata*.xlsx", "*clinicaldata*.csv")
SHEET = "MU Glioma Post"

_MASK = "tumorMask"
_PATIENT = re.compile(r"PatientID_\d+")
_TIMEPOINT = re.compile(r"Timepoint_(\d+)")
_DATED = {
    f"Timepoint_{number}": (f"Number of Days from Diagnosis to {ordinal} MRI…",)
    for number, ordinal in enumerate(("1st", "2nd", "3rd", "4th", "5th", "6th"), start=1)
}
_COLUMNS: Mapping[str, Sequence[str]] = {
    "patient": ("Patient_ID",),
    "age": ("Age at diagnosis",),
    "sex": ("Sex at Birth", "Sex"),
    "idh1": ("IDH1 mutation",),
    "idh2": ("IDH2 mutation",),
    "mgmt": ("MGMT methylation",),
    "death": ("Number of days from Diagnosis to death…",),
    "surgery": ("Number of days from Diagnosis to First surgery…",),
    "progression": (
        "Time to First Progression (Days)",
        "Number of days from Diagnosis to date of First Progression",
    ),
    **_DATED,
}


def recognise(root: Path) -> bool:
    """Whether a folder holds patients in this layout."""
    try:
        return bool(find_patients(root, _is_patient, "PatientID_0001"))
    except ManifestError:
        return False


def read_mu_glioma_post(
    root: str | PathLike[str], *, sequences: Mapping[str, Sequence[str]] = SEQUENCES
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read a copy of MU-Glioma-Post.

    Days are counted from the diagnosis (some are negative in the dataset). A scan before the first
    operation is pre-operative, the first one from then on post-operative; without a date the role
    is unknown. Timepoints that only the workbook dates are kept, as ``no_images``; files that no
    column has a use for are named in ``unused_files``. ``first_progression_days`` is the dataset's
    own, from the diagnosis.

    Args:
        root: the folder of the patients, one above it, or one patient's own. The workbook (or its
            sheet as CSV) may lie there or up to two levels above; without it time is ordinal.
        sequences: sequence to the endings of file names that it may have; more become channels.

    Returns:
        ``(sessions, segmentations)``; segmentations are ``expert`` with ``brats2024`` labels.

    Raises:
        ManifestError: if there is no such tree, a folder ``Timepoint…`` has no number, or the
            workbook is broken.
        ConfigError: if the workbook cannot be read for want of openpyxl, or the name of a sequence
            is none.
    """
    check_sequence_names(sequences)
    root = Path(root).absolute()
    patients = {
        folder.name: folder for folder in find_patients(root, _is_patient, "PatientID_0001")
    }
    cohort = next(iter(patients.values())).parent
    table = find_table([cohort, root, cohort.parent, cohort.parent.parent], CLINICAL_FILES)
    clinical = {} if table is None else _read_clinical(table)
    # One patient's folder was asked for; what the workbook says of others is no gap.
    names = patients if root in patients.values() else {**dict.fromkeys(clinical), **patients}
    sessions: list[dict[str, object]] = []
    segmentations: list[dict[str, object]] = []
    for patient in sorted(names, key=natural_key):
        folders = _timepoints(patients[patient]) if patient in patients else {}
        rows, masks = _patient(patient, folders, clinical.get(patient), sequences)
        sessions += rows
        segmentations += masks
    return session_table(sessions), segmentation_table(segmentations)


def _is_patient(folder: Path) -> bool:
    return bool(_PATIENT.fullmatch(folder.name)) and folder.is_dir()


def _timepoints(patient: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for folder in subfolders(patient):
        if folder.name.lower().startswith("timepoint"):
            if not _TIMEPOINT.fullmatch(folder.name):
                raise ManifestError(f"{folder} is not Timepoint_NUMBER; rename or remove it")
            found[folder.name] = folder
    return found


def _read_clinical(path: Path) -> dict[str, Row]:
    rows = read_rows(path, _COLUMNS, key="patient", sheet=SHEET)
    # Below the patients the sheet explains its codes.
    patients = (row for row in rows if _PATIENT.fullmatch(row.cells["patient"]))
    return by_key(patients, lambda row: row.cells["patient"])


def _patient(
    patient: str,
    folders: Mapping[str, Path],
    row: Row | None,
    sequences: Mapping[str, Sequence[str]],
) -> tuple[list[dict[str, object]], list[dict[str, object]]]:
    """The sessions and segmentations of one patient."""
    dated = {name: row.number(name) for name in _DATED} if row else {}
    known = {name: day for name, day in dated.items() if not math.isnan(day)}
    days = {name: known.get(name, math.nan) for name in {*folders, *known} or {"Timepoint_1"}}
    times = place_in_time(days)
    roles = _roles({name: days[name] for name in times}, row.number("surgery") if row else math.nan)
    sessions: list[dict[str, object]] = []
    segmentations: list[dict[str, object]] = []
    for name, time in times.items():
        key = {"patient_id": patient, "session_id": name}
        prefix = f"{patient}_{name}_"
        files = nifti_files(folders[name]) if name in folders else {}
        endings = {stem.removeprefix(prefix): path for stem, path in files.items()}
        images, unused = pick_images(endings, {**sequences, "/mask": (_MASK,)})
        mask = images.pop("/mask")
        sessions.append(
            {
                "dataset": "mu-glioma-post",
                **key,
                **time,
                "role": str(roles[name]),
                "exclude_reason": "" if any(images.values()) else str(ExclusionReason.NO_IMAGES),
                **images,
                "space": "atlas",
                **(_clinical(row) if row else {}),
                "unused_files": "; ".join(unused),
            }
        )
        if mask:
            made = {"source": "expert", "scheme": "brats2024", "path": mask, "space": "atlas"}
            segmentations.append({**key, **made})
    return sessions, segmentations


def _roles(days: Mapping[str, float], surgery: float) -> dict[str, Role]:
    """What each session is in view of the first operation; ``days`` earliest first."""
    roles: dict[str, Role] = {}
    for name, day in days.items():
        if math.isnan(day) or math.isnan(surgery):
            roles[name] = Role.UNKNOWN
        elif day < surgery:
            roles[name] = Role.PREOP
        else:
            roles[name] = Role.FOLLOWUP if Role.POSTOP in roles.values() else Role.POSTOP
    return roles


def _clinical(row: Row) -> dict[str, object]:
    idh = {row.text(gene).removesuffix(".0") for gene in ("idh1", "idh2")}
    mgmt = row.text("mgmt").removesuffix(".0")
    return {
        "age": row.number("age"),
        "sex": row.text("sex").lower(),
        # Coded 0 wild type, 1 mutated, 2 unknown; both genes must be known for wild type.
        "idh": "mutant" if "1" in idh else "WT" if idh == {"0"} else "",
        # 0 and 1; higher codes stand for the several ways of not knowing.
        "mgmt": {"0": "not methylated", "1": "methylated"}.get(mgmt, ""),
        "survival_weeks": row.number("death") / 7,
        "first_progression_days": row.text("progression"),
    }
