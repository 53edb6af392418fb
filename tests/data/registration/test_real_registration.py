"""Two visits of a real patient brought together, held to the transforms that the database gives.

The images lie beside the repository and are not part of it.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from nibabel.affines import apply_affine

from xrano.data.registration.alignment import align_patient
from xrano.data.registration.itk_transforms import read_itk_transform
from xrano.data.registration.motion import inverse, mean_displacement_mm
from xrano.data.registration.sessions import ScanSource, SessionScans
from xrano.data.registration.settings import AlignmentSettings
from xrano.data.volumes import read_mask, read_scan
from xrano.geometry import Grid
from xrano.resampling import resample

DATA = Path(__file__).parents[4] / "shared" / "data" / "ms-longitudinal-patient01"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not DATA.is_dir(), reason=f"real MRI is not there: {DATA}"),
]


def test_two_visits_meet_within_half_a_millimetre(tmp_path: Path):
    sessions = [
        SessionScans(study, "native", {"FLAIR": ScanSource(DATA / f"{study}_FLAIR.nii.gz")})
        for study in ("study1", "study2")
    ]
    settings = AlignmentSettings(template="none")
    found = align_patient(sessions, None, settings, tmp_path)["study2"].to_common["FLAIR"]
    # ITK's direction: common world to the world of the scan.
    first, second = (
        read_itk_transform(DATA / f"{study}_FLAIR_to_common_space.txt")
        for study in ("study1", "study2")
    )
    brain = read_mask(DATA / "brainmask.nii.gz")
    points = apply_affine(second, brain.grid.world(np.argwhere(brain.mask)[::50]))
    truth = first @ inverse(second)
    assert mean_displacement_mm(np.eye(4), points, truth) == pytest.approx(10.4, abs=0.1)
    assert mean_displacement_mm(found, points, truth) <= 0.5

    grid = read_scan(DATA / "study1_FLAIR.nii.gz").grid
    reference, carried = (
        resample(brain.mask, Grid(brain.grid.shape, matrix @ brain.grid.affine), grid, order=0)
        for matrix in (first, found @ second)
    )
    both = np.count_nonzero(reference & carried)
    assert 2 * both / (np.count_nonzero(reference) + np.count_nonzero(carried)) >= 0.97
