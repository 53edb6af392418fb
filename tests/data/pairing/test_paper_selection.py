from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import pytest
from lumiere_tree import RATING_HEADER, RATINGS, SESSIONS, write_csv, write_tree

from xrano.data.datasets.lumiere_tables import RatingRow
from xrano.data.index import index_cohort
from xrano.data.pairing.paper_selection import paper_pairs
from xrano.errors import ConfigError, ManifestError, UnknownNameError
from xrano.rano import parse_rating

ALL = ("T1", "CT1", "T2", "FLAIR")


def rated(name: str, rating: str, rationale: str = "", early: bool = False) -> RatingRow:
    return RatingRow("P", name, parse_rating(rating), early, rationale)


def select(
    ratings: list[RatingRow], names: list[str], sequences: tuple[str, ...] = ALL, **lacking: str
) -> tuple[list[str], list[str]]:
    """Pairs as ``prior>current response flags``, exclusions as ``session reason``."""
    listed = {
        ("P", name): frozenset(ALL) - {lacking.get(name.replace("-", "_"), "")} for name in names
    }
    pairs, excluded = paper_pairs(ratings, listed, sequences)
    return (
        [
            f"{row.prior_session}>{row.current_session} {row.response} {row.flags}".strip()
            for row in pairs.itertuples()
        ],
        [f"{row.session_id} {row.reason}" for row in excluded.itertuples()],
    )


def test_the_row_before_is_the_prior_whatever_it_is() -> None:
    ratings = [rated("week-000", "Post-Op"), rated("week-010", "SD"), rated("week-030", "PD")]
    pairs, excluded = select(ratings, ["week-000", "week-010", "week-020", "week-030"])
    assert pairs == ["week-000>week-010 SD", "week-020>week-030 PD"]
    assert excluded == ["week-000 postop", "week-020 no_rating"]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (rated("week-010", "Pre-Op"), "preop"),
        (rated("week-010", "Post-Op "), "postop"),
        (rated("week-010", "Post-Op/PD"), "postop"),
        (rated("week-010", "None"), "no_rating"),
        (rated("week-010", "PD", early=True), "less_than_3_months"),
        (rated("week-010", "PD", "less than 3 months"), "less_than_3_months"),
        (rated("week-010", "PD", "Less than 3 months after RT"), "less_than_3_months"),
        (rated("week-010", "PD", "Not a timepoint for RANO measurement"), "not_a_rano_timepoint"),
        (
            rated("week-010", "PD", "Not a timepoint for RANO measurement, T1 only"),
            "not_a_rano_timepoint",
        ),
        # only a beginning counts, letter by letter
        (rated("week-010", "PD", "new L., less than 3 months"), ""),
        (rated("week-010", "PD", "LESS THAN 3 MONTHS"), ""),
    ],
)
def test_dropped_rows(row: RatingRow, reason: str) -> None:
    pairs, excluded = select([rated("week-000", "Pre-Op"), row], ["week-000", "week-010"])
    assert pairs == ([] if reason else ["week-000>week-010 PD"])
    assert excluded[1:] == ([f"week-010 {reason}"] if reason else [])


def test_a_dropped_row_still_serves_as_prior() -> None:
    ratings = [rated("week-004", "PD", early=True), rated("week-010", "SD")]
    assert select(ratings, ["week-004", "week-010"])[0] == ["week-004>week-010 SD"]


def test_both_scans_need_every_sequence_of_the_set_by_the_table() -> None:
    ratings = [rated("week-000", "SD"), rated("week-010", "SD"), rated("week-020", "PD")]
    names = ["week-000", "week-010", "week-020"]
    pairs, excluded = select(ratings, names, week_000="CT1")
    assert pairs == ["week-010>week-020 PD"]
    assert excluded == ["week-000 first_session", "week-010 missing_sequence"]
    assert len(select(ratings, names, ("T1", "T2", "FLAIR"), week_000="CT1")[0]) == 2


def test_a_rated_row_without_images_breaks_the_chain() -> None:
    ratings = [rated("week-000", "SD"), rated("week-010", "SD"), rated("week-020", "PD")]
    pairs, excluded = select(ratings, ["week-000", "week-020"])
    assert pairs == []
    assert excluded[1:] == ["week-010 missing_sequence", "week-020 missing_sequence"]


def test_a_session_rated_twice_is_paired_with_itself_under_its_first_rating() -> None:
    ratings = [rated("week-000", "Post-Op"), rated("week-010", "SD"), rated("week-010", "PD")]
    pairs, excluded = select(ratings, ["week-000", "week-010"])
    assert pairs == ["week-010>week-010 SD self_pair"]
    assert excluded == ["week-000 postop"]
    # dropped in its later row, it is paired with what came before
    ratings[2] = rated("week-010", "PD", early=True)
    pairs, excluded = select(ratings, ["week-000", "week-010"])
    assert pairs == ["week-000>week-010 SD"]
    assert excluded == ["week-000 postop"]


def test_names_are_sorted_as_text_and_joined_as_they_are() -> None:
    ratings = [rated("week-000", "Pre-Op"), rated("week-000-2", "SD"), rated("week-000-10", "PD")]
    pairs, _ = select(ratings, ["week-000", "week-000-2", "week-000-10"])
    assert pairs == ["week-000>week-000-10 PD", "week-000-10>week-000-2 SD"]


def test_pairs_carry_weeks_source_and_operations() -> None:
    ratings = [
        *(rated("week-002", "Pre-Op"), rated("week-010", "SD")),
        *(rated("week-020", "Post-Op"), rated("week-030", "PD")),
    ]
    names = ["week-002", "week-010", "week-020", "week-030"]
    pairs, _ = paper_pairs(ratings, {("P", name): ALL for name in names}, ALL)
    assert pairs[["prior_week", "current_week"]].to_numpy().tolist() == [[2, 10], [20, 30]]
    assert pairs["spans_surgery"].tolist() == [True, False]
    assert set(pairs["rating_source"]) == {"expert"}


def test_exclusions_say_what_was_found() -> None:
    ratings = [rated("week-002", "PR"), rated("week-010", "Post-Op "), rated("week-020", "SD")]
    listed = {
        ("P", "week-002"): ALL,
        ("P", "week-010"): ("T1", "T2"),
        ("P", "week-020"): ("T1", "FLAIR"),
        ("P", "week-030"): ALL,
    }
    _, excluded = paper_pairs(ratings, listed, ALL)
    assert excluded[["reason", "detail"]].to_numpy().tolist() == [
        ["first_session", "PR"],
        ["postop", "Post-Op "],
        [
            "missing_sequence",
            "prior week-010 lacks CT1, FLAIR; current week-020 lacks CT1, T2",
        ],
        ["no_rating", ""],
    ]


def test_patients_are_kept_apart() -> None:
    other = RatingRow("Q", "week-010", parse_rating("PD"), False, "")
    listed = {("P", "week-000"): ALL, ("Q", "week-010"): ALL}
    pairs, excluded = paper_pairs([rated("week-000", "SD"), other], listed, ALL)
    assert pairs.empty
    assert list(excluded["reason"]) == ["first_session", "first_session"]


@pytest.fixture(scope="module")
def shared_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tree = write_tree(tmp_path_factory.mktemp("paper"))
    rows = [(patient, name, *"xxxx") for patient, names in SESSIONS.items() for name in names]
    write_csv(tree / "LUMIERE-datacompleteness.csv", ("Patient", "Timepoint", *ALL), rows)
    return tree


class TestIndex:
    def test_the_cohort_by_hand(self, shared_tree: Path, tmp_path: Path) -> None:
        summary = index_cohort(shared_tree, tmp_path, paper=True)
        pairs = pd.read_csv(tmp_path / "pairs.csv", dtype=str, keep_default_na=False)
        assert [
            f"{row.patient_id[-1]} {row.prior_session}>{row.current_session} {row.response}"
            for row in pairs.itertuples()
        ] == [
            "1 week-000-2>week-012 SD",
            "1 week-012>week-024 PD",
            "2 week-000>week-010 PD",
            "2 week-020>week-030 CR",
            "2 week-030>week-040 PR",
            "3 week-008>week-008 SD",
            "3 week-008>week-016 PD",
            # Patient-004 is rated at week-010 and week-030, of which there are no images
            # Patient-005: week-040-1 is rated SD twice
            "5 week-040-1>week-040-1 SD",
            "5 week-040-1>week-040-2 PD",
        ]
        assert set(pairs["reference"]) == {"paper"}
        assert list(pairs["flags"]).count("self_pair") == 2
        text = summary.describe()
        assert "note: Patient-003 week-008 is paired with itself: it was rated twice" in text
        assert f"  flag {'self_pair':17}    2" in text

    def test_every_session_is_in_one_place(self, shared_tree: Path, tmp_path: Path) -> None:
        index_cohort(shared_tree, tmp_path, paper=True)
        tables = {
            name: pd.read_csv(tmp_path / f"{name}.csv", dtype=str, keep_default_na=False)
            for name in ("sessions", "pairs", "exclusions")
        }
        current = zip(
            tables["pairs"]["patient_id"], tables["pairs"]["current_session"], strict=True
        )
        found = [
            *current,
            *zip(
                tables["exclusions"]["patient_id"],
                tables["exclusions"]["session_id"],
                strict=True,
            ),
        ]
        assert len(found) == len(set(found))
        everyone = set(
            zip(tables["sessions"]["patient_id"], tables["sessions"]["session_id"], strict=True)
        )
        # a rating that xrano joins by its week has a name of its own in the paper's table
        assert set(found) - everyone == {("Patient-005", "week-000")}
        assert everyone <= set(found)

    def test_a_chosen_set(self, shared_tree: Path, tmp_path: Path) -> None:
        rows = [(patient, name, "", *"xxx") for patient, ns in SESSIONS.items() for name in ns]
        tree = Path(shutil.copytree(shared_tree, tmp_path / "tree"))
        write_csv(tree / "LUMIERE-datacompleteness.csv", ("Patient", "Timepoint", *ALL), rows)
        assert index_cohort(tree, tmp_path / "a", paper=True).pairs == 0
        chosen = index_cohort(tree, tmp_path / "b", paper=True, sequences=("T2", "FLAIR"))
        assert chosen.pairs == 9

    def test_refusals(self, shared_tree: Path, tmp_path: Path) -> None:
        out = tmp_path / "out"
        with pytest.raises(ConfigError, match="sequences are chosen with paper alone"):
            index_cohort(shared_tree, out, sequences=("T1",))
        with pytest.raises(ConfigError, match="own prior scans"):
            index_cohort(shared_tree, out, paper=True, reference="postop")
        with pytest.raises(UnknownNameError, match="choose from: CT1, FLAIR, T1, T2"):
            index_cohort(shared_tree, out, paper=True, sequences=("T3",))
        tree = Path(shutil.copytree(shared_tree, tmp_path / "tree"))
        table = tree / "LUMIERE-datacompleteness.csv"
        write_csv(table, ("Patient", "Timepoint", "T1"), [])
        with pytest.raises(ManifestError, match=r"lacks a column ct1.*Patient; Timepoint; T1"):
            index_cohort(tree, out, paper=True)
        table.unlink()
        with pytest.raises(ManifestError, match="no table of completeness"):
            index_cohort(tree, out, paper=True)
        write_csv(tree / "LUMIERE-ExpertRating-v202211.csv", RATING_HEADER, RATINGS)
        assert not out.exists()
