"""Rows of a forest plot, each an arm of a study or a reference: checks, words and limits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from xrano.errors import ManifestError


@dataclass(frozen=True)
class ForestRow:
    """One arm or reference; balanced accuracies are fractions, NaN where undefined.

    ``approach``: heading that it stands under; rows of one approach must follow each other.
    ``value``, ``low``, ``high``: pooled over folds, with its interval. ``seeds``, ``folds``: values
    of each. ``verdict``: ``better``, ``worse``, ``not resolved``, ``not comparable``, or empty for
    what was compared with nothing. ``is_reference``: it needs no network.
    """

    name: str
    approach: str
    value: float
    low: float
    high: float
    n_pairs: int
    seeds: tuple[float, ...] = ()
    folds: tuple[float, ...] = ()
    verdict: str = ""
    is_reference: bool = False


def value_limits(rows: Sequence[ForestRow], lines: Sequence[float]) -> tuple[float, float]:
    """Limits within 0 to 1 that hold every value, interval, seed, fold and line, with a margin."""
    found = [*lines]
    for row in rows:
        found += [row.value, row.low, row.high, *row.seeds, *row.folds]
    low, high = float(np.nanmin(found)), float(np.nanmax(found))
    margin = 0.06 * max(high - low, 0.2)
    # A mark on the very edge would be cut.
    return max(low - margin, -0.02), min(high + margin, 1.02)


def check_rows(rows: Sequence[ForestRow]) -> None:
    """Refuse what cannot be drawn.

    Raises:
        ManifestError: if there is no row, or one has a value outside 0 to 1.
    """
    if not rows:
        raise ManifestError("the forest plot needs at least one arm, got none")
    for row in rows:
        given = np.array([row.value, row.low, row.high, *row.seeds, *row.folds])
        given = given[~np.isnan(given)]
        if ((given < 0) | (given > 1)).any():
            raise ManifestError(
                f"balanced accuracies are fractions from 0 to 1; {row.name} has "
                f"{', '.join(f'{value:g}' for value in given if not 0 <= value <= 1)}"
            )


def value_text(row: ForestRow) -> str:
    """A row's value and interval in words; a dash for what is undefined."""
    if np.isnan(row.value):
        return "–"
    if np.isnan(row.low) or np.isnan(row.high):
        return f"{row.value:.2f} [–]"
    return f"{row.value:.2f} [{row.low:.2f}, {row.high:.2f}]"
