"""Which earlier scan a session is compared with: five rules over one patient's course.

Terms: a session is *rated* if the rating table has a response or a post-operative row for it, it
has images, and nothing in ``exclude_reason`` speaks against its use; a pre-operative scan is not
rated. An *operation* is told by a post-operative session (it lies just before it) or a
pre-operative one (it follows), whether or not there are images of either; a *stretch* is the
sessions since the last operation, the post-operative one being its first.

| reference        | the prior scan                                                              |
|------------------|-----------------------------------------------------------------------------|
| `previous`       | the session with images immediately before, whatever it is                  |
| `previous-rated` | the nearest earlier rated session                                           |
| `baseline`       | the patient's first rated session                                           |
| `postop`         | the first rated session of the stretch                                      |
| `nadir`          | the rated session of the stretch with the least measurable enhancing volume |

RANO measures response against the scan after radiotherapy; without dates of radiotherapy (LUMIERE
ships none) ``baseline`` is the first rated scan after surgery instead. At equal volumes ``nadir``
takes the later session.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from xrano.data.pairing.exclusions import ABSENT, is_marked
from xrano.errors import ConfigError, ManifestError
from xrano.rano import VOLUMETRIC, Role

Session = Mapping[str, Any]
"""One row of a sessions table."""

Volumes = Mapping[tuple[str, str], float]
"""Enhancing volume in ml of (patient_id, session_id)."""

ZERO_VOLUME = "zero_volume"
BELOW_MEASURABLE = "below_measurable"
VOLUME_UNKNOWN = "volume_unknown"
CURRENT_ZERO_VOLUME = "current_zero_volume"
FLAGS: Mapping[str, str] = {
    ZERO_VOLUME: "an earlier rated session since the last operation has no enhancing volume and "
    "was passed over: most empty automatic masks are no complete response",
    BELOW_MEASURABLE: f"one with less than {VOLUMETRIC.measurable:g} ml was passed over",
    VOLUME_UNKNOWN: "one of unknown volume was passed over",
    CURRENT_ZERO_VOLUME: "the current scan has no enhancing volume",
}
"""Words in the column ``flags`` of pairs with their nadir, separated by ``;``."""


@dataclass(frozen=True)
class Choice:
    """The prior scan of one session.

    Attributes:
        prior: its position in the patient's course, or ``None``.
        why: in words, why there is none.
        flags: words of :data:`FLAGS`.
    """

    prior: int | None
    why: str = ""
    flags: tuple[str, ...] = ()


def has_images(session: Session) -> bool:
    """Whether there are images of a session that can be a prior scan."""
    return session["exclude_reason"] not in ABSENT


def is_rated(session: Session) -> bool:
    """Whether a session is rated, as this module means it."""
    reason = session["exclude_reason"]
    if not has_images(session) or is_marked(reason):
        return False
    return bool(session["role"] == Role.POSTOP or (session["rating"] and not reason))


def previous_imaged(course: Sequence[Session]) -> list[int | None]:
    """For each session the position of the one with images immediately before."""
    found: list[int | None] = []
    last: int | None = None
    for position, session in enumerate(course):
        found.append(last)
        if has_images(session):
            last = position
    return found


def _rated_before(course: Sequence[Session], *, reset: bool) -> list[list[int]]:
    """For each session the earlier rated ones, of its own stretch alone if ``reset``."""
    found: list[list[int]] = []
    rated: list[int] = []
    for position, session in enumerate(course):
        if reset and session["role"] == Role.POSTOP:
            rated = []
        found.append(list(rated))
        if reset and session["role"] == Role.PREOP:
            rated = []
        elif is_rated(session):
            rated.append(position)
    return found


def _previous(course: Sequence[Session], _volumes: Volumes) -> list[Choice]:
    return [Choice(prior) for prior in previous_imaged(course)]


def _previous_rated(course: Sequence[Session], _volumes: Volumes) -> list[Choice]:
    why = "no earlier rated session"
    return [
        Choice(rated[-1]) if rated else Choice(None, why)
        for rated in _rated_before(course, reset=False)
    ]


def _baseline(course: Sequence[Session], _volumes: Volumes) -> list[Choice]:
    why = "it is the first rated session"
    return [
        Choice(rated[0]) if rated else Choice(None, why)
        for rated in _rated_before(course, reset=False)
    ]


def _postop(course: Sequence[Session], _volumes: Volumes) -> list[Choice]:
    why = "no earlier rated session since the last operation"
    return [
        Choice(rated[0]) if rated else Choice(None, why)
        for rated in _rated_before(course, reset=True)
    ]


def _nadir(course: Sequence[Session], volumes: Volumes) -> list[Choice]:
    burdens = [
        volumes.get((session["patient_id"], session["session_id"]), math.nan) for session in course
    ]
    return [
        _least(rated, burdens, current)
        for current, rated in enumerate(_rated_before(course, reset=True))
    ]


def _least(rated: Sequence[int], burdens: Sequence[float], current: int) -> Choice:
    flags = {_passed_over(burdens[position]) for position in rated} - {""}
    if burdens[current] == 0:
        flags.add(CURRENT_ZERO_VOLUME)
    measurable = [position for position in rated if not _passed_over(burdens[position])]
    if not measurable:
        why = "no earlier rated session since the last operation"
        if rated:
            why += f" with an enhancing volume of {VOLUMETRIC.measurable:g} ml or more"
        return Choice(None, why)
    least = min(measurable, key=lambda position: (burdens[position], -position))
    return Choice(least, flags=tuple(word for word in FLAGS if word in flags))


def _passed_over(ml: float) -> str:
    """Why a session cannot be the nadir; empty if it can."""
    if math.isnan(ml):
        return VOLUME_UNKNOWN
    if ml == 0:
        return ZERO_VOLUME
    return BELOW_MEASURABLE if ml < VOLUMETRIC.measurable else ""


REFERENCE_RULES: Mapping[str, Callable[[Sequence[Session], Volumes], list[Choice]]] = {
    "previous": _previous,
    "previous-rated": _previous_rated,
    "baseline": _baseline,
    "postop": _postop,
    "nadir": _nadir,
}
"""Name to rule: a patient's sessions in order, and volumes, to one choice a session."""

REFERENCES = tuple(REFERENCE_RULES)
"""Which earlier session is the prior scan."""


def enhancing_volumes(volumes: pd.DataFrame) -> dict[tuple[str, str], float]:
    """Enhancing volume in ml of each session that has one.

    Args:
        volumes: columns patient_id, session_id, source, region, ml.

    Raises:
        ManifestError: if a column is missing, or a session has several enhancing volumes, of one
            source or of more.
    """
    _require_columns(volumes)
    found: dict[tuple[str, str], float] = {}
    for row in volumes[volumes["region"] == "enhancing"].to_dict("records"):
        key = (str(row["patient_id"]), str(row["session_id"]))
        if key in found:
            sources = ", ".join(sorted(set(volumes["source"])))
            raise ManifestError(
                f"{' '.join(key)} has more than one enhancing volume (sources: {sources}); keep "
                "the rows of one source"
            )
        found[key] = float(row["ml"])
    return found


def volumes_needed(reference: str) -> ConfigError:
    """The complaint about a reference that was given no volumes."""
    return ConfigError(
        f"reference {reference!r} needs the enhancing volume of each session: a table with the "
        "columns patient_id, session_id, source, region, ml"
    )


def _require_columns(volumes: pd.DataFrame) -> None:
    needed: Iterable[str] = ("patient_id", "session_id", "source", "region", "ml")
    missing = [column for column in needed if column not in volumes]
    if missing:
        raise ManifestError(f"the volumes table lacks the columns {', '.join(missing)}")
