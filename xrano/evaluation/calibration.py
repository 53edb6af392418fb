"""Whether a stated probability is kept: reliability bins, expected calibration error, Brier score.

Confidence is the probability of the predicted class. The expected calibration error is the mean
gap between how often rows of a bin are right and how confident they are,
ECE = Σ_b n_b / n · |accuracy_b − confidence_b| (Naeini et al., AAAI 2015; Guo et al., ICML 2017).
``width``: bins of equal width over 0 to 1, closed above, as in both; ``mass``: bins of equal
counts (Nguyen and O'Connor, EMNLP 2015), equal confidences in one bin. ECE is biased upwards: with
few rows even a perfectly calibrated network has some, so that amount is given beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from xrano.errors import ConfigError

Floats = NDArray[np.float64]
Binning = Literal["width", "mass"]

N_BINS = 10


@dataclass(frozen=True)
class Bin:
    """Rows whose confidence lies in (low, high]: their number, mean confidence, share right."""

    low: float
    high: float
    count: int
    confidence: float
    accuracy: float


def probabilities(logits: Floats) -> Floats:
    """Softmax of logits (…, class) over the classes."""
    return np.asarray(softmax(logits, axis=-1), dtype=np.float64)


def brier_rows(probability: Floats, truth: NDArray[np.intp]) -> Floats:
    """Brier score of each row (…, row): squared error summed over the classes, 0 to 2.

    Brier, Mon Weather Rev 1950;78:1. Of two classes it is twice the score of one of them.

    Args:
        probability: (…, row, class).
        truth: (row,) class index.

    Example:
        >>> brier_rows(np.array([[1.0, 0.0], [0.5, 0.5]]), np.array([1, 0])).tolist()
        [2.0, 0.5]
    """
    wanted = np.eye(probability.shape[-1])[truth]
    return np.asarray(((probability - wanted) ** 2).sum(axis=-1))


def reliability_bins(
    confidence: Floats,
    correct: NDArray[np.bool_],
    *,
    n_bins: int = N_BINS,
    binning: Binning = "width",
) -> list[Bin]:
    """The bins that hold any row, from low to high confidence.

    Args:
        confidence: (row,) probability of the predicted class, 0 to 1.
        correct: (row,) whether the prediction was right.
        n_bins: bins to divide into, at least 1; with ``mass`` ties can leave fewer.
        binning: see the module.

    Raises:
        ConfigError: if there is no row or no bin.

    Example:
        >>> reliability_bins(np.array([0.9, 1.0]), np.array([True, False]), n_bins=2)
        [Bin(low=0.5, high=1.0, count=2, confidence=0.95, accuracy=0.5)]
    """
    edges = _edges(confidence, n_bins, binning)
    place = _place(confidence, edges)
    return [
        Bin(
            float(edges[index]),
            float(edges[index + 1]),
            int(inside.sum()),
            float(confidence[inside].mean()),
            float(correct[inside].mean()),
        )
        for index in np.unique(place)
        for inside in [place == index]
    ]


def expected_calibration_error(bins: Sequence[Bin]) -> float:
    """ECE of :func:`reliability_bins`, 0 to 1; 0 is best.

    Example:
        >>> expected_calibration_error([Bin(0, 0.5, 3, 0.4, 0.4), Bin(0.5, 1, 1, 0.75, 0.25)])
        0.125
    """
    total = sum(item.count for item in bins)
    return sum(item.count * abs(item.accuracy - item.confidence) for item in bins) / total


def calibrated_error(
    confidence: Floats,
    *,
    n_bins: int = N_BINS,
    binning: Binning = "width",
    n_draws: int = 1000,
    seed: int = 0,
) -> float:
    """Mean ECE of a perfectly calibrated network with these confidences.

    Each row is right with the probability it states, rows independent of each other (Bröcker and
    Smith, Weather Forecast 2007;22:651), so with correlated rows of a patient it is a lower bound.
    """
    place = _place(confidence, _edges(confidence, n_bins, binning))
    member = (place[:, None] == np.unique(place)).astype(np.float64)
    right = np.random.default_rng(seed).random((n_draws, confidence.size)) < confidence
    gaps = np.abs((right - confidence) @ member)
    return float(gaps.sum(axis=1).mean() / confidence.size)


def _edges(confidence: Floats, n_bins: int, binning: Binning) -> Floats:
    if confidence.size == 0 or n_bins < 1:
        raise ConfigError(
            f"reliability needs at least one row and one bin, got {confidence.size} rows and "
            f"{n_bins} bins"
        )
    if binning == "width":
        return np.linspace(0, 1, n_bins + 1)
    # Limits are values of the sample, so that equal confidences never part.
    last = np.ceil(confidence.size * np.arange(1, n_bins + 1) / n_bins).astype(np.intp) - 1
    return np.unique(np.append(0.0, np.sort(confidence)[last]))


def _place(confidence: Floats, edges: Floats) -> NDArray[np.intp]:
    # Softmax can end a rounding error above 1.
    return np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, edges.size - 2)
