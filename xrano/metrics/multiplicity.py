"""Many scores tested at once: the max-statistic, and Benjamini and Hochberg's false discoveries."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import false_discovery_control

from xrano.errors import ConfigError
from xrano.metrics.nulls import raised


def max_statistic(observed: ArrayLike, null: ArrayLike) -> NDArray[np.float64]:
    """Adjusted p of each score, from the largest z of all scores in each permutation.

    Holds the chance of any false rejection (Westfall, Young 1993; Nichols, Holmes. Hum Brain Mapp
    2002;15:1-25). The permutations must be the same for all scores, so that their dependence is
    kept (one :class:`~xrano.metrics.shuffle.Assignments`).

    Args:
        observed: (score,) statistics.
        null: (score, permutation) the same under the null; each score is brought to mean 0 and SD
            1 over its permutations and the observed one, so that no unit dominates. −∞ counts as
            the least finite of these (:func:`~xrano.metrics.nulls.raised`), which treats all of
            them alike and so keeps the test's level.

    Returns:
        (score,) p = (1 + b) / (1 + B); NaN for scores that are undefined or do not vary.

    Raises:
        ConfigError: if the shapes do not fit or there is no permutation.

    Example:
        >>> max_statistic([9.0, 0.0], np.random.default_rng(0).normal(size=(2, 99))).tolist()
        [0.01, 0.71]
    """
    found = np.asarray(observed, dtype=np.float64)
    drawn = np.asarray(null, dtype=np.float64)
    if found.ndim != 1 or drawn.ndim != 2 or drawn.shape[0] != found.size or drawn.shape[1] < 1:
        raise ConfigError(
            f"the max-statistic needs (score,) and (score, permutation), got {found.shape} and "
            f"{drawn.shape}"
        )
    everything = raised(np.column_stack([found, drawn]))
    finite, sd = np.isfinite(everything).all(axis=1), np.zeros(found.size)
    sd[finite] = everything[finite].std(axis=1)
    usable = sd > 0
    adjusted = np.full(found.size, np.nan)
    if usable.any():
        kept = everything[usable]
        z = (kept - kept.mean(axis=1, keepdims=True)) / kept.std(axis=1, keepdims=True)
        largest = z[:, 1:].max(axis=0)
        # Equal statistics may differ in the last bit once standardised.
        reached = (largest >= z[:, :1] - 1e-9).sum(axis=1)
        adjusted[usable] = (1 + reached) / (1 + drawn.shape[1])
    return adjusted


def benjamini_hochberg(p: ArrayLike) -> NDArray[np.float64]:
    """Adjusted p of each test: rejected at the false discovery rate that it does not exceed.

    Args:
        p: tests of any shape, taken together; NaN for those without a p, which are not counted.

    Returns:
        Adjusted p of the same shape, NaN where there was none.

    Raises:
        ConfigError: if a p is not between 0 and 1.

    Example:
        >>> benjamini_hochberg([0.01, float("nan"), 0.04, 0.03]).tolist()
        [0.03, nan, 0.04, 0.04]
    """
    values: NDArray[np.floating[Any]] = np.asarray(p, dtype=np.float64)
    tested = ~np.isnan(values)
    if ((values[tested] < 0) | (values[tested] > 1)).any():
        raise ConfigError("a p lies between 0 and 1")
    adjusted = np.full(values.shape, np.nan)
    if tested.any():
        adjusted[tested] = false_discovery_control(values[tested], method="bh")
    return adjusted
