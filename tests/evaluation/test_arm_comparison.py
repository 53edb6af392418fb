from __future__ import annotations

import json
from itertools import product

import numpy as np
import pandas as pd
import pytest
from predicted_tables import NAMES, predictions, rerated
from scipy.stats import binom, permutation_test
from sklearn.metrics import balanced_accuracy_score

from xrano.errors import ConfigError, ManifestError, UnknownNameError
from xrano.evaluation.comparison import compare_arms, holm, swap_test
from xrano.evaluation.paired import PairedArms, pair_arms
from xrano.metrics.bootstrap import patient_resamples, percentile_interval

QUICK = {"n_resamples": 200, "n_permutations": 999}


def compare(arm: pd.DataFrame, reference: pd.DataFrame, **settings):
    (found,) = compare_arms(
        {"arm": arm, "reference": reference}, [("arm", "reference")], **(QUICK | settings)
    )
    return found


def accuracy(table: pd.DataFrame) -> float:
    return balanced_accuracy_score(table["response"], table["predicted"])


# --- values and intervals


def test_difference_and_interval_are_those_of_the_same_resampled_rows():
    arm = predictions(0)
    reference = rerated(arm, 1, right=0.3)
    found = compare(arm, reference, n_resamples=100, seed=3)
    truth = arm["response"].to_numpy()
    said = [table["predicted"].to_numpy() for table in (arm, reference)]
    gaps = [
        balanced_accuracy_score(truth[rows], said[0][rows])
        - balanced_accuracy_score(truth[rows], said[1][rows])
        for rows in patient_resamples(list(arm["patient_id"]), list(truth), n_resamples=100, seed=3)
    ]
    expected = percentile_interval(gaps)
    assert found.arm_value.value == pytest.approx(accuracy(arm))
    assert found.reference_value.value == pytest.approx(accuracy(reference))
    assert found.difference.value == pytest.approx(accuracy(arm) - accuracy(reference))
    assert [found.difference.low, found.difference.high] == pytest.approx(
        [expected.low, expected.high]
    )
    assert found.smallest_difference == pytest.approx(2.8 * np.std(gaps, ddof=1))


def test_arms_on_other_pairs_are_compared_on_those_they_share():
    table = predictions(0)
    reference = rerated(table, 1, right=0.5)
    found = compare(table.iloc[:50], reference.iloc[10:].sample(frac=1, random_state=0))
    assert (found.n_pairs, found.n_arm_pairs, found.n_reference_pairs) == (40, 50, 50)
    assert found.arm_value.value == pytest.approx(accuracy(table.iloc[10:50]))
    assert found.reference_value.value == pytest.approx(accuracy(reference.iloc[10:50]))
    assert sum(found.pairs_per_class.values()) == 40


def test_without_a_shared_pair_there_is_nothing_to_say():
    table = predictions(0)
    found = compare_arms(
        {"a": table.iloc[:30], "b": table.iloc[30:], "c": rerated(table, 1, right=0.1)},
        [("a", "b"), ("a", "c")],
        **QUICK,
    )
    assert found[0].verdict == "not comparable"
    assert found[0].n_pairs == 0
    assert np.isnan(found[0].p_holm)
    # It is no part of the family either.
    assert found[1].p_holm == found[1].p
    assert json.loads(json.dumps(found[0].to_json()))["difference"] == [None, None, None]
    assert "NaN" not in json.dumps([item.to_json() for item in found])


def test_seeds_are_averaged_on_the_same_pairs():
    base = predictions(0)
    seeds = [rerated(base, number, right=0.6) for number in range(3)]
    arm = pd.concat([table.assign(seed=number) for number, table in enumerate(seeds)])
    reference = rerated(base, 9, right=0.2)
    found = compare(arm, reference)
    assert found.arm_value.value == pytest.approx(np.mean([accuracy(one) for one in seeds]))
    assert found.arm_seeds == pytest.approx([accuracy(one) for one in seeds])
    assert found.reference_seeds == (pytest.approx(accuracy(reference)),)
    assert found.n_pairs == 60
    repeated = pd.concat([seeds[0].assign(seed=0), seeds[0].assign(seed=1)])
    once = compare(seeds[0], reference)
    twice = compare(repeated, reference)
    assert twice.difference == once.difference
    assert twice.p == once.p


def test_a_missing_class_is_in_no_average():
    arm = predictions(7, present=("CR", "SD", "PD"))
    reference = rerated(arm, 1, right=0.4)
    found = compare(arm, reference)
    recalls = [
        (arm["predicted"][arm["response"] == name] == name).mean() for name in ("CR", "SD", "PD")
    ]
    assert found.arm_value.value == pytest.approx(np.mean(recalls))
    assert set(found.one_case) == {"CR", "SD", "PD"}
    assert found.one_case["CR"] == 1 / (arm["response"] == "CR").sum()


def test_progression_against_the_rest():
    classes = ("rest", "PD")
    arm = predictions(1, names=classes)
    found = compare(arm, rerated(arm, 2, right=0.0), classes=classes)
    assert found.arm_value.value == pytest.approx(accuracy(arm))
    assert set(found.pairs_per_class) == set(classes)


# --- verdicts


def test_a_clear_gap_is_better_one_way_and_worse_the_other():
    table = predictions(0, count=120, patients=40)
    good, bad = rerated(table, 1, right=0.9), rerated(table, 2, right=0.1)
    assert compare(good, bad).verdict == "better"
    assert compare(bad, good).verdict == "worse"
    assert compare(bad, rerated(table, 3, right=0.1)).verdict == "not resolved"


def test_correction_can_take_a_verdict_back():
    table = predictions(0, count=80, patients=25)
    tables = {"reference": rerated(table, 2, right=0.2), "arm": rerated(table, 1, right=0.5)}
    alone = compare_arms(tables, [("arm", "reference")], **QUICK)[0]
    assert alone.verdict == "better"
    assert 0.001 < alone.p < 0.05
    crowd = {f"other {number}": rerated(table, 10 + number, right=0.2) for number in range(60)}
    family = [("arm", "reference"), *((name, "reference") for name in crowd)]
    among = compare_arms(tables | crowd, family, n_resamples=20, n_permutations=999)[0]
    assert among.p == alone.p
    assert among.p_holm > 0.05
    assert among.verdict == "not resolved"


def test_equal_arms_are_not_resolved_and_show_no_power():
    table = predictions(0)
    found = compare(table, table.copy())
    assert (found.difference.value, found.p, found.exact) == (0.0, 1.0, True)
    assert np.isnan(found.smallest_difference)
    assert found.verdict == "not resolved"


def test_a_single_patient_settles_nothing():
    table = predictions(0, patients=1)
    found = compare(rerated(table, 1, right=1.0), rerated(table, 2, right=0.0))
    assert found.difference.value > 0.5
    assert np.isnan(found.difference.low)
    assert np.isnan(found.smallest_difference)
    assert found.p == 1.0
    assert found.verdict == "not resolved"


# --- the test itself


def test_all_swaps_by_brute_force():
    table = predictions(3, count=24, patients=6)
    other = rerated(table, 4, right=0.3)
    found = compare(table, other)
    patients = sorted(set(table["patient_id"]))
    gaps = []
    for swaps in product([False, True], repeat=len(patients)):
        swapped = {patient for patient, swap in zip(patients, swaps, strict=True) if swap}
        inside = table["patient_id"].isin(swapped)
        first = table.assign(predicted=table["predicted"].where(~inside, other["predicted"]))
        second = table.assign(predicted=other["predicted"].where(~inside, table["predicted"]))
        gaps.append(accuracy(first) - accuracy(second))
    assert found.exact
    assert found.p == pytest.approx(np.mean(np.abs(gaps) >= abs(gaps[0]) - 1e-9))
    assert 0.03 < found.p < 1


def test_exact_and_sampled_swaps_are_scipy_s():
    few = np.random.default_rng(0).normal(0.3, 1, 9)
    p, exact = swap_test(few)
    expected = permutation_test(
        (few,), np.sum, permutation_type="samples", n_resamples=np.inf, alternative="two-sided"
    )
    assert exact
    assert p == pytest.approx(expected.pvalue)
    many = np.random.default_rng(1).normal(0.2, 1, 40)
    p, exact = swap_test(many, n_permutations=20_000)
    expected = permutation_test(
        (many,), np.sum, permutation_type="samples", n_resamples=20_000, random_state=0
    )
    assert not exact
    # Two Monte Carlo estimates of about 0.2, standard error 0.003 each.
    assert p == pytest.approx(expected.pvalue, abs=0.02)


def test_sampled_p_is_never_nought_and_agreeing_patients_do_not_matter():
    p, exact = swap_test(np.ones(60), n_permutations=99)
    assert (p, exact) == (0.01, False)
    few = np.array([1.0, 2.0, -0.5])
    assert swap_test(np.append(few, np.zeros(50))) == swap_test(few)
    assert swap_test(np.zeros(5)) == (1.0, True)


def simulated(rng: np.random.Generator, gain: float = 0.0) -> PairedArms:
    """Two arms whose errors go together within a patient, on a cohort shaped like LUMIERE."""
    per_patient = rng.integers(1, 9, 70)
    patient_of = np.repeat(np.arange(70), per_patient)
    truth = rng.choice(4, size=patient_of.size, p=[0.07, 0.05, 0.24, 0.64])
    # Whether an arm can read a patient at all, drawn for each arm and patient.
    able = rng.random((2, 70)) < np.array([[0.5 + gain], [0.5]])
    right = np.where(able[:, patient_of], 0.85, 0.15)
    hits = (rng.random(right.shape) < right).astype(float)
    return PairedArms(
        ("a", "b"), NAMES, tuple(f"{n:03d}" for n in range(70)), patient_of, truth, hits, ((), ())
    )


def test_arms_that_are_alike_are_told_apart_one_time_in_twenty():
    rng = np.random.default_rng(20)
    runs, clustered, by_row = 500, 0, 0
    for _ in range(runs):
        arms = simulated(rng)
        shares = arms.shares()
        clustered += swap_test(shares[0] - shares[1], n_permutations=199)[0] <= 0.05
        alone = PairedArms(
            arms.names,
            NAMES,
            tuple(str(pair) for pair in range(arms.truth.size)),
            np.arange(arms.truth.size),
            arms.truth,
            arms.hits,
            ((), ()),
        ).shares()
        by_row += swap_test(alone[0] - alone[1], n_permutations=199)[0] <= 0.05
    low, high = binom.interval(0.999, runs, 0.05)
    assert low <= clustered <= high
    # Swapping single pairs takes a patient's errors for independent, and finds too much.
    assert by_row > high


def test_a_real_gain_is_found_more_often():
    rng = np.random.default_rng(21)
    found = 0
    for _ in range(60):
        shares = simulated(rng, gain=0.45).shares()
        found += swap_test(shares[0] - shares[1], n_permutations=199)[0] <= 0.05
    assert found > 40


def test_the_smallest_difference_is_seen_four_times_in_five():
    rng = np.random.default_rng(22)
    arms = simulated(rng)
    drawn = arms.resampled(n_resamples=2000, seed=0)
    spread = (drawn[0] - drawn[1]).std(ddof=1)
    # A difference of 2.8 standard errors, seen through an error of one, against the 5 % limit.
    seen = np.abs(2.8 * spread + rng.normal(0, spread, 100_000)) > 1.96 * spread
    assert seen.mean() == pytest.approx(0.8, abs=0.005)


def test_holm_by_hand():
    assert holm([0.04, 0.01, 0.03, 0.005]) == pytest.approx([0.06, 0.03, 0.06, 0.02])
    assert holm([0.6, 0.9]) == [1.0, 1.0]
    assert holm([]) == []
    assert holm([0.2]) == [0.2]


# --- what is refused


def test_arms_that_contradict_each_other_are_refused():
    table = predictions(0)
    other = table.assign(response=table["response"].replace("CR", "PR"))
    with pytest.raises(ManifestError, match="has response CR in arm and PR in reference"):
        compare(table, other)
    with pytest.raises(ManifestError, match="patient_id"):
        compare(table, table.assign(patient_id="Patient-x"))
    with pytest.raises(ManifestError, match="predictions of reference need the column pair_id"):
        compare(table, table.drop(columns="pair_id"))


def test_a_family_of_unknown_or_equal_arms_is_refused():
    tables = {"concat": predictions(0)}
    with pytest.raises(UnknownNameError, match="did you mean 'concat'"):
        compare_arms(tables, [("concat", "concta")])
    with pytest.raises(ConfigError, match="compared with itself"):
        compare_arms(tables, [("concat", "concat")])
    with pytest.raises(ConfigError, match="at least 1 swap"):
        compare_arms(tables, [], n_permutations=0)


def test_pairs_come_in_one_order_whatever_the_tables():
    table = predictions(0)
    shuffled = table.sample(frac=1, random_state=1)
    first = pair_arms({"a": table, "b": shuffled})
    assert first is not None
    np.testing.assert_array_equal(first.hits[0], first.hits[1])
    assert len(first.patients) == table["patient_id"].nunique()
