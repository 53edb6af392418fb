"""Dice at a given threshold, a tuned one, and the area-matched one."""

from __future__ import annotations

import math

import numpy as np
import pytest

from xrano.errors import ConfigError
from xrano.metrics.overlap import relevance_rank_accuracy
from xrano.metrics.ranked import mask_positions, rank_map
from xrano.metrics.thresholds import (
    THRESHOLDS,
    area_matched_dice,
    mean_dice,
    ranked_threshold_dice,
    threshold_dice,
    tune_threshold,
)

SHAPE = (4, 5, 6)


def case(seed):
    rng = np.random.default_rng(seed)
    domain = rng.random(SHAPE) < 0.8
    return rng.gamma(1.0, size=SHAPE), rng.random(SHAPE) < 0.2, domain


def dice(a, b):
    return 2 * (a & b).sum() / (a.sum() + b.sum())


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("threshold", [0.01, 0.2, 0.5, 1.0])
def test_dice_at_a_threshold_equals_its_definition(seed, threshold):
    attribution, mask, domain = case(seed)
    above = domain & (attribution >= threshold * attribution[domain].max())
    found = threshold_dice(attribution, mask, domain=domain, threshold=threshold)
    assert found.value == pytest.approx(dice(above, mask & domain), abs=1e-12)
    # What lies outside the brain has no say in the maximum either.
    loud = np.where(domain, attribution, 1e6)
    assert threshold_dice(loud, mask, domain=domain, threshold=threshold) == found


def test_chance_is_the_mean_dice_of_a_mask_that_lies_anywhere():
    attribution, mask, domain = case(1)
    rng = np.random.default_rng(0)
    inside = mask[domain]
    above = attribution[domain] >= 0.3 * attribution[domain].max()
    found = [dice(above, rng.permutation(inside)) for _ in range(4000)]
    chance = threshold_dice(attribution, mask, domain=domain, threshold=0.3).chance
    assert chance == pytest.approx(np.mean(found), abs=4 * np.std(found) / 4000**0.5)


@pytest.mark.parametrize("seed", range(3))
def test_area_matched_dice_is_the_dice_of_the_m_strongest_and_the_rank_accuracy(seed):
    attribution, mask, domain = case(seed)
    m = (mask & domain).sum()
    strongest = domain & (attribution >= np.sort(attribution[domain])[-m])
    found = area_matched_dice(attribution, mask, domain=domain)
    assert found == pytest.approx(dice(strongest, mask & domain), abs=1e-12)
    assert found == relevance_rank_accuracy(attribution, mask, domain=domain)
    assert math.isnan(area_matched_dice(attribution, mask & ~mask, domain=domain))


def test_tuning_finds_the_threshold_that_the_training_maps_were_made_for():
    rng = np.random.default_rng(0)
    training = []
    for _ in range(5):
        _, mask, domain = case(int(rng.integers(100)))
        attribution = np.where(mask, rng.uniform(0.6, 1.0, SHAPE), rng.uniform(0, 0.55, SHAPE))
        attribution[np.nonzero(mask & domain)[0][0]] *= 1.0
        training.append(rank_map(attribution, domain).within(mask_positions(mask, domain)))
    candidates = [0.2, 0.58, 0.9]
    assert tune_threshold(training, candidates) == 0.58
    assert mean_dice(training, candidates).argmax() == 1


def test_tuning_tries_every_twentieth():
    assert tuple(step / 20 for step in range(1, 20)) == THRESHOLDS


def test_the_mean_is_over_cases_at_each_threshold():
    cases = []
    for seed in range(3):
        attribution, mask, domain = case(seed)
        cases.append(rank_map(attribution, domain).within(mask_positions(mask, domain)))
    for thresholds in ([0.3], [0.1, 0.6]):
        expected = [
            np.mean([ranked_threshold_dice(one, threshold).value for one in cases])
            for threshold in thresholds
        ]
        np.testing.assert_allclose(mean_dice(cases, thresholds), expected, rtol=1e-12)


def test_cases_without_a_value_do_not_tune():
    attribution, mask, domain = case(0)
    ranked = rank_map(attribution, domain)
    good = ranked.within(mask_positions(mask, domain))
    empty = ranked.within(np.array([], dtype=np.intp))
    assert tune_threshold([empty, good]) == tune_threshold([good])
    with pytest.raises(ConfigError, match="none of the 1 training maps"):
        tune_threshold([empty])
    with pytest.raises(ConfigError, match="at least one threshold"):
        tune_threshold([good], [])


@pytest.mark.parametrize("threshold", [0.0, -0.1, 1.01, math.nan])
def test_an_impossible_threshold_is_refused(threshold):
    attribution, mask, domain = case(0)
    with pytest.raises(ConfigError, match="share of the map's maximum"):
        threshold_dice(attribution, mask, domain=domain, threshold=threshold)
