from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from xrano.data.mutual_information import mutual_information
from xrano.errors import ConfigError, GridMismatchError


@pytest.mark.parametrize("levels", [2, 5, 48])
def test_an_image_tells_its_whole_entropy_about_itself(levels: int):
    values = np.repeat(np.arange(levels, dtype=np.float32), 210).reshape(levels * 2, 7, 15)
    assert mutual_information(values, values) == pytest.approx(math.log(levels), abs=1e-9)


def test_any_relabelling_of_intensities_keeps_it():
    values = np.random.default_rng(0).integers(0, 8, size=(11, 13, 17)).astype(np.float16)
    turned = np.array([3, 0, 7, 1, 6, 2, 5, 4])[values.astype(int)]
    assert mutual_information(values, turned) == pytest.approx(mutual_information(values, values))


def test_values_that_meet_every_other_value_equally_often_share_nothing():
    first, second = np.array(list(itertools.product(range(6), range(9)))).T
    assert mutual_information(np.tile(first, 40), np.tile(second, 40)) == pytest.approx(
        0, abs=1e-12
    )


def test_a_noisy_channel_has_the_textbook_information():
    """A fair bit flipped with probability 1/4: log 2 − H(1/4)."""
    sent = np.repeat([0.0, 1.0], 400)
    received = np.where(np.arange(800) % 4 == 0, 1 - sent, sent)
    entropy = -(0.25 * math.log(0.25) + 0.75 * math.log(0.75))
    assert mutual_information(sent, received) == pytest.approx(math.log(2) - entropy, abs=1e-12)


@pytest.mark.parametrize("correlation", [0.3, 0.7, 0.9])
def test_normal_values_come_near_the_closed_form(correlation: float):
    """−½ log(1 − ρ²) nats; bins lose a little, the sample of 200000 adds about 0.005."""
    rng = np.random.default_rng(1)
    first, noise = rng.normal(size=(2, 200_000))
    second = correlation * first + math.sqrt(1 - correlation**2) * noise
    expected = -0.5 * math.log(1 - correlation**2)
    assert mutual_information(first, second) == pytest.approx(expected, abs=0.05)


def test_it_is_symmetric_and_blind_to_shift_scale_and_order():
    rng = np.random.default_rng(2)
    first = rng.normal(size=(28, 30, 25))
    second = first + rng.normal(size=first.shape)
    shared = mutual_information(first, second)
    assert mutual_information(second, first) == pytest.approx(shared, rel=1e-12)
    assert mutual_information(3 * first + 7, second) == pytest.approx(shared, abs=5e-3)
    order = rng.permutation(first.size)
    shuffled = mutual_information(first.ravel()[order], second.ravel()[order])
    assert shuffled == pytest.approx(shared, rel=1e-12)
    # Independent values share (48 − 1)² / 2N = 0.053 nats by chance.
    apart = mutual_information(first, second.ravel()[order].reshape(first.shape))
    assert apart == pytest.approx(47**2 / (2 * first.size), rel=0.2)


def test_one_far_outlier_changes_almost_nothing():
    rng = np.random.default_rng(3)
    first = rng.normal(size=5000)
    second = first + rng.normal(size=5000)
    shared = mutual_information(first, second)
    second[7] = 1e6
    assert mutual_information(first, second) == pytest.approx(shared, abs=0.02)


def test_a_constant_tells_nothing_and_no_value_is_undefined():
    values = np.random.default_rng(4).normal(size=100)
    assert mutual_information(values, np.full(100, 5.0)) == 0.0
    assert math.isnan(mutual_information(values[:0], values[:0]))


def test_inputs_stay_as_they_are_and_wrong_ones_are_refused():
    values = np.random.default_rng(5).normal(size=(4, 5, 6))
    before = values.copy()
    mutual_information(values, values)
    np.testing.assert_array_equal(values, before)
    with pytest.raises(GridMismatchError, match=r"\(4, 5, 6\).*\(4, 5, 5\)"):
        mutual_information(values, values[..., 1:])
    with pytest.raises(ConfigError, match="two bins or more, got 1"):
        mutual_information(values, values, bins=1)
