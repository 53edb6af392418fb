"""Sessions to pairs: which two scans are compared, and why the other sessions yield none.

The response of a pair belongs to its current session. ``previous`` is the session with images that
comes immediately before, whatever it is: no scan is skipped in search of a better one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Any

import pandas as pd

from xrano.data.tables import EXCLUSION_COLUMNS, PAIR_COLUMNS, sequence_columns
from xrano.errors import ManifestError, UnknownNameError
from xrano.rano import Role

REFERENCES = ("previous",)
"""Which earlier session is the prior scan."""

UNRATED = ("exclude", "include")


class ExclusionReason(StrEnum):
    """Why a session is the current scan of no pair; the first that holds is given."""

    NO_IMAGES = "no_images"
    """A table names the session, but there is no image of it. It is no prior scan either."""
    MARKED = "marked"
    """``exclude_reason`` of the sessions table holds a text of the user's own, given as detail.
    The scan is taken to be unusable, so it is no prior scan either."""
    LESS_THAN_3_MONTHS = "less_than_3_months"
    """The rating is marked as too soon after radiotherapy to be trusted."""
    NOT_A_RANO_TIMEPOINT = "not_a_rano_timepoint"
    """The rater says that the visit is none for RANO."""
    DUPLICATE_RATING = "duplicate_rating"
    """The session was rated twice, and differently."""
    PREOP = "preop"
    """A scan before an operation is not rated."""
    POSTOP = "postop"
    """The first scan after an operation is not rated."""
    NO_RATING = "no_rating"
    """There are images but no response."""
    FIRST_SESSION = "first_session"
    """There is no earlier session with images."""
    PRIOR_MARKED = "prior_marked"
    """The prior scan is marked as unusable."""
    MISSING_SEQUENCE = "missing_sequence"
    """A sequence asked for is missing on one of the two scans."""


_OWN = {str(reason) for reason in ExclusionReason}
_NEEDED = ("patient_id", "session_id", "order", "week", "role", "rating", "exclude_reason")

_Session = Mapping[str, Any]


def pair_id(patient_id: str, prior_session: str, current_session: str) -> str:
    """The name of a pair.

    Example:
        >>> pair_id("Patient-042", "week-010", "week-022")
        'Patient-042_week-010_week-022'
    """
    return f"{patient_id}_{prior_session}_{current_session}"


def build_pairs(
    sessions: pd.DataFrame, *, reference: str = "previous", unrated: str = "exclude"
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Pair every rated session with its reference.

    Nothing is read from disk and ``sessions`` is not changed. Which sequences there are does not
    matter here; see :func:`filter_by_sequences`.

    Args:
        sessions: a sessions table, in any order of rows.
        reference: ``previous``.
        unrated: ``exclude``, or ``include`` to pair sessions without a response too (their own
            ``response`` is empty), pre- and post-operative ones among them. A session with an
            ``exclude_reason`` is excluded either way.

    Returns:
        ``(pairs, exclusions)``. Each session is the current one of exactly one pair or stands in
        exclusions exactly once, with an :class:`ExclusionReason`. ``spans_surgery`` says that an
        operation lies between the two scans: the prior is pre-operative, the current is
        post-operative, or a session between them (rated, but without images) is either.

    Raises:
        UnknownNameError: if reference or unrated is unknown.
        ManifestError: if the table lacks a column.

    Example:
        >>> from xrano.data.tables import session_table
        >>> sessions = session_table([
        ...     {"patient_id": "P1", "session_id": "week-000", "order": 0, "week": 0, "days": 0,
        ...      "role": "preop"},
        ...     {"patient_id": "P1", "session_id": "week-012", "order": 1, "week": 12, "days": 84,
        ...      "role": "followup", "rating": "PD"}])
        >>> pairs, exclusions = build_pairs(sessions)
        >>> pairs[["pair_id", "response", "spans_surgery"]].values.tolist()
        [['P1_week-000_week-012', 'PD', True]]
        >>> exclusions[["session_id", "reason"]].values.tolist()
        [['week-000', 'preop']]
    """
    if reference not in REFERENCES:
        raise UnknownNameError("reference", reference, REFERENCES)
    if unrated not in UNRATED:
        raise UnknownNameError("way with unrated sessions", unrated, UNRATED)
    missing = [column for column in _NEEDED if column not in sessions]
    if missing:
        raise ManifestError(f"the sessions table lacks the columns {', '.join(missing)}")
    pairs: list[dict[str, object]] = []
    exclusions: list[dict[str, object]] = []
    for prior, current, between in _candidates(sessions):
        reason, detail = _verdict(prior, current, include_unrated=unrated == "include")
        if reason is None and prior is not None:
            pairs.append(_pair(prior, current, between, reference))
        else:
            exclusions.append(_exclusion(current, reason, detail))
    return _frame(pairs, PAIR_COLUMNS), _frame(exclusions, EXCLUSION_COLUMNS)


def filter_by_sequences(
    pairs: pd.DataFrame, sessions: pd.DataFrame, sequences: Sequence[str]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Keep the pairs of which both scans have every sequence.

    Args:
        pairs: a pairs table.
        sessions: the sessions that it was built from.
        sequences: names of columns of ``sessions``.

    Returns:
        ``(pairs, exclusions)``, the latter naming what is missing on which scan.

    Raises:
        UnknownNameError: if a sequence is no column of the sessions table.
        ManifestError: if a pair names a session that is not in the table.
    """
    for sequence in sequences:
        if sequence not in sessions:
            raise UnknownNameError("sequence", sequence, sequence_columns(sessions))
    missing = {
        (row["patient_id"], row["session_id"]): [name for name in sequences if not row[name]]
        for row in sessions.to_dict("records")
    }
    kept: list[bool] = []
    exclusions: list[dict[str, object]] = []
    for pair in pairs.to_dict("records"):
        gaps = []
        for side in ("prior", "current"):
            key = (pair["patient_id"], pair[f"{side}_session"])
            if key not in missing:
                raise ManifestError(
                    f"pair {pair['pair_id']} names {' '.join(key)}, which is no session of the "
                    "sessions table; build the pairs again"
                )
            if missing[key]:
                gaps.append(f"{side} {key[1]} lacks {', '.join(missing[key])}")
        kept.append(not gaps)
        if gaps:
            session = {"patient_id": pair["patient_id"], "session_id": pair["current_session"]}
            exclusions.append(
                _exclusion(session, ExclusionReason.MISSING_SEQUENCE, "; ".join(gaps))
            )
    kept_pairs = pairs[pd.Series(kept, index=pairs.index, dtype=bool)].reset_index(drop=True)
    return kept_pairs, _frame(exclusions, EXCLUSION_COLUMNS)


def _candidates(
    sessions: pd.DataFrame,
) -> Iterator[tuple[_Session | None, _Session, list[_Session]]]:
    """Every session with the imaged one before it and the sessions without images between."""
    ordered = sessions.sort_values(["patient_id", "order"], kind="stable").to_dict("records")
    patient: object = None
    prior: _Session | None = None
    between: list[_Session] = []
    for row in ordered:
        current: _Session = {str(name): value for name, value in row.items()}
        if current["patient_id"] != patient:
            patient, prior, between = current["patient_id"], None, []
        yield prior, current, between
        if current["exclude_reason"] == ExclusionReason.NO_IMAGES:
            between = [*between, current]
        else:
            prior, between = current, []


def _verdict(
    prior: _Session | None, current: _Session, *, include_unrated: bool
) -> tuple[ExclusionReason | None, str]:
    """Why the session yields no pair, and a detail; ``None`` if it yields one."""
    marked = current["exclude_reason"]
    if marked:
        if marked not in _OWN:
            return ExclusionReason.MARKED, marked
        return ExclusionReason(marked), current.get("rating_raw", "")
    if not include_unrated:
        if current["role"] in (Role.PREOP, Role.POSTOP):
            return ExclusionReason(current["role"]), current.get("rating_raw", "")
        if not current["rating"]:
            return ExclusionReason.NO_RATING, current.get("rating_raw", "")
    if prior is None:
        return ExclusionReason.FIRST_SESSION, current["rating"]
    if prior["exclude_reason"] not in _OWN - {ExclusionReason.MARKED} | {""}:
        # The other reasons are about the prior's rating; its scan is as good as any.
        return ExclusionReason.PRIOR_MARKED, f"{prior['session_id']}: {prior['exclude_reason']}"
    return None, ""


def _pair(
    prior: _Session, current: _Session, between: Sequence[_Session], reference: str
) -> dict[str, object]:
    operated = (
        prior["role"] == Role.PREOP
        or current["role"] == Role.POSTOP
        or any(session["role"] in (Role.PREOP, Role.POSTOP) for session in between)
    )
    names = (current["patient_id"], prior["session_id"], current["session_id"])
    return {
        "pair_id": pair_id(*names),
        "patient_id": current["patient_id"],
        "prior_session": prior["session_id"],
        "current_session": current["session_id"],
        "prior_week": prior["week"],
        "current_week": current["week"],
        "reference": reference,
        "response": current["rating"],
        "rating_source": current.get("rating_source", ""),
        "spans_surgery": operated,
    }


def _exclusion(
    session: Mapping[str, Any], reason: ExclusionReason | None, detail: str
) -> dict[str, object]:
    return {
        "patient_id": session["patient_id"],
        "session_id": session["session_id"],
        "detail": detail,
        "reason": str(reason or ""),
    }


def _frame(rows: Sequence[Mapping[str, object]], columns: Sequence[str]) -> pd.DataFrame:
    """A table with its column types, whether or not it has rows."""
    frame = pd.DataFrame(list(rows), columns=list(columns))
    types = {"prior_week": "int64", "current_week": "int64", "spans_surgery": "bool"}
    return frame.astype({name: types.get(name, "str") for name in columns})
