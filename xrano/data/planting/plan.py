"""What is planted into a store, and which class the mark of each session stands for.

No scipy here: plans are read by whoever starts an experiment.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, TypeAlias, get_args

import numpy as np

from xrano.errors import ConfigError, UnknownNameError
from xrano.rano import RESPONSES, Response

SHORTCUTS: tuple[str, ...] = ("noise", "blur", "bias", "texture", "edge", "tag")
"""Kinds of mark. The first four fill the brain, ``edge`` lies along its boundary, and ``tag`` is
one spot."""

NO_MARK = "none"

Tumour: TypeAlias = Literal["kept", "erased"]

SWAPPED: Mapping[Response, Response] = MappingProxyType(
    {response: RESPONSES[(index + 2) % len(RESPONSES)] for index, response in enumerate(RESPONSES)}
)
"""The class whose mark stands in for another's in a swapped store. Two steps along the order, so
that a mark by degrees is never replaced by its neighbour's, nor a direction by one beside it."""


@dataclass(frozen=True)
class PlantingPlan:
    """Everything that decides a planted store; the same plan and source give the same bytes.

    Args:
        kind: a name of :data:`SHORTCUTS`, or ``none`` for no mark.
        strength: probability that a session's mark stands for its own response. Otherwise its
            class is drawn evenly from all four, so that at 0 a mark knows nothing, and at s a
            quarter of ``1 - s`` is right by chance.
        swap: whether every mark is replaced by that of :data:`SWAPPED`. Nothing else changes, the
            draws included: a network that reads the mark must then answer wrongly.
        tumour: ``kept``, or ``erased``: healthy tissue in the place of every lesion, so that only
            the mark can tell.
        seed: of all draws.
        amplitude: the marks' size as a share of what :mod:`xrano.data.planting.marks` sets.

    Raises:
        UnknownNameError: if the kind or what becomes of the tumour is unknown.
        ConfigError: if a number is out of its range, or a mark that is not there is to be swapped.

    Example:
        >>> PlantingPlan("edge", swap=True).describe()
        'edge marks of strength 1, swapped, tumours kept, seed 0'
    """

    kind: str = NO_MARK
    strength: float = 1.0
    swap: bool = False
    tumour: Tumour = "kept"
    seed: int = 0
    amplitude: float = 1.0

    def __post_init__(self) -> None:
        if self.kind not in (NO_MARK, *SHORTCUTS):
            raise UnknownNameError("shortcut", self.kind, (NO_MARK, *SHORTCUTS))
        if self.tumour not in get_args(Tumour):
            raise UnknownNameError("tumour", self.tumour, get_args(Tumour))
        for name in ("strength", "amplitude"):
            object.__setattr__(self, name, float(getattr(self, name)))
        if not 0.0 <= self.strength <= 1.0:
            raise ConfigError(f"a strength is a probability from 0 to 1, got {self.strength}")
        if not (math.isfinite(self.amplitude) and self.amplitude > 0.0):
            raise ConfigError(f"an amplitude is a number above 0, got {self.amplitude}")
        if self.seed < 0:
            raise ConfigError(f"a seed is an integer ≥ 0, got {self.seed}")
        if self.swap and self.kind == NO_MARK:
            raise ConfigError(
                f"a plan without a mark cannot swap it; name one of {', '.join(SHORTCUTS)}"
            )

    @property
    def changes_nothing(self) -> bool:
        """Whether a planted store holds the same scans as its source."""
        return self.kind == NO_MARK and self.tumour == "kept"

    def describe(self) -> str:
        """The plan in words."""
        parts = ["no marks"]
        if self.kind != NO_MARK:
            parts = [f"{self.kind} marks of strength {self.strength:g}"]
            parts += [f"amplitude {self.amplitude:g}"] if self.amplitude != 1.0 else []
            parts += ["swapped"] if self.swap else []
        return ", ".join([*parts, f"tumours {self.tumour}", f"seed {self.seed}"])


def mark_class(
    plan: PlantingPlan, patient_id: str, session_id: str, response: str
) -> Response | None:
    """The class that a session's mark stands for; ``None`` without a mark.

    Args:
        plan: what is planted.
        patient_id: the session's patient.
        session_id: the session; both names and the seed decide the draws.
        response: the session's own, or empty, which has the mark of a class drawn evenly.

    Raises:
        UnknownNameError: if the response is none of the four.

    Example:
        >>> mark_class(PlantingPlan("tag"), "Patient-001", "week-016", "PD")
        <Response.PD: 'PD'>
        >>> mark_class(PlantingPlan("tag", swap=True), "Patient-001", "week-016", "PD")
        <Response.PR: 'PR'>
    """
    if response and response not in RESPONSES:
        raise UnknownNameError("response", response, RESPONSES)
    if plan.kind == NO_MARK:
        return None
    rng = stream(plan, patient_id, session_id, "class")
    # Both drawn whatever the strength: a session that tells at one strength tells at every larger.
    told, drawn = rng.random() < plan.strength, RESPONSES[int(rng.integers(len(RESPONSES)))]
    found = Response(response) if response and told else drawn
    return SWAPPED[found] if plan.swap else found


def stream(plan: PlantingPlan, *words: str) -> np.random.Generator:
    """A random stream of the plan's seed and some words, the same on every machine."""
    text = json.dumps([plan.seed, *words])
    return np.random.default_rng(int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], "big"))
