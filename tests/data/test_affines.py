from __future__ import annotations

import warnings
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from xrano.data.affines import choose_affine, tells_nothing
from xrano.data.phantom.anatomy import rotation
from xrano.data.preparation.placed_session import read_session, same_world
from xrano.data.volumes import read_labels, read_mask, read_scan
from xrano.errors import UnknownNameError, VolumeError, XranoWarning

SHAPE = (4, 7, 5)


def oblique(shift: float = 0.0) -> np.ndarray:
    affine = np.eye(4)
    affine[:3, :3] = rotation(np.array([9.0, -14.0, 21.0])) @ np.diag([-0.8, 1.5, 4.0])
    affine[:3, 3] = 31.0 + shift, -20.0, 7.0
    return affine


def save(
    path: Path,
    sform: np.ndarray,
    qform: np.ndarray,
    codes: tuple[int, int] = (1, 1),
    dtype: type = np.float32,
) -> Path:
    """A file of ones whose affines are two."""
    header = nib.Nifti1Header()
    header.set_data_shape(SHAPE)
    header.set_data_dtype(dtype)
    header.set_sform(sform, code=codes[0])
    header.set_qform(qform, code=codes[1])
    nib.save(nib.Nifti1Image(np.ones(SHAPE, dtype), None, header), path)
    return path


def chosen(path: Path, affine_from: str = "sform") -> np.ndarray:
    return choose_affine(nib.load(path), path, affine_from)


@pytest.mark.parametrize("affine_from", ["sform", "qform"])
@pytest.mark.parametrize("shift", [0.0, 0.08])
def test_affines_that_agree_are_used_without_a_word(tmp_path: Path, affine_from: str, shift: float):
    path = save(tmp_path / "T1.nii", oblique(), oblique(shift))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_allclose(chosen(path, affine_from), oblique(), atol=1e-5)


@pytest.mark.parametrize("affine_from", ["sform", "qform"])
@pytest.mark.parametrize("codes", [(2, 0), (0, 2)])
def test_where_one_is_set_it_is_the_one(tmp_path: Path, affine_from: str, codes: tuple[int, int]):
    path = save(tmp_path / "T1.nii", oblique(), oblique(50.0), codes)
    expected = oblique() if codes[0] else oblique(50.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_allclose(chosen(path, affine_from), expected, atol=1e-5)


@pytest.mark.parametrize(("affine_from", "other"), [("sform", "qform"), ("qform", "sform")])
def test_affines_that_disagree_are_named_with_the_setting_that_chooses(
    tmp_path: Path, affine_from: str, other: str
):
    path = save(tmp_path / "T1.nii.gz", oblique(), oblique(2.5))
    words = rf"T1\.nii\.gz: .*by up to 2\.5 mm; the {affine_from} is used.*--affine_from {other}"
    with pytest.warns(XranoWarning, match=words):
        found = chosen(path, affine_from)
    expected = {"sform": oblique(), "qform": oblique(2.5)}[affine_from]
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_turn_about_the_first_voxel_is_seen_at_the_far_corner(tmp_path: Path):
    """The origins agree; what disagrees is 18 mm away."""
    sform, qform = np.diag([1.0, 2.0, 3.0, 1.0]), np.diag([1.0, 2.0, 3.0, 1.0])
    qform[:3, :3] = rotation(np.array([0.0, 0.0, 2.0])) @ qform[:3, :3]
    far = np.array(SHAPE) - 1.0
    farthest = max(
        np.linalg.norm((sform - qform)[:3, :3] @ (far * np.array(corner)))
        for corner in np.ndindex(2, 2, 2)
    )
    with pytest.warns(XranoWarning, match=f"by up to {farthest:.1f} mm"):
        chosen(save(tmp_path / "T1.nii", sform, qform))


@pytest.mark.parametrize("affine_from", ["sform", "qform"])
def test_every_reader_takes_the_affine_asked_for(tmp_path: Path, affine_from: str):
    path = save(tmp_path / "any.nii", oblique(), oblique(2.5), dtype=np.uint8)
    expected = {"sform": oblique(), "qform": oblique(2.5)}[affine_from]
    for read in (read_scan, read_mask, lambda *a, **k: read_labels(a[0], "binary", **k)):
        with pytest.warns(XranoWarning, match="disagree"):
            grid = read(path, affine_from=affine_from).grid
        np.testing.assert_allclose(grid.affine, expected, atol=1e-5)


def test_a_broken_qform_does_not_cost_a_good_sform(tmp_path: Path):
    image = nib.load(save(tmp_path / "whole.nii", oblique(), oblique()))
    image.header["quatern_b"] = image.header["quatern_c"] = 0.9
    path = tmp_path / "T1.nii"
    nib.save(image, path)
    with pytest.warns(XranoWarning, match=r"T1\.nii: its qform is broken.*sform is used"):
        np.testing.assert_allclose(chosen(path), oblique(), atol=1e-5)
    with pytest.raises(VolumeError, match=r"T1\.nii: its qform is broken"):
        read_scan(path, affine_from="qform")


def test_an_unknown_affine_is_no_broken_file(tmp_path: Path):
    path = save(tmp_path / "T1.nii", oblique(), oblique())
    for read in (chosen, lambda p, name: read_scan(p, affine_from=name)):
        with pytest.raises(UnknownNameError, match="affine 'bform'.*choose from: qform, sform"):
            read(path, "bform")


# --- affines that tell nothing

LOST = {"identity": np.eye(4), "ITK's identity": np.diag([-1.0, -1.0, 1.0, 1.0])}


@pytest.mark.parametrize("affine", LOST.values(), ids=LOST)
def test_an_identity_tells_nothing(affine: np.ndarray):
    assert tells_nothing(affine)
    for row, column, value in ((0, 3, -90.0), (1, 1, 1.5), (0, 1, 0.1)):
        told = affine.copy()
        told[row, column] = value
        assert not tells_nothing(told)
    assert not tells_nothing(np.diag([-1.0, 1.0, 1.0, 1.0]))


def row_of(folder: Path, space: str, **affines: np.ndarray) -> dict[str, str]:
    row = {"patient_id": "P1", "session_id": "week-000", "space": space}
    for name, affine in affines.items():
        row[name] = str(save(folder / f"{name}.nii", affine, affine))
    return row


@pytest.mark.parametrize("affine", LOST.values(), ids=LOST)
@pytest.mark.parametrize("space", ["native", "session", "atlas"])
def test_an_identity_beside_true_affines_is_refused(tmp_path: Path, affine, space: str):
    row = row_of(tmp_path, space, T1=oblique(), FLAIR=affine)
    with pytest.raises(VolumeError, match=r"FLAIR\.nii has an identity affine.*true ones"):
        read_session(row, ("T1", "FLAIR"), same_world(("T1", "FLAIR")))


@pytest.mark.parametrize("space", ["native", "session", "atlas"])
def test_where_all_affines_are_the_identity_it_is_remarked(tmp_path: Path, space: str):
    row = row_of(tmp_path, space, T1=np.eye(4), FLAIR=np.eye(4))
    names = ("T1", "FLAIR")
    with pytest.warns(XranoWarning) as caught:
        session = read_session(row, names, same_world(names))
    assert set(session.scans) == set(names)
    said = [str(one.message) for one in caught]
    for name, text in zip(names, said, strict=True):
        assert text.startswith(f"{tmp_path / name}.nii has an identity affine")
        assert "left may be right" in text


def test_one_scan_alone_with_an_identity_is_remarked(tmp_path: Path):
    row = {**row_of(tmp_path, "native", T1=np.eye(4)), "FLAIR": ""}
    with pytest.warns(XranoWarning, match="identity affine"):
        read_session(row, ("T1", "FLAIR"), same_world(("T1", "FLAIR")))
