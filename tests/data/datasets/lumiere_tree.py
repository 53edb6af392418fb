"""A cohort of seven patients in LUMIERE's layout, with the quirks of the real one.

Counted by hand (see the comments in RATINGS): 29 sessions, 10 pairs, 19 exclusions.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path

import nibabel as nib
import numpy as np

RATING_HEADER = (
    "Patient",
    "Date",
    "LessThan3Months",
    "NonMeasurableLesions",
    "Rating (according to RANO, PD: Progressive disease, SD: Stable disease, PR: Partial response, "
    "CR: Complete response, Pre-Op: Pre-Operative, Post-Op: Post-Operative)",
    "Rating rationale (CRET: complete resection of the enhancing tumor, PRET: partial resection of "
    "the enhancing tumor, T2-Progr.: T2-Progression, L: Lesion)",
)
RATINGS = (
    # Patient-001: two pairs, SD and PD
    ("Patient-001", "week-000-1", "", "", "Pre-Op", ""),
    ("Patient-001", "week-000-2", "", "", "Post-Op ", "CRET"),
    ("Patient-001", "week-012", "", "x", "SD", "Target L.: 13mm x 26mm"),
    ("Patient-001", "week-024", "", "", "PD", "new lesion, left"),
    # Patient-002: PD across the operation, CR, PR; week-020 is not rated
    ("Patient-002", "week-000", "", "", "Pre-Op", ""),
    ("Patient-002", "week-010", "", "", "PD", ""),
    ("Patient-002", "week-020", "", "", "None", "None"),
    ("Patient-002", "week-030", "", "", "CR", ""),
    ("Patient-002", "week-040", "", "", "PR", ""),
    # Patient-003: one pair, PD; week-000 has no row, week-004 is too early, week-008 contradicts
    ("Patient-003", "week-004", "x", "", "PD", ""),
    ("Patient-003", "week-008", "", "", "SD", ""),
    ("Patient-003", "week-008", "", "", "PD", ""),
    ("Patient-003", "week-016", "", "", "PD", ""),
    # Patient-004: PD over a missing scan, SD across an operation of which there is no scan
    ("Patient-004", "week-000", "", "", "Post-Op", ""),
    ("Patient-004", "week-010", "", "", "SD", ""),
    ("Patient-004", "week-020", "", "", "PD", ""),
    ("Patient-004", "week-030", "", "", "Post-Op/PD", ""),
    ("Patient-004", "week-040", "", "", "SD", ""),
    # Patient-005: SD and PD within one week; week-000 means the session week-000-2
    ("Patient-005", "week-000-1", "", "", "Pre-Op", ""),
    ("Patient-005", "week-000", "", "", "Post-Op", ""),
    ("Patient-005", "week-009", "", "", "PD", "Not a timepoint for RANO measurement"),
    ("Patient-005", "week-040-1", "", "", "SD", ""),
    ("Patient-005", "week-040-1", "", "", "SD", "again"),
    ("Patient-005", "week-040-2", "", "", "PD", ""),
    # Patient-006: no pair; a rated first scan, and a rating that fits two sessions
    ("Patient-006", "week-005", "", "", "PD", ""),
    ("Patient-006", "week-020", "", "", "SD", ""),
    # Patient-007: no images at all
    ("Patient-007", "week-001", "", "", "PD", ""),
)
SESSIONS = {
    "Patient-001": ("week-000-1", "week-000-2", "week-012", "week-024"),
    "Patient-002": ("week-000", "week-010", "week-020", "week-030", "week-040"),
    "Patient-003": ("week-000", "week-004", "week-008", "week-016"),
    "Patient-004": ("week-000", "week-020", "week-040"),
    "Patient-005": ("week-000-1", "week-000-2", "week-009", "week-040-1", "week-040-2"),
    "Patient-006": ("week-005", "week-020-1", "week-020-2"),
}
RAW_ONLY = ("Patient-002", "week-040")
"""A session that the segmentation tools have not been run on."""
NO_CT1 = ("Patient-002", "week-030")
LISTED_ONLY = ("Patient-006", "week-050")
"""A session that only the completeness table knows."""

ATLAS_SHAPE = (4, 5, 6)
ATLAS_AFFINE = np.array(
    [[-1.5, 0.0, 0.0, 9.0], [0.0, 2.0, 0.0, -12.0], [0.0, 0.0, 2.5, -7.0], [0.0, 0.0, 0.0, 1.0]]
)


def write_image(path: Path, data: np.ndarray, affine: np.ndarray = ATLAS_AFFINE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(data, affine), path)
    return path


def write_csv(path: Path, header: Sequence[str], rows: Sequence[Sequence[str]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def write_session(folder: Path, *, atlas: bool = True, ct1: bool = True, suffix: str = ".nii.gz"):
    """One session: raw images on two grids, and what the two segmentation tools add."""
    rng = np.random.default_rng(len(str(folder)))
    for index, name in enumerate(("T1", "CT1", "T2", "FLAIR")):
        if name == "CT1" and not ct1:
            continue
        raw = rng.uniform(1, 9, (3 + index, 4, 5)).astype(np.float32)
        write_image(folder / f"{name}{suffix}", raw, np.diag([1.0, 1.0, 4.0 + index, 1.0]))
        if atlas:
            image = rng.uniform(1, 9, ATLAS_SHAPE).astype(np.float32)
            place = folder / "DeepBraTumIA-segmentation" / "atlas" / "skull_strip"
            write_image(place / f"{name.lower()}_skull_strip{suffix}", image)
    if not atlas:
        return
    tool = folder / "DeepBraTumIA-segmentation" / "atlas"
    write_image(tool / "skull_strip" / f"brain_mask{suffix}", np.ones(ATLAS_SHAPE, np.uint8))
    labels = np.zeros(ATLAS_SHAPE, np.uint8)
    labels[1, 1:4, 2], labels[2, 2, 2:4], labels[1, 1:3, 4:6] = 1, 2, 3
    write_image(tool / "segmentation" / f"seg_mask{suffix}", labels)
    voxel_mm3 = 1.5 * 2.0 * 2.5
    volumes = {"Enhancing_Core": 3, "Necrotic_NonEnhancing": 2, "Edema_Compartment": 4}
    (tool / "segmentation" / "measured_volumes_in_mm3.json").write_text(
        json.dumps({name: count * voxel_mm3 for name, count in volumes.items()})
    )
    hdglio = folder / "HD-GLIO-AUTO-segmentation" / "registered"
    write_image(hdglio / f"segmentation{suffix}", np.ones((3, 4, 5), np.uint8), np.eye(4))


def write_tree(root: Path, *, suffix: str = ".nii.gz") -> Path:
    """The whole cohort with its CSV files beside ``Imaging``; returns ``root``."""
    for patient, sessions in SESSIONS.items():
        for session in sessions:
            key = (patient, session)
            folder = root / "Imaging" / patient / session
            write_session(folder, atlas=key != RAW_ONLY, ct1=key != NO_CT1, suffix=suffix)
    write_csv(root / "LUMIERE-ExpertRating-v202211.csv", RATING_HEADER, RATINGS)
    write_csv(
        root / "LUMIERE-Demographics_Pathology.csv",
        (
            *("Patient", "Survival time (weeks)", "Sex", "Age at surgery (years)"),
            *("IDH (WT: wild type)", "IDH method", "MGMT qualitative", "MGMT quantitative"),
        ),
        (
            ("Patient-001", "72", "female", "63", "wt", "BES", "methylated", "12.00%"),
            ("Patient-002", "na", "male", "na", "IDH1 neg, Sequencing required", "IHC", "na", "na"),
        ),
    )
    complete = [(patient, session) for patient in SESSIONS for session in SESSIONS[patient]]
    write_csv(
        root / "LUMIERE-datacompleteness.csv",
        ("Patient", "Timepoint", "CT1"),
        [(*key, "x") for key in (*complete, LISTED_ONLY)],
    )
    return root
