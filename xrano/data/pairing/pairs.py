"""Sessions to pairs: which two scans are compared, and why the other sessions yield none.

The response of a pair belongs to its current session. Which earlier session is the prior scan is
the *reference*; :mod:`xrano.data.pairing.pair_references` defines each.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pandas as pd

from xrano.data.pairing.exclusions import ExclusionReason, is_marked
from xrano.data.pairing.pair_references import (
    REFERENCE_RULES,
    REFERENCES,
    Choice,
    Session,
    Volumes,
    enhancing_volumes,
    previous_imaged,
    volumes_needed,
)
from xrano.data.pairing.pair_rows import (
    exclusion_row,
    exclusion_table,
    pair_id,
    pair_row,
    pair_table,
)
from xrano.data.table_columns import sequence_columns
from xrano.errors import ManifestError, UnknownNameError
from xrano.rano import Role

__all__ = [
    "REFERENCES",
    "UNRATED",
    "ExclusionReason",
    "build_pairs",
    "filter_by_sequences",
    "pair_id",
]

UNRATED = ("exclude", "include")

_NEEDED = ("patient_id", "session_id", "order", "week", "role", "rating", "exclude_reason")


def build_pairs(
    sessions: pd.DataFrame,
    *,
    reference: str = "previous",
    volumes: pd.DataFrame | None = None,
    unrated: str = "exclude",
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Pair every rated session with its reference.

    Nothing is read from disk and ``sessions`` is not changed. Which sequences there are does not
    matter here; see :func:`filter_by_sequences`.

    Args:
        sessions: a sessions table, in any order of rows.
        reference: a name in :data:`REFERENCES`.
        volumes: for ``nadir``: patient_id, session_id, source, region and ml, of one source.
        unrated: ``exclude``, or ``include`` to pair sessions without a response too (their own
            ``response`` is empty), pre- and post-operative ones among them. A session with an
            ``exclude_reason`` is excluded either way.

    Returns:
        ``(pairs, exclusions)``. Each session is the current one of exactly one pair or stands in
        exclusions exactly once, with an :class:`~xrano.data.pairing.exclusions.ExclusionReason`.
        ``spans_surgery`` says that an operation lies between the two scans: the prior is
        pre-operative, the current is post-operative, or a session between them is either. Pairs
        with their nadir have the column ``flags``
        (:data:`~xrano.data.pairing.pair_references.FLAGS`).

    Raises:
        UnknownNameError: if reference or unrated is unknown.
        ManifestError: if a table lacks a column, or a session has several enhancing volumes.
        ConfigError: if the reference is ``nadir`` and there are no volumes.

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
    if reference == "nadir" and volumes is None:
        raise volumes_needed(reference)
    burdens: Volumes = {} if volumes is None else enhancing_volumes(volumes)
    pairs: list[dict[str, object]] = []
    exclusions: list[dict[str, object]] = []
    for course in _courses(sessions):
        earlier = previous_imaged(course)
        for position, choice in enumerate(REFERENCE_RULES[reference](course, burdens)):
            reason, detail = _verdict(
                course,
                position,
                choice,
                first=earlier[position] is None,
                include_unrated=unrated == "include",
            )
            if reason is None and choice.prior is not None:
                pairs.append(pair_row(course, choice.prior, position, reference, choice.flags))
            else:
                exclusions.append(exclusion_row(course[position], reason, detail))
    further = ("flags",) if reference == "nadir" else ()
    return pair_table(pairs, further), exclusion_table(exclusions)


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
                exclusion_row(session, ExclusionReason.MISSING_SEQUENCE, "; ".join(gaps))
            )
    kept_pairs = pairs[pd.Series(kept, index=pairs.index, dtype=bool)].reset_index(drop=True)
    return kept_pairs, exclusion_table(exclusions)


def _courses(sessions: pd.DataFrame) -> Iterator[list[Session]]:
    """Each patient's sessions in order."""
    ordered = sessions.sort_values(["patient_id", "order"], kind="stable").to_dict("records")
    course: list[Session] = []
    for row in ordered:
        current: Session = {str(name): value for name, value in row.items()}
        if course and current["patient_id"] != course[0]["patient_id"]:
            yield course
            course = []
        course.append(current)
    if course:
        yield course


def _verdict(
    course: Sequence[Session],
    position: int,
    choice: Choice,
    *,
    first: bool,
    include_unrated: bool,
) -> tuple[ExclusionReason | None, str]:
    """Why the session yields no pair, and a detail; ``None`` if it yields one."""
    current = course[position]
    own = _own_reason(current, include_unrated=include_unrated)
    if own[0] is not None:
        return own
    if first:
        return ExclusionReason.FIRST_SESSION, current["rating"]
    if choice.prior is None:
        return ExclusionReason.NO_REFERENCE, choice.why
    prior = course[choice.prior]
    if is_marked(prior["exclude_reason"]):
        # The other reasons are about the prior's rating; its scan is as good as any.
        return ExclusionReason.PRIOR_MARKED, f"{prior['session_id']}: {prior['exclude_reason']}"
    return None, ""


def _own_reason(current: Session, *, include_unrated: bool) -> tuple[ExclusionReason | None, str]:
    """What in the session itself speaks against a pair."""
    marked, raw = current["exclude_reason"], current.get("rating_raw", "")
    if marked:
        if is_marked(marked):
            return ExclusionReason.MARKED, marked
        return ExclusionReason(marked), current.get("exclude_detail", "") or raw
    if not include_unrated:
        if current["role"] in (Role.PREOP, Role.POSTOP):
            return ExclusionReason(current["role"]), raw
        if not current["rating"]:
            return ExclusionReason.NO_RATING, raw
    return None, ""
