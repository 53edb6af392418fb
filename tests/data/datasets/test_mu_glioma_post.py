from __future__ import annotations

import shutil
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from small_volumes import VOXEL_ML, write_image, write_labels

from xrano.data.datasets.mu_glioma_post import read_mu_glioma_post
from xrano.data.pairing.pairs import build_pairs
from xrano.data.pairing.rule_ratings import measure_volumes, rate_by_rule
from xrano.errors import ConfigError, ManifestError

WORKBOOK = "MU-Glioma-Post_ClinicalData-July2025.xlsx"
DAYS = [f"Number of Days from Diagnosis to {n} MRI (Timepoint_{k}) "
        for k, n in enumerate(("1st", "2nd", "3rd", "4th", "5th", "6th"), 1)]  # fmt: skip
ROWS: list[dict[str, object]] = [
    {
        "Patient_ID": "PatientID_0003", "Age at diagnosis": 61, "Sex at Birth": "Male",
        "IDH1 mutation": 0, "IDH2 mutation": 0, "MGMT methylation": 1,
        " Number of days from Diagnosis to First surgery or procedure ": 0,
        "Number of days from Diagnosis to death (Days)": 700,
        "Time to First Progression (Days)": 210,
        DAYS[0]: -4, DAYS[1]: 20, DAYS[2]: 104.6, DAYS[4]: 400,
    },
    {
        "Patient_ID": "PatientID_0010", "Age at diagnosis": "na", "IDH1 mutation": 1,
        "MGMT methylation": 4, DAYS[0]: 30,
    },
    {"Patient_ID": "PatientID_0099", DAYS[0]: 12, DAYS[1]: 90},
    {"Patient_ID": None},
    {"Patient_ID": "IDH1: 0 wild type, 1 mutated"},
]  # fmt: skip


def _session(root: Path, patient: str, timepoint: int, counts: dict[int, int], **without) -> None:
    folder = root / patient / f"Timepoint_{timepoint}"
    stem = f"{patient}_Timepoint_{timepoint}"
    for ending in ("t1n", "t1c", "t2w", "t2f"):
        if ending not in without:
            write_image(folder / f"{stem}_brain_{ending}.nii.gz")
    write_labels(folder / f"{stem}_tumorMask.nii.gz", counts)


@pytest.fixture(scope="module")
def shared_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("mu") / "MU-Glioma-Post"
    _session(root, "PatientID_0003", 1, {3: 40, 1: 5})
    _session(root, "PatientID_0003", 2, {3: 30, 4: 20})
    _session(root, "PatientID_0003", 3, {3: 10}, t2w=False)
    _session(root, "PatientID_0010", 1, {3: 20})
    _session(root, "PatientID_0010", 2, {2: 20})
    write_image(root / "PatientID_0010/Timepoint_2/PatientID_0010_Timepoint_2_brain_adc.nii")
    pd.DataFrame(ROWS).to_excel(root.parent / WORKBOOK, sheet_name="MU Glioma Post", index=False)
    return root


@pytest.fixture
def tree(shared_tree: Path, tmp_path: Path) -> Path:
    copied = shutil.copytree(shared_tree.parent, tmp_path / "copy")
    return Path(copied) / "MU-Glioma-Post"


def _row(sessions: pd.DataFrame, patient: str, session: str) -> pd.Series:
    found = sessions[(sessions["patient_id"] == patient) & (sessions["session_id"] == session)]
    assert len(found) == 1
    return found.iloc[0]


def test_sessions_of_tree_and_workbook(shared_tree: Path) -> None:
    sessions, segmentations = read_mu_glioma_post(shared_tree)
    columns = ["patient_id", "session_id", "order", "week", "days", "time_unit", "role"]
    assert sessions[columns].to_numpy().tolist() == [
        ["PatientID_0003", "Timepoint_1", 0, -1, -4, "days", "preop"],
        ["PatientID_0003", "Timepoint_2", 1, 2, 20, "days", "postop"],
        ["PatientID_0003", "Timepoint_3", 2, 15, 105, "days", "followup"],
        ["PatientID_0003", "Timepoint_5", 3, 57, 400, "days", "followup"],
        # the second scan has no day, so that the patient's time is a mere order
        ["PatientID_0010", "Timepoint_1", 0, 0, 0, "ordinal", "unknown"],
        ["PatientID_0010", "Timepoint_2", 1, 1, 7, "ordinal", "unknown"],
        ["PatientID_0099", "Timepoint_1", 0, 1, 12, "days", "unknown"],
        ["PatientID_0099", "Timepoint_2", 1, 12, 90, "days", "unknown"],
    ]
    absent = sessions[sessions["exclude_reason"] == "no_images"]
    assert absent["session_id"].tolist() == ["Timepoint_5", "Timepoint_1", "Timepoint_2"]
    assert _row(sessions, "PatientID_0003", "Timepoint_3")["T2"] == ""
    assert set(sessions["space"]) == {"atlas"}
    assert set(segmentations["scheme"]) == {"brats2024"}
    assert len(segmentations) == 5


def test_clinical_columns_and_what_is_unknown(shared_tree: Path) -> None:
    sessions, _ = read_mu_glioma_post(shared_tree)
    known = _row(sessions, "PatientID_0003", "Timepoint_1")
    assert known[["age", "sex", "idh", "mgmt", "survival_weeks"]].tolist() == [
        *(61.0, "male", "WT", "methylated", 100.0),
    ]
    assert known["first_progression_days"] == "210"
    other = _row(sessions, "PatientID_0010", "Timepoint_1")
    assert other[["sex", "idh", "mgmt"]].tolist() == ["", "mutant", ""]
    assert np.isnan([other["age"], other["survival_weeks"], other["mgmt_percent"]]).all()


@pytest.mark.parametrize("place", ["above", "at", "below"])
def test_roots(shared_tree: Path, place: str) -> None:
    root = {
        "above": shared_tree.parent,
        "at": shared_tree,
        "below": shared_tree / "PatientID_0010",
    }[place]
    sessions, _ = read_mu_glioma_post(root)
    assert sessions["patient_id"].nunique() == (1 if place == "below" else 3)
    assert _row(sessions, "PatientID_0010", "Timepoint_1")["idh"] == "mutant"


def test_unzipped_files_and_further_sequences(tree: Path) -> None:
    folder = tree / "PatientID_0010" / "Timepoint_2"
    stem = "PatientID_0010_Timepoint_2"
    (folder / f"{stem}_brain_t1n.nii.gz").unlink()
    write_image(folder / f"{stem}_brain_t1n.nii")
    sessions, _ = read_mu_glioma_post(tree)
    row = _row(sessions, "PatientID_0010", "Timepoint_2")
    assert Path(row["T1"]).name == f"{stem}_brain_t1n.nii"
    assert row["unused_files"] == "brain_adc"
    more, _ = read_mu_glioma_post(tree, sequences={"T1": ("brain_t1n",), "ADC": ("brain_adc",)})
    row = _row(more, "PatientID_0010", "Timepoint_2")
    assert Path(row["ADC"]).is_file()
    assert row["unused_files"] == "brain_t1c; brain_t2f; brain_t2w"
    with pytest.raises(ConfigError, match="'week'"):
        read_mu_glioma_post(tree, sequences={"week": ("brain_adc",)})


def test_without_a_workbook_time_is_ordinal(tree: Path) -> None:
    (tree.parent / WORKBOOK).unlink()
    sessions, _ = read_mu_glioma_post(tree)
    assert set(sessions["time_unit"]) == {"ordinal"}
    assert len(sessions) == 5
    assert sessions["age"].isna().all()


def test_days_decide_the_order(tree: Path) -> None:
    rows = [{"Patient_ID": "PatientID_0003", DAYS[0]: 90, DAYS[1]: 20, DAYS[2]: 50}]
    book = tree.parent / WORKBOOK
    pd.DataFrame(rows).to_excel(book, sheet_name="MU Glioma Post", index=False)
    sessions, _ = read_mu_glioma_post(tree / "PatientID_0003")
    assert sessions["session_id"].tolist() == ["Timepoint_2", "Timepoint_3", "Timepoint_1"]


@pytest.mark.parametrize(
    ("column", "value", "sheet", "complaint"),
    [
        ("Age at diagnosis", "old", "MU Glioma Post", r"line 2: age is 'old'"),
        ("Patient_ID", "PatientID_0003", "Sheet1", "no sheet 'MU Glioma Post'; found: Sheet1"),
    ],
)
def test_broken_workbooks(tree: Path, column: str, value: str, sheet: str, complaint: str) -> None:
    row = {"Patient_ID": "PatientID_0003", column: value}
    pd.DataFrame([row]).to_excel(tree.parent / WORKBOOK, sheet_name=sheet, index=False)
    with pytest.raises(ManifestError, match=complaint) as caught:
        read_mu_glioma_post(tree)
    assert WORKBOOK in str(caught.value)


def test_a_workbook_that_is_none_or_lacks_its_key(tree: Path) -> None:
    book = tree.parent / WORKBOOK
    pd.DataFrame([{"ID": 1}]).to_excel(book, sheet_name="MU Glioma Post", index=False)
    with pytest.raises(ManifestError, match="lacks a column Patient_ID; found: ID"):
        read_mu_glioma_post(tree)
    twice = [{"Patient_ID": "PatientID_0003"}] * 2
    pd.DataFrame(twice).to_excel(book, sheet_name="MU Glioma Post", index=False)
    with pytest.raises(ManifestError, match="line 3: PatientID_0003 stands there a second time"):
        read_mu_glioma_post(tree)
    book.write_bytes(b"PK broken")
    with pytest.raises(ManifestError, match="no readable Excel workbook"):
        read_mu_glioma_post(tree)


def test_a_workbook_without_openpyxl(shared_tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    with pytest.raises(ConfigError, match=r"xrano\[excel\]"):
        read_mu_glioma_post(shared_tree)


def test_folders_that_are_no_timepoint_or_no_cohort(tree: Path, tmp_path: Path) -> None:
    (tree / "PatientID_0003" / "Timepoint_two").mkdir()
    with pytest.raises(ManifestError, match="Timepoint_two is not Timepoint_NUMBER"):
        read_mu_glioma_post(tree)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ManifestError, match="no folder such as PatientID_0001"):
        read_mu_glioma_post(tmp_path / "empty")


def test_from_tree_to_pairs_rated_by_rule(shared_tree: Path) -> None:
    sessions, segmentations = read_mu_glioma_post(shared_tree)
    volumes = measure_volumes(segmentations)
    enhancing = volumes[volumes["region"] == "enhancing"]
    assert enhancing["ml"].to_numpy() == pytest.approx(np.array([40, 30, 10, 20, 0]) * VOXEL_ML)
    rated = rate_by_rule(sessions, volumes)
    pairs, exclusions = build_pairs(rated, reference="previous", unrated="include")
    assert pairs[["pair_id", "response", "rating_source"]].to_numpy().tolist() == [
        ["PatientID_0003_Timepoint_1_Timepoint_2", "", ""],
        # 0.108 to 0.036 ml: too small to be measurable
        ["PatientID_0003_Timepoint_2_Timepoint_3", "SD", "rule"],
        ["PatientID_0010_Timepoint_1_Timepoint_2", "CR", "rule"],
    ]
    assert pairs["spans_surgery"].tolist() == [True, False, False]
    assert len(pairs) + len(exclusions) == len(sessions)
