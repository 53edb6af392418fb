from __future__ import annotations

import math

import numpy as np
import pytest

from xrano.data.quality.outliers import LEAST_VALUES, OUTLIER_Z, robust_z


def test_the_closed_form_of_eleven_values():
    """Of 1 … 11 the median is 6 and the median absolute deviation 3."""
    z = robust_z(np.arange(1.0, 12.0))
    np.testing.assert_allclose(z, (np.arange(1, 12) - 6) / 3 * 0.6744897501960817, rtol=1e-12)


def test_z_of_normal_values_is_their_distance_in_standard_deviations():
    values = np.random.default_rng(0).normal(40.0, 7.0, size=100_001)
    np.testing.assert_allclose(robust_z(values), (values - 40) / 7, atol=0.03)


def test_outliers_cannot_hide_each_other():
    """Three of twelve raise mean and SD so far that no plain z passes 3.5."""
    values = np.array([10, 11, 9, 10, 10, 11, 9, 10, 11, 500, 500, 500], dtype=float)
    assert (np.abs((values - values.mean()) / values.std()) < OUTLIER_Z).all()
    assert (robust_z(values) > OUTLIER_Z).tolist() == [False] * 9 + [True] * 3


def test_where_most_values_agree_the_mean_deviation_stands_in():
    values = np.array([1.0] * 15 + [3.0])
    assert robust_z(values)[:15].tolist() == [0.0] * 15
    assert robust_z(values)[15] == pytest.approx(2 / (math.sqrt(math.pi / 2) * 2 / 16))


def test_equal_values_are_no_outliers_of_each_other():
    assert robust_z([2.0] * LEAST_VALUES).tolist() == [0.0] * LEAST_VALUES


def test_unknown_values_stay_unknown_and_do_not_count():
    values = np.array([*range(LEAST_VALUES), math.nan])
    z = robust_z(values)
    assert math.isnan(z[-1])
    np.testing.assert_array_equal(z[:-1], robust_z(values[:-1]))
    assert np.isnan(robust_z([*range(LEAST_VALUES - 1), math.nan])).all()
