"""A value with its interval, in numbers, as JSON and in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xrano.metrics.bootstrap import percentile_interval

DASH = "–"
"""What stands for an undefined number in a text."""


@dataclass(frozen=True)
class Estimate:
    """A value with its percentile interval; NaN where it is undefined."""

    value: float
    low: float
    high: float

    def to_json(self) -> list[float | None]:
        """[value, low, high], undefined as null."""
        return [or_null(item) for item in (self.value, self.low, self.high)]

    @property
    def excludes_zero(self) -> bool:
        """Whether the interval lies on one side of zero; not if it is undefined."""
        return self.low > 0 or self.high < 0


def or_null(value: float) -> float | None:
    """The value, None if NaN: JSON knows no NaN."""
    return None if np.isnan(value) else float(value)


def estimate(value: float, sample: NDArray[np.float64], *, n_patients: int) -> Estimate:
    """A value with the 95 % interval of its resamples.

    Args:
        value: statistic of the rows themselves.
        sample: (resample,) statistic of each resample; NaN where undefined, which is left out.
        n_patients: patients that the value rests on. One cannot show how patients differ, so
            below two there is no interval, nor is there one for an undefined value.
    """
    if n_patients < 2 or np.isnan(value):
        return Estimate(float(value), np.nan, np.nan)
    interval = percentile_interval(sample)
    return Estimate(float(value), interval.low, interval.high)


def show_estimate(numbers: Sequence[float | None], *, digits: int = 2, signed: bool = False) -> str:
    """``0.52 [0.41, 0.63]``, with a dash for what is undefined.

    Example:
        >>> show_estimate([0.521, 0.41, 0.63]), show_estimate([0.5, None, None])
        ('0.52 [0.41, 0.63]', '0.50 [–]')
        >>> show_estimate([None, None, None]), show_estimate([0.05, -0.01, 0.11], signed=True)
        ('–', '+0.05 [−0.01, +0.11]')
    """
    value, low, high = (show_number(item, digits=digits, signed=signed) for item in numbers)
    if value == DASH:
        return DASH
    return f"{value} [{DASH}]" if DASH in (low, high) else f"{value} [{low}, {high}]"


def show_number(number: float | None, *, digits: int = 2, signed: bool = False) -> str:
    """A number with a proper minus, a dash if it is undefined.

    Example:
        >>> show_number(-0.001), show_number(None), show_number(0.5, signed=True)
        ('0.00', '–', '+0.50')
    """
    if number is None or np.isnan(number):
        return DASH
    # Adding zero turns a negative zero into a plain one.
    rounded = round(number, digits) + 0.0
    sign = "+" if signed and rounded > 0 else ""
    return f"{sign}{rounded:.{digits}f}".replace("-", "−")
