"""What a score is worth beside its null distribution: z, percentile, and p where there is one.

Three kinds of null share this form: *placement* (the mask somewhere else in the brain),
*shuffle* (another patient's mask) and *surrogate* (another map of the same smoothness). A fourth,
*random_weights*, has its values from maps of networks that were never trained.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from xrano.metrics.records import OverlapStatus

LEAST_FOR_P = 20
"""With fewer values in all, the observed one among them, no p can be 0.05 or less; none is given
then."""


@dataclass(frozen=True)
class NullResult:
    """One score against its null.

    Attributes:
        null: ``placement``, ``shuffle``, ``surrogate`` or ``random_weights``.
        observed: the score.
        n: number of null values (B).
        mean: their mean; values of −∞ count as the least finite one (:func:`raised`).
        sd: their standard deviation (divided by n), likewise.
        z: (observed − mean) / sd; NaN if all null values are equal. Its square root of the mean
            square is 1 under the null, but it need not be Gaussian.
        percentile: 0 to 100, share of the null values below the observed, ties counting half.
        p: probability of a value at or above the observed under the null; NaN where ``n`` is too
            small for one, or the null is undefined.
        status: why there is no null, or ``ok``.
    """

    null: str
    observed: float
    n: int
    mean: float
    sd: float
    z: float
    percentile: float
    p: float
    status: OverlapStatus = OverlapStatus.OK


def undefined_null(null: str, status: OverlapStatus) -> NullResult:
    """The result of a score that has no value, with the reason."""
    nan = math.nan
    return NullResult(null, nan, 0, nan, nan, nan, nan, nan, status)


def raised(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """−∞ raised to the least finite value of its row, the last axis; the order stays.

    A log2 lift is −∞ where nothing of a map lies in a mask, which class activation maps do now and
    then. One such value would take mean and spread from all others; raised, it is a tie at the
    lower end, which no test of high values sees. A row without a finite value stays as it is.

    Example:
        >>> raised(np.array([-np.inf, 2.0, 1.0])).tolist()
        [1.0, 2.0, 1.0]
    """
    finite = np.isfinite(values)
    least = np.min(values, axis=-1, keepdims=True, where=finite, initial=np.inf)
    return np.where(np.isneginf(values) & (least < np.inf), least, values)


def against_null(
    observed: float,
    values: ArrayLike,
    *,
    null: str,
    complete: bool = False,
    higher_is_better: bool = True,
    tolerance: float = 0.0,
) -> NullResult:
    """Set a score beside null values.

    Args:
        observed: the score; −∞ (∞ where lower is better) is below all others: p = 1.
        values: (n,) null values; NaN ones are left out.
        null: what to call it.
        complete: whether the values are all there are, the observed one among them: then
            p = b / n with b values at or beyond the observed. Otherwise they are drawn, and
            p = (1 + b) / (1 + n) (Phipson, Smyth. Stat Appl Genet Mol Biol 2010;9:39).
        higher_is_better: ``False`` turns "at or above" into "at or below", and "below" of the
            percentile into "above".
        tolerance: values that differ by no more are equal.

    Example:
        >>> result = against_null(3.0, [1.0, 2.0, 3.0, 4.0] * 10, null="surrogate")
        >>> result.n, result.mean, result.percentile, round(result.p, 3)
        (40, 2.5, 62.5, 0.512)
    """
    found: NDArray[np.float64] = np.asarray(values, dtype=np.float64).ravel()
    missing = np.isnan(found)
    if missing.any():
        found = found[~missing]
    n, sign = int(found.size), 1 if higher_is_better else -1
    score, others = sign * observed, found if higher_is_better else -found
    if n == 0 or math.isnan(score) or score == math.inf:
        nan = math.nan
        return NullResult(null, observed, n, nan, nan, nan, nan, nan)
    reached = int(np.count_nonzero(others >= score - tolerance))
    tied = reached - int(np.count_nonzero(others > score + tolerance))
    if not (math.isfinite(score) and np.isfinite(others).all()):
        both = raised(np.append(others, score))
        others, score = both[:-1], float(both[-1])
    mean = sign * float(others.mean())
    sd = float(others.std()) if math.isfinite(mean) else math.nan
    # Values that are all equal differ by rounding alone.
    z = (sign * score - mean) / sd if sd > max(tolerance, 1e-12 * abs(mean)) else math.nan
    p = reached / n if complete else (1 + reached) / (1 + n)
    enough = n + (0 if complete else 1) >= LEAST_FOR_P
    percentile = 100 * (n - reached + tied / 2) / n
    return NullResult(null, observed, n, mean, sd, z, percentile, p if enough else math.nan)
