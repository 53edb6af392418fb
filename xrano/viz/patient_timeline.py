"""What is known of one patient over all visits: volumes, ratings, predictions, relevance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from xrano.errors import ManifestError


@dataclass(frozen=True)
class TimelineVisit:
    """One session.

    Args:
        session_id: its name.
        week: when it was.
        volumes: tissue to ml, as far as the segmentation tells tissues; empty if there is none.
        rating: CR, PR, SD, PD, or empty.
        rating_source: ``expert`` or ``rule``; empty without a rating.
        role: preop, postop, followup or unknown.
        excluded: why it is the current scan of no pair; empty if it is of one.
        treatment: what the sessions table says of treatment then; empty if nothing.
    """

    session_id: str
    week: float
    volumes: Mapping[str, float]
    rating: str = ""
    rating_source: str = ""
    role: str = "unknown"
    excluded: str = ""
    treatment: str = ""


@dataclass(frozen=True)
class TimelinePrediction:
    """What a network that was not trained on it says of one pair; probabilities sum to 1."""

    pair_id: str
    current_session: str
    truth: str
    predicted: str
    probabilities: Mapping[str, float]


@dataclass(frozen=True)
class TimelineShare:
    """How one map's relevance divides: (timepoint, sequence) to its share; they sum to 1.

    ``timepoint`` is ``prior``, ``current``, or ``change`` for networks that merge both.
    """

    method: str
    current_session: str
    shares: Mapping[tuple[str, str], float]


@dataclass(frozen=True)
class PatientTimeline:
    """All visits of one patient.

    Args:
        patient_id: the patient.
        visits: in the order of time, at least one.
        classes: classes of the network, in the order of its logits.
        predictions: out-of-fold, of pairs; at most one a current session.
        shares: of the network's own maps.
        source: whose segmentation the volumes are of; empty without any.
        events: session_id and what happened just before it (an operation).
        notes: what is missing and why, in sentences.
        held_out: what the network of a prediction never saw: patient, or pair.

    Raises:
        ManifestError: if there is no visit, or something is of an unknown session.
    """

    patient_id: str
    visits: tuple[TimelineVisit, ...]
    classes: tuple[str, ...]
    predictions: tuple[TimelinePrediction, ...] = ()
    shares: tuple[TimelineShare, ...] = ()
    source: str = ""
    events: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()
    held_out: str = "patient"

    def __post_init__(self) -> None:
        if not self.visits:
            raise ManifestError(f"{self.patient_id} has no visit to draw")
        known = {visit.session_id for visit in self.visits}
        named = [prediction.current_session for prediction in self.predictions]
        named += [share.current_session for share in self.shares]
        for session in (*named, *(session for session, _ in self.events)):
            if session not in known:
                raise ManifestError(
                    f"{self.patient_id} has no session {session!r}; "
                    f"known are {', '.join(sorted(known))}"
                )

    @property
    def tissues(self) -> tuple[str, ...]:
        """Tissues that any visit has a volume of, in the order of the first that has."""
        return tuple(dict.fromkeys(name for visit in self.visits for name in visit.volumes))

    @property
    def methods(self) -> tuple[str, ...]:
        """Methods that shares are known of."""
        return tuple(dict.fromkeys(item.method for item in self.shares))
