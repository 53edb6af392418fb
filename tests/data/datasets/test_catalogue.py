from __future__ import annotations

from pathlib import Path

import pytest
from lumiere_tree import write_tree
from small_volumes import write_image

from xrano.data.datasets.catalogue import READERS, dataset_reader, detect_dataset
from xrano.errors import ManifestError, UnknownNameError

TREES = {
    "mu-glioma-post": "PatientID_0001/Timepoint_1/PatientID_0001_Timepoint_1_brain_t1c.nii.gz",
    "ucsf-alptdg": "100001/100001_time1_t1ce.nii.gz",
    "cfb-gbm": "001/t0/1_t0_t1gd.nii",
    "bids": "sub-01/ses-01/anat/sub-01_ses-01_T1w.nii.gz",
}


def _make(root: Path, name: str) -> Path:
    if name == "lumiere":
        return write_tree(root)
    if name == "manifest":
        root.mkdir()
        write_image(root / "t1.nii.gz")
        text = "patient_id,session_id,week,rating,T1\nP,s,0,,t1.nii.gz\n"
        (root / "sessions.csv").write_text(text)
        return root
    write_image(root / TREES[name])
    return root


@pytest.mark.parametrize("name", READERS)
def test_every_layout_is_told_from_the_others_and_read(tmp_path: Path, name: str) -> None:
    root = _make(tmp_path / "cohort", name)
    assert [other for other, reader in READERS.items() if reader.recognise(root)] == [name]
    assert detect_dataset(root) == name
    sessions, segmentations = READERS[name].read(root)
    assert len(sessions) >= 1
    assert {"patient_id", "session_id", "source", "path", "sequence"} <= {*segmentations}


@pytest.mark.parametrize("name", [name for name in READERS if name != "manifest"])
def test_a_cohort_is_found_from_above(tmp_path: Path, name: str) -> None:
    (tmp_path / "downloads").mkdir()
    _make(tmp_path / "downloads" / "cohort", name)
    assert detect_dataset(tmp_path / "downloads") == name


def test_no_layout_and_several(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    with pytest.raises(ManifestError, match="fits no known layout") as caught:
        detect_dataset(tmp_path)
    for reader in READERS.values():
        assert reader.name in str(caught.value)
        assert f"{reader.name} ({reader.layout})" in str(caught.value)
    _make(tmp_path / "a", "bids")
    _make(tmp_path / "a", "ucsf-alptdg")
    with pytest.raises(ManifestError, match=r"several layouts \(ucsf-alptdg, bids\)"):
        detect_dataset(tmp_path)
    with pytest.raises(ManifestError, match="does not exist"):
        detect_dataset(tmp_path / "absent")


def test_a_file_is_no_cohort(tmp_path: Path) -> None:
    (tmp_path / "file.txt").touch()
    with pytest.raises(ManifestError, match="fits no known layout"):
        detect_dataset(tmp_path / "file.txt")


def test_names() -> None:
    assert dataset_reader("bids").name == "bids"
    with pytest.raises(UnknownNameError, match="did you mean 'lumiere'"):
        dataset_reader("lumier")
    assert all(reader.source and reader.description for reader in READERS.values())
