"""Is an arm better than its reference? Interval, test and a verdict in words.

* **Same pairs.** Arms are compared on the pairs that both have rated; ``n_pairs`` says how many.
* **Interval.** Whole patients are resampled, the same ones for both arms and for all their seeds,
  within strata by rarest class; a resample without one of the classes is drawn again, so the
  interval is conditional on every class being there, and on the trained models.
* **Test.** Were the arms alike, all predictions of a patient might as well have come from the other
  arm. The difference in balanced accuracy is therefore compared with what it becomes when the arms
  are swapped within random patients: over all swaps if few patients tell the arms apart
  (:data:`MOST_EXACT`), otherwise over random ones with p = (b + 1) / (B + 1) (Phipson and Smyth,
  Stat Appl Genet Mol Biol 2010;9:39), so p is never 0. Two-sided.
* **Holm's correction** over all comparisons of the family (Scand J Stat 1979;6:65).
* **Verdict.** ``better`` or ``worse`` if the corrected p is below 0.05 and the interval excludes
  zero, else ``not resolved``, which is not the same as equal: see ``smallest_difference``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from xrano.errors import ConfigError, UnknownNameError
from xrano.evaluation.estimates import Estimate, estimate, or_null
from xrano.evaluation.paired import PairedArms, pair_arms
from xrano.evaluation.predictions import CLASSES

Floats = NDArray[np.float64]

ALPHA = 0.05
MOST_EXACT = 12
"""Up to so many patients on whom the arms differ, all 2ⁿ swaps are counted."""

DETECTABLE = 2.80
"""Smallest difference in standard errors: z(0.975) + z(0.80) = 1.96 + 0.84, for 80 % power at 5 %
two-sided (before Holm's correction)."""

BETTER, WORSE, NOT_RESOLVED, NOT_COMPARABLE = "better", "worse", "not resolved", "not comparable"

_UNDEFINED = Estimate(np.nan, np.nan, np.nan)


@dataclass(frozen=True)
class Comparison:
    """An arm against its reference, in balanced accuracy (0 to 1), mean over seeds.

    ``n_pairs``, ``n_patients``: shared by both; ``n_arm_pairs``, ``n_reference_pairs``: what each
    has alone. ``difference``: arm − reference. ``p``: of the permutation test; ``exact``: over all
    swaps; ``p_holm``: corrected. ``smallest_difference``: what the study would have seen four times
    out of five, 2.8 standard errors of the difference; NaN if the arms never differ.
    ``pairs_per_class``: of the shared pairs. ``arm_seeds``, ``reference_seeds``: balanced accuracy
    of each seed.
    """

    arm: str
    reference: str
    n_pairs: int
    n_patients: int
    n_arm_pairs: int
    n_reference_pairs: int
    arm_value: Estimate
    reference_value: Estimate
    difference: Estimate
    p: float
    exact: bool
    p_holm: float
    smallest_difference: float
    pairs_per_class: Mapping[str, int]
    arm_seeds: tuple[float, ...]
    reference_seeds: tuple[float, ...]
    verdict: str

    @property
    def one_case(self) -> dict[str, float]:
        """How much of its class's recall one pair is, for each class that occurs."""
        return {name: 1 / count for name, count in self.pairs_per_class.items() if count}

    def to_json(self) -> dict[str, Any]:
        """All of it as JSON values, estimates as [value, low, high], undefined as null."""
        found = {name: getattr(self, name) for name in self.__dataclass_fields__}
        for name, item in found.items():
            if isinstance(item, Estimate):
                found[name] = item.to_json()
            elif isinstance(item, float):
                found[name] = or_null(item)
            elif isinstance(item, tuple):
                found[name] = list(item)
        return found | {"pairs_per_class": dict(self.pairs_per_class), "one_case": self.one_case}


def compare_arms(
    tables: Mapping[str, pd.DataFrame],
    family: Sequence[tuple[str, str]],
    *,
    classes: Sequence[str] = CLASSES,
    n_resamples: int = 2000,
    n_permutations: int = 10_000,
    seed: int = 0,
) -> list[Comparison]:
    """Compare arms with their references, corrected for all of the comparisons together.

    Args:
        tables: name of each arm to its predictions (:mod:`xrano.evaluation.predictions`, with
            ``pair_id``; several seeds in a column ``seed``).
        family: (arm, reference) of each comparison; both are names in ``tables``.
        classes: names of the classes.
        n_resamples: resamples of patients for the intervals.
        n_permutations: random swaps where not all are counted.
        seed: of resamples and swaps.

    Returns:
        One comparison for each of the family, in order. Those without a shared pair are
        ``not comparable`` and no part of the correction.

    Raises:
        UnknownNameError: if the family names an arm without a table.
        ConfigError: if an arm is compared with itself, or fewer than one swap is asked for.
        ManifestError: if tables contradict each other on a pair's response or patient.
    """
    for name in (name for both in family for name in both):
        if name not in tables:
            raise UnknownNameError("arm", name, tables)
    if n_permutations < 1:
        raise ConfigError(f"a permutation test needs at least 1 swap, got {n_permutations}")
    found = []
    for arm, reference in family:
        if arm == reference:
            raise ConfigError(f"{arm} is compared with itself; name another reference")
        both = {name: tables[name] for name in (arm, reference)}
        found.append(_compare(both, classes, n_resamples, n_permutations, seed))
    corrected = holm([item["p"] for item in found])
    return [
        Comparison(**item, p_holm=p, verdict=_verdict(item["difference"], p))
        for item, p in zip(found, corrected, strict=True)
    ]


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down correction; NaN stays NaN and is not counted.

    Example:
        >>> holm([0.01, 0.04, float("nan"), 0.03])
        [0.03, 0.06, nan, 0.06]
    """
    p = np.asarray(p_values, dtype=np.float64)
    corrected = np.full(p.shape, np.nan)
    order = [index for index in np.argsort(p, kind="stable") if not np.isnan(p[index])]
    factors = np.arange(len(order), 0, -1)
    corrected[order] = np.minimum(np.maximum.accumulate(p[order] * factors), 1)
    return [float(value) for value in corrected]


def swap_test(
    contributions: Floats, *, n_permutations: int = 10_000, seed: int = 0
) -> tuple[float, bool]:
    """Two-sided p of a sum over patients under random changes of sign.

    Args:
        contributions: (patient,) what each adds to the difference of two arms; swapping the arms
            within the patient changes its sign.
        n_permutations: random swaps, unless all can be counted.
        seed: of the random swaps.

    Returns:
        p, and whether it is exact.

    Example:
        >>> swap_test(np.array([1.0, 2.0, 3.0, 0.0]))
        (0.25, True)
    """
    # Patients on whom the arms agree change nothing, so the other swaps are all there are.
    moving = contributions[contributions != 0]
    exact = moving.size <= MOST_EXACT
    if exact:
        bits = np.arange(2**moving.size)[:, None] >> np.arange(moving.size)
        signs = 1.0 - 2 * (bits & 1)
    else:
        rng = np.random.default_rng(seed)
        signs = rng.choice([-1.0, 1.0], size=(n_permutations, moving.size))
    # Sums that differ by rounding alone are ties, which count as extreme.
    limit = abs(moving.sum()) - 1e-12
    extreme = int((np.abs(signs @ moving) >= limit).sum())
    return (extreme / len(signs) if exact else (extreme + 1) / (len(signs) + 1)), exact


def _compare(
    both: Mapping[str, pd.DataFrame],
    classes: Sequence[str],
    n_resamples: int,
    n_permutations: int,
    seed: int,
) -> dict[str, Any]:
    arm, reference = both
    counts = [table["pair_id"].nunique() if "pair_id" in table else 0 for table in both.values()]
    head = {
        "arm": arm,
        "reference": reference,
        "n_arm_pairs": counts[0],
        "n_reference_pairs": counts[1],
    }
    paired = pair_arms(both, classes)
    if paired is None:
        return head | _nothing_shared(classes)
    sample = paired.resampled(n_resamples=n_resamples, seed=seed)
    values = paired.values()
    n_patients = len(paired.patients)
    contributions = _contributions(paired)
    p, exact = swap_test(contributions, n_permutations=n_permutations, seed=seed)
    gap = sample[0] - sample[1]
    spread = float(gap.std(ddof=1)) if n_patients > 1 and len(gap) > 1 else 0.0
    return head | {
        "n_pairs": paired.truth.size,
        "n_patients": n_patients,
        "arm_value": estimate(values[0], sample[0], n_patients=n_patients),
        "reference_value": estimate(values[1], sample[1], n_patients=n_patients),
        "difference": estimate(contributions.sum(), gap, n_patients=n_patients),
        "p": p,
        "exact": exact,
        "smallest_difference": DETECTABLE * spread if spread > 0 else np.nan,
        "pairs_per_class": paired.pairs_per_class,
        "arm_seeds": paired.seed_values[0],
        "reference_seeds": paired.seed_values[1],
    }


def _contributions(paired: PairedArms) -> Floats:
    shares = paired.shares()
    difference = shares[0] - shares[1]
    return np.where(np.abs(difference) < 1e-12, 0.0, difference)


def _nothing_shared(classes: Sequence[str]) -> dict[str, Any]:
    return {
        "n_pairs": 0,
        "n_patients": 0,
        "arm_value": _UNDEFINED,
        "reference_value": _UNDEFINED,
        "difference": _UNDEFINED,
        "p": np.nan,
        "exact": False,
        "smallest_difference": np.nan,
        "pairs_per_class": dict.fromkeys((str(name) for name in classes), 0),
        "arm_seeds": (),
        "reference_seeds": (),
    }


def _verdict(difference: Estimate, p_holm: float) -> str:
    if np.isnan(difference.value):
        return NOT_COMPARABLE
    if not (p_holm < ALPHA and difference.excludes_zero):
        return NOT_RESOLVED
    return BETTER if difference.value > 0 else WORSE
