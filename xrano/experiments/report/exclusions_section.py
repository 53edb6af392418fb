"""What was left out, at which step, and why."""

from __future__ import annotations

from xrano.data.pairing.exclusions import ExclusionReason
from xrano.experiments.report.gathered import Gathered
from xrano.experiments.report.number_words import counted
from xrano.report.tables import Section, Table, plain_table

REASON_WORDS = {
    ExclusionReason.NO_IMAGES: "named in a table, but without images",
    ExclusionReason.DISJOINT_DATES: "ratings and images have no date in common",
    ExclusionReason.MARKED: "marked as unusable",
    ExclusionReason.LESS_THAN_3_MONTHS: "rated too soon after radiotherapy to be trusted",
    ExclusionReason.NOT_A_RANO_TIMEPOINT: "no visit for RANO, says the rater",
    ExclusionReason.DUPLICATE_RATING: "rated twice, and differently",
    ExclusionReason.PREOP: "before an operation: not rated",
    ExclusionReason.POSTOP: "first after an operation: not rated",
    ExclusionReason.NO_RATING: "images but no response",
    ExclusionReason.FIRST_SESSION: "no earlier session",
    ExclusionReason.NO_REFERENCE: "no earlier session of the kind it is compared with",
    ExclusionReason.PRIOR_MARKED: "prior scan marked as unusable",
    ExclusionReason.MISSING_SEQUENCE: "a sequence is missing on one of the scans",
    ExclusionReason.NOT_PREPARED: "failed in preparation",
}
"""Each reason in words; any other text is the user's own."""

_STEPS = {"cohort": "before the run: pairs of the cohort", "run": "this run: its sequences"}


def exclusions_section(gathered: Gathered) -> Section:
    """Sessions without a pair by reason, and pairs without a place in the primary analysis."""
    table = gathered.exclusions
    words = [
        "A session that is the current scan of no pair is listed with its reason; nothing is "
        "dropped silently."
    ]
    points = _left_out_of_primary(gathered)
    if table.empty:
        words.append("No session was excluded, or the tables of exclusions are missing.")
        return Section("exclusions", "What was left out?", tuple(words), points=points)
    return Section(
        "exclusions",
        "What was left out?",
        tuple(words),
        points=points,
        tables=(_by_reason(gathered), _each(gathered)),
    )


def _by_reason(gathered: Gathered) -> Table:
    counts = gathered.exclusions.groupby(["step", "reason"], sort=True)
    rows = [
        [
            _reason(str(reason)),
            _STEPS.get(str(step), str(step)),
            str(len(own)),
            str(own["patient_id"].nunique()),
        ]
        for (step, reason), own in counts
    ]
    return plain_table(
        "exclusions", "Sessions by reason", ("reason", "step", "sessions", "patients"), rows
    )


def _each(gathered: Gathered) -> Table:
    rows = [
        [row["patient_id"], row["session_id"], _reason(str(row["reason"])), row["detail"] or "–"]
        for row in gathered.exclusions.to_dict("records")
    ]
    return plain_table(
        "excluded",
        "Every excluded session",
        ("patient", "session", "reason", "detail"),
        rows,
        folded=f"Every excluded session ({len(rows)})",
    )


def _reason(reason: str) -> str:
    known = {str(one): words for one, words in REASON_WORDS.items()}
    return known.get(reason, reason)


def _left_out_of_primary(gathered: Gathered) -> tuple[str, ...]:
    if gathered.scored is None:
        return ()
    counts = gathered.scored.report["counts"]
    left = counts["left_out_of_primary"]
    words = {
        "unrated": "unrated, so described apart from the rated ones",
        "spans_surgery": "spanning an operation, so left out of the primary analysis",
    }
    return tuple(
        f"{counted(left[name], 'scored pair')} {text}."
        for name, text in words.items()
        if left[name]
    )
