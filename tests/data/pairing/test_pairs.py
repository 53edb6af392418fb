from __future__ import annotations

import pandas as pd
import pytest
from lumiere_tree import write_tree

from xrano.data.datasets.lumiere import read_lumiere
from xrano.data.pairing.pairs import ExclusionReason, build_pairs, filter_by_sequences
from xrano.data.tables import session_table
from xrano.errors import ConfigError, ManifestError, UnknownNameError


def _course(*visits: str, patient: str = "P1") -> pd.DataFrame:
    """One patient; a visit is ``preop``, ``postop``, a response, ``-`` (unrated) and perhaps
    ``/reason``."""
    rows = []
    for order, visit in enumerate(visits):
        what, _, reason = visit.partition("/")
        operation = what in ("preop", "postop")
        rows.append(
            {
                "patient_id": patient,
                "session_id": f"s{order}",
                "order": order,
                "week": 4 * order,
                "days": 28 * order,
                "role": what if operation else "unknown" if what == "-" else "followup",
                "rating": "" if operation or what == "-" else what,
                "exclude_reason": reason,
            }
        )
    return session_table(rows)


def _names(pairs: pd.DataFrame) -> list[str]:
    return [
        f"{row.prior_session}>{row.current_session} {row.response}{' *' * row.spans_surgery}"
        for row in pairs.itertuples()
    ]


def _reasons(exclusions: pd.DataFrame) -> list[str]:
    return [f"{row.session_id} {row.reason}" for row in exclusions.itertuples()]


class TestCourses:
    @pytest.mark.parametrize(
        ("visits", "pairs", "exclusions"),
        [
            (("preop", "postop", "SD", "PD"), ["s1>s2 SD", "s2>s3 PD"], ["s0 preop", "s1 postop"]),
            (("PD", "PD"), ["s0>s1 PD"], ["s0 first_session"]),
            (("-", "PD"), ["s0>s1 PD"], ["s0 no_rating"]),
            # no skipping back: the unrated scan between is the prior scan
            (("SD", "-", "PD"), ["s1>s2 PD"], ["s0 first_session", "s1 no_rating"]),
            # an operation between the two scans, told by the scan before it
            (("preop", "PD"), ["s0>s1 PD *"], ["s0 preop"]),
            # the prior is post-operative: the operation was before it
            (("postop", "PD"), ["s0>s1 PD"], ["s0 postop"]),
            # told only by a rated visit of which there are no images
            (
                ("SD", "postop/no_images", "PD"),
                ["s0>s2 PD *"],
                ["s0 first_session", "s1 no_images"],
            ),
            (
                ("SD", "preop/no_images", "PD"),
                ["s0>s2 PD *"],
                ["s0 first_session", "s1 no_images"],
            ),
            (("SD", "SD/no_images", "PD"), ["s0>s2 PD"], ["s0 first_session", "s1 no_images"]),
            # an operation before the first scan concerns no pair
            (
                ("preop/no_images", "SD", "PD"),
                ["s1>s2 PD"],
                ["s0 no_images", "s1 first_session"],
            ),
            # what is wrong with a rating does not make the scan a worse prior
            (
                ("postop", "PD/less_than_3_months", "SD"),
                ["s1>s2 SD"],
                ["s0 postop", "s1 less_than_3_months"],
            ),
            # but a scan that the user marked is neither current nor prior
            (
                ("postop", "PD/motion", "SD", "PD"),
                ["s2>s3 PD"],
                ["s0 postop", "s1 marked", "s2 prior_marked"],
            ),
            (("PD/marked", "SD"), [], ["s0 marked", "s1 prior_marked"]),
        ],
    )
    def test_pairs_and_exclusions(
        self, visits: tuple[str, ...], pairs: list[str], exclusions: list[str]
    ) -> None:
        found, excluded = build_pairs(_course(*visits))
        assert _names(found) == pairs
        assert _reasons(excluded) == exclusions

    def test_a_post_operative_current_scan_spans_the_operation(self) -> None:
        pairs, _ = build_pairs(_course("SD", "postop", "SD", "preop"), unrated="include")
        assert _names(pairs) == ["s0>s1  *", "s1>s2 SD", "s2>s3 "]

    def test_detail_holds_the_users_words(self) -> None:
        _, excluded = build_pairs(_course("-", "PD/motion", "SD"))
        assert list(excluded["detail"])[1:] == ["motion", "s1: motion"]

    def test_detail_holds_what_the_rater_wrote(self) -> None:
        visits = _course("postop", "-", "SD/duplicate_rating", "PD/duplicate_rating", "PD")
        visits["rating_raw"] = ["Post-Op ", "None", "SD; PD", "PD; SD", "PD"]
        detailed = visits.assign(exclude_detail=["", "", "", "of two raters", ""])
        for table, fourth in ((visits, "PD; SD"), (detailed, "of two raters")):
            _, excluded = build_pairs(table)
            assert list(excluded["detail"]) == ["Post-Op ", "None", "SD; PD", fourth]
        _, excluded = build_pairs(visits.drop(columns="rating_raw"))
        assert set(excluded["detail"]) == {""}

    def test_the_first_session_keeps_its_rating_as_detail(self) -> None:
        _, excluded = build_pairs(_course("PD", "SD"))
        assert excluded[["reason", "detail"]].to_numpy().tolist() == [["first_session", "PD"]]

    def test_unrated_sessions_can_be_paired(self) -> None:
        visits = _course("preop", "postop", "-", "PD", "SD/duplicate_rating")
        pairs, excluded = build_pairs(visits, unrated="include")
        assert _names(pairs) == ["s0>s1  *", "s1>s2 ", "s2>s3 PD"]
        assert _reasons(excluded) == ["s0 first_session", "s4 duplicate_rating"]

    def test_patients_are_kept_apart_and_rows_may_come_in_any_order(self) -> None:
        both = pd.concat([_course("postop", "PD"), _course("-", "CR", patient="P2")])
        shuffled = both.iloc[[3, 0, 2, 1]].reset_index(drop=True)
        before = shuffled.copy()
        pairs, excluded = build_pairs(shuffled)
        pd.testing.assert_frame_equal(shuffled, before)
        assert list(pairs["pair_id"]) == ["P1_s0_s1", "P2_s0_s1"]
        assert list(pairs["current_week"] - pairs["prior_week"]) == [4, 4]
        assert set(pairs["reference"]) == {"previous"}
        assert list(excluded["patient_id"]) == ["P1", "P2"]

    def test_refusals(self) -> None:
        with pytest.raises(UnknownNameError, match=r"'first'.*baseline, nadir, postop, previous"):
            build_pairs(_course("PD"), reference="first")
        with pytest.raises(ConfigError, match=r"'nadir' needs the enhancing volume"):
            build_pairs(_course("PD"), reference="nadir")
        with pytest.raises(UnknownNameError, match="choose from: exclude, include"):
            build_pairs(_course("PD"), unrated="keep")
        with pytest.raises(ManifestError, match="lacks the columns order, exclude_reason"):
            build_pairs(_course("PD").drop(columns=["order", "exclude_reason"]))


@pytest.fixture(scope="module")
def sessions(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    return read_lumiere(write_tree(tmp_path_factory.mktemp("cohort")))[0]


class TestCohort:
    def test_hand_count(self, sessions: pd.DataFrame) -> None:
        pairs, exclusions = build_pairs(sessions)
        assert [
            f"{pair_id} {response}{' *' * spans}"
            for pair_id, response, spans in pairs[
                ["pair_id", "response", "spans_surgery"]
            ].itertuples(index=False)
        ] == [
            "Patient-001_week-000-2_week-012 SD",
            "Patient-001_week-012_week-024 PD",
            "Patient-002_week-000_week-010 PD *",
            "Patient-002_week-020_week-030 CR",
            "Patient-002_week-030_week-040 PR",
            "Patient-003_week-008_week-016 PD",
            "Patient-004_week-000_week-020 PD",
            "Patient-004_week-020_week-040 SD *",
            "Patient-005_week-009_week-040-1 SD",
            "Patient-005_week-040-1_week-040-2 PD",
        ]
        assert exclusions["reason"].value_counts().to_dict() == {
            "no_images": 5,
            "no_rating": 4,
            "preop": 3,
            "postop": 3,
            "first_session": 1,
            "less_than_3_months": 1,
            "not_a_rano_timepoint": 1,
            "duplicate_rating": 1,
        }

    @pytest.mark.parametrize("unrated", ["exclude", "include"])
    def test_every_session_is_in_one_place(self, sessions: pd.DataFrame, unrated: str) -> None:
        pairs, exclusions = build_pairs(sessions, unrated=unrated)
        current = zip(pairs["patient_id"], pairs["current_session"], strict=True)
        excluded = zip(exclusions["patient_id"], exclusions["session_id"], strict=True)
        everyone = zip(sessions["patient_id"], sessions["session_id"], strict=True)
        assert sorted([*current, *excluded]) == sorted(everyone)
        assert set(exclusions["reason"]) <= set(ExclusionReason)
        assert list(exclusions.columns)[-1] == "reason"
        assert len(pairs) == {"exclude": 10, "include": 15}[unrated]

    def test_missing_sequences(self, sessions: pd.DataFrame) -> None:
        pairs, _ = build_pairs(sessions)
        kept, exclusions = filter_by_sequences(pairs, sessions, ("T1", "CT1"))
        assert len(kept) == 8
        assert list(kept.index) == list(range(8))
        assert list(kept.columns) == list(pairs.columns)
        assert exclusions.to_numpy().tolist() == [
            ["Patient-002", "week-030", "current week-030 lacks CT1", "missing_sequence"],
            [
                "Patient-002",
                "week-040",
                "prior week-030 lacks CT1; current week-040 lacks T1, CT1",
                "missing_sequence",
            ],
        ]
        kept, _ = filter_by_sequences(pairs, sessions, ("T1", "FLAIR"))
        assert len(kept) == 9

    def test_filter_refusals(self, sessions: pd.DataFrame) -> None:
        pairs, _ = build_pairs(sessions)
        with pytest.raises(UnknownNameError, match=r"did you mean 'FLAIR'.*CT1, FLAIR, T1, T2"):
            filter_by_sequences(pairs, sessions, ("FLAI",))
        with pytest.raises(ManifestError, match="Patient-001 week-000-2, which is no session"):
            filter_by_sequences(pairs, sessions.iloc[4:], ("T1",))
