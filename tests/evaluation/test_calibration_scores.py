from __future__ import annotations

import numpy as np
import pytest
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss

from xrano.errors import ConfigError
from xrano.evaluation.calibration import (
    brier_rows,
    calibrated_error,
    expected_calibration_error,
    probabilities,
    reliability_bins,
)


def sample(seed: int, count: int = 200):
    rng = np.random.default_rng(seed)
    confidence = rng.uniform(0.25, 1, count)
    return confidence, rng.random(count) < confidence**2


@pytest.mark.parametrize("classes", [2, 4])
def test_brier_is_scikit_learn_s(classes):
    rng = np.random.default_rng(0)
    probability = probabilities(rng.normal(size=(40, classes)))
    truth = rng.integers(classes, size=40)
    expected = sum(
        brier_score_loss(truth == index, probability[:, index]) for index in range(classes)
    )
    assert brier_rows(probability, truth).mean() == pytest.approx(expected)


def test_bins_of_equal_width_are_scikit_learn_s():
    confidence, correct = sample(1)
    share, mean = calibration_curve(correct, confidence, n_bins=10)
    bins = reliability_bins(confidence, correct)
    assert [item.accuracy for item in bins] == pytest.approx(share.tolist())
    assert [item.confidence for item in bins] == pytest.approx(mean.tolist())
    assert sum(item.count for item in bins) == 200


def test_bins_of_equal_mass_hold_the_same_number():
    confidence, correct = sample(2)
    bins = reliability_bins(confidence, correct, binning="mass")
    assert [item.count for item in bins] == [20] * 10
    groups = np.split(np.argsort(confidence), 10)
    expected = np.mean([abs(correct[rows].mean() - confidence[rows].mean()) for rows in groups])
    assert expected_calibration_error(bins) == pytest.approx(expected)


def test_equal_confidences_stay_together_whatever_the_order():
    confidence = np.repeat([0.4, 0.6, 0.9], [15, 3, 2])
    correct = np.arange(20) % 2 == 0
    found = reliability_bins(confidence, correct, n_bins=4, binning="mass")
    assert [item.count for item in found] == [15, 5]
    turned = reliability_bins(confidence[::-1], correct[::-1], n_bins=4, binning="mass")
    assert [item.count for item in turned] == [15, 5]
    assert [item.accuracy for item in turned] == [item.accuracy for item in found]


def test_error_by_hand():
    confidence = np.array([0.55, 0.65, 0.95, 1.0])
    correct = np.array([True, False, True, True])
    # (0.5, 1] alone: 3/4 right, confidence 0.7875; in tenths every row but the last two is alone.
    assert expected_calibration_error(
        reliability_bins(confidence, correct, n_bins=2)
    ) == pytest.approx(0.0375)
    assert expected_calibration_error(reliability_bins(confidence, correct)) == pytest.approx(
        (0.45 + 0.65 + 2 * 0.025) / 4
    )


def test_a_limit_belongs_to_the_bin_below_and_zero_to_the_first():
    bins = reliability_bins(np.array([0.0, 0.5, 1.0]), np.ones(3, dtype=bool), n_bins=2)
    assert [(item.low, item.high, item.count) for item in bins] == [(0.0, 0.5, 2), (0.5, 1.0, 1)]


@pytest.mark.parametrize("binning", ["width", "mass"])
def test_a_calibrated_network_has_the_error_that_is_expected_of_it(binning):
    rng = np.random.default_rng(3)
    confidence = rng.uniform(0.25, 1, 150)
    errors = [
        expected_calibration_error(
            reliability_bins(confidence, rng.random(150) < confidence, binning=binning)
        )
        for _ in range(400)
    ]
    expected = calibrated_error(confidence, binning=binning, n_draws=2000)
    assert expected > 0.02
    # Standard error of the mean of 400: about 0.001.
    assert expected == pytest.approx(np.mean(errors), abs=0.004)


def test_an_overconfident_network_has_more():
    confidence, correct = sample(4)
    found = expected_calibration_error(reliability_bins(confidence, correct))
    assert found > 2 * calibrated_error(confidence)


def test_no_rows_or_bins_are_refused():
    with pytest.raises(ConfigError, match="0 rows"):
        reliability_bins(np.array([]), np.array([], dtype=bool))
    with pytest.raises(ConfigError, match="0 bins"):
        reliability_bins(np.array([0.5]), np.array([True]), n_bins=0)
