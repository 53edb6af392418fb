"""Resampling of patients, and intervals from what the resamples give.

Scans of one patient are not independent, so the patient is drawn, with replacement, and brings
all rows along. Responses are unevenly spread: to keep rare ones in every resample, patients are
drawn within strata, a patient's stratum being the rarest response among the patient's rows (rarity
counted in patients). A resample that still lacks a response is drawn again, so the draws are
conditional on every response being there; without that, scores of a missing class would be
undefined just where the data are thinnest.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from xrano.errors import ConfigError


class Interval(NamedTuple):
    """Limits of a percentile interval, and how many of the resamples had a value."""

    low: float
    high: float
    n_defined: int


def patient_weights(
    patient_ids: Sequence[str], responses: Sequence[str], *, n_resamples: int, seed: int
) -> tuple[list[str], NDArray[np.int64]]:
    """How often each patient is drawn in each resample.

    Args:
        patient_ids: (row,) whose row it is.
        responses: (row,) class of the row; any strings.
        n_resamples: number of resamples, at least 1.
        seed: the same seed and rows give the same resamples, whatever the order of the rows.

    Returns:
        The patients, sorted, and counts (resample, patient), each row summing to the number of
        patients.

    Raises:
        ConfigError: if there are no rows, the lists differ in length, or no resample is asked for.

    Example:
        >>> patients, weights = patient_weights(["b", "a", "a"], ["PD", "PD", "CR"],
        ...                                     n_resamples=2, seed=0)
        >>> patients, weights.tolist()
        (['a', 'b'], [[1, 1], [1, 1]])
    """
    if len(patient_ids) != len(responses) or len(patient_ids) == 0:
        raise ConfigError(
            f"resampling needs rows with one response each, got {len(patient_ids)} patient ids "
            f"and {len(responses)} responses"
        )
    if n_resamples < 1:
        raise ConfigError(f"resampling needs at least 1 resample, got {n_resamples}")
    patients, patient_of = np.unique(np.asarray(patient_ids, dtype=str), return_inverse=True)
    classes, class_of = np.unique(np.asarray(responses, dtype=str), return_inverse=True)
    has = np.zeros((patients.size, classes.size), dtype=bool)
    has[patient_of, class_of] = True
    strata = _strata(has)
    rng = np.random.default_rng(seed)
    weights = _draw(rng, strata, n_resamples)
    while (lacking := ~(weights @ has > 0).all(axis=1)).any():
        weights[lacking] = _draw(rng, strata, int(lacking.sum()))
    return [str(patient) for patient in patients], weights


def patient_resamples(
    patient_ids: Sequence[str], responses: Sequence[str], *, n_resamples: int, seed: int
) -> Iterator[NDArray[np.intp]]:
    """Row indices of each resample: all rows of a patient, as often as the patient is drawn.

    Arguments and errors as :func:`patient_weights`, from which the draws come.

    Yields:
        (rows of the resample,) indices, rising; their number varies with the patients drawn.

    Example:
        >>> rows = patient_resamples(["b", "a", "a"], ["PD", "PD", "CR"], n_resamples=1, seed=0)
        >>> next(rows).tolist()
        [0, 1, 2]
    """
    patients, weights = patient_weights(patient_ids, responses, n_resamples=n_resamples, seed=seed)
    column = {patient: index for index, patient in enumerate(patients)}
    patient_of = np.array([column[str(patient)] for patient in patient_ids])
    for drawn in weights:
        yield np.repeat(np.arange(patient_of.size), drawn[patient_of])


def percentile_interval(values: ArrayLike, level: float = 0.95) -> Interval:
    """The central interval of resampled values.

    As many values are left out at one end as at the other, and the limits are values of the sample
    themselves (no interpolation), so that infinite ones, such as the logarithm of a zero mean, keep
    their rank and spoil nothing else.

    Args:
        values: (resample,) statistic of each resample; NaN where it was undefined, which is left
            out and shows in ``n_defined``.
        level: coverage wanted, between 0 and 1.

    Returns:
        Low and high limit, NaN if no value is defined, and the number of defined values.

    Raises:
        ConfigError: if the level does not lie between 0 and 1.

    Example:
        >>> percentile_interval([3.0, 1.0, 2.0, float("nan"), 4.0], level=0.5)
        Interval(low=2.0, high=3.0, n_defined=4)
    """
    if not 0 < level < 1:
        raise ConfigError(f"an interval's level lies between 0 and 1, got {level}")
    sample: NDArray[np.floating[Any]] = np.asarray(values, dtype=np.float64).ravel()
    sample = sample[~np.isnan(sample)]
    if sample.size == 0:
        return Interval(np.nan, np.nan, 0)
    left_out = int(sample.size * (1 - level) / 2 + 1e-9)
    sample = np.sort(sample)
    return Interval(float(sample[left_out]), float(sample[-1 - left_out]), int(sample.size))


def _strata(has: NDArray[np.bool_]) -> list[NDArray[np.intp]]:
    """Patients grouped by their rarest response; ``has`` is (patient, class)."""
    frequency = has.sum(axis=0)
    rarest = np.where(has, frequency, has.shape[0] + 1).argmin(axis=1)
    return [np.flatnonzero(rarest == stratum) for stratum in np.unique(rarest)]


def _draw(
    rng: np.random.Generator, strata: list[NDArray[np.intp]], n_resamples: int
) -> NDArray[np.int64]:
    """As many patients of each stratum as it has, with replacement: (resample, patient) counts."""
    weights = np.zeros((n_resamples, sum(stratum.size for stratum in strata)), dtype=np.int64)
    for stratum in strata:
        even = np.full(stratum.size, 1 / stratum.size)
        weights[:, stratum] = rng.multinomial(stratum.size, even, size=n_resamples)
    return weights
