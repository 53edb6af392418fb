from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from small_volumes import write_image, write_labels

from xrano.data.datasets.cfb_gbm import read_cfb_gbm
from xrano.data.pairing.pairs import build_pairs
from xrano.errors import ManifestError, UnknownNameError

AVAILABILITY = """id_patient\ttemporality\ttime_diff_t0 (weeks)\tt1gd
1\tt0\t0\t1
1\tt1\t15.6\t1
1\tt2\t30\t1
15\tt0\t0\t1
15\tt1\t16\t0
15\tt2\t28\t1
200\tt0\t0\t1
"""
RANO = """id_patient\tsize_t0 (cm3)\trano_t0_to_t1\trano_t0_to_t2\trano_t1_to_t2
1\t10.0\tPartial Response (PR)\tStable Disease\tProgressive Disease
15\t5.0\t\tComplete Response\t
"""
CLINICAL = """id_patient\tsurvival (weeks)\tage_at_t0 (years)\tgender
1\t62\t58\tM
15\t\t70\tF
"""
DRAWN = """id_patient\ttemporality\tgtv\tgtv_type\trtdose
1\tt0\t1\thumanSegmentation\t1
1\tt1\t1\tgenSegmentation\t0
"""


def _write_tsv(root: Path, kind: str, text: str) -> Path:
    path = root / f"CFB-GBM_{kind}_v04_20260911.tsv"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def shared_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("cfb") / "CFB-GBM"
    for time in ("t0", "t1", "t2"):
        folder = root / "001" / time
        write_image(folder / f"1_{time}_t1gd.nii.gz")
        write_image(folder / "flair" / f"1_{time}_flair.nii")
        write_labels(folder / f"1_{time}_brain_mask.nii.gz", {1: 200})
        write_labels(folder / f"1_{time}_gtv.nii.gz", {1: 20})
    write_image(root / "001" / "t0" / "1_t0_t1eg.nii.gz")
    write_image(root / "001" / "t0" / "1_t0_t1tse.nii.gz")
    write_image(root / "001" / "t0" / "1_t0_rtdose.nii.gz")
    for time in ("t0", "t2"):
        write_image(root / "015" / time / f"15_{time}_t1gd.nii.gz")
    for kind, text in (
        ("mri_availability", AVAILABILITY),
        ("rano_criteria", RANO),
        ("clinical_data", CLINICAL),
        ("treatment_imaging_availability", DRAWN),
    ):
        _write_tsv(root, kind, text)
    return root


@pytest.fixture
def tree(shared_tree: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(shared_tree, tmp_path / "copy"))


def test_sessions_and_ratings_by_rule(shared_tree: Path) -> None:
    sessions, segmentations = read_cfb_gbm(shared_tree)
    columns = ["patient_id", "session_id", "week", "days", "role", "rating", "rating_against"]
    assert sessions[columns].to_numpy().tolist() == [
        ["1", "t0", 0, 0, "postop", "", ""],
        ["1", "t1", 15, 109, "followup", "PR", "t0"],
        ["1", "t2", 30, 210, "followup", "PD", "t1"],
        ["15", "t0", 0, 0, "postop", "", ""],
        ["15", "t1", 16, 112, "followup", "", ""],
        # t1 has no image, so that t0 is the scan before
        ["15", "t2", 28, 196, "followup", "CR", "t0"],
        ["200", "t0", 0, 0, "postop", "", ""],
    ]
    assert set(sessions["rating_source"]) == {"", "rule"}
    assert sessions["rating_raw"].iloc[1] == "Partial Response (PR)"
    assert sessions["exclude_reason"].tolist() == ["", "", "", "", "no_images", "", "no_images"]
    first = sessions.iloc[0]
    assert [Path(first[name]).name for name in ("T1", "CT1", "FLAIR", "brain_mask")] == [
        *("1_t0_t1tse.nii.gz", "1_t0_t1gd.nii.gz", "1_t0_flair.nii", "1_t0_brain_mask.nii.gz"),
    ]
    assert first["T2"] == ""
    assert first["unused_files"] == "rtdose; t1eg"
    assert first[["age", "sex", "survival_weeks"]].tolist() == [58.0, "m", 62.0]
    assert sessions["survival_weeks"].isna().tolist() == [False] * 3 + [True] * 4
    assert segmentations[["session_id", "source", "scheme", "gtv_type"]].to_numpy().tolist() == [
        ["t0", "gtv", "binary", "humanSegmentation"],
        ["t1", "gtv", "binary", "genSegmentation"],
        ["t2", "gtv", "binary", ""],
    ]


def test_ratings_against_the_first_scan(shared_tree: Path) -> None:
    sessions, _ = read_cfb_gbm(shared_tree, against="t0")
    assert sessions["rating"].tolist() == ["", "PR", "SD", "", "", "CR", ""]
    with pytest.raises(UnknownNameError, match="previous, t0"):
        read_cfb_gbm(shared_tree, against="t1")


def test_a_minor_response_is_no_class_and_not_lost(tree: Path) -> None:
    _write_tsv(tree, "rano_criteria", RANO.replace("Partial Response (PR)", "Minor Response"))
    sessions, _ = read_cfb_gbm(tree)
    assert sessions.iloc[1][["rating", "rating_raw", "rating_source"]].tolist() == [
        *("", "Minor Response", ""),
    ]
    _, exclusions = build_pairs(sessions)
    found = exclusions[exclusions["session_id"].eq("t1") & exclusions["patient_id"].eq("1")]
    assert found[["reason", "detail"]].to_numpy().tolist() == [["no_rating", "Minor Response"]]


@pytest.mark.parametrize("place", ["above", "at", "below"])
def test_roots(shared_tree: Path, place: str) -> None:
    root = {"above": shared_tree.parent, "at": shared_tree, "below": shared_tree / "001"}[place]
    sessions, _ = read_cfb_gbm(root)
    assert sessions["patient_id"].nunique() == (1 if place == "below" else 3)
    assert sessions["rating"].tolist()[:3] == ["", "PR", "PD"]


def test_all_images_in_one_folder(shared_tree: Path, tmp_path: Path) -> None:
    for path in shared_tree.rglob("*.nii*"):
        shutil.copy(path, tmp_path / path.name)
    sessions, _ = read_cfb_gbm(tmp_path)
    assert len(sessions) == 5
    assert set(sessions["time_unit"]) == {"ordinal"}
    assert not sessions["rating"].any()
    assert sessions["age"].isna().all()


def test_further_sequences(tree: Path) -> None:
    write_image(tree / "001" / "t1" / "dwi" / "1_t1_adc.nii.gz")
    sessions, _ = read_cfb_gbm(tree, sequences={"CT1": ("t1gd",), "ADC": ("adc",)})
    assert sessions["ADC"].astype(bool).tolist() == [False, True, *[False] * 5]


@pytest.mark.parametrize(
    ("kind", "text", "complaint"),
    [
        ("rano_criteria", RANO.replace("Stable Disease", "Fine"), "t0_to_t2 is 'Fine'; .*stable"),
        ("rano_criteria", "id_patient\tclass\n1\tPD\n", "lacks columns such as rano_t0_to_t1"),
        ("mri_availability", AVAILABILITY.replace("15.6", "soon"), "line 3: weeks is 'soon'"),
        ("mri_availability", AVAILABILITY + "015\tt2\t3\t1\n", "line 9: 15 t2 stands there a sec"),
        ("rano_criteria", RANO + "1\t\t\t\t\n", "line 4: 1 stands there a second time"),
        ("mri_availability", "patient\n1\n", "lacks a column id_patient; found: patient"),
        ("clinical_data", CLINICAL.replace("15\t", "P15\t"), "id_patient is 'P15'"),
    ],
)
def test_broken_tables(tree: Path, kind: str, text: str, complaint: str) -> None:
    path = _write_tsv(tree, kind, text)
    with pytest.raises(ManifestError, match=complaint) as caught:
        read_cfb_gbm(tree)
    assert str(caught.value).startswith(str(path))


def test_two_files_or_none(tree: Path, tmp_path: Path) -> None:
    write_image(tree / "again" / "1_t0_t1gd.nii")
    with pytest.raises(ManifestError, match="are the same image"):
        read_cfb_gbm(tree)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ManifestError, match=r"no image such as 1_t0_t1gd\.nii\.gz"):
        read_cfb_gbm(tmp_path / "empty")


def test_from_tree_to_pairs(shared_tree: Path) -> None:
    sessions, _ = read_cfb_gbm(shared_tree)
    pairs, exclusions = build_pairs(sessions, reference="previous", unrated="include")
    assert pairs[["pair_id", "response", "rating_source"]].to_numpy().tolist() == [
        ["1_t0_t1", "PR", "rule"],
        ["1_t1_t2", "PD", "rule"],
        ["15_t0_t2", "CR", "rule"],
    ]
    assert exclusions["reason"].tolist() == [
        *("first_session", "first_session", "no_images", "no_images"),
    ]
