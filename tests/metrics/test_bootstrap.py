"""Patient resamples and percentile intervals: what they promise, and whether they cover."""

from __future__ import annotations

import math

import numpy as np
import pytest

from xrano.errors import ConfigError
from xrano.metrics.bootstrap import patient_resamples, patient_weights, percentile_interval

IDS = ["P1", "P1", "P1", "P2", "P3", "P3", "P4", "P5", "P6", "P6"]
RESPONSES = ["PD", "SD", "CR", "PD", "PD", "SD", "PD", "SD", "CR", "PR"]


def draws(n=200, seed=0, ids=IDS, responses=RESPONSES):
    return list(patient_resamples(ids, responses, n_resamples=n, seed=seed))


def test_a_patient_comes_with_all_rows_or_not_at_all():
    for rows in draws():
        counts = np.bincount(rows, minlength=len(IDS))
        for patient in set(IDS):
            assert len({counts[i] for i, name in enumerate(IDS) if name == patient}) == 1


def test_every_response_is_in_every_resample():
    for rows in draws(1000):
        assert {RESPONSES[row] for row in rows} == {"CR", "PR", "SD", "PD"}


def test_as_many_patients_are_drawn_as_there_are():
    patients, weights = patient_weights(IDS, RESPONSES, n_resamples=300, seed=1)
    assert patients == ["P1", "P2", "P3", "P4", "P5", "P6"]
    assert (weights.sum(axis=1) == 6).all()
    assert (weights == 0).any()
    assert (weights > 1).any()


def test_strata_are_the_rarest_response_of_a_patient():
    # Patients with each response: PR 1 (P6), CR 2 (P1, P6), SD 3 (P1, P3, P5), PD 4.
    patients, weights = patient_weights(IDS, RESPONSES, n_resamples=500, seed=2)
    drawn = dict(zip(patients, weights.T, strict=True))
    assert (drawn["P6"] == 1).all()
    assert (drawn["P1"] == 1).all()
    assert (drawn["P3"] + drawn["P5"] == 2).all()
    assert (drawn["P2"] + drawn["P4"] == 2).all()
    assert set(drawn["P2"]) == {0, 1, 2}


def test_a_response_that_all_patients_share_is_the_stratum_of_those_without_another():
    ids, responses = ["1", "1", "2", "3"], ["A", "B", "B", "B"]
    _, weights = patient_weights(ids, responses, n_resamples=200, seed=0)
    assert (weights[:, 0] == 1).all()
    assert set(weights[:, 1]) == {0, 1, 2}


def test_one_row_is_drawn_every_time():
    patients, weights = patient_weights(["a"], ["CR"], n_resamples=3, seed=0)
    assert (patients, weights.tolist()) == (["a"], [[1], [1], [1]])


def test_a_resample_that_lacks_a_response_is_drawn_again():
    # Each response has two patients, and ties put 1 and 3 into the stratum of A, 2 and 4 into that
    # of B: one draw in 16 takes neither 1 nor 2, the only patients with C.
    ids = ["1", "3", "2", "4", "1", "2"]
    responses = ["A", "A", "B", "B", "C", "C"]
    _, weights = patient_weights(ids, responses, n_resamples=400, seed=0)
    assert (weights[:, 0] + weights[:, 2] == 2).all()
    assert (weights[:, 1] + weights[:, 3] == 2).all()
    assert (weights[:, 0] + weights[:, 1] >= 1).all()
    assert (weights[:, 0] == 0).any()
    assert (weights[:, 1] == 0).any()


def test_patients_that_are_all_needed_are_all_drawn():
    ids = ["1", "2", "3", "1", "2", "3"]
    responses = ["A", "A", "A", "B", "C", "D"]
    for rows in draws(20, ids=ids, responses=responses):
        assert rows.tolist() == [0, 1, 2, 3, 4, 5]


def test_the_seed_decides_and_the_order_of_rows_does_not():
    first, again, other = draws(5, seed=3), draws(5, seed=3), draws(5, seed=4)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(first, other, strict=True))
    _, forward = patient_weights(IDS, RESPONSES, n_resamples=5, seed=3)
    _, backward = patient_weights(IDS[::-1], RESPONSES[::-1], n_resamples=5, seed=3)
    np.testing.assert_array_equal(forward, backward)


@pytest.mark.parametrize(
    ("ids", "responses", "n"), [([], [], 5), (["a"], [], 5), (["a"], ["CR"], 0)]
)
def test_refusals(ids, responses, n):
    with pytest.raises(ConfigError):
        patient_weights(ids, responses, n_resamples=n, seed=0)


class TestPercentileInterval:
    def test_equals_the_order_statistics(self):
        values = np.random.default_rng(0).permutation(2000) + 1
        assert percentile_interval(values) == (51, 1950, 2000)

    def test_a_whole_number_to_leave_out_is_left_out_whatever_the_last_bit(self):
        # 40 (1 − 0.9) / 2 is 1.9999999999999996.
        values = np.random.default_rng(0).permutation(40) + 1
        assert percentile_interval(values, 0.9) == (3, 38, 40)

    def test_one_value_is_both_limits(self):
        assert percentile_interval([7.0]) == (7.0, 7.0, 1)

    def test_undefined_resamples_are_left_out_and_counted(self):
        assert percentile_interval([1, math.nan, 2, math.nan]) == (1, 2, 2)

    def test_nothing_defined(self):
        low, high, n_defined = percentile_interval([math.nan, math.nan])
        assert math.isnan(low)
        assert math.isnan(high)
        assert n_defined == 0

    def test_infinite_values_keep_their_rank(self):
        values = [-math.inf] * 10 + list(range(90))
        assert percentile_interval(values) == (-math.inf, 87, 100)
        assert percentile_interval([-math.inf, *range(999)]).low == 24

    @pytest.mark.parametrize("level", [0, 1, 95, math.nan])
    def test_an_impossible_level(self, level):
        with pytest.raises(ConfigError, match="level"):
            percentile_interval([1.0], level)


def test_the_interval_of_a_mean_covers_where_scans_of_a_patient_agree():
    """95 % intervals of the mean over patients cover the truth about as often as they say.

    Rows drawn one by one, as if scans were independent, would cover far less: the second count.
    """
    rng = np.random.default_rng(0)
    n_patients, n_scans, hits, naive_hits, trials = 40, 5, 0, 0, 200
    ids = np.repeat([f"P{i:02d}" for i in range(n_patients)], n_scans)
    responses = np.tile(["CR", "PR", "SD", "PD", "PD"], n_patients)
    for trial in range(trials):
        patient = rng.normal(size=n_patients)
        values = np.repeat(patient, n_scans) + 0.2 * rng.normal(size=ids.size)
        per_patient = values.reshape(n_patients, n_scans).mean(axis=1)
        _, weights = patient_weights(ids, responses, n_resamples=300, seed=trial)
        low, high, _ = percentile_interval(weights @ per_patient / n_patients)
        hits += low <= 0 <= high
        rows = rng.integers(0, ids.size, size=(300, ids.size))
        low, high, _ = percentile_interval(values[rows].mean(axis=1))
        naive_hits += low <= 0 <= high
    # A binomial of 200 at 0.94 has a standard deviation of 3.4.
    assert 0.89 * trials <= hits <= 0.99 * trials
    assert naive_hits < 0.75 * trials
