"""What a millimetre does: the current scan moved against the prior one.

Scans of two visits are registered to within a millimetre or two. A network, or a map, that
changes with so little tells of the registration too. The current scan is moved in world space,
rigidly about the brain's centre; the prior scan and the brain stay.

Moving a scan blurs it a little, and that alone may change an answer. So beside each motion stands
its *reference*: the scan moved there and back, blurred about twice and displaced not at all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from xrano.channels import ChannelLayout
from xrano.faithfulness.agreement import (
    MapAgreement,
    map_agreement,
    mean_agreement,
    relevance_in_brain,
)
from xrano.faithfulness.catalogue import metric_row
from xrano.faithfulness.motions import Motion, brain_centre, motions, move_current, move_map
from xrano.geometry import Grid, inverse
from xrano.maps import AttributionMap
from xrano.types import Mask

MOVED_ALIKE = "rank_correlation_moved_alike"

Explained: TypeAlias = tuple[NDArray[np.float64], Mapping[str, AttributionMap]]
"""Logits (class,) and the map of each method, for a class that stays the same."""


@dataclass(frozen=True, eq=False)
class Misaligned:
    """One motion: what it did, beside moving there and back.

    ``logits`` and ``back_logits`` (class,); the others by method.
    """

    motion: Motion
    logits: NDArray[np.float64]
    back_logits: NDArray[np.float64]
    unmoved: Mapping[str, MapAgreement]
    moved_alike: Mapping[str, MapAgreement]
    back: Mapping[str, MapAgreement]


def misalignment(
    explain: Callable[[NDArray[np.float32]], Explained],
    inputs: NDArray[np.float32],
    layout: ChannelLayout,
    grid: Grid,
    brain: Mask,
    *,
    among: Sequence[Motion] | None = None,
) -> tuple[NDArray[np.float64], list[Misaligned]]:
    """Explain a pair whose current scan was moved, and compare with the pair as it is.

    It takes 1 + 2 · motions explanations.

    Args:
        explain: (channel, i, j, k) to logits and maps, always of one class.
        inputs: (channel, i, j, k), left as they are.
        layout: which channel is which.
        grid: of scans and brain.
        brain: (i, j, k) boolean.
        among: the motions; those of :func:`motions` if not given.

    Returns:
        Logits (class,) of the pair as it is, and what each motion did.

    Raises:
        GridMismatchError, VolumeError: if scans, maps and brain do not fit.
    """
    logits, maps = explain(inputs)
    own = {name: relevance_in_brain(one, grid, brain) for name, one in maps.items()}
    centre = brain_centre(brain, grid)
    found = []
    for motion in motions() if among is None else among:
        matrix = motion.matrix(centre)
        moved_logits, moved = explain(move_current(inputs, layout, grid, matrix))
        ranked = {name: relevance_in_brain(one, grid, brain) for name, one in moved.items()}
        alike = {
            name: map_agreement(
                ranked[name], relevance_in_brain(move_map(one, layout, matrix), grid, brain)
            )
            for name, one in maps.items()
        }
        both = move_current(inputs, layout, grid, matrix, inverse(matrix))
        back_logits, back = explain(both)
        found.append(
            Misaligned(
                motion,
                moved_logits,
                back_logits,
                {name: map_agreement(own[name], one) for name, one in ranked.items()},
                alike,
                {
                    name: map_agreement(own[name], relevance_in_brain(one, grid, brain))
                    for name, one in back.items()
                },
            )
        )
    return logits, found


def misalignment_rows(
    logits: NDArray[np.float64], found: Sequence[Misaligned], target: int
) -> dict[str, list[dict[str, Any]]]:
    """Rows by method, and of the network itself under ``""``: means over directions.

    ``reference`` is what moving there and back did. Of the network: the absolute change of the
    target's logit, and the share of directions in which another class was predicted.

    Args:
        logits: (class,) of the pair as it is.
        found: from :func:`misalignment`.
        target: index of the class explained.
    """
    rows: dict[str, list[dict[str, Any]]] = {}
    for label in dict.fromkeys(one.motion.label for one in found):
        same = [one for one in found if one.motion.label == label]
        rows.setdefault("", []).extend(_network_rows(logits, same, target, label))
        for name in same[0].unmoved:
            back = mean_agreement(one.back[name] for one in same)
            for quantity, values in (
                ("rank_correlation", [one.unmoved[name] for one in same]),
                (MOVED_ALIKE, [one.moved_alike[name] for one in same]),
            ):
                mean = mean_agreement(values)
                rows.setdefault(name, []).append(
                    _row(
                        label,
                        quantity,
                        mean.rank_correlation,
                        back.rank_correlation,
                        chance=0.0,
                        status=mean.status,
                    )
                )
    return rows


def _network_rows(
    logits: NDArray[np.float64], same: Sequence[Misaligned], target: int, label: str
) -> list[dict[str, Any]]:
    def change(after: NDArray[np.float64]) -> float:
        return float(abs(after[target] - logits[target]))

    def other(after: NDArray[np.float64]) -> float:
        return float(after.argmax() != logits.argmax())

    return [
        _row(
            label,
            quantity,
            float(np.mean([measure(one.logits) for one in same])),
            float(np.mean([measure(one.back_logits) for one in same])),
        )
        for quantity, measure in (("absolute_logit_change", change), ("answer_changed", other))
    ]


def _row(
    setting: str, quantity: str, value: float, reference: float, **more: Any
) -> dict[str, Any]:
    row = metric_row("misalignment", value, reference=reference, **more)
    return {**row, "setting": setting, "quantity": quantity}
