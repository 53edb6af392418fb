"""Scans that belong to no cohort are looked at too, before anything is registered."""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from xrano.errors import XranoWarning
from xrano.experiments import outside_pair
from xrano.experiments.outside_pair import explain_outside
from xrano.training.run import Run


class StoppedError(Exception):
    """Instead of explaining, which comes later."""


@pytest.fixture
def said(tiny_run: Run, monkeypatch: pytest.MonkeyPatch):
    def stop(*_: object) -> None:
        raise StoppedError

    monkeypatch.setattr(outside_pair, "explainers_by_fold", stop)

    def run(home: Path) -> list[str]:
        folders = sorted(home.iterdir())[:2]
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            with pytest.raises(StoppedError):
                explain_outside(tiny_run, *folders, ["saliency"], home.parent / "out")
        return [str(one.message) for one in caught if one.category is XranoWarning]

    return run


def copied(tree: Path, home: Path) -> Path:
    """Sessions of a patient of the phantom, under another name."""
    return Path(shutil.copytree(next(tree.rglob("Patient-001")), home))


def test_a_folder_named_after_the_patient_is_warned_of(said, phantom_tree: Path, tmp_path: Path):
    (note,) = said(copied(phantom_tree, tmp_path / "MUSTER^ERIKA"))
    assert "looks as if header or name held a patient's name (a patient_id)" in note
    assert "MUSTER" not in note


def test_a_header_that_tells_is_warned_of_by_the_files_name(
    said, phantom_tree: Path, tmp_path: Path
):
    home = copied(phantom_tree, tmp_path / "Patient-900")
    session = sorted(home.iterdir())[1]
    scan = next(session.rglob("flair_skull_strip.nii.gz"))
    image = nib.load(scan)
    image.header["data_type"] = b"19560312"
    values = np.asarray(image.dataobj)
    nib.save(nib.Nifti1Image(values, image.affine, image.header), scan)
    (note,) = said(home)
    assert note.startswith("1 file or identifier looks as if header or name held a date of birth")
    assert f"(Patient-900 {session.name} FLAIR (flair_skull_strip.nii.gz))" in note
    assert "1956" not in note


def test_others_are_not(said, phantom_tree: Path, tmp_path: Path):
    assert said(copied(phantom_tree, tmp_path / "Patient-900")) == []
