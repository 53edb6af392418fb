"""Which sessions of a cohort stand apart, and by which of their numbers.

A number is flagged if its robust z within the cohort is beyond 3.5 on the side that means trouble
*and* it lies far enough from the median to matter: where all sessions agree to the last digit, a
harmless difference is many deviations wide. With fewer than ten known values nothing is compared.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from xrano.data.quality.outliers import OUTLIER_Z, robust_z

UNREADABLE = "the session file is missing or broken: run xrano check"
EMPTY_BRAIN = "the brain mask is empty"

SATURATED_SHARE = 1e-3
"""More of the brain than this at the largest value is a plateau: the 99.9th percentile is the
maximum."""


@dataclass(frozen=True)
class QualityCheck:
    """What is compared within the cohort.

    Attributes:
        start: of the column's name; the rest names sequences.
        words: what the number is.
        low, high: whether it is flagged below, and above, the others.
        least: smallest distance from the median that matters.
        unit: behind the number; ``%`` shows a share as a percentage.
    """

    start: str
    words: str
    low: bool
    high: bool
    least: float
    unit: str = ""


CHECKS = (
    QualityCheck("brain_ml", "brain volume", True, True, 50.0, " ml"),
    QualityCheck("dice_previous", "Dice with the brain of the session before", True, False, 0.03),
    QualityCheck("dice_first", "Dice with the brain of the first session", True, False, 0.03),
    QualityCheck("mi_previous_", "mutual information with the session before", True, False, 0.1),
    QualityCheck("mi_", "mutual information", True, False, 0.1),
    QualityCheck("ceiling_share_", "share at the largest value", False, True, 5e-4, "%"),
    QualityCheck("empty_share_", "share of the brain that is 0", False, True, 0.01, "%"),
)


def check_of(column: str) -> QualityCheck | None:
    """How a column of the quality table is checked; ``None`` for one that is not."""
    for check in CHECKS:
        if column == check.start or (check.start.endswith("_") and column.startswith(check.start)):
            return check
    return None


def outlier_z(values: pd.Series[Any], check: QualityCheck) -> NDArray[np.float64]:
    """Robust z of the values that a check flags; NaN for all others."""
    numbers = pd.to_numeric(values, errors="coerce").to_numpy(dtype=np.float64)
    z = robust_z(numbers)
    beyond = ((z < -OUTLIER_Z) & check.low) | ((z > OUTLIER_Z) & check.high)
    return np.where(beyond & (np.abs(numbers - _median(values)) >= check.least), z, np.nan)


def cohort_flags(table: pd.DataFrame) -> list[dict[str, str]]:
    """For each row of a quality table, the columns that stand apart, with the reason in words."""
    found: list[dict[str, str]] = [{} for _ in range(len(table))]
    for column in map(str, table.columns):
        check = check_of(column)
        if check is None:
            continue
        z = outlier_z(table[column], check)
        for row, value in enumerate(pd.to_numeric(table[column], errors="coerce")):
            if check.start == "ceiling_share_" and value > SATURATED_SHARE:
                found[row][column] = _saturated(column, value)
            elif np.isfinite(z[row]):
                found[row][column] = _reason(check, table[column], row, float(z[row]))
    return found


def flag_sessions(table: pd.DataFrame) -> pd.DataFrame:
    """The table with its ``flags`` completed: reasons in words, separated by semicolons.

    Args:
        table: columns as :mod:`xrano.data.quality.session_quality` says; ``flags`` may hold
            reasons that do not follow from the cohort.
    """
    flags = [
        "; ".join([*([text] if text else []), *reasons.values()])
        for text, reasons in zip(table["flags"], cohort_flags(table), strict=True)
    ]
    return table.assign(flags=flags)


def _median(values: pd.Series[Any]) -> float:
    return float(pd.to_numeric(values, errors="coerce").median())


def _saturated(column: str, share: float) -> str:
    name = column.removeprefix("ceiling_share_")
    return f"{name}: {share:.2%} of the brain at the largest value (saturated)"


def _reason(check: QualityCheck, values: pd.Series[Any], row: int, z: float) -> str:
    names = str(values.name).removeprefix(check.start).replace("_", " and ")
    value, median = (_show(number, check.unit) for number in (values.iloc[row], _median(values)))
    sign = "−" if z < 0 else ""
    return (
        f"{names + ': ' if names else ''}{check.words} {value}, cohort median {median} "
        f"(z = {sign}{abs(z):.1f})"
    )


def _show(value: float, unit: str) -> str:
    if unit == "%":
        return f"{value:.2%}"
    return f"{value:.0f}{unit}" if unit else f"{value:.3g}"
