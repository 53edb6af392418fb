"""Integrate along a path until the result adds up: nested trapezoids that reuse every point.

Halving the interval keeps all points and their weights' ratios, so that one running sum a target
holds everything: T(h / 2) = T(h) / 2 + (h / 2) Σ gradient at the new midpoints. The same points
give Simpson's rule as (4 T(h / 2) − T(h)) / 3, which is far better on a smooth network (GELU) and
no better on a rectified one, whose gradient jumps along the path; of both, the estimate with the
smaller gap is taken.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from xrano.attribution.point_gradients import PointSums
from xrano.attribution.targets import TargetLike

FIRST = 4
"""Intervals of the first estimate."""


@dataclass(frozen=True)
class Integral:
    """A map ``(channel, i, j, k)`` and its completeness gap.

    ``points`` of the path that it took; ``converged``: whether the gap is within the tolerance;
    ``rule``: ``trapezoid`` or ``simpson``.
    """

    values: Tensor
    gap: float
    points: int
    converged: bool
    rule: str


class NestedRule:
    """Nested trapezoids, and Simpson's rule on the same points, for several targets.

    Each stops by itself. A target keeps the first estimate whose gap is within the tolerance, so
    its map does not depend on which others are asked for.

    Args:
        gradients: weighted sums of gradients at points (alphas, weights) of the path.
        difference: scans − baseline, ``(channel, i, j, k)``.
        targets: the targets.
        changes: what each target's map must sum to.
    """

    def __init__(
        self,
        gradients: Callable[[np.ndarray[Any, Any], np.ndarray[Any, Any]], PointSums],
        difference: Tensor,
        targets: Sequence[TargetLike],
        changes: Tensor,
    ) -> None:
        self._gradients, self._difference = gradients, difference
        self._changes = dict(zip(targets, changes.tolist(), strict=True))

    def run(self, tolerance: float, max_points: int) -> dict[TargetLike, Integral]:
        """Halve until every gap is at most ``tolerance``.

        Or until the next halving would take more points than ``max_points``.
        """
        intervals = FIRST if max_points > FIRST else 2
        alphas = np.linspace(0, 1, intervals + 1)
        weights = np.full(intervals + 1, 1 / intervals)
        weights[[0, -1]] /= 2
        sums = self._gradients(alphas, weights).sums
        before: dict[TargetLike, Tensor] = {}
        found: dict[TargetLike, Integral] = {}
        while True:
            more = 2 * intervals + 1 <= max_points
            for target in [target for target in self._changes if target not in found]:
                rule, values, gap = self._best(target, sums[target], before.get(target))
                closed = abs(gap) <= tolerance
                if closed or not more:
                    found[target] = Integral(values, gap, intervals + 1, closed, rule)
            if len(found) == len(self._changes):
                return found
            intervals *= 2
            midpoints = np.arange(1, intervals, 2) / intervals
            new = self._gradients(midpoints, np.full(len(midpoints), 1 / intervals)).sums
            before, sums = sums, {target: sums[target] / 2 + new[target] for target in sums}

    def _best(
        self, target: TargetLike, now: Tensor, before: Tensor | None
    ) -> tuple[str, Tensor, float]:
        """The rule, the map and the gap of the estimate whose gap is smaller."""
        estimates = {"trapezoid": now}
        if before is not None:
            estimates["simpson"] = (4 * now - before) / 3
        found = []
        for rule, slopes in estimates.items():
            values = slopes * self._difference
            found.append((rule, values, float(values.double().sum()) - self._changes[target]))
        return min(found, key=lambda item: abs(item[2]))


def most_points(max_points: int) -> int:
    """The points of the last estimate that :meth:`NestedRule.run` may make.

    Example:
        >>> most_points(257), most_points(256), most_points(3)
        (257, 129, 3)
    """
    intervals = FIRST if max_points > FIRST else 2
    while 2 * intervals + 1 <= max_points:
        intervals *= 2
    return intervals + 1
