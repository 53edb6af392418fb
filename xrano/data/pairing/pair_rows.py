"""Rows and tables of pairs and of exclusions, with their columns and types."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from xrano.data.pairing.exclusions import ExclusionReason
from xrano.data.pairing.pair_references import Session
from xrano.data.table_columns import EXCLUSION_COLUMNS, PAIR_COLUMNS
from xrano.rano import Role


def pair_id(patient_id: str, prior_session: str, current_session: str) -> str:
    """The name of a pair.

    Example:
        >>> pair_id("Patient-042", "week-010", "week-022")
        'Patient-042_week-010_week-022'
    """
    return f"{patient_id}_{prior_session}_{current_session}"


def pair_row(
    course: Sequence[Session],
    prior: int,
    current: int,
    reference: str,
    flags: Sequence[str] = (),
) -> dict[str, object]:
    """The row of a pair of two positions in a patient's course."""
    before, now = course[prior], course[current]
    operated = (
        before["role"] == Role.PREOP
        or now["role"] == Role.POSTOP
        or any(
            session["role"] in (Role.PREOP, Role.POSTOP) for session in course[prior + 1 : current]
        )
    )
    names = (now["patient_id"], before["session_id"], now["session_id"])
    return {
        "pair_id": pair_id(*names),
        "patient_id": now["patient_id"],
        "prior_session": before["session_id"],
        "current_session": now["session_id"],
        "prior_week": before["week"],
        "current_week": now["week"],
        "reference": reference,
        "response": now["rating"],
        "rating_source": now.get("rating_source", ""),
        "spans_surgery": operated,
        "flags": ";".join(flags),
    }


def exclusion_row(
    session: Mapping[str, Any], reason: ExclusionReason | None, detail: str
) -> dict[str, object]:
    """The row of a session that yields no pair."""
    return {
        "patient_id": session["patient_id"],
        "session_id": session["session_id"],
        "detail": detail,
        "reason": str(reason or ""),
    }


def pair_table(rows: Sequence[Mapping[str, object]], further: Sequence[str] = ()) -> pd.DataFrame:
    """A pairs table from rows, with further columns of text, whether or not it has rows."""
    return _frame(rows, (*PAIR_COLUMNS, *further))


def exclusion_table(rows: Sequence[Mapping[str, object]]) -> pd.DataFrame:
    """An exclusions table from rows."""
    return _frame(rows, EXCLUSION_COLUMNS)


def _frame(rows: Sequence[Mapping[str, object]], columns: Sequence[str]) -> pd.DataFrame:
    """A table with its column types, whether or not it has rows."""
    frame = pd.DataFrame(list(rows), columns=list(columns))
    types = {"prior_week": "int64", "current_week": "int64", "spans_surgery": "bool"}
    return frame.astype({name: types.get(name, "str") for name in columns})
