from __future__ import annotations

import pytest

from xrano.data.pairing.exclusions import ExclusionReason
from xrano.data.pairing.pair_rows import exclusion_row, exclusion_table, pair_row, pair_table


def visit(name: str, role: str = "followup", **more: object) -> dict[str, object]:
    week = 4 * int(name[1:])
    return {"patient_id": "P", "session_id": name, "week": week, "role": role, "rating": "", **more}


def test_a_row_holds_both_visits_and_the_rating_of_the_current_one() -> None:
    course = [
        visit("s0", rating="SD", rating_source="rule"),
        visit("s1"),
        visit("s2", rating="PD", rating_source="expert"),
    ]
    assert pair_row(course, 0, 2, "previous", ("one", "two")) == {
        "pair_id": "P_s0_s2",
        "patient_id": "P",
        "prior_session": "s0",
        "current_session": "s2",
        "prior_week": 0,
        "current_week": 8,
        "reference": "previous",
        "response": "PD",
        "rating_source": "expert",
        "spans_surgery": False,
        "flags": "one;two",
    }
    assert pair_row(course, 0, 1, "previous")["rating_source"] == ""


@pytest.mark.parametrize(
    ("roles", "spans"),
    [
        (("preop", "followup", "followup"), True),
        (("postop", "followup", "followup"), False),
        (("followup", "preop", "followup"), True),
        (("followup", "postop", "followup"), True),
        (("followup", "followup", "preop"), False),
        (("followup", "followup", "postop"), True),
    ],
)
def test_an_operation_lies_after_a_preoperative_and_before_a_postoperative_scan(
    roles: tuple[str, ...], spans: bool
) -> None:
    # What lies before the prior scan and after the current one is of no concern.
    course = [visit(f"s{n}", role) for n, role in enumerate(("postop", *roles, "postop"))]
    assert pair_row(course, 1, 3, "previous")["spans_surgery"] is spans


def test_tables_have_their_types_whether_or_not_there_are_rows() -> None:
    row = pair_row([visit("s0"), visit("s1")], 0, 1, "previous")
    for rows in ([], [row]):
        table = pair_table(rows, ("flags",))
        assert list(table.columns)[-1] == "flags"
        assert {name: str(table[name].dtype) for name in ("prior_week", "current_week")} == {
            "prior_week": "int64",
            "current_week": "int64",
        }
        assert table["spans_surgery"].dtype == bool
        assert "flags" not in pair_table(rows)
        assert len(table) == len(rows)


def test_an_exclusion_names_the_session_the_reason_and_a_detail() -> None:
    row = exclusion_row(visit("s3"), ExclusionReason.NO_RATING, "None")
    table = exclusion_table([row, exclusion_row(visit("s4"), None, "")])
    assert table.to_dict("records") == [
        {"patient_id": "P", "session_id": "s3", "detail": "None", "reason": "no_rating"},
        {"patient_id": "P", "session_id": "s4", "detail": "", "reason": ""},
    ]
