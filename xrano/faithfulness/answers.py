"""What a network said before and after its scans were changed, and what a rater might have said."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xrano.errors import ConfigError, UnknownNameError
from xrano.faithfulness.catalogue import FaithfulnessStatus, metric_row
from xrano.tasks import REST

QUANTITIES = ("logit_change", "probability_change", "answer_changed", "answer_as_ruled")
"""What is told of an intervention: change of the target's logit and of its probability, whether
another class is predicted (0 or 1), and whether it is one that the rule allows (0 or 1)."""

UNCHANGED = frozenset({"CR", "SD", REST})
"""What may be said where nothing changed: SD, and CR of no tumour then and now."""

AFTER_SWAP: Mapping[str, frozenset[str]] = {
    "CR": frozenset({"CR", "SD", "PD"}),
    "PR": frozenset({"PD"}),
    "SD": frozenset({"CR", "SD", "PD"}),
    "PD": frozenset({"CR", "PR", "SD", REST}),
}
"""What a rater who goes by burdens (:func:`xrano.rano.rate`) may say once the scans are exchanged,
by what was said before. A shrinkage read backwards is progression, so PR becomes PD. Progression
read backwards is PR only if the burden was more than halved, and stable otherwise; PR and PD are
where a network can fail. Of ``rest`` nothing follows."""


@dataclass(frozen=True, eq=False)
class Intervention:
    """What a network said before and after.

    Attributes:
        metric: name in :data:`xrano.faithfulness.catalogue.INTERVENTION`.
        before: (class,) logits of the pair.
        after: (class,) logits of the changed pair; NaN if there was nothing to change.
        controls: (control, class) logits with the piece elsewhere; none where that makes no sense.
        infill: what stood in the place of what went; empty if nothing went.
        setting: what else was chosen.
        status: ``ok``, or ``empty_mask``.
    """

    metric: str
    before: NDArray[np.float64]
    after: NDArray[np.float64]
    controls: NDArray[np.float64]
    infill: str = ""
    setting: str = ""
    status: FaithfulnessStatus = FaithfulnessStatus.OK

    @property
    def predicted_before(self) -> int:
        """Index of the class with the highest logit before."""
        return int(self.before.argmax())

    @property
    def predicted_after(self) -> int | None:
        """The same afterwards; ``None`` if undefined."""
        return None if math.isnan(self.after[0]) else int(self.after.argmax())

    def change(self, quantity: str, target: int, after: NDArray[np.float64] | None = None) -> float:
        """One of the first three :data:`QUANTITIES`; of a control if its logits are given.

        Raises:
            UnknownNameError: for another name.
            ConfigError: if there is no such class.
        """
        if not 0 <= target < len(self.before):
            raise ConfigError(f"target {target} is none of the {len(self.before)} classes")
        after = self.after if after is None else after
        if math.isnan(after[0]):
            return math.nan
        if quantity == "logit_change":
            return float(after[target] - self.before[target])
        if quantity == "probability_change":
            return float((_softmax(after) - _softmax(self.before))[target])
        if quantity == "answer_changed":
            return float(after.argmax() != self.before.argmax())
        raise UnknownNameError("quantity", quantity, QUANTITIES[:3])

    def as_ruled(self, classes: Sequence[str]) -> float:
        """1 if the new answer is one that the rule allows, 0 if not, NaN where it says nothing.

        Of a pair without any change, or whose lesion looks as before (infill ``prior``), the rule
        allows SD and CR.
        """
        answer = self.predicted_after
        if answer is None:
            return math.nan
        if self.metric == "visit_swap":
            allowed = AFTER_SWAP.get(classes[self.predicted_before])
        elif self.metric == "duplicated_visit":
            allowed = UNCHANGED
        else:
            same = self.metric == "lesion_erase" and self.infill == "prior"
            allowed = UNCHANGED if same else None
        return math.nan if allowed is None else float(classes[answer] in allowed)

    def rows(self, target: int, classes: Sequence[str]) -> list[dict[str, Any]]:
        """A row for each of :data:`QUANTITIES` that is defined for this intervention.

        ``reference`` is the mean over controls.

        Args:
            target: index of the class explained.
            classes: names of the logits.
        """
        rows = []
        for quantity in QUANTITIES[:3]:
            beside = [self.change(quantity, target, one) for one in self.controls]
            value = self.change(quantity, target)
            rows.append((quantity, value, float(np.mean(beside)) if beside else math.nan))
        ruled = self.as_ruled(classes)
        if not math.isnan(ruled):
            rows.append((QUANTITIES[3], ruled, math.nan))
        return [
            {
                **metric_row(self.metric, value, reference=reference, status=self.status),
                "infill": self.infill,
                "setting": self.setting,
                "quantity": quantity,
            }
            for quantity, value, reference in rows
        ]


def _softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    share = np.exp(logits - logits.max())
    return np.asarray(share / share.sum())
