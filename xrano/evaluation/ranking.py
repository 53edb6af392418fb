"""How well a score puts one class above the rest, plainly or in many resamples at once.

The score of a class is its log-odds, log p − log(1 − p): not its logit, which a row's additive
constant moves.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

Floats = NDArray[np.float64]


def log_odds(logits: Floats) -> Floats:
    """Log-odds of each class against all others; same shape (…, class) as the logits.

    −inf in a logit (probability zero) gives −inf, and +inf for the class that is left.

    Example:
        >>> log_odds(np.log(np.array([[0.8, 0.1, 0.1]]))).round(3).tolist()
        [[1.386, -2.197, -2.197]]
    """
    odds = np.empty_like(logits, dtype=np.float64)
    for index in range(logits.shape[-1]):
        rest = np.delete(logits, index, axis=-1)
        odds[..., index] = logits[..., index] - logsumexp(rest, axis=-1)
    return odds


def one_vs_rest_auroc(truth: NDArray[np.bool_], score: Floats) -> float:
    """Chance that a random true row scores above a random other one, ties counting half.

    Args:
        truth: (row,) whether the row is of the class.
        score: (row,) any scale.

    Returns:
        0 to 1; NaN without a true row, or without another.

    Example:
        >>> one_vs_rest_auroc(np.array([True, False, True]), np.array([2.0, 2.0, 3.0]))
        0.75
    """
    return float(weighted_auroc(truth, score, np.ones((1, len(truth))))[0])


def average_precision(truth: NDArray[np.bool_], score: Floats) -> float:
    """Sum over falling thresholds of precision × gain in recall, without interpolation.

    Its chance level is the share of the class. Arguments as :func:`one_vs_rest_auroc`; NaN without
    a true row, or without another.

    Example:
        >>> average_precision(np.array([True, False, True]), np.array([3.0, 2.0, 1.0]))
        0.8333333333333333
    """
    return float(weighted_average_precision(truth, score, np.ones((1, len(truth))))[0])


def weighted_auroc(truth: NDArray[np.bool_], score: Floats, weights: Floats) -> Floats:
    """AUROC (resample,) where row j counts ``weights[i, j]`` times in resample i."""
    hits, misses = _at_thresholds(truth, score, weights)
    above = np.diff(hits, axis=1, prepend=0)
    tied = np.diff(misses, axis=1, prepend=0)
    # Thresholds fall, so rows seen later score lower.
    beaten = misses[:, -1:] - misses + tied / 2
    return _divide((above * beaten).sum(axis=1), hits[:, -1] * misses[:, -1])


def weighted_average_precision(truth: NDArray[np.bool_], score: Floats, weights: Floats) -> Floats:
    """Average precision (resample,) with weights as in :func:`weighted_auroc`."""
    hits, misses = _at_thresholds(truth, score, weights)
    gained = np.diff(hits, axis=1, prepend=0)
    seen = hits + misses
    precision = np.divide(hits, seen, out=np.zeros_like(hits), where=seen > 0)
    found = _divide((gained * precision).sum(axis=1), hits[:, -1])
    return np.where(misses[:, -1] > 0, found, np.nan)


def _at_thresholds(
    truth: NDArray[np.bool_], score: Floats, weights: Floats
) -> tuple[Floats, Floats]:
    """Weight of true and of other rows at or above each distinct score, highest score first."""
    order = np.argsort(-score, kind="stable")
    ranked = score[order]
    last_of_tie = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))
    drawn = np.asarray(weights, dtype=np.float64)[:, order]
    hits = np.cumsum(drawn * truth[order], axis=1)[:, last_of_tie]
    return hits, np.cumsum(drawn, axis=1)[:, last_of_tie] - hits


def _divide(numerator: Floats, denominator: Floats) -> Floats:
    quotient = np.full(numerator.shape, np.nan)
    np.divide(numerator, denominator, out=quotient, where=denominator > 0)
    return quotient
