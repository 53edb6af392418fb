from __future__ import annotations

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.metrics import average_precision_score, roc_auc_score

from xrano.evaluation.ranking import (
    average_precision,
    log_odds,
    one_vs_rest_auroc,
    weighted_auroc,
    weighted_average_precision,
)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("levels", [3, 10_000])
def test_values_are_scikit_learn_s_ties_included(seed, levels):
    rng = np.random.default_rng(seed)
    truth = rng.random(50) < 0.3
    score = rng.integers(levels, size=50).astype(float)
    assert one_vs_rest_auroc(truth, score) == pytest.approx(roc_auc_score(truth, score))
    assert average_precision(truth, score) == pytest.approx(average_precision_score(truth, score))


@pytest.mark.parametrize("seed", range(3))
def test_weights_are_repeated_rows(seed):
    rng = np.random.default_rng(seed)
    truth = rng.random(30) < 0.4
    score = rng.integers(6, size=30).astype(float)
    weights = rng.integers(0, 4, (20, 30))
    aurocs = weighted_auroc(truth, score, weights)
    precisions = weighted_average_precision(truth, score, weights)
    for number, drawn in enumerate(weights):
        rows = np.repeat(np.arange(30), drawn)
        assert aurocs[number] == pytest.approx(roc_auc_score(truth[rows], score[rows]))
        assert precisions[number] == pytest.approx(
            average_precision_score(truth[rows], score[rows])
        )


def test_auroc_by_hand():
    truth = np.array([True, True, False, False])
    assert one_vs_rest_auroc(truth, np.array([2.0, 3.0, 0.0, 1.0])) == 1.0
    assert one_vs_rest_auroc(truth, np.array([0.0, 1.0, 2.0, 3.0])) == 0.0
    assert one_vs_rest_auroc(truth, np.array([1.0, 1.0, 1.0, 1.0])) == 0.5
    assert one_vs_rest_auroc(truth, np.array([1.0, 3.0, 2.0, 0.0])) == 0.75


@pytest.mark.parametrize("score", [one_vs_rest_auroc, average_precision])
@pytest.mark.parametrize("only", [True, False])
def test_one_side_alone_is_undefined(score, only, recwarn):
    assert np.isnan(score(np.array([only, only]), np.array([1.0, 2.0])))
    assert not recwarn.list


def test_a_resample_without_one_side_is_undefined_alone():
    truth, score = np.array([True, False]), np.array([1.0, 0.0])
    weights = np.array([[1, 1], [2, 0], [0, 2]])
    for found in (
        weighted_auroc(truth, score, weights),
        weighted_average_precision(truth, score, weights),
    ):
        assert found[0] == 1.0
        assert np.isnan(found[1:]).all()


def test_log_odds_are_those_of_the_softmax():
    logits = np.random.default_rng(0).normal(size=(7, 4)) * 3
    chance = softmax(logits, axis=1)
    np.testing.assert_allclose(log_odds(logits), np.log(chance / (1 - chance)), rtol=1e-9)
    np.testing.assert_allclose(log_odds(logits + 50), log_odds(logits), rtol=1e-9)


def test_log_odds_of_extreme_logits_are_no_nan():
    assert log_odds(np.array([[1e4, 0.0, -1e4]])).tolist() == [[1e4, -1e4, -2e4]]
    certain = log_odds(np.array([[0.0, -np.inf]]))
    assert certain.tolist() == [[np.inf, -np.inf]]
