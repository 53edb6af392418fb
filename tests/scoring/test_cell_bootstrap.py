"""Many cells at once: as one by one, with intervals as the single interval, and honest p."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy.stats import t as student
from scipy.stats import ttest_1samp, ttest_rel

from xrano.errors import ConfigError
from xrano.metrics.bootstrap import patient_resamples, percentile_interval
from xrano.scoring.cell_bootstrap import (
    EXCESS,
    LOG2_LIFT,
    Compared,
    cell_estimates,
    draw_patients,
    percentile_limits,
)
from xrano.scoring.pair_values import NO_ROW, OK, STATUSES

N_PATIENTS, N_PAIRS, N_CELLS = 11, 40, 7


def pairs_of(seed=0):
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "patient_id": [f"P{k:02d}" for k in rng.integers(0, N_PATIENTS, N_PAIRS)],
            "response": rng.choice(["CR", "SD", "PD"], N_PAIRS),
        }
    )


def compared_of(seed=0, *, sides=1, own_chance=False):
    rng = np.random.default_rng(seed)
    value, chance, against, against_chance = rng.uniform(0.0, 0.2, (4, N_CELLS, N_PAIRS))
    status = rng.choice([OK, OK, OK, 1, 3, NO_ROW], (N_CELLS, N_PAIRS)).astype(np.int8)
    value[status != OK] = np.nan
    return Compared(
        value,
        chance,
        status,
        against if sides == 2 else None,
        against_chance if own_chance else None,
    )


def by_loop(compared, cell, statistic, kept, patient_ids):
    """The statistic of one cell over rows that may come several times, without any matrix."""
    per_patient: dict[tuple[str, int], list[int]] = {}
    for copy, pair in kept:
        if compared.status[cell, pair] == OK:
            per_patient.setdefault((patient_ids[pair], copy), []).append(pair)
    if not per_patient:
        return math.nan

    def mean(array):
        within = [np.mean([array[cell, pair] for pair in own]) for own in per_patient.values()]
        return float(np.mean(within))

    value, chance = mean(compared.value), mean(compared.chance)
    against = None if compared.against is None else mean(compared.against)
    other = chance if compared.against_chance is None else mean(compared.against_chance)
    if statistic == LOG2_LIFT:
        lift = math.log2(value / chance)
        return lift if against is None else lift - math.log2(against / other)
    return value - chance - (0.0 if against is None else against - other)


@pytest.mark.parametrize("statistic", [LOG2_LIFT, EXCESS])
@pytest.mark.parametrize(("sides", "own_chance"), [(1, False), (2, False), (2, True)])
def test_estimate_and_interval_equal_a_loop_over_resampled_rows(statistic, sides, own_chance):
    pairs, compared = pairs_of(), compared_of(sides=sides, own_chance=own_chance)
    member = pairs["response"].to_numpy() != "SD"
    ids = pairs["patient_id"].tolist()
    draws = draw_patients(pairs, n_resamples=30, seed=5)
    statistics = np.full(N_CELLS, statistic, dtype=object)
    found = cell_estimates(compared, statistics, member, draws)
    resampled: list[list[tuple[int, int]]] = []
    for rows in patient_resamples(ids, pairs["response"].tolist(), n_resamples=30, seed=5):
        seen: dict[int, int] = {}
        kept = []
        for pair in map(int, rows):
            seen[pair] = seen.get(pair, -1) + 1
            if member[pair]:
                kept.append((seen[pair], pair))
        resampled.append(kept)
    for cell in range(N_CELLS):
        itself = [(0, int(pair)) for pair in np.flatnonzero(member)]
        expected = by_loop(compared, cell, statistic, itself, ids)
        interval = percentile_interval(
            [by_loop(compared, cell, statistic, kept, ids) for kept in resampled]
        )
        row = found.iloc[cell]
        assert row["estimate"] == pytest.approx(expected, abs=1e-12)
        assert row["low"] == pytest.approx(interval.low, abs=1e-12)
        assert row["high"] == pytest.approx(interval.high, abs=1e-12)
        assert row["n_resamples"] == interval.n_defined


def test_counts_by_status_leave_out_pairs_that_were_never_scored():
    pairs, compared = pairs_of(), compared_of()
    member = np.arange(N_PAIRS) % 3 != 0
    draws = draw_patients(pairs, n_resamples=3, seed=0)
    found = cell_estimates(compared, np.full(N_CELLS, EXCESS, dtype=object), member, draws)
    for cell in range(N_CELLS):
        codes = compared.status[cell, member]
        row = found.iloc[cell]
        assert row["n_pairs"] == np.sum(codes == OK)
        assert row["n_empty_mask"] == np.sum(codes == STATUSES.index("empty_mask"))
        assert row["n_zero_map"] == np.sum(codes == STATUSES.index("zero_map"))
        assert row["n_undefined"] == np.sum(codes > OK)
        patients = set(pairs["patient_id"][member][codes == OK])
        assert row["n_patients"] == len(patients)


def test_cells_of_both_statistics_and_of_many_chunks_keep_their_order(monkeypatch):
    pairs, compared = pairs_of(), compared_of()
    draws = draw_patients(pairs, n_resamples=20, seed=1)
    member = np.ones(N_PAIRS, dtype=bool)
    mixed = np.array([LOG2_LIFT, EXCESS] * 4, dtype=object)[:N_CELLS]
    whole = cell_estimates(compared, mixed, member, draws)
    assert whole.index.tolist() == list(range(N_CELLS))
    for statistic in (LOG2_LIFT, EXCESS):
        alone = cell_estimates(compared, np.full(N_CELLS, statistic, object), member, draws)
        at = np.flatnonzero(mixed == statistic)
        pd.testing.assert_frame_equal(whole.iloc[at], alone.iloc[at])
    monkeypatch.setattr("xrano.scoring.cell_bootstrap._CELLS_AT_ONCE", 2)
    pd.testing.assert_frame_equal(cell_estimates(compared, mixed, member, draws), whole)


def test_a_cell_without_a_value_has_no_number_at_all():
    pairs, compared = pairs_of(), compared_of()
    compared.status[2] = 1
    draws = draw_patients(pairs, n_resamples=9, seed=0)
    member = np.ones(N_PAIRS, dtype=bool)
    for statistic in (LOG2_LIFT, EXCESS):
        row = cell_estimates(compared, np.full(N_CELLS, statistic, object), member, draws).iloc[2]
        assert row[["estimate", "low", "high", "p", "mean_value", "mean_chance"]].isna().all()
        assert row[["n_patients", "n_pairs", "n_resamples"]].tolist() == [0, 0, 0]
        assert row["n_empty_mask"] == row["n_undefined"] == N_PAIRS


def test_nothing_on_both_sides_is_undefined_and_nothing_on_one_is_infinite():
    pairs, compared = pairs_of(), compared_of(sides=2)
    compared.value[0] = compared.value[1] = 0.0
    assert compared.against is not None
    compared.against[0] = 0.0
    draws = draw_patients(pairs, n_resamples=9, seed=0)
    member = np.ones(N_PAIRS, dtype=bool)
    found = cell_estimates(compared, np.full(N_CELLS, LOG2_LIFT, object), member, draws)
    assert found.iloc[0][["estimate", "low", "p"]].isna().all()
    assert found.iloc[0]["n_resamples"] == 0
    assert found.iloc[1][["estimate", "low", "high"]].tolist() == [-math.inf] * 3
    means = patient_means(compared.against, compared, 1, pairs)
    assert found.iloc[1]["p"] == pytest.approx(ttest_1samp(means, 0).pvalue)


def test_limits_equal_the_interval_of_each_row():
    rng = np.random.default_rng(3)
    drawn = rng.normal(size=(6, 101))
    drawn[1, :40] = np.nan
    drawn[2] = np.nan
    drawn[3, :3] = -np.inf
    drawn[4, 1:] = np.nan
    for level in (0.5, 0.9, 0.95):
        low, high, defined = percentile_limits(drawn, level)
        for row in range(6):
            expected = percentile_interval(drawn[row], level)
            assert defined[row] == expected.n_defined
            np.testing.assert_array_equal([low[row], high[row]], [expected.low, expected.high])


def test_a_map_at_chance_has_p_of_one():
    pairs, compared = pairs_of(), compared_of()
    same = Compared(compared.chance, compared.chance, np.zeros_like(compared.status))
    draws = draw_patients(pairs, n_resamples=99, seed=0)
    member = np.ones(N_PAIRS, dtype=bool)
    for statistic in (LOG2_LIFT, EXCESS):
        found = cell_estimates(same, np.full(N_CELLS, statistic, object), member, draws)
        assert found["p"].tolist() == [1.0] * N_CELLS
        assert found["estimate"].tolist() == [0.0] * N_CELLS


def patient_means(array, compared, cell, pairs):
    there = compared.status[cell] == OK
    return pd.Series(array[cell][there]).groupby(pairs["patient_id"].to_numpy()[there]).mean()


@pytest.mark.parametrize("statistic", [LOG2_LIFT, EXCESS])
@pytest.mark.parametrize("sides", [1, 2])
def test_p_equals_scipys_t_test_of_patients_means(statistic, sides):
    pairs, compared = pairs_of(), compared_of(sides=sides)
    draws = draw_patients(pairs, n_resamples=5, seed=0)
    member = np.ones(N_PAIRS, dtype=bool)
    found = cell_estimates(compared, np.full(N_CELLS, statistic, object), member, draws)
    other = compared.chance if compared.against is None else compared.against
    for cell in range(N_CELLS):
        means = [patient_means(array, compared, cell, pairs) for array in (compared.value, other)]
        assert found["p"].iloc[cell] == pytest.approx(ttest_rel(*means).pvalue, rel=1e-9)


def test_p_of_an_excess_over_two_chances_equals_scipys():
    pairs, compared = pairs_of(), compared_of(sides=2, own_chance=True)
    draws = draw_patients(pairs, n_resamples=5, seed=0)
    member = np.ones(N_PAIRS, dtype=bool)
    found = cell_estimates(compared, np.full(N_CELLS, EXCESS, object), member, draws)
    for cell in range(N_CELLS):
        value, chance, against, other = (
            patient_means(array, compared, cell, pairs)
            for array in (
                compared.value,
                compared.chance,
                compared.against,
                compared.against_chance,
            )
        )
        expected = ttest_rel(value - chance, against - other).pvalue
        assert found["p"].iloc[cell] == pytest.approx(expected, rel=1e-9)


def test_p_of_lifts_over_two_chances_by_the_jackknife():
    # Leaving out one patient at a time estimates the same standard error as linearising does.
    rng = np.random.default_rng(2)
    pairs = pd.DataFrame({"patient_id": [f"P{k:03d}" for k in range(60)], "response": "PD"})
    value, chance, against, other = rng.uniform(0.08, 0.12, (4, 1, 60))
    value = value * 1.02
    compared = Compared(value, chance, np.zeros((1, 60), np.int8), against, other)
    draws = draw_patients(pairs, n_resamples=5, seed=0)
    everyone = np.ones(60, dtype=bool)
    found = cell_estimates(compared, np.array([LOG2_LIFT], object), everyone, draws).iloc[0]

    def lift(kept):
        sums = [side[0, kept].sum() for side in (value, chance, against, other)]
        return math.log2(sums[0] / sums[1] / (sums[2] / sums[3]))

    left_out = np.array([lift(np.arange(60) != k) for k in range(60)])
    error = math.sqrt(59 / 60 * ((left_out - left_out.mean()) ** 2).sum())
    assert found["estimate"] == pytest.approx(lift(everyone))
    expected = 2 * student.sf(abs(lift(everyone)) / error, 59)
    assert 0.05 < expected < 0.95
    assert found["p"] == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize("statistic", [LOG2_LIFT, EXCESS])
@pytest.mark.parametrize("sides", [1, 2])
def test_rejections_of_what_does_not_differ_are_at_the_level(statistic, sides):
    # 10 patients of 1 to 5 pairs; band of 4,000 draws at 5 %: 0.05 ± 0.010 (3 SD).
    rng = np.random.default_rng(4)
    patient = np.repeat(np.arange(10), rng.integers(1, 6, 10))
    pairs = pd.DataFrame({"patient_id": patient.astype(str), "response": "PD"})
    shape = (4000, patient.size)
    chance = np.full(shape, 0.1)
    made = [
        0.1 * (1 + 0.3 * rng.normal(size=(4000, 10))[:, patient] + 0.3 * rng.normal(size=shape))
        for _ in range(sides * 2)
    ]
    everywhere = np.zeros(shape, np.int8)
    if sides == 1:
        compared = Compared(made[0], chance, everywhere)
    else:
        compared = Compared(made[0], 1 + made[1], everywhere, made[2], 1 + made[3])
    draws = draw_patients(pairs, n_resamples=2, seed=0)
    everyone = np.ones(patient.size, dtype=bool)
    found = cell_estimates(compared, np.full(4000, statistic, object), everyone, draws)
    assert 0.04 < (found["p"] <= 0.05).mean() < 0.06


def test_no_pairs_or_no_draws_are_refused():
    with pytest.raises(ConfigError, match="rows"):
        draw_patients(pairs_of().iloc[:0], n_resamples=5, seed=0)
    with pytest.raises(ConfigError, match="at least 1"):
        draw_patients(pairs_of(), n_resamples=0, seed=0)
