"""Values that stand apart from their cohort, by numbers that outliers cannot move."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

LEAST_VALUES = 10
"""With fewer values than this nothing is called an outlier: too few to say what is ordinary."""

OUTLIER_Z = 3.5
"""A robust z beyond this marks an outlier (Iglewicz and Hoaglin 1993)."""


def robust_z(values: ArrayLike) -> NDArray[np.float64]:
    """How far each value lies from the median, in robust standard deviations.

    0.6745 · (x − median) / MAD, with MAD the median absolute deviation; where that is 0 (more than
    half of the values agree) it is (x − median) / (1.2533 · mean absolute deviation). Both scales
    are the standard deviation of normal values (Iglewicz and Hoaglin 1993, "How to detect and
    handle outliers").

    Args:
        values: (n,) numbers; NaN for those that are not known.

    Returns:
        (n,) z; NaN where the value is NaN, and everywhere if fewer than :data:`LEAST_VALUES` are
        known; 0 where all values are equal.

    Example:
        >>> robust_z([1, 2, 3, 4, 5, 6, 7, 8, 9, 100]).round(1).tolist()[-2:]
        [0.9, 25.5]
    """
    numbers = np.asarray(values, dtype=np.float64)
    known = np.isfinite(numbers)
    z = np.full(numbers.shape, np.nan)
    if known.sum() < LEAST_VALUES:
        return z
    away = numbers[known] - np.median(numbers[known])
    spread = float(np.median(np.abs(away))) / 0.6744897501960817
    if spread == 0.0:
        spread = 1.2533141373155001 * float(np.abs(away).mean())
    z[known] = away / spread if spread > 0 else 0.0
    return z
