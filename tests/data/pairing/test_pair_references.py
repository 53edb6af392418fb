from __future__ import annotations

import itertools
import random

import pandas as pd
import pytest

from xrano.data.pairing.exclusions import ExclusionReason
from xrano.data.pairing.pair_references import REFERENCES, has_images, is_rated
from xrano.data.pairing.pairs import build_pairs
from xrano.data.tables import session_table
from xrano.errors import ManifestError
from xrano.rano import VOLUMETRIC

VISITS = (
    *("preop", "postop", "-", "CR", "PR", "SD", "PD", "PD/less_than_3_months", "SD/motion"),
    *("postop/no_images", "preop/no_images", "PD/no_images", "PD/duplicate_rating"),
)


def course(*visits: str) -> pd.DataFrame:
    """One patient; a visit is ``preop``, ``postop``, a response or ``-``, perhaps ``/reason``."""
    rows = []
    for order, visit in enumerate(visits):
        what, _, reason = visit.partition("/")
        operation = what in ("preop", "postop")
        rows.append(
            {
                "patient_id": "P1",
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


def measured(*volumes: float | None) -> pd.DataFrame:
    """Enhancing volumes of s0, s1 and so on; ``None`` has no row. Other regions must not matter."""
    rows = [
        ("P1", f"s{order}", "tool", region, ml + extra)
        for order, ml in enumerate(volumes)
        if ml is not None
        for region, extra in (("whole", 90.0), ("enhancing", 0.0), ("core", 5.0))
    ]
    return pd.DataFrame(rows, columns=["patient_id", "session_id", "source", "region", "ml"])


def named(pairs: pd.DataFrame) -> list[str]:
    return [
        f"{row.prior_session}>{row.current_session}{'*' * row.spans_surgery}"
        for row in pairs.itertuples()
    ]


@pytest.mark.parametrize(
    ("visit", "imaged", "rated"),
    [
        ("PD", True, True),
        ("-", True, False),
        ("postop", True, True),
        ("preop", True, False),
        ("PD/no_images", False, False),
        ("postop/no_images", False, False),
        ("postop/disjoint_dates", False, False),
        ("postop/motion", True, False),
        ("postop/less_than_3_months", True, True),
        ("PD/less_than_3_months", True, False),
        ("PD/motion", True, False),
    ],
)
def test_what_counts_as_imaged_and_as_rated(visit: str, imaged: bool, rated: bool) -> None:
    (session,) = course(visit).to_dict("records")
    assert has_images(session) is imaged
    assert is_rated(session) is rated


COURSE = course("preop", "postop", "-", "SD", "PD", "preop", "postop", "SD", "-", "PR", "PD")
#               s0       s1       s2   s3    s4    s5       s6       s7    s8   s9    s10


@pytest.mark.parametrize(
    ("reference", "pairs"),
    [
        ("previous", ["s2>s3", "s3>s4", "s6>s7", "s8>s9", "s9>s10"]),
        ("previous-rated", ["s1>s3", "s3>s4", "s6>s7", "s7>s9", "s9>s10"]),
        ("baseline", ["s1>s3", "s1>s4", "s1>s7*", "s1>s9*", "s1>s10*"]),
        ("postop", ["s1>s3", "s1>s4", "s6>s7", "s6>s9", "s6>s10"]),
    ],
)
def test_a_course_with_a_second_operation(reference: str, pairs: list[str]) -> None:
    found, excluded = build_pairs(COURSE, reference=reference)
    assert named(found) == pairs
    assert set(found["reference"]) == {reference}
    assert list(excluded["session_id"]) == ["s0", "s1", "s2", "s5", "s6", "s8"]
    assert "flags" not in found


def test_the_baseline_is_never_the_preoperative_scan() -> None:
    found, excluded = build_pairs(course("preop", "-", "SD", "PD"), reference="baseline")
    assert named(found) == ["s2>s3"]
    assert excluded[["session_id", "reason", "detail"]].to_numpy().tolist()[2] == [
        *("s2", "no_reference", "it is the first rated session"),
    ]


def test_an_operation_without_images_resets_the_course() -> None:
    visits = course("postop", "SD", "postop/no_images", "SD", "PD")
    found, excluded = build_pairs(visits, reference="postop")
    assert named(found) == ["s0>s1", "s3>s4"]
    assert excluded["reason"].tolist() == ["postop", "no_images", "no_reference"]
    # told by the scan before it alone
    visits = course("postop", "SD", "preop/no_images", "SD", "PD")
    assert named(build_pairs(visits, reference="postop")[0]) == ["s0>s1", "s3>s4"]


class TestNadir:
    def test_the_smallest_measurable_volume_since_the_operation(self) -> None:
        volumes = measured(9.0, 4.0, 0.6, 2.0, 3.0, 8.0, 7.0, 5.0, 1.0, 6.0, 5.5)
        found, _ = build_pairs(COURSE, reference="nadir", volumes=volumes)
        # s2 and s8 are not rated; s3 is the least since s1, s7 since s6
        assert named(found) == ["s1>s3", "s3>s4", "s6>s7", "s7>s9", "s7>s10"]
        assert set(found["flags"]) == {""}

    def test_what_is_passed_over_is_flagged(self) -> None:
        visits = course("postop", "SD", "SD", "SD", "CR", "PD")
        volumes = measured(4.0, 0.0, 0.51, None, 0.0, 3.0)
        found, _ = build_pairs(visits, reference="nadir", volumes=volumes)
        assert named(found) == ["s0>s1", "s0>s2", "s0>s3", "s0>s4", "s0>s5"]
        assert list(found["flags"]) == [
            "current_zero_volume",
            "zero_volume",
            "zero_volume;below_measurable",
            "zero_volume;below_measurable;volume_unknown;current_zero_volume",
            "zero_volume;below_measurable;volume_unknown",
        ]

    def test_a_measurable_volume_is_one_at_the_threshold(self) -> None:
        visits, least = course("postop", "SD", "PD"), VOLUMETRIC.measurable
        found, _ = build_pairs(visits, reference="nadir", volumes=measured(4.0, least, 3.0))
        assert named(found) == ["s0>s1", "s1>s2"]

    def test_of_equal_volumes_the_later_is_taken(self) -> None:
        visits = course("postop", "SD", "SD", "PD")
        found, _ = build_pairs(visits, reference="nadir", volumes=measured(5.0, 2.0, 2.0, 9.0))
        assert named(found)[-1] == "s2>s3"

    def test_nothing_measurable_is_a_reason(self) -> None:
        visits = course("postop", "CR", "PD")
        found, excluded = build_pairs(visits, reference="nadir", volumes=measured(0.0, 0.0, 3.0))
        assert found.empty
        assert pd.api.types.is_string_dtype(found["flags"])
        assert excluded["reason"].tolist() == ["postop", "no_reference", "no_reference"]
        assert set(excluded["detail"][1:]) == {
            "no earlier rated session since the last operation with an enhancing volume of 0.52 "
            "ml or more"
        }

    def test_refusals(self) -> None:
        two = measured(1.0, 2.0)
        names = ("tool", "other", "fifth", "third", "fourth")
        both = pd.concat([two.assign(source=name) for name in names])
        with pytest.raises(ManifestError, match=r"P1 s0 has.*: fifth, fourth, other, third, tool"):
            build_pairs(COURSE, reference="nadir", volumes=both)
        with pytest.raises(ManifestError, match="lacks the columns ml"):
            build_pairs(COURSE, reference="nadir", volumes=two.drop(columns="ml"))


def _by_hand(
    visits: pd.DataFrame, volumes: pd.DataFrame, reference: str, current: int
) -> int | None:
    """The definitions, word by word, one session at a time."""
    rows = visits.to_dict("records")
    ml = {
        row["session_id"]: row["ml"]
        for row in volumes.to_dict("records")
        if row["region"] == "enhancing"
    }
    imaged = [n for n in range(current) if rows[n]["exclude_reason"] != "no_images"]
    if reference == "previous":
        return max(imaged, default=None)
    rated = [
        n
        for n in imaged
        if rows[n]["exclude_reason"] in ("", *map(str, ExclusionReason))
        and (rows[n]["role"] == "postop" or (rows[n]["rating"] and not rows[n]["exclude_reason"]))
    ]
    if reference == "previous-rated":
        return max(rated, default=None)
    if reference == "baseline":
        return min(rated, default=None)
    stretch = [
        n
        for n in rated
        if all(rows[later]["role"] != "postop" for later in range(n + 1, current + 1))
        and all(rows[later]["role"] != "preop" for later in range(n, current))
    ]
    if reference == "postop":
        return min(stretch, default=None)
    known = [n for n in stretch if ml.get(f"s{n}", 0.0) >= VOLUMETRIC.measurable]
    return min(known, key=lambda n: (ml[f"s{n}"], -n), default=None)


@pytest.mark.parametrize("unrated", ["exclude", "include"])
@pytest.mark.parametrize("reference", REFERENCES)
def test_any_course_follows_the_definitions_and_accounts_for_every_session(
    reference: str, unrated: str
) -> None:
    rng = random.Random(f"{reference} {unrated}")
    checked = 0
    for _ in range(30):
        visits = course(*rng.choices(VISITS, k=9))
        volumes = measured(*rng.choices([None, 0.0, 0.3, 1.0, 2.0, 2.0, 7.0], k=9))
        found, excluded = build_pairs(visits, reference=reference, volumes=volumes, unrated=unrated)
        assert sorted([*found["current_session"], *excluded["session_id"]]) == [
            f"s{order}" for order in range(9)
        ]
        assert set(excluded["reason"]) <= set(ExclusionReason)
        for pair in found.itertuples():
            current = int(pair.current_session[1:])
            prior = _by_hand(visits, volumes, reference, current)
            assert pair.prior_session == f"s{prior}"
            roles = list(visits["role"])
            between = roles[prior + 1 : current]
            assert pair.spans_surgery == (
                roles[prior] == "preop"
                or roles[current] == "postop"
                or bool({"preop", "postop"} & set(between))
            )
            checked += 1
        lost = excluded[excluded["reason"] == "no_reference"]
        for name in lost["session_id"]:
            assert _by_hand(visits, volumes, reference, int(name[1:])) is None
    assert checked > 10


def test_postop_and_nadir_pairs_span_no_operation() -> None:
    for visits in itertools.product(("preop", "postop", "SD"), repeat=3):
        for reference in ("postop", "nadir"):
            found, _ = build_pairs(
                course(*visits, "PD"), reference=reference, volumes=measured(*[3.0] * 4)
            )
            assert not found["spans_surgery"].any()


def test_a_disjoint_patient_is_no_prior_and_keeps_its_detail() -> None:
    visits = course("SD/disjoint_dates", "PD/disjoint_dates").assign(
        exclude_detail="rated week-006; images week-000"
    )
    for reference in REFERENCES:
        found, excluded = build_pairs(
            visits, reference=reference, volumes=measured(1.0, 2.0), unrated="include"
        )
        assert found.empty
        assert set(excluded["reason"]) == {"disjoint_dates"}
        assert set(excluded["detail"]) == {"rated week-006; images week-000"}
