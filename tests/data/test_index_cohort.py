from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from lumiere_tree import RATING_HEADER, write_csv, write_tree

from xrano.data.index import index_cohort
from xrano.data.tables import read_exclusions, read_pairs, read_segmentations, read_sessions
from xrano.errors import ManifestError, UnknownNameError


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
    for column in sessions.select_dtypes(include="str"):
        assert not sessions[column].isna().any(), column
    assert pd.api.types.is_float_dtype(sessions["survival_weeks"])
