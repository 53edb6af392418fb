"""What real copies hold beside what they should; each quirk has a test of its own."""

from __future__ import annotations

import gzip
import math
import shutil
from pathlib import Path

import pandas as pd
import pytest
from lumiere_tree import RATING_HEADER, RATINGS, write_csv, write_session, write_tree

from xrano.data.datasets.lumiere import read_lumiere
from xrano.data.datasets.lumiere_measures import lumiere_volumes
from xrano.data.pairing.pairs import build_pairs
from xrano.errors import ManifestError

RATING_FILE = "LUMIERE-ExpertRating-v202211.csv"
DEMOGRAPHICS_FILE = "LUMIERE-Demographics_Pathology.csv"


@pytest.fixture(scope="module")
def shared_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tree(tmp_path_factory.mktemp("quirks"))


@pytest.fixture
def tree(shared_tree: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(shared_tree, tmp_path / "copy"))


def _patient(sessions: pd.DataFrame, name: str) -> pd.DataFrame:
    return sessions[sessions["patient_id"] == name].set_index("session_id")


class TestDates:
    @pytest.fixture
    def shifted(self, tree: Path) -> Path:
        """Patient-001 is rated six weeks later than it was scanned, as LUMIERE's Patient-025."""
        names = ("week-006", "week-008", "week-018", "week-030", "week-045", "week-060")
        rows = [("Patient-001", name, "", "", "PD", "") for name in names]
        others = [row for row in RATINGS if row[0] != "Patient-001"]
        write_csv(tree / RATING_FILE, RATING_HEADER, [*rows, *others])
        return tree

    def test_disjoint_dates_are_reported_and_not_guessed(self, shifted: Path) -> None:
        sessions, _ = read_lumiere(shifted)
        mine = _patient(sessions, "Patient-001")
        assert len(mine) == 10
        assert set(mine["exclude_reason"]) == {"disjoint_dates"}
        assert set(mine["exclude_detail"]) == {
            "rated week-006, week-008, week-018, week-030 and 2 more; images week-000-1, "
            "week-000-2, week-012, week-024"
        }
        assert mine.loc["week-012", "rating"] == ""
        assert mine.loc["week-012", "T1"] != ""
        assert mine.loc["week-006", "T1"] == ""
        note = "Patient-001: rated and imaged weeks have nothing in common, so it is left out"
        assert any(text.startswith(note) for text in sessions.attrs["notes"])
        assert "disjoint_dates" not in set(_patient(sessions, "Patient-002")["exclude_reason"])

    def test_a_disjoint_patient_yields_no_pair(self, shifted: Path) -> None:
        for unrated in ("exclude", "include"):
            pairs, excluded = build_pairs(read_lumiere(shifted)[0], unrated=unrated)
            assert "Patient-001" not in set(pairs["patient_id"])
            mine = excluded[excluded["patient_id"] == "Patient-001"]
            assert set(mine["reason"]) == {"disjoint_dates"}
            assert mine["detail"].str.startswith("rated week-006").all()

    def test_one_date_in_common_is_enough(self, tree: Path) -> None:
        rows = [("Patient-001", "week-012", "", "", "SD", "")]
        rows.append(("Patient-001", "week-099", "", "", "PD", ""))
        write_csv(tree / RATING_FILE, RATING_HEADER, rows)
        mine = _patient(read_lumiere(tree)[0], "Patient-001")
        assert "disjoint_dates" not in set(mine["exclude_reason"])
        assert mine.loc["week-099", "exclude_reason"] == "no_images"

    def test_two_scans_in_the_rated_week_are_ambiguous_but_not_disjoint(self, tree: Path) -> None:
        rows = [("Patient-006", "week-020", "", "", "SD", "")]
        write_csv(tree / RATING_FILE, RATING_HEADER, rows)
        mine = _patient(read_lumiere(tree)[0], "Patient-006")
        assert mine.loc["week-020", "exclude_reason"] == "no_images"
        assert list(mine.loc[["week-020-1", "week-020-2"], "exclude_reason"]) == ["", ""]

    def test_ratings_joined_by_their_week_are_told(self, shared_tree: Path) -> None:
        assert read_lumiere(shared_tree)[0].attrs["notes"] == [
            "1 ratings without a suffix went to the only unrated scan of their week: Patient-005 "
            "week-000-2"
        ]

    def test_weeks_since_the_first_scan(self, tree: Path) -> None:
        shutil.rmtree(tree / "Imaging" / "Patient-004" / "week-000")
        sessions, _ = read_lumiere(tree)
        # rated at week 0 and 10 without images, first scanned in week 20
        assert _patient(sessions, "Patient-004")["weeks_since_first"].to_dict() == {
            "week-000": "-20",
            "week-010": "-10",
            "week-020": "0",
            "week-030": "10",
            "week-040": "20",
        }
        assert list(_patient(sessions, "Patient-007")["weeks_since_first"]) == [""]


class TestTree:
    def test_a_patient_in_two_places(self, tree: Path) -> None:
        write_session(tree / "Imaging" / "second part" / "Patient-001" / "week-012")
        with pytest.raises(ManifestError, match=r"several cohorts .*Imaging, .*second part\)"):
            read_lumiere(tree)

    def test_two_copies_of_the_tree(self, tree: Path) -> None:
        shutil.copytree(tree / "Imaging" / "Patient-001", tree / "Imaging-v2" / "Patient-001")
        with pytest.raises(ManifestError, match="several cohorts"):
            read_lumiere(tree)

    def test_twins_that_hold_the_same_are_one_image(self, tree: Path) -> None:
        packed = tree / "Imaging/Patient-001/week-012/DeepBraTumIA-segmentation/atlas/skull_strip"
        packed = packed / "t1_skull_strip.nii.gz"
        plain = packed.with_name("t1_skull_strip.nii")
        plain.write_bytes(gzip.decompress(packed.read_bytes()))
        assert _patient(read_lumiere(tree)[0], "Patient-001").loc["week-012", "T1"] == str(packed)

    @pytest.mark.parametrize("change", ["other", "shorter", "longer", "broken"])
    def test_twins_that_differ_are_refused(self, tree: Path, change: str) -> None:
        packed = tree / "Imaging/Patient-001/week-012/DeepBraTumIA-segmentation/atlas/skull_strip"
        packed = packed / "t1_skull_strip.nii.gz"
        data = gzip.decompress(packed.read_bytes())
        if change == "broken":
            packed.write_bytes(packed.read_bytes()[:60])
        other = {"other": data[:-1] + b"\7", "shorter": data[:-1], "longer": data + b"\0"}
        packed.with_name("t1_skull_strip.nii").write_bytes(other.get(change, data))
        with pytest.raises(ManifestError, match=r"t1_skull_strip\.nii are one image by name"):
            read_lumiere(tree)

    def test_a_directory_that_is_no_session_is_told(self, tree: Path) -> None:
        patient = tree / "Imaging" / "Patient-001"
        for name in ("notes", ".ipynb_checkpoints"):
            (patient / name).mkdir()
        (patient / "week-012" / "scratch").mkdir()
        sessions, _ = read_lumiere(tree)
        assert len(_patient(sessions, "Patient-001")) == 4
        assert "1 folders are no session: Patient-001/notes" in sessions.attrs["notes"]

    def test_a_renamed_session_is_not_dropped_in_silence(self, tree: Path) -> None:
        patient = tree / "Imaging" / "Patient-001"
        (patient / "week-012").rename(patient / "follow-up")
        with pytest.raises(ManifestError, match="follow-up.*neither week-WWW nor week-WWW-K"):
            read_lumiere(tree)

    def test_empty_session_folders_are_told(self, tree: Path) -> None:
        for number in range(7):
            (tree / "Imaging" / "Patient-001" / f"week-20{number}").mkdir()
        notes = read_lumiere(tree)[0].attrs["notes"]
        assert notes[0].startswith("7 session folders hold no image: Patient-001/week-200, ")
        assert notes[0].endswith("Patient-001/week-204 and 2 more")

    def test_a_patient_in_the_table_but_not_on_disk(self, shared_tree: Path) -> None:
        sessions, _ = read_lumiere(shared_tree)
        (row,) = _patient(sessions, "Patient-007").to_dict("records")
        assert (row["rating"], row["exclude_reason"]) == ("PD", "no_images")

    def test_a_patient_on_disk_but_in_no_table(self, tree: Path) -> None:
        write_session(tree / "Imaging" / "Patient-099" / "week-000")
        write_session(tree / "Imaging" / "Patient-099" / "week-012")
        sessions, _ = read_lumiere(tree)
        mine = _patient(sessions, "Patient-099")
        assert list(mine["rating_match"]) == ["", ""]
        assert mine["age"].isna().all()
        _, excluded = build_pairs(sessions)
        reasons = excluded[excluded["patient_id"] == "Patient-099"]["reason"]
        assert list(reasons) == ["no_rating", "no_rating"]

    def test_paths_with_blanks_and_other_letters(self, tree: Path) -> None:
        moved = tree.rename(tree.parent / "Größe und Tücke")
        sessions, _ = read_lumiere(moved)
        assert Path(sessions["T1"].iloc[0]).is_file()


class TestTables:
    def test_ratings_of_one_row_each(self, tree: Path) -> None:
        rows = {
            "week-000-1": ("", "Pre-Op", ""),
            "week-000-2": ("", "Post-Op ", "CRET"),
            "week-012": ("x", "None", ""),
            "week-024": ("", "na", "None"),
        }
        write_csv(
            tree / RATING_FILE,
            RATING_HEADER,
            [("Patient-001", name, row[0], "", *row[1:]) for name, row in rows.items()],
        )
        mine = _patient(read_lumiere(tree)[0], "Patient-001")
        assert list(mine["role"]) == ["preop", "postop", "unknown", "unknown"]
        assert list(mine["rating_raw"]) == ["Pre-Op", "Post-Op ", "None", "na"]
        assert list(mine["rating"]) == ["", "", "", ""]
        assert mine.loc["week-012", "exclude_reason"] == "less_than_3_months"

    def test_clinical_columns(self, tree: Path) -> None:
        header = (
            *("Patient", "Survival time (weeks)", "Sex", "Age at surgery (years)"),
            *("IDH (WT: wild type)", "IDH method", "MGMT qualitative", "MGMT quantitative"),
        )
        rows = (
            ("Patient-001", "72", "female", "63", "wt", "BES", "methylated", "12.00%"),
            ("Patient-002", "na", "male", "na", "WT", "na", "na", "na"),
            ("Patient-003", "NA", "male", "40", "R132H mut", "IHC", "not methylated", "0.00%"),
            ("Patient-004", "9", "male", "40", "na", "IHC", "methylated", "high"),
        )
        write_csv(tree / DEMOGRAPHICS_FILE, header, rows)
        sessions, _ = read_lumiere(tree)
        people = sessions.drop_duplicates("patient_id").set_index("patient_id")
        columns = ["sex", "idh", "mgmt", "age", "survival_weeks", "mgmt_percent"]
        assert people.loc["Patient-001", columns].tolist() == [
            *("female", "WT", "methylated", 63.0, 72.0, 12.0),
        ]
        unknown = people.loc["Patient-002"]
        assert (unknown["mgmt"], unknown["idh"]) == ("", "WT")
        assert all(math.isnan(unknown[name]) for name in columns[3:])
        assert people.loc["Patient-003", columns[1:]].tolist()[:3] == [
            *("R132H mut", "not methylated", 40.0),
        ]
        assert people.loc["Patient-003", "mgmt_percent"] == 0.0
        assert math.isnan(people.loc["Patient-003", "survival_weeks"])
        assert people.loc["Patient-004", "idh"] == ""
        assert math.isnan(people.loc["Patient-004", "mgmt_percent"])
        assert (
            f"{DEMOGRAPHICS_FILE}, line 5: MGMT share 'high' is no number, left empty"
            in (sessions.attrs["notes"])
        )
        assert math.isnan(people.loc["Patient-006", "age"])

    def test_a_patient_twice_in_the_clinical_table(self, tree: Path) -> None:
        path = tree / DEMOGRAPHICS_FILE
        text = path.read_text(encoding="utf-8-sig").splitlines()
        path.write_text("\n".join([*text, text[1]]) + "\n")
        with pytest.raises(ManifestError, match="line 4: Patient-001 stands there twice"):
            read_lumiere(tree)

    @pytest.mark.parametrize(
        "name", [RATING_FILE, DEMOGRAPHICS_FILE, "LUMIERE-datacompleteness.csv"]
    )
    def test_a_table_that_is_not_utf8(self, tree: Path, name: str) -> None:
        path = tree / name
        path.write_bytes(path.read_bytes() + "Patient-008,José".encode("latin-1") + b"\n")
        with pytest.raises(ManifestError, match=rf"{name} is no readable CSV .*save it as UTF-8"):
            read_lumiere(tree)

    def test_a_missing_column_lists_those_found(self, tree: Path) -> None:
        write_csv(tree / DEMOGRAPHICS_FILE, ("Patient", "Sex", "Age"), [])
        with pytest.raises(ManifestError, match=r"lacks a column idh .*found: Patient; Sex; Age"):
            read_lumiere(tree)


class TestVolumes:
    def test_measured_volumes_become_regions(self, shared_tree: Path) -> None:
        volumes = lumiere_volumes(shared_tree)
        # 23 sessions of 24 on disk were segmented; 3, 2 and 4 voxels of 7.5 mm³
        assert len(volumes) == 23 * 3
        mine = volumes[
            (volumes["patient_id"] == "Patient-001") & (volumes["session_id"] == "week-012")
        ].set_index("region")["ml"]
        assert mine.to_dict() == pytest.approx(
            {"enhancing": 0.0225, "core": 0.0375, "whole": 0.0675}
        )
        assert set(volumes["source"]) == {"deepbratumia"}

    @pytest.mark.parametrize("value", ["null", "-1.0", "NaN", "1e999"])
    def test_a_broken_volume(self, tree: Path, value: str) -> None:
        path = next((tree / "Imaging" / "Patient-003").rglob("measured_volumes_in_mm3.json"))
        path.write_text(
            f'{{"Enhancing_Core": {value}, "Necrotic_NonEnhancing": 1, "Edema_Compartment": 1}}'
        )
        with pytest.raises(ManifestError, match="must hold numbers for Enhancing_Core"):
            lumiere_volumes(tree)
