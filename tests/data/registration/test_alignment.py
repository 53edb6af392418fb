from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from moved_head import brain_points, head
from native_patient import WORLDS, patient, save, scan_grid, write_patient
from nibabel.affines import apply_affine

from xrano.data.registration import registrar
from xrano.data.registration.alignment import SessionAlignment, align_patient
from xrano.data.registration.motion import inverse, mean_displacement_mm
from xrano.data.registration.sessions import ScanSource, SessionScans
from xrano.data.registration.settings import AlignmentSettings
from xrano.data.registration.template import Template
from xrano.errors import VolumeError

STAY = AlignmentSettings(template="none")
WITHIN_VOXEL_MM = 1.0


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_patient(tmp_path_factory.mktemp("patient"))


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def aligned(folder: Path, cache: Path) -> dict[str, SessionAlignment]:
    return align_patient(patient(folder), None, STAY, cache)


def error_mm(matrix: np.ndarray, session: str, sequence: str, common: np.ndarray) -> float:
    """``common`` takes the head's own world to the common one."""
    points = apply_affine(WORLDS[session, sequence], brain_points())
    truth = common @ inverse(WORLDS[session, sequence])
    return mean_displacement_mm(matrix, points, truth)


def test_every_scan_reaches_the_world_of_the_first_anchor(aligned: dict[str, SessionAlignment]):
    assert list(aligned) == ["week-000", "week-012"]
    common = WORLDS["week-000", "T1"]
    for session, sequence in WORLDS:
        matrix = aligned[session].to_common[sequence]
        before = error_mm(np.eye(4), session, sequence, common)
        assert error_mm(matrix, session, sequence, common) < WITHIN_VOXEL_MM
        assert before > 3.0 or (session, sequence) == ("week-000", "T1")
    np.testing.assert_array_equal(aligned["week-000"].to_common["T1"], np.eye(4))


def test_steps_tell_what_was_registered_to_what(aligned: dict[str, SessionAlignment]):
    first, second = (aligned[name].steps for name in ("week-000", "week-012"))
    assert {alignment.anchor for alignment in aligned.values()} == {"T1"}
    assert [(Path(step.moving).name, Path(step.fixed).name) for step in first] == [
        ("week-000_FLAIR.nii", "week-000_T1.nii")
    ]
    assert [(Path(step.moving).name, Path(step.fixed).name) for step in second] == [
        ("week-012_FLAIR.nii", "week-012_T1.nii"),
        ("week-012_T1.nii", "week-000_T1.nii"),
    ]
    step = second[1]
    assert step.kind == "rigid"
    assert step.mutual_information_after > step.mutual_information_before > 0
    truth = WORLDS["week-000", "T1"] @ inverse(WORLDS["week-012", "T1"])
    assert step.rotation_deg == pytest.approx(
        np.rad2deg(np.arccos((np.trace(truth[:3, :3]) - 1) / 2)), abs=0.7
    )
    centre = np.array([[0.0, -18.0, 12.0]])
    assert step.translation_mm == pytest.approx(mean_displacement_mm(truth, centre), abs=1.5)


def test_what_was_kept_is_not_made_again_nor_are_images_read(
    folder: Path, cache: Path, aligned: dict[str, SessionAlignment], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(registrar, "register", _unexpected)
    monkeypatch.setattr(ScanSource, "__call__", _unexpected)
    again = align_patient(patient(folder), None, STAY, cache)
    for name, alignment in aligned.items():
        assert again[name].steps == alignment.steps
        for sequence, matrix in alignment.to_common.items():
            np.testing.assert_array_equal(again[name].to_common[sequence], matrix)
    with pytest.raises(AssertionError):
        align_patient(patient(folder), None, replace(STAY, n4=True), cache)


def _unexpected(*_args: object, **_options: object) -> None:
    raise AssertionError("this should not be needed")


def test_only_what_is_missing_or_changed_is_made_again(
    folder: Path, cache: Path, aligned: dict[str, SessionAlignment], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):  # fmt: skip
    made: list[str] = []

    def note(*args: object, **options: object) -> object:
        made.append("step")
        raise VolumeError("enough")

    monkeypatch.setattr(registrar, "register", note)
    kept = tmp_path / "kept"
    kept.mkdir()
    for path in cache.iterdir():
        (kept / path.name).write_bytes(path.read_bytes())
    assert len(list(kept.iterdir())) == 3
    broken = next(path for path in kept.iterdir() if "week-012_FLAIR" in path.read_text())
    broken.write_text(broken.read_text()[:-40])
    with pytest.raises(VolumeError, match=r"week-012_FLAIR\.nii cannot be registered"):
        align_patient(patient(folder), None, STAY, kept)
    assert len(made) == 1
    changed = folder / "week-012_T1.nii"
    status = changed.stat()
    try:
        os.utime(changed, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
        with pytest.raises(VolumeError, match="week-012"):
            align_patient(patient(folder), None, STAY, cache)
    finally:
        os.utime(changed, ns=(status.st_atime_ns, status.st_mtime_ns))


def test_a_failing_registration_names_both_files(folder: Path, tmp_path: Path):
    flat = save(tmp_path / "flat.nii", np.full((5, 6, 7), 3, np.float32), scan_grid("T1"))
    scans = {"T1": ScanSource(folder / "week-000_T1.nii"), "T2": ScanSource(flat)}
    with pytest.raises(VolumeError, match=r"flat\.nii cannot be registered to .*week-000_T1\.nii"):
        align_patient([SessionScans("week-000", "native", scans)], None, STAY)


def test_each_session_goes_to_the_template_by_itself(folder: Path):
    template = Template("head", head().images["T1"], head().grid, ("head",))
    (_, session) = patient(folder)
    scans = {"T1": session.scans["T1"]}
    settings = AlignmentSettings(chain="atlas", kind="affine")
    found = align_patient([replace(session, scans=scans)], template, settings)["week-012"]
    assert error_mm(found.to_common["T1"], "week-012", "T1", np.eye(4)) < WITHIN_VOXEL_MM
    assert [(step.fixed, step.kind) for step in found.steps] == [("head", "affine")]
