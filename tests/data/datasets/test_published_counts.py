"""A rating table with exactly the counts that are known of LUMIERE's, made here and parsed."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from lumiere_tree import RATING_HEADER, write_csv

from xrano.channels import KNOWN_SEQUENCES
from xrano.data.datasets.lumiere_tables import (
    merge_ratings,
    read_completeness,
    read_rating_rows,
)
from xrano.data.pairing.paper_selection import paper_pairs

PATIENTS, SESSIONS = 91, 638
RATINGS = {
    "PD": 253,
    "SD": 97,
    "CR": 27,
    "PR": 20,
    "Pre-Op": 92,
    "Post-Op": 121,
    "Post-Op ": 3,
    "Post-Op/PD": 1,
    "None": 2,
}
IMAGES = {"CT1": 632, "T1": 617, "T2": 626, "FLAIR": 612}
TOO_EARLY = 28
TWICE = ("Patient-042", "week-010")


def sessions() -> list[tuple[str, str]]:
    """638 sessions of 91 patients; week-010 of Patient-042 is among them."""
    return [
        (f"Patient-{number + 1:03d}", f"week-{10 * nth:03d}")
        for number in range(PATIENTS)
        for nth in range(SESSIONS // PATIENTS + (number < SESSIONS % PATIENTS))
    ]


@pytest.fixture(scope="module")
def ratings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """616 rows: 615 of the sessions, one of them twice, SD and then PD."""
    left = Counter(RATINGS)
    left["SD"] -= 1
    left["PD"] -= 1
    words = list(left.elements())
    rows = []
    early = 0
    for key in sessions():
        if key == TWICE:
            rows += [(*key, "", "", "SD", ""), (*key, "", "", "PD", "")]
            continue
        if not words:
            continue
        word = words.pop()
        # The first that pop are None, then post-operative: the flags go to responses.
        flag = "x" if early < TOO_EARLY and word in ("PD", "SD", "CR", "PR") else ""
        early += bool(flag)
        rows.append((*key, flag, "", word, ""))
    assert not words
    path = tmp_path_factory.mktemp("counts") / "LUMIERE-ExpertRating-v202211.csv"
    return write_csv(path, RATING_HEADER, rows)


@pytest.fixture(scope="module")
def completeness(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rows = [
        (*key, *("x" if number < IMAGES[name] else "" for name in KNOWN_SEQUENCES))
        for number, key in enumerate(sessions())
    ]
    path = tmp_path_factory.mktemp("counts") / "LUMIERE-datacompleteness.csv"
    return write_csv(path, ("Patient", "Timepoint", *KNOWN_SEQUENCES), rows)


def test_rows(ratings: Path) -> None:
    rows = read_rating_rows(ratings)
    assert len(rows) == sum(RATINGS.values()) == 616
    assert Counter(row.rating.raw for row in rows) == RATINGS
    responses = Counter(str(row.rating.response) for row in rows if row.rating.response)
    assert responses == {"PD": 253, "SD": 97, "CR": 27, "PR": 20}
    assert responses.total() == 397
    # 121, three with a trailing blank, and one with a response
    assert Counter(str(row.rating.role) for row in rows) == {
        "followup": 397,
        "postop": 125,
        "preop": 92,
        "unknown": 2,
    }
    assert sum(row.too_early for row in rows) == TOO_EARLY


@pytest.mark.parametrize(
    ("duplicates", "responses", "excluded"),
    [
        ("exclude", {"PD": 252, "SD": 96}, {"duplicate_rating": 1, "less_than_3_months": 28}),
        ("first", {"PD": 252, "SD": 97}, {"less_than_3_months": 28}),
        ("last", {"PD": 253, "SD": 96}, {"less_than_3_months": 28}),
    ],
)
def test_sessions(
    ratings: Path, duplicates: str, responses: dict[str, int], excluded: dict[str, int]
) -> None:
    merged = merge_ratings(read_rating_rows(ratings), duplicates)
    assert len(merged) == 615
    found = Counter(entry.rating for entry in merged.values() if entry.rating)
    assert found == {**responses, "CR": 27, "PR": 20}
    assert Counter(e.exclude_reason for e in merged.values() if e.exclude_reason) == excluded
    assert Counter(entry.role for entry in merged.values())["postop"] == 125


def test_completeness(completeness: Path) -> None:
    listed = read_completeness(completeness)
    assert len(listed) == SESSIONS
    assert len({patient for patient, _ in listed}) == PATIENTS
    found = Counter(name for names in listed.values() for name in names)
    assert found == IMAGES
    assert found.total() == 2487


def test_the_papers_rules_account_for_every_session(ratings: Path, completeness: Path) -> None:
    rows, listed = read_rating_rows(ratings), read_completeness(completeness)
    pairs, excluded = paper_pairs(rows, listed, KNOWN_SEQUENCES)
    assert len(pairs) + len(excluded) == SESSIONS
    reasons = excluded["reason"].value_counts()
    assert reasons["preop"] == 92
    assert reasons["postop"] == 125
    assert reasons["less_than_3_months"] == 28
    # two rated None, and 23 of 638 sessions without a row
    assert reasons["no_rating"] == 2 + SESSIONS - 615
    mine = pairs[pairs["flags"] == "self_pair"]
    assert mine["pair_id"].tolist() == ["Patient-042_week-010_week-010"]
    assert mine["response"].tolist() == ["SD"]
