"""A cohort of a few voxels written by hand, every scan stored along other axes.

The truth is kept in RAS+ arrays on one grid that is neither cubic nor isotropic; each session's
files hold it in another order of axes, with the affine that says so.
"""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd

SHAPE = (16, 19, 13)
AFFINE = np.array([[2.0, 0, 0, -17.0], [0, 2.5, 0, -30.0], [0, 0, 3.0, -11.0], [0, 0, 0, 1.0]])
SEQUENCES = ("T1", "FLAIR")
SESSIONS = (("P1", "week-000"), ("P1", "week-012"), ("P2", "week-000"), ("P2", "week-009"))
ORIENTATIONS = ("LAS", "PIR", "RAS", "SPL")
RESPONSES = ("", "PD", "", "SD")


def save(path: Path, data: np.ndarray, affine: np.ndarray = AFFINE, axes: str = "RAS") -> Path:
    """Write RAS+ data along other axes, at the same place in the world."""
    image = nib.Nifti1Image(data, affine)
    turn = nib.orientations.ornt_transform(
        nib.orientations.io_orientation(affine), nib.orientations.axcodes2ornt(tuple(axes))
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(image.as_reoriented(turn), path)
    return path


def brain(number: int) -> np.ndarray:
    """An ellipsoid that is larger to the patient's right, and another for each session."""
    i, j, k = np.meshgrid(*[np.arange(size) for size in SHAPE], indexing="ij")
    centre = (8.5 + 0.5 * (number % 2), 9.0, 6.0 - 0.5 * (number // 2))
    return ((i - centre[0]) / 5.5) ** 2 + ((j - centre[1]) / 6.5) ** 2 + (
        (k - centre[2]) / 4.4
    ) ** 2 <= 1


def scan(number: int, sequence: str) -> np.ndarray:
    """Positive noise inside the brain, brighter towards the patient's left; 0 outside."""
    rng = np.random.default_rng([number, SEQUENCES.index(sequence)])
    values = rng.uniform(300.0, 500.0, SHAPE) + 20.0 * np.arange(SHAPE[0])[::-1, None, None]
    return np.where(brain(number), values, 0.0).astype(np.float32)


def labels(number: int) -> np.ndarray:
    """Three tissues of DeepBraTumIA, none of them the same size."""
    found = np.zeros(SHAPE, dtype=np.uint8)
    found[6:10, 8:12, 5:8] = 3
    found[7:9, 9:11, 5 : 7 + number % 2] = 1
    found[7, 9, 5] = 2
    return found


def folder(root: Path, number: int) -> Path:
    """Where a session's files lie."""
    return root / "images" / "_".join(SESSIONS[number])


def write_session(root: Path, number: int) -> None:
    """The files of one session."""
    here, axes = folder(root, number), ORIENTATIONS[number]
    for sequence in SEQUENCES:
        save(here / f"{sequence}.nii.gz", scan(number, sequence), axes=axes)
    save(here / "brain.nii.gz", brain(number).astype(np.uint8), axes=axes)
    save(here / "labels.nii.gz", labels(number), axes=axes)


def write_atlas_cohort(root: Path) -> Path:
    """Images and the tables of an index; the folder of the tables."""
    for number in range(len(SESSIONS)):
        write_session(root, number)
    write_tables(root)
    return root


def write_tables(root: Path, *, scheme: str = "lumiere-deepbratumia", **columns: object) -> None:
    """``sessions.csv``, ``segmentations.csv`` and ``pairs.csv``; columns replace those given."""
    rows, segmentations = [], []
    for number, (patient, session) in enumerate(SESSIONS):
        here = folder(Path(), number)
        rows.append(
            {
                "patient_id": patient,
                "session_id": session,
                "week": int(session[-3:]),
                "rating": RESPONSES[number],
                **{sequence: here / f"{sequence}.nii.gz" for sequence in SEQUENCES},
                "brain_mask": here / "brain.nii.gz",
                "space": "atlas",
            }
        )
        segmentations.append(
            {
                "patient_id": patient,
                "session_id": session,
                "source": "deepbratumia",
                "scheme": scheme,
                "path": here / "labels.nii.gz",
                "space": "atlas",
            }
        )
    pd.DataFrame(rows).assign(**columns).to_csv(root / "sessions.csv", index=False)
    pd.DataFrame(segmentations).to_csv(root / "segmentations.csv", index=False)
