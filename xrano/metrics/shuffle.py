"""The shuffle null: maps scored against other patients' masks, as a permutation of the cohort.

The confirmatory null. Masks of other patients, in the common space, lie where lesions lie, so the
bias of maps and lesions towards the same places cancels. The caller scores every map i against
every mask j; here masks are handed to other patients, and the statistic is taken again.

* The unit is the patient: a permutation exchanges patients as wholes, and all maps of a patient see
  masks of the one patient that it got. Scans of one patient stay together, never see each other's
  masks, and the null is as wide as the cohort's number of patients makes it. Now and then a
  permutation leaves a patient in place, with its maps seeing their own masks: without those the
  permutations are no group, and the test rejected 7 to 11 % of null cohorts of 8 patients at 5 %.
* Matched in size: patients are ordered by the median logarithm of their masks' size and permuted
  within runs of ``block`` neighbours in that order. Where the runs begin is drawn anew every time,
  so that there are no fixed borders. Of its new patient's masks, a map sees the one nearest in
  size to its own. What difference is left is taken out by dividing by chance.
* The statistic is the lift, log2 of the mean over patients (of the mean over their maps) of the
  score over the same mean of its chance, or the first mean alone; p = (1 + b) / (1 + B).

It is exact for one scan a patient and masks of one size. With several scans a map can only see
what masks its new patient has, which widens the null: of 1,000 null cohorts a row it rejected 2.9
to 5.2 % at 5 % with 15 and 30 patients, and 4.3 to 7.5 % with eight, which are too few to be
tested (``benchmarks.null_calibration``).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from xrano.errors import ConfigError
from xrano.metrics.nulls import NullResult, against_null

LEAST_PATIENTS = 5
"""Four patients can be ordered in 24 ways, so that no p but the least could be 0.05 or less; with
fewer than five there is no shuffle null."""

BLOCK = 10
"""Patients that are neighbours in size and may exchange masks."""


@dataclass(frozen=True, eq=False)
class Assignments:
    """Which mask each map sees in each permutation; shared by all methods, metrics and targets.

    Attributes:
        patient_ids: (map,) whose map it is.
        masks: (permutation, map) index of the mask.
        size_ratio: median over permutations and maps of larger ÷ smaller of the size of the mask
            seen and the map's own: how well sizes match.
    """

    patient_ids: tuple[str, ...]
    masks: NDArray[np.intp]
    size_ratio: float


def shuffle_assignments(
    patient_ids: Sequence[str],
    sizes: ArrayLike,
    *,
    n_permutations: int,
    seed: int,
    block: int | None = BLOCK,
) -> Assignments:
    """Draw permutations of masks among patients.

    Args:
        patient_ids: (map,) whose map, and mask, it is; map i's own mask is mask i.
        sizes: (map,) size of each mask, above 0, in voxels or ml.
        n_permutations: B, at least 1.
        seed: the same seed and input give the same permutations.
        block: how many neighbours in size exchange masks, at least 2; ``None`` for all patients,
            whatever their size.

    Raises:
        ConfigError: if the lists differ in length, a size is not above 0, there are fewer than
            five patients, or a number is impossible.

    Example:
        >>> drawn = shuffle_assignments(list("aabcde"), [5, 6, 4, 5, 5, 6], n_permutations=3,
        ...                             seed=0)
        >>> drawn.masks.shape, bool((drawn.masks[:, 0] != 1).all())
        ((3, 6), True)
    """
    if n_permutations < 1:
        raise ConfigError(f"needed is 1 permutation or more, got {n_permutations}")
    logs, patient_of, order, nearest = _in_order(patient_ids, sizes, block)
    rng = np.random.default_rng(seed)
    masks = np.empty((n_permutations, logs.size), dtype=np.intp)
    for row in masks:
        sent_to = _exchanged(rng, order, block)
        row[:] = nearest[np.arange(logs.size), sent_to[patient_of]]
    ratio = float(np.exp(np.median(np.abs(logs[masks] - logs))))
    return Assignments(tuple(str(patient) for patient in patient_ids), masks, ratio)


def reachable_masks(
    patient_ids: Sequence[str], sizes: ArrayLike, *, block: int | None = BLOCK
) -> NDArray[np.bool_]:
    """(map, mask) whether some permutation of :func:`shuffle_assignments` hands it that mask.

    A map sees its own mask and one of every patient near enough in size: no score against another
    mask is needed. Arguments and errors as there.

    Example:
        >>> reachable_masks(list("abcde"), [1, 2, 3, 4, 5], block=2).astype(int)[0].tolist()
        [1, 1, 1, 0, 0]
    """
    logs, patient_of, order, nearest = _in_order(patient_ids, sizes, block)
    meet = np.zeros((order.size, order.size), dtype=bool)
    for first in range(min(block or order.size, order.size)):
        for run in _runs(first, order.size, block):
            meet[np.ix_(order[run], order[run])] = True
    found = np.zeros((logs.size, logs.size), dtype=bool)
    maps, patients = np.nonzero(meet[patient_of])
    found[maps, nearest[maps, patients]] = True
    return found


def shuffle_statistics(
    scores: NDArray[np.floating[Any]],
    assignments: Assignments,
    chance: NDArray[np.floating[Any]] | None = None,
) -> tuple[float, NDArray[np.float64]]:
    """The statistic of the cohort as it is, and of every permutation.

    Args:
        scores: (map, mask) score of map i against mask j; NaN where undefined. Maps without a
            score against their own mask are left out throughout.
        assignments: from :func:`shuffle_assignments` of the same maps.
        chance: (map, mask) chance of each score, above 0. Needed wherever the score grows with
            the mask (mass, rank, pointing, Dice, average precision): sizes are matched but not
            equal, and what is left of the difference would bias the null.

    Returns:
        Observed and (permutation,): the mean over patients of the mean over their maps or, given
        chance, its log2 ratio to the same mean of the chances: the lift of the primary analysis.
        NaN where no map has a score.

    Raises:
        ConfigError: if a matrix is not square or does not belong to the assignments.
    """
    _, patient_of = np.unique(np.asarray(assignments.patient_ids), return_inverse=True)
    seen = _rows(scores, assignments)
    if chance is None:
        means = _mean_of_patient_means(seen, patient_of)
    else:
        expected = np.where(np.isnan(seen), np.nan, _rows(chance, assignments))
        with np.errstate(divide="ignore"):
            means = np.log2(
                _mean_of_patient_means(seen, patient_of)
                / _mean_of_patient_means(expected, patient_of)
            )
    return float(means[0]), means[1:]


def shuffle_null(
    scores: NDArray[np.floating[Any]],
    assignments: Assignments,
    chance: NDArray[np.floating[Any]] | None = None,
) -> NullResult:
    """The cohort's mean score, or lift, against the same with other patients' masks.

    Arguments and errors as :func:`shuffle_statistics`. For a score where lower is better, give its
    negative.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> scores = rng.random((8, 8)) + 2 * np.eye(8)
        >>> drawn = shuffle_assignments(list("abcdefgh"), [1] * 8, n_permutations=199, seed=0)
        >>> shuffle_null(scores, drawn).p
        0.005
    """
    observed, values = shuffle_statistics(scores, assignments, chance)
    tolerance = 1e-12 * abs(observed) if math.isfinite(observed) else 0.0
    return against_null(observed, values, null="shuffle", tolerance=tolerance)


def _rows(matrix: NDArray[np.floating[Any]], assignments: Assignments) -> NDArray[np.float64]:
    """(1 + permutation, map) entry of the own mask, then of each permutation's."""
    n = len(assignments.patient_ids)
    if matrix.shape != (n, n):
        raise ConfigError(
            f"a shuffle null of {n} maps needs a value of each against each of their {n} masks, "
            f"got a matrix of shape {matrix.shape}"
        )
    found = np.asarray(matrix, dtype=np.float64)
    own = np.diagonal(found)
    rows = np.vstack([own, found[np.arange(n), assignments.masks]])
    rows[:, np.isnan(own)] = np.nan
    return rows


def _in_order(
    patient_ids: Sequence[str], sizes: ArrayLike, block: int | None
) -> tuple[NDArray[np.float64], NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
    """(map,) logarithm of size and number of patient; patients by size; :func:`_nearest_masks`."""
    logs = _log_sizes(patient_ids, sizes)
    patients, patient_of = np.unique(np.asarray(patient_ids, dtype=str), return_inverse=True)
    if block is not None and block < 2:
        raise ConfigError(f"needed is a block of 2 patients or more, got {block}")
    if patients.size < LEAST_PATIENTS:
        raise ConfigError(
            f"the shuffle null needs {LEAST_PATIENTS} patients with a mask, got {patients.size}"
        )
    median = np.array([np.median(logs[patient_of == p]) for p in range(patients.size)])
    order = np.argsort(median, kind="stable")
    return logs, patient_of, order, _nearest_masks(logs, patient_of, patients.size)


def _log_sizes(patient_ids: Sequence[str], sizes: ArrayLike) -> NDArray[np.float64]:
    found = np.asarray(sizes, dtype=np.float64)
    if found.shape != (len(patient_ids),):
        raise ConfigError(
            f"each map has one patient and one mask size, got {len(patient_ids)} patients and "
            f"sizes of shape {found.shape}"
        )
    if not (np.isfinite(found) & (found > 0)).all():
        raise ConfigError(
            "mask sizes must be above 0 to be matched: leave out maps whose own mask is empty"
        )
    return np.log(found)


def _nearest_masks(
    logs: NDArray[np.float64], patient_of: NDArray[np.intp], n_patients: int
) -> NDArray[np.intp]:
    """(map, patient) the patient's mask nearest in size to the map's own."""
    nearest = np.empty((logs.size, n_patients), dtype=np.intp)
    for patient in range(n_patients):
        masks = np.flatnonzero(patient_of == patient)
        distance = np.abs(logs[:, None] - logs[masks])
        nearest[:, patient] = masks[distance.argmin(axis=1)]
    # Its own mask, not one of the same patient and the same size.
    nearest[np.arange(logs.size), patient_of] = np.arange(logs.size)
    return nearest


def _exchanged(
    rng: np.random.Generator, order: NDArray[np.intp], block: int | None
) -> NDArray[np.intp]:
    """(patient,) whose masks each patient gets, within runs of neighbours in the order."""
    sent_to = np.empty(order.size, dtype=np.intp)
    first = 0 if block is None or block >= order.size else int(rng.integers(block))
    for run in _runs(first, order.size, block):
        sent_to[order[run]] = rng.permutation(order[run])
    return sent_to


def _runs(first: int, n: int, block: int | None) -> list[slice]:
    """Runs of ``block`` of which one begins at a place; no run is a single patient."""
    if block is None or block >= n:
        return [slice(0, n)]
    # Ends too short to exchange anything join their neighbour.
    inner = [edge for edge in range(first, n, block) if 2 <= edge <= n - 2]
    return [slice(a, b) for a, b in itertools.pairwise([0, *inner, n])]


def _mean_of_patient_means(
    rows: NDArray[np.float64], patient_of: NDArray[np.intp]
) -> NDArray[np.float64]:
    """(row,) mean over patients of the mean over their defined entries."""
    belongs = np.zeros((patient_of.size, int(patient_of.max()) + 1))
    belongs[np.arange(patient_of.size), patient_of] = 1.0
    defined = ~np.isnan(rows)
    counts = defined @ belongs
    sums = np.where(defined, rows, 0.0) @ belongs
    has = counts > 0
    means = np.where(has, sums / np.maximum(counts, 1), 0.0)
    n_patients = has.sum(axis=1)
    return np.where(n_patients > 0, means.sum(axis=1) / np.maximum(n_patients, 1), np.nan)
