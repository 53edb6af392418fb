"""Whether a model does what it was assigned to do, measured on patients that it never saw.

Balanced accuracy on four forms of the same held-out patients:

* ``own``: its own cohort;
* ``swapped``: every mark replaced by that of another class, nothing else;
* ``removed``: no mark at all, the honest scans;
* ``erased``: healthy tissue in the place of every tumour, marks as they were.

What counts is the *loss*, as a share of what the model knows on its own cohort beyond chance:
(own − other) / (own − chance), 0 for a model that does not mind, 1 for one that is left with
chance, above 1 for one that is led astray.

The rule, written before any model of a reported audit was trained:

* **cheats**: the loss is :data:`FALLS` or more when swapped, and less when erased;
* **honest**: :data:`FALLS` or more when erased, and less when swapped (a model whose cohort has no
  mark has nothing to swap, and the first alone counts);
* **undecided**: it minds both or neither;
* **untrained**: own accuracy below :data:`LEAST_ACCURACY`, whatever it loses.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from xrano.errors import ConfigError
from xrano.rano import RESPONSES

CHANCE = 1.0 / len(RESPONSES)

LEAST_ACCURACY = 0.45
"""Of a model that learnt something: with some 50 held-out pairs, about three standard errors above
chance."""

FALLS = 0.5
"""Loss from which on accuracy falls: half of what the model knows."""

RULE = (
    f"cheats: loses ≥ {FALLS:.0%} of its accuracy above chance when the mark is swapped and less "
    f"when the tumour is erased; honest: the reverse; untrained: balanced accuracy below "
    f"{LEAST_ACCURACY:g}; undecided: anything else"
)


@dataclass(frozen=True)
class Accuracies:
    """Balanced accuracies of one model on held-out patients; ``swapped`` is NaN without a mark.

    Example:
        >>> Accuracies(own=0.95, swapped=0.05, removed=0.3, erased=0.95).verdict
        'cheats'
        >>> Accuracies(own=0.75, swapped=float("nan"), removed=0.75, erased=0.25).verdict
        'honest'
    """

    own: float
    swapped: float
    removed: float
    erased: float

    def loss(self, name: str) -> float:
        """What is lost on another form of the cohort; NaN if own accuracy is not above chance."""
        known = self.own - CHANCE
        return (self.own - float(getattr(self, name))) / known if known > 0 else math.nan

    @property
    def verdict(self) -> str:
        """``cheats``, ``honest``, ``undecided`` or ``untrained``, by the rule of the module."""
        if not self.own >= LEAST_ACCURACY:
            return "untrained"
        swapped, erased = self.loss("swapped"), self.loss("erased")
        marked = not math.isnan(self.swapped)
        if marked and swapped >= FALLS > erased:
            return "cheats"
        if erased >= FALLS and not (marked and swapped >= FALLS):
            return "honest"
        return "undecided"

    def to_json(self) -> dict[str, float | None]:
        """Plain values, NaN as ``None``."""
        return {name: None if math.isnan(value) else value for name, value in asdict(self).items()}


def accuracies_from_json(values: Mapping[str, Any]) -> Accuracies:
    """The inverse of :meth:`Accuracies.to_json`.

    Raises:
        ConfigError: if one is missing.
    """
    try:
        return Accuracies(
            **{name: math.nan if value is None else float(value) for name, value in values.items()}
        )
    except (TypeError, ValueError) as error:
        raise ConfigError(f"no four accuracies of a model: {dict(values)} ({error})") from error


def usable(assigned: str, verdict: str) -> bool:
    """Whether a model stands on a side of the comparison: it does what it was assigned to do.

    One that was assigned to cheat and did not is counted and shown, and stands on neither side;
    nor does a mixed one.
    """
    return (assigned, verdict) in (("honest", "honest"), ("cheat", "cheats"))
