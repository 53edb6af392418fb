"""The shuffle null: who sees whose mask, the statistic by hand, and what it can tell."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from xrano.errors import ConfigError
from xrano.metrics.null_calibration import shuffle_rejections
from xrano.metrics.shuffle import (
    _runs,
    reachable_masks,
    shuffle_assignments,
    shuffle_null,
    shuffle_statistics,
)

PATIENTS = list("aaabbcddefghiijk")


def sizes(seed=0):
    return np.random.default_rng(seed).lognormal(2.0, 1.0, size=len(PATIENTS))


def drawn(n=300, **options):
    return shuffle_assignments(PATIENTS, sizes(), n_permutations=n, seed=0, **options)


def test_patients_are_exchanged_as_wholes_and_never_within_themselves():
    who = np.array(PATIENTS)
    for row in drawn().masks:
        got = who[row]
        for patient in set(PATIENTS):
            sent_to = set(got[who == patient])
            assert len(sent_to) == 1
            if sent_to == {patient}:  # left in place: each map sees its own mask
                np.testing.assert_array_equal(row[who == patient], np.flatnonzero(who == patient))
        # One to one: nobody's masks are seen by two patients.
        assert len({got[who == patient][0] for patient in set(PATIENTS)}) == len(set(PATIENTS))


def test_a_map_sees_the_mask_of_the_new_patient_that_is_nearest_in_size():
    logs, who = np.log(sizes()), np.array(PATIENTS)
    for row in drawn(50).masks:
        for index, seen in enumerate(row):
            if who[seen] != who[index]:
                others = np.flatnonzero(who == who[seen])
                assert abs(logs[seen] - logs[index]) == np.abs(logs[others] - logs[index]).min()


def test_patients_stay_within_a_run_of_neighbours_in_size():
    logs, who = np.log(sizes()), np.array(PATIENTS)
    median = {p: np.median(logs[who == p]) for p in set(PATIENTS)}
    rank = {p: r for r, p in enumerate(sorted(median, key=median.get))}
    block = 4
    steps = {
        abs(rank[who[seen]] - rank[who[index]])
        for row in drawn(block=block).masks
        for index, seen in enumerate(row)
    }
    assert max(steps) <= block  # one more than the run where a single end has joined it
    assert steps >= {1, 2, 3}
    assert drawn(block=block).size_ratio < drawn(block=None).size_ratio
    reached = {(who[i], who[s]) for row in drawn(block=block).masks for i, s in enumerate(row)}
    # Runs begin at drawn places, so that all neighbours meet.
    by_rank = sorted(rank, key=rank.get)
    assert reached >= set(itertools.pairwise(by_rank))


def test_runs_are_of_the_block_begin_anywhere_and_leave_nobody_alone():
    for n, block in itertools.product(range(4, 14), (2, 3, 4, 7)):
        starts = set()
        for first in range(block):
            runs = _runs(first, n, block)
            assert [place for run in runs for place in range(n)[run]] == list(range(n))
            sizes_ = [run.stop - run.start for run in runs]
            assert min(sizes_) >= 2
            assert set(sizes_[1:-1]) <= {block}
            # A single patient at either end has joined its neighbours.
            assert max(sizes_) <= max(block + 2, n if n <= block else 0)
            starts.add(runs[0].stop)
        if n > 2 * block + 2:
            assert starts == {2 + (first - 2) % block for first in range(block)}
    assert _runs(0, 6, 6) == _runs(0, 6, None) == [slice(0, 6)]


@pytest.mark.parametrize("block", [2, 3, 4, 11, None])
def test_reachable_masks_are_those_that_permutations_hand_out(block):
    found = reachable_masks(PATIENTS, sizes(), block=block)
    handed = np.zeros_like(found)
    for row in drawn(4000, block=block).masks:
        handed[np.arange(len(PATIENTS)), row] = True
    np.testing.assert_array_equal(found, handed)
    assert not found.all()


def test_the_ratio_says_how_well_sizes_match():
    logs = np.log(sizes())
    for block in (2, 4, None):
        found = drawn(40, block=block)
        ratios = [
            max(logs[seen], logs[own]) - min(logs[seen], logs[own])
            for row in found.masks
            for own, seen in enumerate(row)
        ]
        assert found.size_ratio == pytest.approx(math.exp(np.median(ratios)), rel=1e-12)


def test_every_order_of_patients_is_as_likely():
    ids = list("abcde")
    rows = shuffle_assignments(ids, [1.0] * 5, n_permutations=24_000, seed=1, block=None).masks
    _, counts = np.unique(rows, axis=0, return_counts=True)
    assert counts.size == 120
    chi2 = ((counts - 200) ** 2 / 200).sum()
    assert chi2 < 180  # 0.9997 quantile of chi² with 119 degrees of freedom


def by_hand(matrix, chance, row):
    def mean(values):
        per_patient = {}
        for patient, value in zip(PATIENTS, values, strict=True):
            if not math.isnan(value):
                per_patient.setdefault(patient, []).append(value)
        return np.mean([np.mean(v) for v in per_patient.values()])

    seen = [math.nan if math.isnan(matrix[i, i]) else matrix[i, j] for i, j in enumerate(row)]
    if chance is None:
        return mean(seen)
    expected = [
        math.nan if math.isnan(s) else chance[i, j]
        for s, (i, j) in zip(seen, enumerate(row), strict=True)
    ]
    return math.log2(mean(seen) / mean(expected))


@pytest.mark.parametrize("with_chance", [False, True])
def test_the_statistic_equals_the_mean_of_patient_means_by_hand(with_chance):
    rng = np.random.default_rng(3)
    n = len(PATIENTS)
    matrix = rng.random((n, n))
    matrix[rng.random((n, n)) < 0.1] = np.nan
    matrix[4, 4] = np.nan
    chance = rng.uniform(0.1, 0.2, (n, n)) if with_chance else None
    assignments = drawn(40)
    observed, values = shuffle_statistics(matrix, assignments, chance)
    assert observed == pytest.approx(by_hand(matrix, chance, range(n)), abs=1e-12)
    expected = [by_hand(matrix, chance, row) for row in assignments.masks]
    np.testing.assert_allclose(values, expected, rtol=0, atol=1e-12)


def test_maps_that_know_their_mask_are_found_and_the_size_of_a_mask_is_not():
    rng = np.random.default_rng(5)
    n, assignments = len(PATIENTS), drawn(199)
    chance = np.broadcast_to(sizes() / 1000, (n, n))
    blind = chance * rng.uniform(0.9, 1.1, (n, n))
    knowing = blind * (1 + 2 * np.eye(n))
    assert shuffle_null(knowing, assignments, chance).p <= 0.01
    assert shuffle_null(blind, assignments, chance).p > 0.05
    assert shuffle_null(knowing, assignments, chance).z > 3


def test_a_score_that_ignores_the_mask_has_p_1():
    n = len(PATIENTS)
    scores = np.repeat(np.arange(1.0, n + 1)[:, None] / 7, n, axis=1)
    for chance in (None, np.full((n, n), 0.3), np.full((n, n), 30.0)):
        result = shuffle_null(scores, drawn(99), chance)
        assert (result.null, result.p) == ("shuffle", 1.0)
        assert math.isnan(result.z)


def test_no_score_at_all_is_undefined():
    n = len(PATIENTS)
    scores = np.ones((n, n))
    np.fill_diagonal(scores, np.nan)
    for chance in (None, np.ones((n, n))):
        observed, values = shuffle_statistics(scores, drawn(20), chance)
        assert math.isnan(observed)
        assert np.isnan(values).all()
    assert math.isnan(shuffle_null(scores, drawn(20)).p)


def test_a_patient_without_a_score_has_no_part_in_the_mean():
    n = len(PATIENTS)
    scores = np.repeat(np.arange(1.0, n + 1)[:, None], n, axis=1)
    first = [index for index, patient in enumerate(PATIENTS) if patient == "a"]
    scores[first, first] = np.nan
    observed, _ = shuffle_statistics(scores, drawn(20))
    assert observed == pytest.approx(by_hand(scores, None, range(n)), abs=1e-12)


def test_one_patient_with_a_score_is_its_own_mean():
    n = len(PATIENTS)
    scores = np.full((n, n), np.nan)
    scores[3] = 7.0
    observed, values = shuffle_statistics(scores, drawn(20))
    assert observed == 7.0
    np.testing.assert_array_equal(values, np.full(20, 7.0))


def test_a_block_of_all_patients_is_none_and_ten_are_one_unless_told():
    everyone = len(set(PATIENTS))
    np.testing.assert_array_equal(drawn(20, block=everyone).masks, drawn(20, block=None).masks)
    many = [f"{number:02d}" for number in range(25)]
    mask_sizes = np.arange(1, 26)
    by_default = shuffle_assignments(many, mask_sizes, n_permutations=20, seed=0)
    tens = shuffle_assignments(many, mask_sizes, n_permutations=20, seed=0, block=10)
    np.testing.assert_array_equal(by_default.masks, tens.masks)


def test_the_same_seed_gives_the_same_and_no_other_state_is_touched():
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    np.testing.assert_array_equal(drawn(20).masks, drawn(20).masks)
    other = shuffle_assignments(PATIENTS, sizes(), n_permutations=20, seed=1)
    assert (drawn(20).masks != other.masks).any()
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002


@pytest.mark.parametrize(
    ("ids", "size", "options", "words"),
    [
        (list("abcd"), [1.0] * 4, {}, "5 patients"),
        (list("abcdef"), [1.0] * 5, {}, "sizes of shape"),
        (list("abcdef"), [1.0] * 5 + [0.0], {}, "above 0"),
        (list("abcdef"), [1.0] * 5 + [np.nan], {}, "above 0"),
        (list("abcdef"), [1.0] * 5 + [np.inf], {}, "above 0"),
        (list("abcdef"), [1.0] * 6, {"n_permutations": 0}, "1 permutation"),
        (list("abcdef"), [1.0] * 6, {"block": 1}, "block of 2"),
    ],
)
def test_what_cannot_be_shuffled_is_refused(ids, size, options, words):
    with pytest.raises(ConfigError, match=words):
        shuffle_assignments(ids, size, **{"n_permutations": 10, "seed": 0, **options})


def test_one_permutation_and_blocks_of_two_are_enough():
    found = shuffle_assignments(list("abcdef"), [1.0] * 6, n_permutations=1, seed=0, block=2)
    assert found.masks.shape == (1, 6)
    assert sorted(found.masks[0]) == list(range(6))


def test_what_has_no_reachable_masks_is_refused():
    for ids, block, words in ((list("abcd"), 2, "5 patients"), (list("abcdef"), 1, "block of 2")):
        with pytest.raises(ConfigError, match=words):
            reachable_masks(ids, [1.0] * len(ids), block=block)


def test_a_matrix_of_another_cohort_is_refused():
    with pytest.raises(ConfigError, match=r"\(3, 16\)"):
        shuffle_null(np.ones((3, 16)), drawn(10))


def test_it_rejects_no_more_than_its_level_where_maps_know_nothing():
    found = shuffle_rejections(
        n_patients=10,
        smoothness=2.0,
        n_cohorts=200,
        seed=11,
        maps="central",
        coverage=0.999,
        n_permutations=99,
        shape=(9, 8, 7),
    )
    assert found.n == 200
    assert found.rate <= found.high
