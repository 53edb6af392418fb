"""The pairs that the paper's code selects (Matoso et al. 2025, arXiv 2504.18268), rule for rule.

1. The rating and the completeness table are joined on patient and session name, whatever either
   lacks being kept as a row, and sorted by patient and name as text (``week-000-10`` comes before
   ``week-000-2``). Two ratings of one session are two rows.
2. Rows rated Pre-Op, Post-Op or Post-Op/PD and rows without a rating are dropped, as are rows with
   ``LessThan3Months`` and rows whose rationale begins with ``less than 3 months``, ``Less than 3
   months`` or ``Not a timepoint for RANO measurement``.
3. The prior scan is the row immediately before in the joined table, of whatever kind. Both rows
   must have every sequence of the chosen set by the completeness table, not by the disk.
4. A session is one folder, filled from the last row to the first and never overwritten, and its
   response is that of its first row. So a session that was rated twice is paired with *itself*,
   under the first of its ratings.

Names join as they are: a rating of ``week-000`` does not find the session ``week-000-2``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from xrano.data.datasets.lumiere_layout import SessionKey, parse_session_name
from xrano.data.datasets.lumiere_tables import RatingRow
from xrano.data.pairing.exclusions import ExclusionReason
from xrano.data.pairing.pair_rows import exclusion_row, exclusion_table, pair_row, pair_table
from xrano.rano import Role

PAPER = "paper"
"""The word in the column ``reference`` of these pairs."""

SELF_PAIR = "self_pair"
"""The word in the column ``flags`` of a pair whose two scans are one session."""

_EARLY = ("less than 3 months", "Less than 3 months")
_NO_TIMEPOINT = "Not a timepoint for RANO measurement"


@dataclass(frozen=True)
class _Row:
    key: SessionKey
    rated: RatingRow | None
    sequences: Collection[str]

    @property
    def response(self) -> str:
        return str(self.rated.rating.response or "") if self.rated else ""

    def dropped(self) -> ExclusionReason | None:
        """Why the row is no current scan, if it is none."""
        if self.rated is None:
            return ExclusionReason.NO_RATING
        role = self.rated.rating.role
        if role in (Role.PREOP, Role.POSTOP):
            return ExclusionReason(str(role))
        if not self.response:
            return ExclusionReason.NO_RATING
        if self.rated.too_early or self.rated.rationale.startswith(_EARLY):
            return ExclusionReason.LESS_THAN_3_MONTHS
        if self.rated.rationale.startswith(_NO_TIMEPOINT):
            return ExclusionReason.NOT_A_RANO_TIMEPOINT
        return None

    def session(self, response: str) -> dict[str, object]:
        week, _ = parse_session_name(self.key[1])
        return {
            "patient_id": self.key[0],
            "session_id": self.key[1],
            "week": week,
            "role": self.rated.rating.role if self.rated else Role.UNKNOWN,
            "rating": response,
            "rating_source": "expert",
        }


def paper_pairs(
    ratings: Iterable[RatingRow],
    completeness: Mapping[SessionKey, Collection[str]],
    sequences: Sequence[str],
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Select pairs as the paper's code does.

    Args:
        ratings: rows of the rating table.
        completeness: session to the sequences that the completeness table promises.
        sequences: the chosen set, such as T1, T2, FLAIR.

    Returns:
        ``(pairs, exclusions)``; each session of either table is the current one of exactly one
        pair or stands in exclusions exactly once. Pairs have the further column ``flags``
        (:data:`SELF_PAIR` or empty) and ``reference`` is :data:`PAPER`.
    """
    rows = _joined(ratings, completeness)
    first = {row.key: row.response for row in reversed(rows)}
    pairs: dict[SessionKey, dict[str, object]] = {}
    excluded: dict[SessionKey, dict[str, object]] = {}
    for position in reversed(range(len(rows))):
        row = rows[position]
        before = rows[position - 1] if position else None
        prior = before if before is not None and before.key[0] == row.key[0] else None
        reason, detail = _verdict(row, prior, sequences)
        if reason is not None or prior is None:
            excluded.setdefault(row.key, _exclusion(row.key, reason, detail))
        elif row.key not in pairs:
            course = [prior.session(prior.response), row.session(first[row.key])]
            flags = (SELF_PAIR,) if prior.key == row.key else ()
            pairs[row.key] = pair_row(course, 0, 1, PAPER, flags)
    return (
        pair_table([pairs[key] for key in sorted(pairs)], ("flags",)),
        exclusion_table([excluded[key] for key in sorted(excluded) if key not in pairs]),
    )


def _joined(
    ratings: Iterable[RatingRow], completeness: Mapping[SessionKey, Collection[str]]
) -> list[_Row]:
    rows = []
    for rated in ratings:
        key = (rated.patient_id, rated.session_id)
        rows.append(_Row(key, rated, completeness.get(key, ())))
    named = {row.key for row in rows}
    rows += [_Row(key, None, found) for key, found in completeness.items() if key not in named]
    # A stable sort: the two rows of a session stay in the order of the file.
    return sorted(rows, key=lambda row: row.key)


def _verdict(
    row: _Row, prior: _Row | None, sequences: Sequence[str]
) -> tuple[ExclusionReason | None, str]:
    reason = row.dropped()
    if reason is not None:
        return reason, row.rated.rating.raw if row.rated else ""
    if prior is None:
        return ExclusionReason.FIRST_SESSION, row.response
    gaps = []
    for side, scan in (("prior", prior), ("current", row)):
        lacking = [name for name in sequences if name not in scan.sequences]
        if lacking:
            gaps.append(f"{side} {scan.key[1]} lacks {', '.join(lacking)}")
    return (ExclusionReason.MISSING_SEQUENCE, "; ".join(gaps)) if gaps else (None, "")


def _exclusion(key: SessionKey, reason: ExclusionReason | None, detail: str) -> dict[str, object]:
    return exclusion_row({"patient_id": key[0], "session_id": key[1]}, reason, detail)
