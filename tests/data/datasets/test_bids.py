from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from small_volumes import VOXEL_ML, write_image, write_labels

from xrano.data.datasets.bids import read_bids
from xrano.data.pairing.pairs import build_pairs
from xrano.data.pairing.rule_ratings import measure_volumes
from xrano.data.table_columns import sequence_columns
from xrano.errors import ConfigError, LabelSchemeError, ManifestError, UnknownNameError

PARTICIPANTS = """participant_id\tage\tsex\tmgmt\tmgmt_percent
sub-01\t61\tM\tmethylated\t12.5
02\tn/a\tn/a\tn/a\tn/a
sub-09\t50\tF\tn/a\tn/a
"""
SESSIONS = """session_id\tacq_time\trating
ses-pre\t2019-05-17T10:00:00\tPre-Op
ses-10\t2019-06-17T08:00:00\tSD
ses-9\t2019-09-17\tPD
ses-late\t2020-01-01\t
"""


def _anat(root: Path, subject: str, session: str, *suffixes: str) -> None:
    stem = "_".join(part for part in (subject, session) if part)
    for suffix in suffixes:
        write_image(root / subject / session / "anat" / f"{stem}_{suffix}.nii.gz")


@pytest.fixture(scope="module")
def shared_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("bids") / "glioma"
    for session in ("ses-pre", "ses-10", "ses-9"):
        _anat(root, "sub-01", session, "T1w", "ce-gadolinium_T1w", "T2w", "FLAIR")
    _anat(root, "sub-01", "ses-9", "run-2_T1w", "acq-lowres_FLAIR", "PDw")
    write_image(root / "sub-01/ses-9/dwi/sub-01_ses-9_ADC.nii")
    _anat(root, "sub-02", "", "T1ce", "run-1_T2w", "run-2_T2w", "acq-hi_run-1_T2w")
    (root / "sub-03" / "func").mkdir(parents=True)
    made = root / "derivatives" / "net" / "sub-01" / "ses-9" / "anat"
    write_labels(made / "sub-01_ses-9_space-T1w_desc-brain_mask.nii.gz", {1: 100})
    write_labels(made / "sub-01_ses-9_space-FLAIR_dseg.nii.gz", {2: 30, 5: 10})
    write_labels(made / "sub-01_ses-9_space-MNI152_dseg.nii.gz", {2: 30})
    hand = root / "derivatives" / "hand" / "sub-01" / "ses-9" / "anat"
    write_labels(hand / "sub-01_ses-9_label-lesion_mask.nii", {1: 7})
    (root / "derivatives/net/dseg.tsv").write_text(
        "index\tname\n0\tbackground\n2\tEdema\n5\tenhancing\n", encoding="utf-8"
    )
    (root / "participants.tsv").write_text(PARTICIPANTS, encoding="utf-8")
    (root / "sub-01" / "sub-01_sessions.tsv").write_text(SESSIONS, encoding="utf-8")
    return root


@pytest.fixture
def tree(shared_tree: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(shared_tree, tmp_path / "copy"))


def test_sessions(shared_tree: Path) -> None:
    sessions, _ = read_bids(shared_tree)
    columns = ["patient_id", "session_id", "order", "week", "days", "role", "rating"]
    assert sessions[columns].to_numpy().tolist() == [
        ["sub-01", "ses-pre", 0, 0, 0, "preop", ""],
        ["sub-01", "ses-10", 1, 4, 31, "followup", "SD"],
        ["sub-01", "ses-9", 2, 17, 123, "followup", "PD"],
        ["sub-01", "ses-late", 3, 32, 229, "unknown", ""],
        ["sub-02", "single", 0, 0, 0, "unknown", ""],
        ["sub-03", "single", 0, 0, 0, "unknown", ""],
        ["sub-09", "single", 0, 0, 0, "unknown", ""],
    ]
    gone = sessions["exclude_reason"] == "no_images"
    assert gone.tolist() == [False, False, False, True, False, True, True]
    assert set(sessions["space"]) == {"native"}
    assert sessions["rating_source"].tolist() == ["", "expert", "expert", *[""] * 4]


def test_sequences_are_told_by_name(shared_tree: Path) -> None:
    sessions, _ = read_bids(shared_tree)
    row = sessions[sessions["session_id"] == "ses-9"].iloc[0]
    assert [Path(row[name]).name for name in ("T1", "CT1", "T2", "FLAIR")] == [
        "sub-01_ses-9_T1w.nii.gz",
        "sub-01_ses-9_ce-gadolinium_T1w.nii.gz",
        "sub-01_ses-9_T2w.nii.gz",
        "sub-01_ses-9_FLAIR.nii.gz",
    ]
    assert row["unused_files"].split("; ") == [
        "anat/sub-01_ses-9_PDw",
        "anat/sub-01_ses-9_acq-lowres_FLAIR",
        "anat/sub-01_ses-9_run-2_T1w",
        "dwi/sub-01_ses-9_ADC",
        "net/sub-01_ses-9_space-MNI152_dseg",
    ]
    alone = sessions[sessions["patient_id"] == "sub-02"].iloc[0]
    assert Path(alone["CT1"]).name == "sub-02_T1ce.nii.gz"
    assert Path(alone["T2"]).name == "sub-02_run-1_T2w.nii.gz"
    assert alone["T1"] == ""


def test_declared_sequences_become_channels(shared_tree: Path) -> None:
    sessions, _ = read_bids(shared_tree, sequences={"ADC": "dwi/*_ADC", "PD": "*_PDw"})
    assert sequence_columns(sessions) == ("T1", "CT1", "T2", "FLAIR", "ADC", "PD")
    assert sessions["ADC"].astype(bool).tolist() == [False, False, True, *[False] * 4]
    with pytest.raises(ManifestError, match=r"'\*_T1w' for sequence X fits .*gadolinium_T1w"):
        read_bids(shared_tree, sequences={"X": "*_T1w"})
    with pytest.raises(ConfigError, match="'brain_mask'"):
        read_bids(shared_tree, sequences={"brain_mask": "*_PDw"})


def test_clinical_columns(shared_tree: Path) -> None:
    sessions, _ = read_bids(shared_tree)
    first = sessions.iloc[0]
    assert first[["age", "sex", "mgmt", "mgmt_percent"]].tolist() == [61.0, "M", "methylated", 12.5]
    alone = sessions[sessions["patient_id"] == "sub-02"].iloc[0]
    assert alone[["sex", "mgmt"]].tolist() == ["", ""]
    assert sessions["age"].isna().tolist() == [False] * 4 + [True] * 2 + [False]


def test_masks(shared_tree: Path) -> None:
    sessions, segmentations = read_bids(shared_tree)
    row = sessions[sessions["session_id"] == "ses-9"].iloc[0]
    assert Path(row["brain_mask"]).name == "sub-01_ses-9_space-T1w_desc-brain_mask.nii.gz"
    assert row["brain_mask_sequence"] == "T1"
    assert segmentations[["source", "scheme", "space", "sequence"]].to_numpy().tolist() == [
        ["hand-lesion", "binary", "native", ""],
        ["net-FLAIR", "2=oedema;5=enhancing", "native", "FLAIR"],
    ]
    volumes = measure_volumes(segmentations)
    assert volumes[["region", "ml"]].to_numpy().tolist() == [
        ["whole", pytest.approx(7 * VOXEL_ML)],
        ["enhancing", pytest.approx(10 * VOXEL_ML)],
        ["whole", pytest.approx(40 * VOXEL_ML)],
    ]
    _, every = read_bids(shared_tree, space="atlas", scheme="brats2021")
    assert every["source"].tolist() == ["hand-lesion", "net-FLAIR", "net-MNI152"]
    assert every["scheme"].tolist() == ["binary", "brats2021", "brats2021"]


def test_labels_of_unknown_meaning(tree: Path) -> None:
    table = tree / "derivatives" / "net" / "dseg.tsv"
    table.write_text("index\tname\n2\tthalamus\n", encoding="utf-8")
    with pytest.raises(ManifestError, match=r"dseg\.tsv, line 2: name is 'thalamus'"):
        read_bids(tree)
    table.write_text("index\tname\n2\tedema\n2\tcavity\n", encoding="utf-8")
    with pytest.raises(LabelSchemeError, match="label 2 twice"):
        read_bids(tree)
    table.unlink()
    with pytest.raises(ManifestError, match=r"FLAIR_dseg\.nii\.gz: what its labels mean"):
        read_bids(tree)
    with pytest.raises(UnknownNameError, match="brats"):
        read_bids(tree, scheme="brats")


def test_two_brain_masks(tree: Path) -> None:
    made = tree / "derivatives" / "bet" / "sub-01" / "ses-9" / "anat"
    mask = write_labels(made / "sub-01_ses-9_desc-brain_mask.nii.gz", {1: 90})
    write_image(made / "sub-01_ses-9_T1w.nii.gz")
    with pytest.raises(ManifestError, match="several brain masks"):
        read_bids(tree)
    sessions, _ = read_bids(tree, derivative="bet")
    row = sessions[sessions["session_id"] == "ses-9"].iloc[0]
    assert (row["brain_mask"], row["T1"]) == (str(mask), str(made / "sub-01_ses-9_T1w.nii.gz"))
    assert row["FLAIR"] == ""
    with pytest.raises(ManifestError, match="found derivatives: bet, hand, net"):
        read_bids(tree, derivative="fsl")


@pytest.mark.parametrize("place", ["above", "at", "below"])
def test_roots(shared_tree: Path, place: str) -> None:
    root = {"above": shared_tree.parent, "at": shared_tree, "below": shared_tree / "sub-01"}[place]
    sessions, segmentations = read_bids(root)
    assert sessions["patient_id"].nunique() == (1 if place == "below" else 4)
    assert len(segmentations) == 2
    assert sessions["age"].iloc[0] == 61


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("2019-09-17", "in autumn", "line 4: acq_time is 'in autumn'"),
        ("PD", "worse", "line 4: unknown rating 'worse'"),
        ("ses-9", "10", "line 4: ses-10 stands there a second time"),
    ],
)
def test_broken_sessions_tables(tree: Path, old: str, new: str, complaint: str) -> None:
    path = tree / "sub-01" / "sub-01_sessions.tsv"
    path.write_text(SESSIONS.replace(old, new), encoding="utf-8")
    with pytest.raises(ManifestError, match=complaint) as caught:
        read_bids(tree)
    assert str(caught.value).startswith(str(path))


def test_without_tables_time_is_ordinal_and_numbers_sort_as_numbers(tree: Path) -> None:
    (tree / "sub-01" / "sub-01_sessions.tsv").unlink()
    (tree / "participants.tsv").unlink()
    sessions, _ = read_bids(tree / "sub-01")
    assert sessions["session_id"].tolist() == ["ses-9", "ses-10", "ses-pre"]
    assert sessions["week"].tolist() == [0, 1, 2]
    assert set(sessions["time_unit"]) == {"ordinal"}


def test_from_tree_to_pairs(shared_tree: Path) -> None:
    sessions, _ = read_bids(shared_tree)
    pairs, exclusions = build_pairs(sessions, reference="previous", unrated="include")
    assert pairs[["pair_id", "response", "spans_surgery"]].to_numpy().tolist() == [
        ["sub-01_ses-pre_ses-10", "SD", True],
        ["sub-01_ses-10_ses-9", "PD", False],
    ]
    assert len(pairs) + len(exclusions) == len(sessions)
