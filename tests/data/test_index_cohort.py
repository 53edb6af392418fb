from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from lumiere_tree import RATING_HEADER, write_csv, write_image, write_tree

from xrano.data.index import index_cohort
from xrano.data.tables import read_exclusions, read_pairs, read_segmentations, read_sessions
from xrano.errors import ConfigError, ManifestError, UnknownNameError


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tree(tmp_path_factory.mktemp("index"))


def test_counts_are_those_of_the_hand(tree: Path, tmp_path: Path) -> None:
    summary = index_cohort(tree, tmp_path / "out")
    assert (summary.sessions, summary.patients, summary.segmentations) == (29, 7, 46)
    assert (summary.pairs, summary.spans_surgery) == (10, 2)
    assert summary.pairs_per_response == {"CR": 1, "PR": 1, "SD": 3, "PD": 5}
    assert summary.patients_per_response == {"CR": 1, "PR": 1, "SD": 3, "PD": 5}
    assert summary.exclusions == {
        "duplicate_rating": 1,
        "first_session": 1,
        "less_than_3_months": 1,
        "no_images": 5,
        "no_rating": 4,
        "not_a_rano_timepoint": 1,
        "postop": 3,
        "preop": 3,
    }
    text = summary.describe()
    assert "29 sessions of 7 patients, 46 segmentations" in text
    assert "PD          5 pairs of 5 patients" in text
    assert "19 sessions without a pair" in text


def test_tables_can_be_read_back(tree: Path, tmp_path: Path) -> None:
    index_cohort(tree, tmp_path)
    sessions = read_sessions(tmp_path / "sessions.csv")
    filled = sessions[sessions["T1"] != ""]
    assert len(filled) == 23
    assert all(Path(path).is_file() for path in filled["T1"])
    segmentations = read_segmentations(tmp_path / "segmentations.csv")
    assert all(Path(path).is_file() for path in segmentations["path"])
    assert len(read_pairs(tmp_path / "pairs.csv")) == 10
    assert len(read_exclusions(tmp_path / "exclusions.csv")) == 19


def test_options(tree: Path, tmp_path: Path) -> None:
    assert index_cohort(tree, tmp_path / "a", duplicates="last").pairs_per_response["PD"] == 6
    assert index_cohort(tree, tmp_path / "b", duplicates="first").pairs_per_response["SD"] == 4
    unrated = index_cohort(tree, tmp_path / "c", unrated="include")
    assert unrated.pairs == 15
    assert unrated.pairs_per_response[""] == 5
    assert "unrated     5 pairs of 4 patients" in unrated.describe()


def test_the_same_tree_gives_the_same_bytes(tree: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        index_cohort(tree, tmp_path / name)
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


def test_bad_input_leaves_nothing_behind(tmp_path: Path) -> None:
    tree = write_tree(tmp_path / "tree")
    rows = [("Patient-001", "week-012", "", "", "progress", "")]
    write_csv(tree / "LUMIERE-ExpertRating-v202211.csv", RATING_HEADER, rows)
    with pytest.raises(ManifestError, match="progress"):
        index_cohort(tree, tmp_path / "out")
    with pytest.raises(UnknownNameError, match="unknown dataset 'brats'"):
        index_cohort(tree, tmp_path / "out", dataset="brats")
    assert not (tmp_path / "out").exists()


def test_no_string_is_nan(tree: Path, tmp_path: Path) -> None:
    index_cohort(tree, tmp_path)
    sessions = read_sessions(tmp_path / "sessions.csv")
    for column in (name for name in sessions if sessions[name].dtype.kind not in "biuf"):
        assert not sessions[column].isna().any(), column
    assert pd.api.types.is_float_dtype(sessions["survival_weeks"])


class TestSummary:
    def test_references(self, tree: Path, tmp_path: Path) -> None:
        summary = index_cohort(tree, tmp_path)
        counts = {c.reference: (c.pairs, c.patients, c.spans_surgery) for c in summary.references}
        assert counts == {
            "previous": (10, 5, 2),
            # Patient-002's first rated scan is week-010, Patient-003's is week-016
            "previous-rated": (8, 4, 1),
            "baseline": (8, 4, 1),
            # the operation of Patient-004 at week-030 leaves week-040 without a reference
            "postop": (7, 4, 0),
            # no volume is measurable
            "nadir": (0, 0, 0),
        }
        text = summary.describe()
        assert "  previous-rated      8 of 4 patients, 1 across an operation" in text
        assert "LUMIERE ships no dates of radiotherapy" in text

    def test_exclusions_name_patients(self, tree: Path, tmp_path: Path) -> None:
        summary = index_cohort(tree, tmp_path)
        assert summary.patients_per_exclusion["no_images"] == 3
        assert "  no_images                 5 of 3 patients" in summary.describe()

    def test_volumes_and_coverage(self, tree: Path, tmp_path: Path) -> None:
        summary = index_cohort(tree, tmp_path)
        volumes = pd.read_csv(tmp_path / "volumes.csv")
        assert list(volumes) == ["patient_id", "session_id", "source", "region", "ml"]
        assert len(volumes) == 23 * 3
        assert summary.volume_source == "deepbratumia"
        found = summary.coverage.set_index(["response", "region"])
        # 8 of 10 pairs span no operation; Patient-002 week-040 has no volume
        assert found.xs("core", level="region")["pairs"].to_dict() == {
            "CR": 1, "PR": 0, "SD": 2, "PD": 4,
        }  # fmt: skip
        assert (found["prior"] == found["pairs"]).all()
        assert not found["vanished"].any()
        assert "  PD        enhancing        4      4        4         0       0      0" in (
            summary.describe()
        )

    def test_notes_are_printed(self, tree: Path, tmp_path: Path) -> None:
        text = index_cohort(tree, tmp_path).describe()
        assert text.endswith("only unrated scan of their week: Patient-005 week-000-2")

    def test_flags_of_the_nadir(self, tree: Path, tmp_path: Path) -> None:
        copy = Path(shutil.copytree(tree, tmp_path / "copy"))
        for session, mm3 in (("week-000-2", 5000), ("week-012", 0), ("week-024", 9000)):
            folder = copy / "Imaging" / "Patient-001" / session
            (path,) = folder.rglob("measured_volumes_in_mm3.json")
            volumes = json.loads(path.read_text())
            path.write_text(json.dumps({**volumes, "Enhancing_Core": mm3}))
        summary = index_cohort(copy, tmp_path / "out", reference="nadir")
        pairs = read_pairs(tmp_path / "out" / "pairs.csv")
        assert pairs[["prior_session", "current_session", "flags"]].to_numpy().tolist() == [
            ["week-000-2", "week-012", "current_zero_volume"],
            ["week-000-2", "week-024", "zero_volume"],
        ]
        assert summary.flags == {"current_zero_volume": 1, "zero_volume": 1}
        assert summary.exclusions["no_reference"] == 8


MANIFEST = """patient_id,session_id,week,rating,T1
P1,a,0,,t1.nii.gz
P1,b,8,,t1.nii.gz
P1,c,16,PD,t1.nii.gz
"""


class TestOtherDatasets:
    @pytest.fixture
    def manifest(self, tmp_path: Path) -> Path:
        """Three sessions with 12, 3 and 3 enhancing voxels of 1000 mm³."""
        rows = ["patient_id,session_id,source,scheme,path"]
        for name, count in (("a", 12), ("b", 3), ("c", 3)):
            labels = np.zeros((3, 4, 5), np.uint8)
            labels.ravel()[:count] = 3
            labels.ravel()[-1] = 1
            write_image(tmp_path / f"{name}.nii.gz", labels, np.diag([10.0, 5.0, 20.0, 1.0]))
            rows.append(f"P1,{name},tool,brats2023,{name}.nii.gz")
        write_image(tmp_path / "t1.nii.gz", np.ones((3, 4, 5), np.float32))
        (tmp_path / "sessions.csv").write_text(MANIFEST)
        (tmp_path / "segmentations.csv").write_text("\n".join(rows) + "\n")
        return tmp_path

    def test_no_volumes_unless_asked(self, manifest: Path) -> None:
        summary = index_cohort(manifest, manifest / "out")
        assert (summary.dataset, summary.volume_source) == ("manifest", "")
        assert not (manifest / "out" / "volumes.csv").exists()
        assert summary.coverage.empty
        assert "nadir               - needs volumes" in summary.describe()
        assert "radiotherapy" not in summary.describe()
        with pytest.raises(ConfigError, match="needs the enhancing volume"):
            index_cohort(manifest, manifest / "out", reference="nadir")

    def test_sequences_are_told_and_other_names_noted(self, manifest: Path) -> None:
        assert index_cohort(manifest, manifest / "out").notes == ()
        text = MANIFEST.replace("T1\n", "T1,T1CE,DWI\n").replace(",t1.nii.gz\n", ",t1.nii.gz,,\n")
        text = text.replace("P1,a,0,,t1.nii.gz,,", "P1,a,0,,t1.nii.gz,t1.nii.gz,t1.nii.gz")
        (manifest / "sessions.csv").write_text(text)
        summary = index_cohort(manifest, manifest / "out")
        assert {name: n for name, n in summary.sequences.items() if n} == {
            "T1": 3,
            "T1CE": 1,
            "DWI": 1,
        }
        assert "T1 in 3" in summary.describe()
        (note,) = summary.notes
        assert note.startswith("T1CE is taken for a sequence of its own")
        assert "CT1, rename the column" in note

    def test_measured_volumes(self, manifest: Path) -> None:
        summary = index_cohort(manifest, manifest / "out", measure=True)
        volumes = pd.read_csv(manifest / "out" / "volumes.csv")
        mine = volumes[volumes["session_id"] == "a"].set_index("region")["ml"].to_dict()
        assert mine == pytest.approx({"enhancing": 12.0, "core": 13.0, "whole": 13.0})
        assert summary.volume_source == "tool"
        # an index without volumes does not leave those of another behind
        index_cohort(manifest, manifest / "out")
        assert not (manifest / "out" / "volumes.csv").exists()

    def test_ratings_by_rule(self, manifest: Path) -> None:
        summary = index_cohort(manifest, manifest / "out", rate_by_rule=True)
        pairs = read_pairs(manifest / "out" / "pairs.csv")
        assert pairs[["current_session", "response", "rating_source"]].to_numpy().tolist() == [
            ["b", "PR", "rule"],
            ["c", "PD", ""],
        ]
        assert summary.pairs == 2
        (manifest / "segmentations.csv").unlink()
        with pytest.raises(ManifestError, match="no session has a segmentation to measure"):
            index_cohort(manifest, manifest / "b", rate_by_rule=True)

    def test_options_of_lumiere(self, manifest: Path) -> None:
        with pytest.raises(ConfigError, match="image_source, paper: an option of lumiere alone"):
            index_cohort(manifest, manifest / "out", image_source="native", paper=True)
