"""Which files are images and segmentations, source by source; files are empty here."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from lumiere_tree import RATING_HEADER, write_csv

from xrano.channels import KNOWN_SEQUENCES
from xrano.data.datasets.listed_folder import ListedFolder
from xrano.data.datasets.lumiere import read_lumiere, read_session_directory
from xrano.data.datasets.lumiere_measures import lumiere_native_masks
from xrano.data.datasets.lumiere_sources import registered_images
from xrano.data.index import index_cohort
from xrano.data.tables import read_segmentations, read_sessions
from xrano.errors import UnknownNameError

BRAIN, GLIO = "DeepBraTumIA-segmentation", "HD-GLIO-AUTO-segmentation"
WORLDS = ("CT1", "T1", "FLAIR", "T2")


def touch(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / f"{name}.nii.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def touch_session(folder: Path) -> None:
    """All images and masks of a complete session."""
    touch(folder, f"{GLIO}/registered/segmentation", f"{BRAIN}/atlas/segmentation/seg_mask")
    touch(folder, f"{BRAIN}/atlas/skull_strip/brain_mask")
    for name in KNOWN_SEQUENCES:
        low = name.lower()
        touch(folder, name, f"{BRAIN}/atlas/skull_strip/{low}_skull_strip")
        touch(folder, f"{BRAIN}/native/segmentation/{low}_seg_mask")
        touch(folder, f"{BRAIN}/native/skull_strip/{low}_brain_mask")
        touch(folder, f"{GLIO}/native/segmentation_{name}_origspace")
        touch(folder, f"{GLIO}/registered/{name}_r2s_bet", f"{GLIO}/registered/{name}_r2s_bet_reg")


def remove(folder: Path, *names: str) -> None:
    for name in names:
        (folder / f"{name}.nii.gz").unlink()


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for session in ("week-000", "week-010"):
        touch_session(tmp_path / "Imaging" / "Patient-001" / session)
    rows = [("Patient-001", "week-000", "", "", "Post-Op", "")]
    rows.append(("Patient-001", "week-010", "", "", "PD", ""))
    write_csv(tmp_path / "LUMIERE-ExpertRating-v202211.csv", RATING_HEADER, rows)
    return tmp_path


def first(tree: Path, source: str) -> tuple[pd.Series, list[list[str]]]:
    """The first session's row and its segmentations, paths from the session's folder."""
    sessions, segmentations = read_lumiere(tree, image_source=source)
    mine = segmentations[segmentations["session_id"] == "week-000"].copy()
    folder = tree / "Imaging" / "Patient-001" / "week-000"
    mine["path"] = [Path(path).relative_to(folder).as_posix() for path in mine["path"]]
    return sessions.iloc[0], mine[
        ["source", "scheme", "path", "space", "sequence"]
    ].to_numpy().tolist()


def folder(tree: Path) -> Path:
    return tree / "Imaging" / "Patient-001" / "week-000"


def test_atlas(tree: Path) -> None:
    row, segmentations = first(tree, "atlas")
    assert row["space"] == "atlas"
    assert row["CT1"] == str(folder(tree) / BRAIN / "atlas/skull_strip/ct1_skull_strip.nii.gz")
    assert row["brain_mask"].endswith("atlas/skull_strip/brain_mask.nii.gz")
    assert row["brain_mask_sequence"] == ""
    assert segmentations == [
        [
            *("deepbratumia", "lumiere-deepbratumia"),
            *(f"{BRAIN}/atlas/segmentation/seg_mask.nii.gz", "atlas", ""),
        ],
        ["hdglio", "lumiere-hdglio", f"{GLIO}/registered/segmentation.nii.gz", "session", ""],
    ]


def test_hdglio(tree: Path) -> None:
    row, segmentations = first(tree, "hdglio")
    assert row["space"] == "session"
    for name in KNOWN_SEQUENCES:
        assert row[name] == str(folder(tree) / GLIO / f"registered/{name}_r2s_bet_reg.nii.gz")
    assert (row["brain_mask"], row["brain_mask_sequence"]) == ("", "")
    assert segmentations == [
        ["hdglio", "lumiere-hdglio", f"{GLIO}/registered/segmentation.nii.gz", "session", ""],
    ]


def test_hdglio_where_the_finest_scan_was_left_where_it_was(tree: Path) -> None:
    remove(folder(tree), f"{GLIO}/registered/T2_r2s_bet_reg")
    row, segmentations = first(tree, "hdglio")
    assert row["T2"].endswith("registered/T2_r2s_bet.nii.gz")
    assert row["T1"].endswith("registered/T1_r2s_bet_reg.nii.gz")
    # its raw grid is the session's, so the other tool's mask on it can be used
    assert segmentations[0] == [
        *("deepbratumia", "lumiere-deepbratumia"),
        *(f"{BRAIN}/native/segmentation/t2_seg_mask.nii.gz", "session", ""),
    ]
    assert len(segmentations) == 2


def test_hdglio_scans_that_share_no_grid_are_left_out(tree: Path) -> None:
    remove(folder(tree), f"{GLIO}/registered/T2_r2s_bet_reg", f"{GLIO}/registered/T1_r2s_bet_reg")
    images, finest = registered_images(ListedFolder(folder(tree)))
    assert [name for name in KNOWN_SEQUENCES if images[name]] == ["CT1", "FLAIR"]
    assert finest == ""
    notes = read_lumiere(tree, image_source="hdglio")[0].attrs["notes"]
    assert notes == [
        "DeepBraTumIA's mask is left out of 2 sessions: which raw grid HD-GLIO registered them to "
        "is not told by names",
        "scans without a registered file are left out: Patient-001 week-000 T1, T2",
    ]
    assert read_lumiere(tree)[0].attrs["notes"] == []


def test_native(tree: Path) -> None:
    row, segmentations = first(tree, "native")
    assert row["space"] == "native"
    assert row["FLAIR"] == str(folder(tree) / "FLAIR.nii.gz")
    assert row["brain_mask"].endswith(f"{BRAIN}/native/skull_strip/ct1_brain_mask.nii.gz")
    assert row["brain_mask_sequence"] == "CT1"
    assert segmentations == [
        [
            *("deepbratumia", "lumiere-deepbratumia"),
            *(f"{BRAIN}/native/segmentation/ct1_seg_mask.nii.gz", "native", "CT1"),
        ],
        [
            *("hdglio", "lumiere-hdglio"),
            *(f"{GLIO}/native/segmentation_CT1_origspace.nii.gz", "native", "CT1"),
        ],
    ]


@pytest.mark.parametrize("count", [1, 2, 3])
def test_native_masks_are_of_the_first_scan_that_has_one(tree: Path, count: int) -> None:
    for name in WORLDS[:count]:
        remove(folder(tree), name)
    row, segmentations = first(tree, "native")
    expected = WORLDS[count]
    assert row["brain_mask_sequence"] == expected
    assert row["brain_mask"].endswith(f"{expected.lower()}_brain_mask.nii.gz")
    assert [item[-1] for item in segmentations] == [expected, expected]


def test_native_masks_are_chosen_tool_by_tool(tree: Path) -> None:
    remove(folder(tree), f"{BRAIN}/native/segmentation/ct1_seg_mask")
    remove(folder(tree), f"{BRAIN}/native/skull_strip/ct1_brain_mask")
    row, segmentations = first(tree, "native")
    assert row["brain_mask_sequence"] == "T1"
    assert [item[-1] for item in segmentations] == ["T1", "CT1"]
    shared = lumiere_native_masks(tree)["Patient-001", "week-000"]
    assert [Path(path).name for path in shared] == [
        *("t1_seg_mask.nii.gz", "segmentation_T1_origspace.nii.gz"),
    ]


def test_a_session_that_no_tool_has_seen(tree: Path) -> None:
    bare = tree / "Imaging" / "Patient-001" / "week-020"
    touch(bare, "T1")
    for source, images in (("atlas", []), ("hdglio", []), ("native", ["T1"])):
        sessions, segmentations = read_lumiere(tree, image_source=source)
        row = sessions.iloc[2]
        assert [name for name in KNOWN_SEQUENCES if row[name]] == images
        assert (row["brain_mask"], row["exclude_reason"]) == ("", "")
        assert "week-020" not in set(segmentations["session_id"])
    assert ("Patient-001", "week-020") not in lumiere_native_masks(tree)


@pytest.mark.parametrize("source", ["atlas", "hdglio", "native"])
def test_tables_of_every_source_can_be_read_back(tree: Path, tmp_path: Path, source: str) -> None:
    out = tmp_path / source
    index_cohort(tree, out, image_source=source)
    sessions, segmentations = read_lumiere(tree, image_source=source)
    read = read_sessions(out / "sessions.csv")
    assert list(read["brain_mask_sequence"]) == list(sessions["brain_mask_sequence"])
    assert list(read["T2"]) == list(sessions["T2"])
    columns = ["source", "space", "sequence", "path"]
    pd.testing.assert_frame_equal(
        read_segmentations(out / "segmentations.csv")[columns], segmentations[columns]
    )


@pytest.mark.parametrize(
    ("space", "brain", "sequence", "labels"),
    [
        ("", "brain_mask.nii.gz", "", "seg_mask.nii.gz"),
        ("atlas", "brain_mask.nii.gz", "", "seg_mask.nii.gz"),
        ("session", "", "", "segmentation.nii.gz"),
        ("native", "ct1_brain_mask.nii.gz", "CT1", "ct1_seg_mask.nii.gz"),
    ],
)
def test_one_session_alone(tree: Path, space: str, brain: str, sequence: str, labels: str) -> None:
    files = read_session_directory(folder(tree), space=space)
    assert tuple(files["sequences"]) == KNOWN_SEQUENCES
    assert files["space"] == (space or "atlas")
    assert Path(files["brain_mask"]).name == brain
    assert files["brain_mask_sequence"] == files["segmentation_sequence"] == sequence
    assert Path(files["segmentation"]).name == labels
    expected = "lumiere-hdglio" if space == "session" else "lumiere-deepbratumia"
    assert files["scheme"] == expected


def test_a_flat_folder_lies_in_the_space_that_is_told(tmp_path: Path) -> None:
    touch(tmp_path, "T1", "brain_mask", "segmentation")
    for space in ("atlas", "session", "native"):
        files = read_session_directory(tmp_path, space=space, scheme="binary")
        assert (files["space"], files["scheme"]) == (space, "binary")
        assert files["brain_mask"] == str(tmp_path / "brain_mask.nii.gz")
    with pytest.raises(UnknownNameError, match="choose from: atlas, native, session"):
        read_session_directory(tmp_path, space="mni")
