"""What a map may hold, and its reduction to one value a voxel, by hand."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from map_cases import CHANNELS, GRID, META, OBLIQUE, SHAPE, voxel_map

from xrano.errors import ConfigError, GridMismatchError, UnknownNameError, VolumeError
from xrano.geometry import Grid
from xrano.maps import AttributionMap, rectify

# Two channels at four voxels, so that every rule gives another answer somewhere.
A = [3.0, -3.0, 1.0, -1.0]
B = [1.0, -4.0, -2.0, 0.0]
BY_HAND = {
    ("absolute", "sum"): [4.0, 7.0, 3.0, 1.0],
    ("absolute", "mean"): [2.0, 3.5, 1.5, 0.5],
    ("absolute", "max"): [3.0, 4.0, 2.0, 1.0],
    ("positive", "sum"): [4.0, 0.0, 1.0, 0.0],
    ("positive", "mean"): [2.0, 0.0, 0.5, 0.0],
    ("positive", "max"): [3.0, 0.0, 1.0, 0.0],
    ("negative", "sum"): [0.0, 7.0, 2.0, 1.0],
    ("negative", "mean"): [0.0, 3.5, 1.0, 0.5],
    ("negative", "max"): [0.0, 4.0, 2.0, 1.0],
    ("none", "sum"): [4.0, -7.0, -1.0, -1.0],
    ("none", "mean"): [2.0, -3.5, -0.5, -0.5],
    ("none", "max"): [3.0, -4.0, -2.0, -1.0],
}


def two_channels():
    data = np.array([A, B], dtype=np.float32).reshape(2, 1, 2, 2)
    return AttributionMap(data, Grid((1, 2, 2), OBLIQUE), ("prior_T1", "current_T1"), META)


class TestReduced:
    @pytest.mark.parametrize(("rule", "expected"), BY_HAND.items())
    def test_by_hand(self, rule, expected):
        found = two_channels().reduced(*rule)
        assert found.shape == (1, 2, 2)
        assert found.ravel().tolist() == expected

    def test_every_rule_is_held_by_hand(self):
        rules = itertools.product(
            ("absolute", "positive", "negative", "none"), ("sum", "mean", "max")
        )
        assert set(rules) == set(BY_HAND)

    def test_the_default_is_the_sum_of_magnitudes(self):
        assert two_channels().reduced().ravel().tolist() == BY_HAND["absolute", "sum"]

    @pytest.mark.parametrize("reduction", ["sum", "mean", "max"])
    @pytest.mark.parametrize("rectification", ["absolute", "positive", "negative", "none"])
    def test_one_channel_is_only_rectified(self, rectification, reduction):
        found = two_channels().reduced(rectification, reduction, channels=("current_T1",))
        assert found.ravel().tolist() == rectify(np.array(B), rectification).tolist()

    def test_rectified_maps_are_never_negative(self):
        for rectification in ("absolute", "positive", "negative"):
            assert (voxel_map().reduced(rectification) >= 0).all()
        parts = [voxel_map().reduced(name) for name in ("positive", "negative", "absolute")]
        assert np.allclose(parts[0] + parts[1], parts[2])

    def test_the_map_stays(self):
        attribution = two_channels()
        for rectification, reduction in BY_HAND:
            attribution.reduced(rectification, reduction)[:] = 99
        assert attribution.data.ravel().tolist() == [*A, *B]

    def test_unknown_names(self):
        with pytest.raises(UnknownNameError, match="absolute, negative, none, positive"):
            two_channels().reduced("relu")
        with pytest.raises(UnknownNameError, match="max, mean, sum"):
            two_channels().reduced("absolute", "median")
        with pytest.raises(UnknownNameError, match="current_T1, prior_T1"):
            two_channels().reduced(channels=("T1",))
        with pytest.raises(ConfigError, match="at least one channel"):
            two_channels().reduced(channels=())


class TestChecks:
    @pytest.mark.parametrize("shape", [SHAPE, (3, *SHAPE), (4, 6, 5, 7), (4, *SHAPE, 1)])
    def test_data_grid_and_channels_fit_together(self, shape):
        with pytest.raises(GridMismatchError, match=r"needs shape \(4, 5, 6, 7\)"):
            AttributionMap(np.zeros(shape, np.float32), GRID, CHANNELS, META)

    @pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e39])
    def test_values_must_be_finite_as_float32(self, bad):
        data = np.zeros((4, *SHAPE))
        data[2, 1, 5, 6] = bad
        with pytest.raises(VolumeError, match="ig map of Patient-042_week-000-1_week-012"):
            AttributionMap(data, GRID, CHANNELS, META)

    def test_values_are_kept_raw_as_float32(self):
        data = voxel_map().data.astype(np.float64) * 1e-30
        attribution = AttributionMap(data, GRID, CHANNELS, META)
        assert attribution.data.dtype == np.float32
        assert np.array_equal(attribution.data, data.astype(np.float32))
