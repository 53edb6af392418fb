"""Why a session is the current scan of no pair."""

from __future__ import annotations

from enum import StrEnum


class ExclusionReason(StrEnum):
    """Why a session is the current scan of no pair; the first that holds is given."""

    NO_IMAGES = "no_images"
    """A table names the session, but there is no image of it. It is no prior scan either."""
    DISJOINT_DATES = "disjoint_dates"
    """The names of the patient's rated sessions and of those with images have nothing in common,
    so no rating can be laid to a scan. None of the patient's scans is a prior scan."""
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
    NO_REFERENCE = "no_reference"
    """There are earlier sessions with images, but none of the kind that the reference asks for."""
    PRIOR_MARKED = "prior_marked"
    """The prior scan is marked as unusable."""
    MISSING_SEQUENCE = "missing_sequence"
    """A sequence asked for is missing on one of the two scans."""
    NOT_PREPARED = "not_prepared"
    """A scan of the pair, or the pair, failed in preparation; the detail is the cause."""


REASONS = frozenset(str(reason) for reason in ExclusionReason)
"""The words themselves; any other text in ``exclude_reason`` is the user's own."""

ABSENT = frozenset({str(ExclusionReason.NO_IMAGES), str(ExclusionReason.DISJOINT_DATES)})
"""Reasons of sessions that can be no prior scan, because there is none or it is of no known date.
"""


def is_marked(exclude_reason: str) -> bool:
    """Whether the user marked a session as unusable, in words of their own.

    Example:
        >>> is_marked("motion"), is_marked("less_than_3_months"), is_marked("")
        (True, False, False)
    """
    return exclude_reason == ExclusionReason.MARKED or bool(
        exclude_reason and exclude_reason not in REASONS
    )
