"""The overlap metrics against hand-made maps, brute force, scikit-learn, and their own limits."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from xrano.errors import ConfigError, GridMismatchError, UnknownNameError, VolumeError
from xrano.metrics import overlap
from xrano.metrics.catalogue import METRICS, OverlapStatus
from xrano.metrics.overlap import score_overlap, top_fraction_dice, top_k_intersection

SHAPE = (3, 4, 6)
NAMES = list(METRICS)


def metric(name):
    return getattr(overlap, name)


def flat(values):
    """A 2 x 2 x 2 volume from eight values."""
    return np.array(values, dtype=np.float64).reshape(2, 2, 2)


def picked(*indices):
    mask = np.zeros(8, dtype=bool)
    mask[list(indices)] = True
    return mask.reshape(2, 2, 2)


EVERYWHERE = np.ones((2, 2, 2), dtype=bool)


# -- brute force: the definition, averaged over every order that the ties allow --------------


def brute_orders(values):
    """Every order of voxels by falling value."""
    groups = [
        [i for i, value in enumerate(values) if value == level]
        for level in sorted(set(values), reverse=True)
    ]
    for parts in itertools.product(*(itertools.permutations(group) for group in groups)):
        yield [i for part in parts for i in part]


def brute_top_share(values, inside, count):
    shares = [np.mean([inside[i] for i in order[:count]]) for order in brute_orders(values)]
    return float(np.mean(shares))


def brute(name, values, inside, fraction=overlap.TOP_FRACTION):
    values, inside = list(values), list(inside)
    m = sum(inside)
    if name == "relevance_mass_accuracy":
        return sum(v for v, i in zip(values, inside, strict=True) if i) / sum(values)
    if name == "relevance_rank_accuracy":
        return brute_top_share(values, inside, m)
    if name == "pointing_game":
        return brute_top_share(values, inside, 1)
    count = max(1, round(fraction * len(values)))
    if name == "top_k_intersection":
        return brute_top_share(values, inside, count)
    if name == "top_fraction_dice":
        return 2 * count * brute_top_share(values, inside, count) / (count + m)
    if name == "auroc":
        pairs = [
            (a > b) + 0.5 * (a == b)
            for a, in_a in zip(values, inside, strict=True)
            for b, in_b in zip(values, inside, strict=True)
            if in_a and not in_b
        ]
        return sum(pairs) / len(pairs)
    total = 0.0
    for level in set(values):
        at_least = [i for v, i in zip(values, inside, strict=True) if v >= level]
        gained = sum(i for v, i in zip(values, inside, strict=True) if v == level)
        total += gained / m * sum(at_least) / len(at_least)
    if name == "normalised_average_precision":
        return (total - m / len(values)) / (1 - m / len(values))
    assert name == "average_precision"
    return total


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("values", "mask"),
    [
        ([5, 4, 3, 2, 1, 0, 0, 0], picked(0, 2)),
        ([5, 5, 5, 2, 2, 2, 0, 0], picked(0, 3, 4)),
        ([0, 0, 0, 0, 0, 0, 1, 1], picked(0, 6)),
        ([3, 1, 1, 1, 1, 1, 1, 3], picked(1, 2, 3, 4, 7)),
        ([0, 0, 0, 0, 0, 0, 0, 9], picked(1)),
    ],
)
def test_equals_the_definition_averaged_over_ties(name, values, mask):
    expected = brute(name, values, mask.ravel())
    assert metric(name)(flat(values), mask, domain=EVERYWHERE) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("name", ["top_fraction_dice", "top_k_intersection"])
@pytest.mark.parametrize("fraction", [0.1, 0.25, 0.5, 1.0])
def test_the_top_of_any_size_equals_the_definition(name, fraction):
    values, mask = [5, 5, 5, 2, 2, 2, 0, 0], picked(0, 3, 4)
    expected = brute(name, values, mask.ravel(), fraction)
    got = metric(name)(flat(values), mask, domain=EVERYWHERE, fraction=fraction)
    assert got == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("relevance_mass_accuracy", 5 / 9),
        ("relevance_rank_accuracy", 1 / 2),
        ("pointing_game", 1 / 2),
        ("top_k_intersection", 1 / 2),
        ("average_precision", 1 / 2 * 1 / 2 + 1 / 2 * 2 / 3),
        ("normalised_average_precision", (7 / 12 - 1 / 4) / (3 / 4)),
        ("auroc", (0.5 + 5 + 5) / 12),
        ("top_fraction_dice", 2 * 0.5 / (1 + 2)),
    ],
)
def test_a_case_done_by_hand(name, expected):
    # Two voxels share the maximum, one of them in the mask; the mask's other voxel is third.
    values, mask = flat([4, 4, 1, 0, 0, 0, 0, 0]), picked(0, 2)
    assert metric(name)(values, mask, domain=EVERYWHERE) == pytest.approx(expected, abs=1e-12)


# -- an independent library ----------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("levels", [3, 50, None])
def test_average_precision_and_auroc_equal_scikit_learn(seed, levels):
    rng = np.random.default_rng(seed)
    attribution = rng.gamma(0.5, size=(7, 9, 11)).astype(np.float32)
    if levels:
        attribution = np.floor(attribution * levels / 2)
    domain = rng.random(attribution.shape) < 0.6
    mask = rng.random(attribution.shape) < 0.1
    truth, scores = mask[domain], attribution[domain]
    assert overlap.auroc(attribution, mask, domain=domain) == pytest.approx(
        roc_auc_score(truth, scores), abs=1e-12
    )
    assert overlap.average_precision(attribution, mask, domain=domain) == pytest.approx(
        average_precision_score(truth, scores), abs=1e-12
    )


# -- limits and invariances ----------------------------------------------------------------------


def random_case(seed=0):
    rng = np.random.default_rng(seed)
    attribution = rng.gamma(0.5, size=SHAPE)
    attribution[attribution < 0.1] = 0  # ties
    domain = rng.random(SHAPE) < 0.8
    mask = rng.random(SHAPE) < 0.25
    return attribution, mask, domain


def all_values(attribution, mask, domain):
    return {name: s.value for name, s in score_overlap(attribution, mask, domain=domain).items()}


@pytest.mark.parametrize("level", [1.0, 0.1, 1e-30, 7e20])
@pytest.mark.parametrize("seed", range(3))
def test_a_uniform_map_scores_chance(level, seed):
    _, mask, domain = random_case(seed)
    scores = score_overlap(np.full(SHAPE, level, dtype=np.float32), mask, domain=domain)
    for name, score in scores.items():
        assert score.status == OverlapStatus.OK
        if name == "relevance_mass_accuracy":  # sums of a level that is no power of two round
            assert score.value == pytest.approx(score.chance, rel=1e-12)
        else:
            assert score.value == score.chance, name
    share = (mask & domain).sum() / domain.sum()
    assert scores["relevance_mass_accuracy"].chance == share
    assert scores["auroc"].chance == 0.5


def test_the_chance_of_average_precision_for_a_map_without_ties():
    # The closed form in the documentation, against every order of six voxels.
    n, m = 6, 2
    truth = np.array([1, 1, 0, 0, 0, 0], dtype=bool)
    everywhere = np.ones((1, 2, 3), dtype=bool)
    found = [
        overlap.average_precision(
            np.reshape(order, (1, 2, 3)).astype(float) + 1,
            truth.reshape(1, 2, 3),
            domain=everywhere,
        )
        for order in itertools.permutations(range(n))
    ]
    harmonic = sum(1 / k for k in range(1, n + 1))
    closed = (m - 1) / (n - 1) + harmonic * (n - m) / (n * (n - 1))
    assert np.mean(found) == pytest.approx(closed, abs=1e-12)


def test_all_relevance_inside_scores_one_and_all_outside_zero():
    _, mask, domain = random_case()
    mask &= domain
    inside = score_overlap(mask.astype(float), mask, domain=domain)
    outside = score_overlap((~mask).astype(float), mask, domain=domain)
    for name in set(NAMES) - {"top_fraction_dice"}:
        assert inside[name].value == pytest.approx(1.0, abs=1e-12), name
    m, k = mask.sum(), max(1, round(overlap.TOP_FRACTION * domain.sum()))
    assert inside["top_fraction_dice"].value == 2 * k / (k + m)
    for name in set(NAMES) - {"average_precision", "normalised_average_precision"}:
        assert outside[name].value == 0.0, name
    # The mask is reached last: precision is its share of the domain, the least it can be.
    assert outside["average_precision"].value == m / domain.sum()


@pytest.mark.parametrize("factor", [1e-6, 3.0, 1e8])
def test_scale_changes_nothing(factor):
    attribution, mask, domain = random_case(1)
    before, after = (all_values(a, mask, domain) for a in (attribution, attribution * factor))
    assert after == pytest.approx(before, rel=1e-12)


@pytest.mark.parametrize("axes", list(itertools.permutations(range(3))))
@pytest.mark.parametrize("flip", [(), (0,), (1,), (2,)])
def test_turning_map_mask_and_domain_together_changes_nothing(axes, flip):
    case = random_case(2)
    turned = [np.flip(array.transpose(axes), axis=flip) for array in case]
    assert all_values(*turned) == pytest.approx(all_values(*case), rel=1e-12)


@pytest.mark.parametrize("axis", range(3))
def test_flipping_the_mask_alone_is_noticed(axis):
    attribution = np.zeros(SHAPE)
    attribution[0, 0, 0] = 1.0
    mask = attribution > 0
    everywhere = np.ones(SHAPE, dtype=bool)
    for name, value in all_values(attribution, np.flip(mask, axis=axis), everywhere).items():
        assert value < METRICS[name].highest / 2, name


def test_what_lies_outside_the_domain_does_not_count():
    attribution, mask, domain = random_case(3)
    elsewhere = attribution + np.where(domain, 0.0, 1e6)
    assert all_values(elsewhere, mask, domain) == all_values(attribution, mask, domain)
    assert all_values(attribution, mask | ~domain, domain) == all_values(attribution, mask, domain)


def test_the_inputs_are_left_as_they_were():
    case = random_case(4)
    copies = [array.copy() for array in case]
    all_values(*case)
    for array, copy in zip(case, copies, strict=True):
        np.testing.assert_array_equal(array, copy)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int16, np.uint8])
def test_any_real_dtype_gives_the_same(dtype):
    values, mask = flat([4, 4, 1, 0, 0, 0, 2, 3]), picked(0, 2)
    expected = all_values(values, mask, EVERYWHERE)
    assert all_values(values.astype(dtype), mask, EVERYWHERE) == pytest.approx(expected, rel=1e-6)


def test_every_score_lies_in_its_range():
    for seed in range(20):
        for name, value in all_values(*random_case(seed)).items():
            assert METRICS[name].lowest <= value <= METRICS[name].highest


# -- undefined ----------------------------------------------------------------------------------


def test_a_mask_outside_the_domain_is_empty():
    domain = picked(0, 1, 2, 3)
    score = score_overlap(flat(range(8)), picked(6, 7), domain=domain)["pointing_game"]
    assert score.status == "empty_mask"


def test_relevance_outside_the_domain_only_is_a_zero_map():
    domain = picked(0, 1, 2, 3)
    score = score_overlap(flat([0] * 4 + [1] * 4), picked(0), domain=domain)["pointing_game"]
    assert score.status == "zero_map"


# -- refusals ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
class TestRefusals:
    def test_shapes(self, name):
        with pytest.raises(GridMismatchError, match=r"\(2, 2, 1\)"):
            metric(name)(flat(range(8)), picked(1)[:, :, :1], domain=EVERYWHERE)
        with pytest.raises(GridMismatchError, match="domain"):
            metric(name)(flat(range(8)), picked(1), domain=EVERYWHERE[:1])

    def test_labels_are_no_mask(self, name):
        with pytest.raises(VolumeError, match="boolean"):
            metric(name)(flat(range(8)), picked(1).astype(np.uint8), domain=EVERYWHERE)
        with pytest.raises(VolumeError, match="domain must be boolean"):
            metric(name)(flat(range(8)), picked(1), domain=EVERYWHERE.astype(float))

    @pytest.mark.parametrize("bad", [-1.0, np.nan, np.inf, -np.inf])
    @pytest.mark.parametrize("place", [0, 5])
    def test_values(self, name, bad, place):
        values = flat(range(8))
        values.flat[place] = bad
        with pytest.raises(VolumeError, match="rectification"):
            metric(name)(values, picked(1), domain=EVERYWHERE)

    def test_complex_values(self, name):
        with pytest.raises(VolumeError, match="complex"):
            metric(name)(flat(range(8)) * 1j, picked(1), domain=EVERYWHERE)

    def test_an_empty_domain(self, name):
        with pytest.raises(VolumeError, match="empty"):
            metric(name)(flat(range(8)), picked(1), domain=~EVERYWHERE)


def test_an_unknown_metric_lists_the_known():
    with pytest.raises(UnknownNameError, match="pointing_game"):
        score_overlap(flat(range(8)), picked(1), domain=EVERYWHERE, metrics=["pointing"])


@pytest.mark.parametrize("top", [top_fraction_dice, top_k_intersection])
@pytest.mark.parametrize("fraction", [0.0, -0.1, 1.1, math.nan])
def test_an_impossible_fraction(top, fraction):
    with pytest.raises(ConfigError, match="fraction"):
        top(flat(range(8)), picked(1), domain=EVERYWHERE, fraction=fraction)


@pytest.mark.parametrize("top", [top_fraction_dice, top_k_intersection])
def test_the_top_of_nothing_is_undefined(top):
    assert math.isnan(top(flat(range(8)), picked(), domain=EVERYWHERE))
    assert math.isnan(top(flat([0] * 8), picked(1), domain=EVERYWHERE))


def test_chosen_metrics_come_in_the_chosen_order():
    names = ["pointing_game", "relevance_mass_accuracy"]
    assert list(score_overlap(flat(range(8)), picked(1), domain=EVERYWHERE, metrics=names)) == names


def test_every_metric_of_the_table_is_a_documented_function():
    for name, record in METRICS.items():
        assert name in overlap.__all__
        assert metric(name).__doc__
        assert record.citation
        assert record.lowest < record.highest
