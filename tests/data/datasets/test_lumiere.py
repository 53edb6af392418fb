from __future__ import annotations

import csv
import shutil
from pathlib import Path

import pandas as pd
import pytest
from lumiere_tree import (
    NO_CT1,
    RATING_HEADER,
    RATINGS,
    RAW_ONLY,
    SESSIONS,
    write_csv,
    write_session,
    write_tree,
)

from xrano.channels import KNOWN_SEQUENCES
from xrano.data.datasets.lumiere import read_lumiere, read_session_directory
from xrano.data.datasets.lumiere_layout import find_imaging
from xrano.data.volumes import read_labels, read_scan, require_on_grid
from xrano.errors import ManifestError, UnknownNameError, VolumeError

RATING_FILE = "LUMIERE-ExpertRating-v202211.csv"


@pytest.fixture(scope="module")
def shared_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tree(tmp_path_factory.mktemp("lumiere"))


@pytest.fixture
def tree(shared_tree: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(shared_tree, tmp_path / "copy"))


def _row(sessions: pd.DataFrame, patient: str, session: str) -> pd.Series:
    found = sessions[(sessions["patient_id"] == patient) & (sessions["session_id"] == session)]
    assert len(found) == 1
    return found.iloc[0]


def _replace_ratings(tree: Path, rows: list[tuple[str, ...]]) -> None:
    write_csv(tree / RATING_FILE, RATING_HEADER, rows)


class TestSessions:
    def test_every_session_of_tree_and_tables_is_there_once(self, shared_tree: Path) -> None:
        sessions, _ = read_lumiere(shared_tree)
        keys = list(zip(sessions["patient_id"], sessions["session_id"], strict=True))
        on_disk = {(patient, name) for patient, names in SESSIONS.items() for name in names}
        absent = {
            ("Patient-004", "week-010"),
            ("Patient-004", "week-030"),
            ("Patient-006", "week-020"),
            ("Patient-006", "week-050"),
            ("Patient-007", "week-001"),
        }
        assert len(keys) == len(set(keys)) == 29
        assert set(keys) == on_disk | absent
        marked = sessions["exclude_reason"] == "no_images"
        assert {key for key, gone in zip(keys, marked, strict=True) if gone} == absent
        assert not sessions[marked][[*KNOWN_SEQUENCES, "brain_mask"]].any(axis=None)

    def test_suffixes_order_the_scans_of_a_week(self, shared_tree: Path) -> None:
        sessions, _ = read_lumiere(shared_tree)
        course = sessions[sessions["patient_id"] == "Patient-005"]
        assert list(course["session_id"]) == list(SESSIONS["Patient-005"])
        assert list(course["order"]) == [0, 1, 2, 3, 4]
        assert list(course["week"]) == [0, 0, 9, 40, 40]
        assert list(course["days"]) == [0, 0, 63, 280, 280]

    def test_a_tenth_scan_of_a_week_comes_after_the_second(self, tree: Path) -> None:
        write_session(tree / "Imaging" / "Patient-001" / "week-000-10")
        sessions, _ = read_lumiere(tree / "Imaging" / "Patient-001")
        assert list(sessions["session_id"])[:3] == ["week-000-1", "week-000-2", "week-000-10"]

    def test_missing_images_leave_empty_cells(self, shared_tree: Path) -> None:
        sessions, segmentations = read_lumiere(shared_tree)
        raw_only, no_ct1 = _row(sessions, *RAW_ONLY), _row(sessions, *NO_CT1)
        assert [raw_only[name] for name in KNOWN_SEQUENCES] == ["", "", "", ""]
        assert raw_only["rating"] == "PR"
        assert raw_only["exclude_reason"] == ""
        assert [bool(no_ct1[name]) for name in KNOWN_SEQUENCES] == [True, False, True, True]
        labelled = set(zip(segmentations["patient_id"], segmentations["session_id"], strict=True))
        assert RAW_ONLY not in labelled
        assert NO_CT1 in labelled
        # 24 sessions on disk, one of them raw only, two segmentations each
        assert len(segmentations) == 2 * 23

    def test_paths_lead_to_the_files_they_name(self, shared_tree: Path) -> None:
        sessions, segmentations = read_lumiere(shared_tree)
        row = _row(sessions, "Patient-001", "week-012")
        scan = read_scan(row["FLAIR"])
        assert scan.path.parts[-6:] == (
            *("Patient-001", "week-012", "DeepBraTumIA-segmentation", "atlas", "skull_strip"),
            "flair_skull_strip.nii.gz",
        )
        mine = segmentations[
            (segmentations["patient_id"] == "Patient-001")
            & (segmentations["session_id"] == "week-012")
        ]
        assert mine[["source", "scheme", "space"]].to_numpy().tolist() == [
            ["deepbratumia", "lumiere-deepbratumia", "atlas"],
            ["hdglio", "lumiere-hdglio", "session"],
        ]
        require_on_grid(read_labels(mine["path"].iloc[0], "lumiere-deepbratumia"), scan)

    def test_ratings_and_roles(self, shared_tree: Path) -> None:
        sessions, _ = read_lumiere(shared_tree)
        blank = _row(sessions, "Patient-001", "week-000-2")
        assert (blank["role"], blank["rating"], blank["rating_raw"]) == ("postop", "", "Post-Op ")
        none = _row(sessions, "Patient-002", "week-020")
        assert (none["role"], none["rating"], none["rating_raw"]) == ("unknown", "", "None")
        early = _row(sessions, "Patient-003", "week-004")
        assert (early["rating"], early["exclude_reason"]) == ("PD", "less_than_3_months")
        no_timepoint = _row(sessions, "Patient-005", "week-009")
        assert no_timepoint["exclude_reason"] == "not_a_rano_timepoint"
        unrated = _row(sessions, "Patient-003", "week-000")
        assert (unrated["role"], unrated["rating_source"]) == ("unknown", "")

    @pytest.mark.parametrize(
        ("rating", "flag", "rationale", "reason"),
        [
            ("PD", "", "less than 3 months", "less_than_3_months"),
            ("PD", "", "< 3 Months after RT", "less_than_3_months"),
            ("PD", "x", "Not a timepoint for RANO measurement", "less_than_3_months"),
            ("None", "", "not a time point for RANO", "not_a_rano_timepoint"),
            ("PD", "", "3 months later, new L.", ""),
            # an operation is reason enough
            ("Post-Op", "x", "less than 3 months", ""),
        ],
    )
    def test_reasons_that_the_rater_gives(
        self, tree: Path, rating: str, flag: str, rationale: str, reason: str
    ) -> None:
        _replace_ratings(tree, [("Patient-001", "week-012", flag, "", rating, rationale)])
        assert _row(read_lumiere(tree)[0], "Patient-001", "week-012")["exclude_reason"] == reason

    def test_a_rating_without_suffix_goes_to_the_only_unrated_scan(self, shared_tree: Path) -> None:
        sessions, _ = read_lumiere(shared_tree)
        matched = _row(sessions, "Patient-005", "week-000-2")
        assert (matched["role"], matched["rating_match"]) == ("postop", "suffix")
        assert _row(sessions, "Patient-005", "week-000-1")["rating_match"] == "name"
        for name in ("week-020-1", "week-020-2"):
            assert _row(sessions, "Patient-006", name)["rating_match"] == ""

    def test_clinical_columns(self, shared_tree: Path) -> None:
        sessions, _ = read_lumiere(shared_tree)
        first = _row(sessions, "Patient-001", "week-024")
        assert (first["age"], first["sex"], first["idh"], first["mgmt"]) == (
            *(63.0, "female", "WT", "methylated"),
        )
        second = _row(sessions, "Patient-002", "week-010")
        assert pd.isna(second["survival_weeks"])
        assert pd.isna(second["age"])
        assert (second["mgmt"], second["idh"]) == ("", "IDH1 neg, Sequencing required")
        words = [name for name in sessions if sessions[name].dtype.kind not in "biuf"]
        assert "idh" in words
        assert not sessions[words].isna().any(axis=None)


class TestDuplicates:
    @pytest.mark.parametrize(
        ("policy", "rating", "reason"),
        [("exclude", "", "duplicate_rating"), ("last", "PD", ""), ("first", "SD", "")],
    )
    def test_policies(self, shared_tree: Path, policy: str, rating: str, reason: str) -> None:
        sessions, _ = read_lumiere(shared_tree, duplicates=policy)
        row = _row(sessions, "Patient-003", "week-008")
        assert (row["rating"], row["exclude_reason"]) == (rating, reason)
        equal = _row(sessions, "Patient-005", "week-040-1")
        assert (equal["rating"], equal["exclude_reason"]) == ("SD", "")

    def test_an_operation_in_one_of_two_ratings_is_not_forgotten(self, tree: Path) -> None:
        _replace_ratings(tree, [*RATINGS, ("Patient-001", "week-012", "", "", "Post-Op", "")])
        row = _row(read_lumiere(tree)[0], "Patient-001", "week-012")
        assert (row["role"], row["exclude_reason"]) == ("postop", "duplicate_rating")
        assert row["rating_raw"] == "SD | Post-Op"

    def test_a_blank_rating_contradicts_nothing(self, tree: Path) -> None:
        _replace_ratings(tree, [*RATINGS, ("Patient-001", "week-012", "", "", "", "")])
        row = _row(read_lumiere(tree)[0], "Patient-001", "week-012")
        assert (row["rating"], row["exclude_reason"]) == ("SD", "")


class TestPlaces:
    def test_root_may_lie_at_or_above_imaging(self, tree: Path) -> None:
        expected, _ = read_lumiere(tree)
        for root in (tree / "Imaging", tree.parent):
            pd.testing.assert_frame_equal(read_lumiere(root)[0], expected)

    def test_versioned_folder_and_plain_nifti(self, tmp_path: Path) -> None:
        written = write_tree(tmp_path / "a", suffix=".nii")
        (tmp_path / "b").mkdir()
        (written / "Imaging").rename(tmp_path / "b" / "Imaging")
        sessions, segmentations = read_lumiere(_move_csvs(written, tmp_path))
        assert len(sessions) == 29
        assert set(segmentations["path"].str[-4:]) == {".nii"}

    def test_one_patient_is_a_cohort_of_one(self, shared_tree: Path) -> None:
        sessions, _ = read_lumiere(shared_tree / "Imaging" / "Patient-006")
        assert list(sessions["session_id"]) == [
            *("week-005", "week-020", "week-020-1", "week-020-2", "week-050"),
        ]
        assert set(sessions["patient_id"]) == {"Patient-006"}

    def test_only_the_ratings_are_needed(self, tree: Path) -> None:
        (tree / "LUMIERE-Demographics_Pathology.csv").unlink()
        (tree / "LUMIERE-datacompleteness.csv").unlink()
        sessions, _ = read_lumiere(tree)
        assert len(sessions) == 28
        assert sessions["age"].isna().all()
        assert (sessions["sex"] == "").all()

    def test_two_cohorts_are_ambiguous(self, tree: Path) -> None:
        (tree / "Imaging-copy" / "Patient-001" / "week-000").mkdir(parents=True)
        with pytest.raises(ManifestError, match=r"several cohorts .*Imaging-copy"):
            find_imaging(tree)

    def test_a_session_without_any_image_is_no_session(self, tree: Path) -> None:
        shutil.rmtree(tree / "Imaging" / "Patient-001" / "week-012")
        (tree / "Imaging" / "Patient-001" / "week-012").mkdir()
        row = _row(read_lumiere(tree)[0], "Patient-001", "week-012")
        assert row["exclude_reason"] == "no_images"


def _move_csvs(source: Path, target: Path) -> Path:
    for path in source.glob("*.csv"):
        path.rename(target / path.name)
    return target


class TestHeaders:
    def test_names_that_copies_use(self, tree: Path) -> None:
        (tree / RATING_FILE).unlink()
        header = ("Patient", "Timepoint", "LessThan3Months", "N", "RANO", "RatingRationale")
        expected, _ = read_lumiere(write_tree(tree.parent / "other"))
        write_csv(tree / "ratings.csv", header, RATINGS)
        sessions, _ = read_lumiere(tree)
        columns = ["patient_id", "session_id", "rating", "exclude_reason", "role"]
        pd.testing.assert_frame_equal(sessions[columns], expected[columns])

    def test_rationale_is_not_taken_for_the_rating(self, tree: Path) -> None:
        order = (0, 1, 2, 3, 5, 4)
        rows = [tuple(row[index] for index in order) for row in RATINGS]
        write_csv(tree / RATING_FILE, [RATING_HEADER[index] for index in order], rows)
        assert _row(read_lumiere(tree)[0], "Patient-001", "week-024")["rating"] == "PD"


class TestBadInput:
    def test_unknown_rating_names_file_line_and_value(self, tree: Path) -> None:
        rows = [("Patient-001", "week-012", "", "", "SDD", ""), *RATINGS]
        _replace_ratings(tree, rows)
        with pytest.raises(ManifestError, match=rf"{RATING_FILE}, line 2: .*'SDD'.*CR, None, PD"):
            read_lumiere(tree)

    def test_missing_column_lists_those_found(self, tree: Path) -> None:
        write_csv(tree / RATING_FILE, ("Patient", "Date", "Verdict"), [])
        with pytest.raises(ManifestError, match=r"lacks a column rating .*Patient; Date; Verdict"):
            read_lumiere(tree)

    @pytest.mark.parametrize("name", ["", "week-1", "month-003"])
    def test_session_name(self, tree: Path, name: str) -> None:
        _replace_ratings(tree, [("Patient-001", name, "", "", "SD", "")])
        with pytest.raises(ManifestError, match=rf"line 2: session name '{name}'"):
            read_lumiere(tree)

    def test_open_quote(self, tree: Path) -> None:
        path = tree / RATING_FILE
        text = path.read_bytes().decode("utf-8-sig").replace(",CRET\r\n", ',"CRET\r\n', 1)
        path.write_bytes(text.encode())
        assert len(list(csv.reader(text.splitlines(keepends=True)))) < len(RATINGS)
        with pytest.raises(ManifestError, match="quote"):
            read_lumiere(tree)

    def test_not_utf8(self, tree: Path) -> None:
        (tree / RATING_FILE).write_bytes(b"Patient,Date\nJos\xe9,week-000\n")
        with pytest.raises(ManifestError, match=rf"{RATING_FILE} is no readable CSV"):
            read_lumiere(tree)

    def test_no_ratings(self, tree: Path) -> None:
        (tree / RATING_FILE).unlink()
        with pytest.raises(ManifestError, match="no table of ratings"):
            read_lumiere(tree)

    def test_two_rating_files(self, tree: Path) -> None:
        shutil.copy(tree / RATING_FILE, tree / "LUMIERE-ExpertRating-v202304.csv")
        with pytest.raises(ManifestError, match=r"v202211\.csv, .*v202304\.csv"):
            read_lumiere(tree)

    def test_no_tree(self, tmp_path: Path) -> None:
        with pytest.raises(ManifestError, match="holds no LUMIERE tree"):
            read_lumiere(tmp_path)
        with pytest.raises(ManifestError, match="is no folder"):
            read_lumiere(tmp_path / "absent")

    def test_folder_that_is_nearly_a_session(self, tree: Path) -> None:
        (tree / "Imaging" / "Patient-001" / "week-12").mkdir()
        with pytest.raises(ManifestError, match="Patient-001/week-12"):
            read_lumiere(tree)

    def test_demographics(self, tree: Path) -> None:
        path = tree / "LUMIERE-Demographics_Pathology.csv"
        path.write_text(path.read_text(encoding="utf-8-sig").replace("72", "long"))
        with pytest.raises(ManifestError, match=r"line 2: survival_weeks is 'long'"):
            read_lumiere(tree)

    def test_unknown_names(self, shared_tree: Path) -> None:
        with pytest.raises(UnknownNameError, match="choose from: atlas"):
            read_lumiere(shared_tree, image_source="nativ")
        with pytest.raises(UnknownNameError, match="exclude, first, last"):
            read_lumiere(shared_tree, duplicates="both")


class TestSessionDirectory:
    def test_lumiere_session(self, shared_tree: Path) -> None:
        files = read_session_directory(shared_tree / "Imaging" / "Patient-001" / "week-012")
        assert tuple(files["sequences"]) == KNOWN_SEQUENCES
        assert files["sequences"]["CT1"].endswith("atlas/skull_strip/ct1_skull_strip.nii.gz")
        assert files["brain_mask"].endswith("brain_mask.nii.gz")
        assert files["segmentation"].endswith("atlas/segmentation/seg_mask.nii.gz")
        assert (files["scheme"], files["space"]) == ("lumiere-deepbratumia", "atlas")

    def test_flat_folder(self, tmp_path: Path) -> None:
        write_session(tmp_path, atlas=False, ct1=False, suffix=".nii")
        files = read_session_directory(tmp_path)
        assert tuple(files["sequences"]) == ("T1", "T2", "FLAIR")
        assert (files["brain_mask"], files["segmentation"], files["scheme"]) == ("", "", "")
        shutil.copy(tmp_path / "T1.nii", tmp_path / "segmentation.nii")
        assert read_session_directory(tmp_path)["scheme"] == "binary"
        assert read_session_directory(tmp_path, scheme="lumiere-hdglio")["scheme"] == (
            "lumiere-hdglio"
        )

    def test_bad_folders(self, tmp_path: Path) -> None:
        (tmp_path / "t1.nii.gz").touch()
        with pytest.raises(VolumeError, match=r"at least one of T1\.nii\.gz.*found t1\.nii\.gz"):
            read_session_directory(tmp_path)
        with pytest.raises(VolumeError, match="is no folder"):
            read_session_directory(tmp_path / "absent")
        with pytest.raises(UnknownNameError, match="label scheme"):
            read_session_directory(tmp_path, scheme="brats")
