from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from small_volumes import VOXEL_ML, write_image, write_labels

from xrano.data.datasets.ucsf_alptdg import read_ucsf_alptdg
from xrano.data.pairing.pairs import build_pairs
from xrano.data.pairing.rule_ratings import measure_volumes, rate_by_rule
from xrano.data.volumes import read_labels
from xrano.errors import ManifestError, UnknownNameError

WORKBOOK = "UCSF_PostopGlioma_Table S1 R1 V5.0_UNBLINDED_FINAL.xlsx"
VISITS = [
    {"SubjectID": 100001, "Patient Sex": "F", "Patient Age": 50, "ET_CHANGE_OVERALL": "Increase",
     "SNFH_CHANGE_OVERALL": "Decrease"},
    {"SubjectID": 100001, "Patient Sex": "F", "Patient Age": 50, "ET_CHANGE_OVERALL": "Increase",
     "SNFH_CHANGE_OVERALL": "Decrease"},
    {"SubjectID": 100003, "Patient Sex": "M", "Patient Age": None},
]  # fmt: skip
CLINICAL = [
    {"SubjectID": 100001, "Days from 1st scan to 2nd scan": 64.94, "MGMT": "positive",
     "IDH": "WT", "Days from 1st scan to 2nd SX": 300.0},
    {"SubjectID": 100002, "Days from 1st scan to 2nd scan": 120, "MGMT": "unmethylated",
     "IDH": None, "Days from 1st scan to 2nd SX": -40},
    {"SubjectID": 100003, "Days from 1st scan to 2nd scan": 30, "MGMT": None, "IDH": "mut"},
]  # fmt: skip


def _patient(root: Path, patient: str, first: dict[int, int], second: dict[int, int]) -> None:
    for scan, counts in (("time1", first), ("time2", second)):
        for ending in ("t1", "t1ce", "t2", "flair", "t1ce-t1"):
            write_image(root / patient / f"{patient}_{scan}_{ending}.nii.gz")
        # the dataset keeps its labels as floats
        write_labels(root / patient / f"{patient}_{scan}_seg.nii.gz", counts, np.float64)
    write_image(root / patient / f"{patient}_flair_subtraction.nii.gz")


@pytest.fixture(scope="module")
def shared_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("ucsf") / "UCSF_POSTOP_GLIOMA_DATASET_FINAL_v1.0"
    _patient(root, "100001", {3: 200, 1: 3}, {3: 60, 4: 9})
    _patient(root, "100002", {3: 150}, {3: 155})
    (root / "100002" / "100002_time1_flair.nii.gz").unlink()
    with pd.ExcelWriter(root / WORKBOOK) as book:
        pd.DataFrame(VISITS).to_excel(book, sheet_name="UCSF-LPTDG", index=False)
        pd.DataFrame(CLINICAL).to_excel(book, sheet_name="Clinical Info", index=False)
    return root


def test_sessions(shared_tree: Path) -> None:
    sessions, segmentations = read_ucsf_alptdg(shared_tree)
    columns = ["patient_id", "session_id", "order", "week", "days", "role", "exclude_reason"]
    assert sessions[columns].to_numpy().tolist() == [
        ["100001", "time1", 0, 0, 0, "followup", ""],
        ["100001", "time2", 1, 9, 65, "followup", ""],
        ["100002", "time1", 0, 0, 0, "followup", ""],
        # an operation 40 days away, on whichever side: 120 days lie between the scans
        ["100002", "time2", 1, 17, 120, "postop", ""],
        ["100003", "time1", 0, 0, 0, "followup", "no_images"],
        ["100003", "time2", 1, 4, 30, "followup", "no_images"],
    ]
    first = sessions.iloc[0]
    assert [Path(first[name]).name for name in ("T1", "CT1", "T2", "FLAIR")] == [
        f"100001_time1_{ending}.nii.gz" for ending in ("t1", "t1ce", "t2", "flair")
    ]
    assert sessions["FLAIR"].astype(bool).tolist() == [True, True, False, True, False, False]
    assert first[["age", "sex", "idh", "mgmt"]].tolist() == [50.0, "f", "WT", "methylated"]
    assert sessions["mgmt"].tolist()[2:] == ["not methylated"] * 2 + [""] * 2
    assert sessions["survival_weeks"].isna().all()
    assert sessions["age"].isna().tolist() == [False, False, True, True, True, True]
    assert first["unused_files"] == "t1ce-t1"
    assert sessions.iloc[1]["unused_files"] == "t1ce-t1; 100001_flair_subtraction"
    assert sessions.iloc[1]["et_change"] == "Increase"
    assert len(segmentations) == 4
    labels = read_labels(segmentations["path"].iloc[0], segmentations["scheme"].iloc[0])
    assert np.bincount(labels.labels.ravel())[1:].tolist() == [3, 0, 200]


@pytest.mark.parametrize("place", ["above", "at", "below"])
def test_roots(shared_tree: Path, place: str) -> None:
    root = {"above": shared_tree.parent, "at": shared_tree, "below": shared_tree / "100001"}[place]
    sessions, _ = read_ucsf_alptdg(root)
    assert sessions["patient_id"].nunique() == (1 if place == "below" else 3)
    assert sessions["idh"].iloc[0] == "WT"


def test_further_sequence_and_space(shared_tree: Path) -> None:
    sessions, _ = read_ucsf_alptdg(shared_tree, sequences={"CT1-T1": ("t1ce-t1",)}, space="session")
    assert Path(sessions["CT1-T1"].iloc[0]).is_file()
    assert set(sessions["space"]) == {"session"}
    assert sessions["CT1"].iloc[0] == ""
    with pytest.raises(UnknownNameError, match="atlas"):
        read_ucsf_alptdg(shared_tree, space="mni")


def test_without_a_workbook(shared_tree: Path, tmp_path: Path) -> None:
    tree = Path(shutil.copytree(shared_tree, tmp_path / "copy"))
    (tree / WORKBOOK).unlink()
    sessions, _ = read_ucsf_alptdg(tree)
    assert len(sessions) == 4
    assert set(sessions["time_unit"]) == {"ordinal"}
    assert sessions["mgmt"].tolist() == [""] * 4


def test_no_such_tree(tmp_path: Path) -> None:
    (tmp_path / "100001").mkdir()
    with pytest.raises(ManifestError, match="no folder such as 100001"):
        read_ucsf_alptdg(tmp_path)


def test_from_tree_to_pairs_rated_by_rule(shared_tree: Path) -> None:
    sessions, segmentations = read_ucsf_alptdg(shared_tree)
    volumes = measure_volumes(segmentations)
    assert volumes["ml"].tolist() == pytest.approx(
        [n * VOXEL_ML for n in (200, 203, 60, 60, 150, 150, 155, 155)]
    )
    rated = rate_by_rule(sessions, volumes, reference="previous")
    pairs, exclusions = build_pairs(rated, reference="previous", unrated="include")
    # 0.72 to 0.216 ml is less than 35 %; the second pair spans an operation
    assert pairs[["pair_id", "response", "spans_surgery"]].to_numpy().tolist() == [
        ["100001_time1_time2", "PR", False],
        ["100002_time1_time2", "", True],
    ]
    assert exclusions["reason"].value_counts().to_dict() == {"first_session": 2, "no_images": 2}
