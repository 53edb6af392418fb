"""p, z and percentile of one score, and adjustment for many."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import percentileofscore

from xrano.errors import ConfigError
from xrano.metrics.multiplicity import benjamini_hochberg, max_statistic
from xrano.metrics.nulls import LEAST_FOR_P, against_null, raised, undefined_null
from xrano.metrics.records import OverlapStatus


@pytest.mark.parametrize("observed", [0.0, 2.0, 2.5, 9.0])
def test_a_drawn_null_counts_the_observed_once_more(observed):
    values = np.repeat([1.0, 2.0, 2.0, 3.0], 10)
    result = against_null(observed, values, null="shuffle")
    assert result.p == (1 + (values >= observed).sum()) / 41
    assert result.percentile == percentileofscore(values, observed, kind="mean")
    assert result.z == pytest.approx((observed - 2.0) / values.std())


def test_a_complete_null_holds_the_observed_itself():
    values = np.arange(40.0)
    assert against_null(39.0, values, null="placement", complete=True).p == 1 / 40
    assert against_null(0.0, values, null="placement", complete=True).p == 1.0


def test_lower_is_better_turns_the_tail():
    values = np.arange(1.0, 41.0)
    result = against_null(1.0, values, null="surrogate", higher_is_better=False)
    assert result.p == 2 / 41
    assert result.percentile == pytest.approx(100 * 39.5 / 40)


def test_too_few_values_give_no_p_but_a_percentile():
    few = against_null(5.0, np.arange(LEAST_FOR_P - 2), null="shuffle")
    assert math.isnan(few.p)
    assert few.percentile > 0
    assert against_null(50.0, np.arange(LEAST_FOR_P - 1), null="shuffle").p == 1 / LEAST_FOR_P


def test_p_is_given_from_the_fewest_values_of_which_one_can_be_at_five_percent():
    assert 1 / LEAST_FOR_P <= 0.05 < 1 / (LEAST_FOR_P - 1)
    for n, given in ((LEAST_FOR_P - 1, False), (LEAST_FOR_P, True)):
        result = against_null(0.0, np.arange(n), null="placement", complete=True)
        assert math.isnan(result.p) is not given


def test_a_null_of_no_value_says_why():
    result = undefined_null("shuffle", OverlapStatus.ZERO_MAP)
    assert (result.null, result.n, result.status) == ("shuffle", 0, "zero_map")
    numbers = (result.observed, result.mean, result.sd, result.z, result.percentile, result.p)
    assert all(math.isnan(number) for number in numbers)


def test_one_value_has_a_place_and_a_mean_but_no_spread():
    result = against_null(3.0, [2.0], null="shuffle")
    assert (result.n, result.mean, result.sd, result.percentile) == (1, 2.0, 0.0, 100.0)
    assert math.isnan(result.z)
    assert math.isnan(result.p)


@pytest.mark.parametrize("values", [[0.1 + 0.2, 0.3], [-0.1 - 0.2, -0.3], [1e6, 1e6 + 1e-10], [0]])
def test_values_that_differ_by_rounding_alone_have_no_z(values):
    result = against_null(values[0], values * 15, null="shuffle")
    assert result.mean == pytest.approx(values[0])
    assert math.isnan(result.z)


def test_undefined_values_are_left_out():
    values = np.concatenate([np.arange(30.0), np.full(5, np.nan)])
    assert against_null(3.0, values, null="shuffle").n == 30
    nothing = against_null(3.0, [np.nan], null="shuffle")
    assert nothing.n == 0
    assert math.isnan(nothing.p)
    assert math.isnan(against_null(math.nan, values, null="shuffle").p)


def test_ties_within_the_tolerance_are_ties():
    values = np.full(30, 1.0) + 1e-8
    assert against_null(1.0, values, null="shuffle", tolerance=1e-6).percentile == 50.0
    assert math.isnan(against_null(1.0, values, null="shuffle", tolerance=1e-6).z)
    assert against_null(1.0, values, null="shuffle").percentile == 0.0


def test_a_row_without_a_finite_value_is_left_as_it_is():
    rows = np.array([[-math.inf, 2.0, 1.0], [-math.inf, -math.inf, math.nan]])
    expected = np.array([[1.0, 2.0, 1.0], [-math.inf, -math.inf, math.nan]])
    np.testing.assert_array_equal(raised(rows), expected)


@pytest.mark.parametrize("sign", [1, -1])
def test_a_score_below_everything_is_no_better_than_anything(sign):
    values = np.arange(1.0, 41.0)
    options = {"null": "shuffle", "higher_is_better": sign == 1}
    lowest = against_null(-sign * math.inf, sign * values, **options)
    assert (lowest.p, lowest.percentile, lowest.observed) == (1.0, 0.0, -sign * math.inf)
    assert (lowest.mean, lowest.sd) == pytest.approx((sign * 20.5, values.std()))
    assert lowest.z == pytest.approx(sign * (1 - 20.5) / values.std())
    # One value of a null counts as the least finite one, and every other number stays.
    some = np.where(values < 4, -math.inf, values)
    for observed in (20.0, 3.0):
        found = against_null(sign * observed, sign * some, **options)
        least = min(observed, 4.0)
        raised_ = np.where(values < 4, least, values)
        assert found.p == (1 + (some >= observed).sum()) / 41
        assert found.percentile == percentileofscore(some, observed, kind="mean")
        assert found.mean == pytest.approx(sign * raised_.mean())
        assert found.z == pytest.approx(sign * (observed - raised_.mean()) / raised_.std())
    same = against_null(-sign * math.inf, [-sign * math.inf] * 30, **options)
    assert (same.p, same.percentile) == (1.0, 50.0)
    assert math.isnan(same.z)
    assert math.isnan(same.sd)
    # ∞ at the other end is no score.
    assert math.isnan(against_null(sign * math.inf, sign * values, **options).p)


# -- many scores ---------------------------------------------------------------------------------


def brute_bh(ps):
    order = sorted(ps)
    m = len(ps)
    steps = [min(1.0, p * m / (rank + 1)) for rank, p in enumerate(order)]
    adjusted = {p: min(steps[rank:]) for rank, p in reversed(list(enumerate(order)))}
    return [adjusted[p] for p in ps]


def test_benjamini_hochberg_equals_its_definition_and_skips_what_has_no_p():
    rng = np.random.default_rng(0)
    ps = rng.random(12)
    expected = brute_bh(ps.tolist())
    np.testing.assert_allclose(benjamini_hochberg(ps), expected, rtol=1e-12)
    gaps = np.insert(ps, [0, 5], np.nan).reshape(2, 7)
    found = benjamini_hochberg(gaps)
    assert found.shape == (2, 7)
    np.testing.assert_allclose(found[~np.isnan(gaps)], expected, rtol=1e-12)
    assert np.isnan(found[np.isnan(gaps)]).all()
    assert np.isnan(benjamini_hochberg([np.nan])).all()
    for wrong in (1.5, -0.1):
        with pytest.raises(ConfigError, match="between 0 and 1"):
            benjamini_hochberg([0.5, wrong])
    assert benjamini_hochberg([0.0, 1.0]).tolist() == [0.0, 1.0]


def test_the_max_statistic_of_one_score_is_its_own_p():
    rng = np.random.default_rng(1)
    null = rng.normal(size=(1, 99))
    observed = [1.7]
    expected = (1 + (null[0] >= 1.7).sum()) / 100
    assert max_statistic(observed, null)[0] == pytest.approx(expected)


def brute_max_statistic(observed, null):
    columns = [observed, *np.transpose(null)]
    standard = np.transpose([(c - np.mean(columns, 0)) / np.std(columns, 0) for c in columns])
    largest = [max(standard[:, b]) for b in range(1, len(columns))]
    return [(1 + sum(one >= z - 1e-9 for one in largest)) / len(columns) for z in standard[:, 0]]


@pytest.mark.parametrize("n", [1, 2, 3, 40])
def test_the_max_statistic_equals_its_definition_whatever_the_units(n):
    rng = np.random.default_rng(n)
    # Few distinct values, so that statistics are often equal.
    observed, null = rng.integers(0, 6, 4) * 1.1, rng.integers(0, 6, (4, n)) * 1.1
    null[:, 0] = np.add(observed, (1, 2, 3, -1))
    expected = brute_max_statistic(observed, null)
    scale, shift = np.array([1e-3, 1e3, 0.1, 7.0]), np.array([5.0, -300.0, 0.7, 0.0])
    np.testing.assert_allclose(max_statistic(observed, null), expected, rtol=1e-12)
    np.testing.assert_allclose(
        max_statistic(observed * scale + shift, null * scale[:, None] + shift[:, None]),
        expected,
        rtol=1e-12,
    )


def test_minus_infinity_counts_as_the_least_finite_statistic():
    rng = np.random.default_rng(7)
    null = rng.normal(size=(3, 60))
    observed = np.array([2.5, -math.inf, 1.0])
    null[0, ::7], null[1, 5], null[2] = -math.inf, -math.inf, null[2] * 3
    floored = np.column_stack([observed, null])
    for one in floored:
        one[np.isneginf(one)] = one[np.isfinite(one)].min()
    expected = brute_max_statistic(floored[:, 0], floored[:, 1:])
    np.testing.assert_allclose(max_statistic(observed, null), expected, rtol=1e-12)
    assert expected[1] == 1
    assert max_statistic([-math.inf, 9.0], [[-math.inf] * 60, null[2]])[1] == 1 / 61
    assert np.isnan(max_statistic([-math.inf], [[-math.inf] * 60])[0])


def test_copies_of_one_score_cost_nothing_and_independent_ones_do():
    rng = np.random.default_rng(2)
    null = rng.normal(size=(8, 999))
    one = max_statistic([2.4], null[:1])[0]
    copies = max_statistic([2.4] * 8, np.repeat(null[:1], 8, axis=0) * 3 + 0)
    assert max_statistic(np.full(8, 7.2), np.repeat(null[:1], 8, axis=0) * 3)[0] == one
    assert copies.shape == (8,)
    independent = max_statistic([2.4] + [0.0] * 7, null)[0]
    assert independent > 3 * one


def test_the_max_statistic_holds_the_chance_of_any_false_rejection():
    rng = np.random.default_rng(3)
    rejected = 0
    for _ in range(400):
        shared = rng.normal(size=(1, 100))
        scores = shared + rng.normal(size=(5, 100)) * np.array([[1], [1], [5], [0.1], [1]])
        rejected += bool((max_statistic(scores[:, 0], scores[:, 1:]) <= 0.05).any())
    assert 8 <= rejected <= 34  # 99.9 % of the binomial with 400 tests at 5 %


def test_it_holds_its_level_where_most_of_a_score_is_minus_infinity():
    rng = np.random.default_rng(5)
    rejected = 0
    for _ in range(400):
        scores = rng.normal(size=(4, 100))
        # A map that is zero in most masks: in 10, 50 or 90 % of the permutations all are.
        for one, share in zip(scores, (0.1, 0.5, 0.9, 0), strict=True):
            one[rng.random(100) < share] = -math.inf
        rejected += bool((max_statistic(scores[:, 0], scores[:, 1:]) <= 0.05).any())
    assert 8 <= rejected <= 34


def test_a_score_that_does_not_vary_or_is_undefined_has_no_adjusted_p():
    rng = np.random.default_rng(4)
    null = rng.normal(size=(3, 99))
    null[1] = 2.0
    found = max_statistic([5.0, 2.0, np.nan], null)
    assert found[0] == 0.01
    assert np.isnan(found[1:]).all()
    for observed, drawn in (
        ([1.0, 2.0], null),
        (np.ones((3, 1)), null),
        (1.0, null[:1]),
        ([1.0, 2.0, 3.0], null[0]),
        ([1.0, 2.0, 3.0], null[..., None]),
        ([1.0, 2.0, 3.0], null[:, :0]),
    ):
        with pytest.raises(ConfigError, match="permutation"):
            max_statistic(observed, drawn)
