"""Means of many cells at once, with percentile intervals over patients drawn anew.

What :mod:`xrano.scoring.summary` does for one cell, as products of matrices: values are averaged
within a patient, patients are weighted by how often each is drawn, and every cell sees the same
draws. Two statistics:

* ``log2_lift`` of the relevance mass: log2(mean value / mean chance), as in the primary analysis;
  between two sides their difference;
* ``excess`` of any other metric: mean value − mean chance; between two sides the difference of
  the values.

``p`` is Student's t over the patients' means, two-sided, and not the interval turned round: of
maps at chance in 10 patients a percentile interval leaves out no effect 10 times in 100 (14 where
the values are skewed), t 5 (10), and the draws behind an interval give no p below 0.001, which is
coarse where thousands are tested. Values averaged within a patient are set against their chance, or
the other side's, by their difference; lifts over two chances by the difference of logarithms,
linearised.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import t as student

from xrano.metrics.bootstrap import patient_weights
from xrano.scoring.pair_values import OK, STATUSES

LOG2_LIFT, EXCESS = "log2_lift", "excess"

_Array: TypeAlias = NDArray[np.float64]

_CELLS_AT_ONCE = 1000
"""About 16 MB for each product of 2,000 draws."""


class Draws(NamedTuple):
    """How often each patient is drawn.

    Attributes:
        patient_of: (pair,) whose it is, an index.
        weights: (1 + draw, patient) counts; row 0 is the sample itself.
    """

    patient_of: NDArray[np.intp]
    weights: _Array


def draw_patients(pairs: pd.DataFrame, *, n_resamples: int, seed: int) -> Draws:
    """Draws for pairs with ``patient_id`` and ``response``.

    The same as those of the primary analysis for the same pairs.

    Raises:
        ConfigError: if there is no pair or no draw.
    """
    patients, drawn = patient_weights(
        pairs["patient_id"].tolist(),
        pairs["response"].tolist(),
        n_resamples=n_resamples,
        seed=seed,
    )
    index = {patient: at for at, patient in enumerate(patients)}
    patient_of = np.array([index[str(patient)] for patient in pairs["patient_id"]], dtype=np.intp)
    return Draws(patient_of, np.vstack([np.ones(len(patients)), drawn]))


@dataclass(frozen=True, eq=False)
class Compared:
    """What a statistic of each cell is made of, all (cell, pair).

    Attributes:
        value: of the metric, NaN where undefined.
        chance: what a map that ignores the mask gets.
        status: index in :data:`~xrano.scoring.pair_values.STATUSES`, negative where the pair does
            not belong to the cell. Where it is ``ok`` all of the arrays are defined.
        against: the other side's value; chance is what the value is compared with if not given.
        against_chance: the other side's chance, where that is another: then each side's distance
            from its own chance is compared.
    """

    value: _Array
    chance: _Array
    status: NDArray[np.int8]
    against: _Array | None = None
    against_chance: _Array | None = None

    def of(self, cells: NDArray[np.intp]) -> Compared:
        """Some of the cells."""
        return Compared(
            self.value[cells],
            self.chance[cells],
            self.status[cells],
            None if self.against is None else self.against[cells],
            None if self.against_chance is None else self.against_chance[cells],
        )


def cell_estimates(
    compared: Compared, statistics: NDArray[np.object_], member: NDArray[np.bool_], draws: Draws
) -> pd.DataFrame:
    """The statistic of every cell over some of the pairs.

    Args:
        compared: the values.
        statistics: (cell,) ``log2_lift`` or ``excess``.
        member: (pair,) which pairs count.
        draws: of patients.

    Returns:
        (cell,) ``estimate`` with 95 % limits ``low`` and ``high``, ``p``; ``n_patients`` and
        ``n_pairs`` with a value; ``n_undefined`` pairs without, and how many for each status;
        ``mean_value``, ``mean_chance`` and ``mean_against`` over patients; ``n_resamples`` that had
        an estimate.
    """
    parts = []
    for statistic in (LOG2_LIFT, EXCESS):
        chosen = np.flatnonzero(statistics == statistic)
        for start in range(0, chosen.size, _CELLS_AT_ONCE):
            cells = chosen[start : start + _CELLS_AT_ONCE]
            found = _estimates(compared.of(cells), statistic, member, draws)
            parts.append(pd.DataFrame(found, index=cells))
    return pd.concat(parts).sort_index() if parts else pd.DataFrame()


def percentile_limits(
    drawn: _Array, level: float = 0.95
) -> tuple[_Array, _Array, NDArray[np.intp]]:
    """:func:`~xrano.metrics.bootstrap.percentile_interval` of each row of (cell, draw).

    Returns:
        Low and high limit (cell,), NaN where no value is defined, and the number of defined values.
    """
    ordered = np.sort(drawn, axis=1)  # NaN last
    defined = np.asarray((~np.isnan(drawn)).sum(axis=1))
    left_out = (defined * (1 - level) / 2 + 1e-9).astype(np.intp)
    at = np.arange(drawn.shape[0])
    # Where nothing is defined the last value is NaN, as wanted.
    return ordered[at, left_out], ordered[at, defined - 1 - left_out], defined


def _estimates(
    compared: Compared, statistic: str, member: NDArray[np.bool_], draws: Draws
) -> dict[str, NDArray[np.generic]]:
    patients, patient_of = np.unique(draws.patient_of[member], return_inverse=True)
    weights = draws.weights[:, patients].T
    belongs = np.zeros((int(member.sum()), patients.size))
    belongs[np.arange(patient_of.size), patient_of] = 1.0
    status = compared.status[:, member]
    counted = status == OK
    n_pairs = counted @ belongs
    has = n_pairs > 0

    def patient_means(values: _Array) -> _Array:
        sums: _Array = np.where(counted, values, 0.0) @ belongs
        found: _Array = np.zeros_like(sums)
        np.divide(sums, n_pairs, out=found, where=has)
        return found

    sides = {
        name: patient_means(side[:, member])
        for name, side in (
            ("value", compared.value),
            ("chance", compared.chance),
            ("against", compared.against),
            ("against_chance", compared.against_chance),
        )
        if side is not None
    }
    of_logs = statistic == LOG2_LIFT
    drawn = _log_ratios(sides, weights) if of_logs else _differences(sides, has, weights)
    estimate = drawn[:, 0]
    p = _t_test(sides, has, estimate if of_logs and "against_chance" in sides else None)
    low, high, n_resamples = percentile_limits(drawn[:, 1:])
    with np.errstate(invalid="ignore"):
        means = {name: side.sum(axis=1) / has.sum(axis=1) for name, side in sides.items()}
    nothing = np.full(len(drawn), np.nan)
    return {
        "estimate": estimate,
        "low": low,
        "high": high,
        "p": np.where(np.isnan(estimate), np.nan, p),
        "n_patients": has.sum(axis=1),
        **_pair_counts(status),
        "mean_value": means["value"],
        "mean_chance": means["chance"],
        "mean_against": means.get("against", nothing),
        "n_resamples": n_resamples,
    }


def _pair_counts(status: NDArray[np.int8]) -> dict[str, NDArray[np.generic]]:
    """Pairs with a value, without, and without by reason, all (cell,)."""
    of_status = [(status == code).sum(axis=1) for code in range(len(STATUSES))]
    named = {f"n_{name}": count for name, count in zip(STATUSES, of_status, strict=True)}
    n_pairs = named.pop(f"n_{STATUSES[OK]}")
    return {"n_pairs": n_pairs, "n_undefined": np.sum(list(named.values()), axis=0), **named}


def _log_ratios(sides: dict[str, _Array], weights: _Array) -> _Array:
    """log2 of a ratio of means (cell, draw): −∞ for nothing above, NaN for nothing on both sides.

    The number of patients divides both sides and is never needed. Two sides of one chance are
    compared without it, so that it cancels exactly.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = sides["value"] @ weights
        if "against" not in sides:
            ratio = ratio / (sides["chance"] @ weights)
        else:
            ratio = ratio / (sides["against"] @ weights)
        if "against_chance" in sides:
            ratio = ratio * (sides["against_chance"] @ weights) / (sides["chance"] @ weights)
        return np.asarray(np.log2(ratio), dtype=np.float64)


def _differences(sides: dict[str, _Array], has: NDArray[np.bool_], weights: _Array) -> _Array:
    """A difference of means (cell, draw): NaN where no patient with a value was drawn."""
    with np.errstate(invalid="ignore"):
        return np.asarray((_difference(sides) @ weights) / (has @ weights), dtype=np.float64)


def _difference(sides: dict[str, _Array]) -> _Array:
    """A patient's value less the other side's, each less its own chance (cell, patient)."""
    if "against_chance" not in sides:
        return sides["value"] - sides.get("against", sides["chance"])
    return sides["value"] - sides["chance"] - (sides["against"] - sides["against_chance"])


def _t_test(sides: dict[str, _Array], has: NDArray[np.bool_], estimate: _Array | None) -> _Array:
    """Two-sided p (cell,) of no difference between patients' means; 1 where none differs at all.

    ``estimate`` is that of a difference of log2 lifts, ``None`` where means are compared.
    """
    n = has.sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        if estimate is None:
            difference = _difference(sides)
        else:
            own = {name: side * (n / side.sum(axis=1))[:, None] for name, side in sides.items()}
            difference = np.log(2) * estimate[:, None] + _difference(own)
        mean = np.where(has, difference, 0.0).sum(axis=1) / n
        square = np.where(has, difference - mean[:, None], 0.0) ** 2
        t = mean / np.sqrt(square.sum(axis=1) / (n - 1) / n)
        p = 2 * student.sf(np.abs(t), n - 1)
    return np.where((mean == 0) & (n > 1), 1.0, p)
