"""Two ways of doing one thing, timed in turns, so that a busy machine slows both alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable


def alternate(
    first: Callable[[], object], second: Callable[[], object], *, repeats: int
) -> tuple[float, float, float]:
    """Median seconds of each, and the median over the turns of second ÷ first."""
    times: list[tuple[float, float]] = []
    for turn in range(repeats):
        # Who goes first changes, so that neither always finds warm caches.
        order = (first, second) if turn % 2 == 0 else (second, first)
        seconds = [_seconds(work) for work in order]
        times.append((seconds[0], seconds[1]) if turn % 2 == 0 else (seconds[1], seconds[0]))
    ratios = [slow / fast for fast, slow in times]
    fast, slow = zip(*times, strict=True)
    return statistics.median(fast), statistics.median(slow), statistics.median(ratios)


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
