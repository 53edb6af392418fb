"""A ranked map and a mask seen from it, against sorting by hand."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from xrano.errors import VolumeError
from xrano.geometry import Grid
from xrano.metrics.places import MaskPlace
from xrano.metrics.ranked import RankedMap, rank_map

VALUES = np.array([3.0, 1.0, 1.0, 0.0, 2.0, 1.0])


def orders():
    """Every order of the voxels by falling value."""
    return [
        order
        for order in itertools.permutations(range(6))
        if all(VALUES[a] >= VALUES[b] for a, b in itertools.pairwise(order))
    ]


@pytest.mark.parametrize("count", range(1, 7))
def test_weights_of_the_top_are_the_mean_over_all_orders_of_ties(count):
    ranked = RankedMap(VALUES)
    expected = np.mean([[place in order[:count] for place in range(6)] for order in orders()], 0)
    np.testing.assert_allclose(ranked.top_weights(count), expected, atol=1e-12)
    for positions in ([0, 1], [1, 2, 3], [5], [0, 1, 2, 3, 4, 5]):
        seen = ranked.within(np.array(positions))
        share = expected[positions].sum() / count
        assert seen.share_of_top(count) == pytest.approx(share, abs=1e-12)
        assert (seen.m, seen.share) == (len(positions), len(positions) / 6)


@pytest.mark.parametrize("count", range(1, 7))
def test_a_cut_knows_what_lies_above_and_at_it(count):
    cut = RankedMap(VALUES).cut(count)
    assert cut.level == sorted(VALUES, reverse=True)[count - 1]
    level = float(cut.level)
    assert cut.above == sum(value > level for value in VALUES)
    assert cut.tied == sum(value == level for value in VALUES)


def test_few_cuts_need_no_sort_and_many_are_the_same():
    values = np.random.default_rng(4).integers(0, 9, size=(5, 6, 7)) / 8
    ranked = rank_map(values, np.ones(values.shape, dtype=bool))
    flat = values.ravel()
    for number, count in enumerate((1, 20, 20, 105, 210, 3, 77), start=1):
        level = np.sort(flat)[flat.size - count]
        cut = ranked.cut(count)
        assert (cut.level, cut.above, cut.tied) == (
            level,
            (flat > level).sum(),
            (flat == level).sum(),
        )
        # The third count is the second once more.
        assert ("ascending" in vars(ranked)) == (number > 4)


def test_levels_count_the_mask_and_the_domain_at_each_value():
    levels = RankedMap(VALUES).within(np.array([0, 1, 3, 5])).levels
    assert levels.counts.tolist() == [1, 2, 1]  # 0, 1 and 3
    assert levels.below.tolist() == [0, 1, 5]
    assert levels.upto.tolist() == [1, 4, 6]


def test_ranks_peaks_and_sums():
    ranked = RankedMap(VALUES)
    assert ranked.midranks.tolist() == [6, 3, 3, 1, 5, 3]
    assert (ranked.n, ranked.total, ranked.peaks.tolist()) == (6, 8.0, [0])
    assert RankedMap(np.array([1.0, 2.0, 2.0])).peaks.tolist() == [1, 2]


def test_a_map_is_seen_in_its_domain():
    rng = np.random.default_rng(0)
    volume, domain = rng.random((3, 4, 5)), rng.random((3, 4, 5)) < 0.6
    ranked = rank_map(volume, domain)
    inside = [index for index in np.ndindex(*domain.shape) if domain[index]]
    total = sum(volume[index] for index in inside)
    assert ranked.values.tolist() == [volume[index] for index in inside]
    assert ranked.elsewhere == pytest.approx(volume.sum() - total, rel=1e-12)
    assert ranked.share_outside == pytest.approx(1 - len(inside) / 60, rel=1e-12)
    centre = [sum(volume[i] * i[axis] for i in inside) / total for axis in range(3)]
    np.testing.assert_allclose(ranked.centre, centre, rtol=1e-12)


def test_a_map_without_its_domain_has_no_place():
    ranked = RankedMap(VALUES)
    assert math.isnan(ranked.share_outside)
    assert ranked.elsewhere == 0.0
    with pytest.raises(VolumeError, match="rank it with rank_map"):
        _ = ranked.centre


@pytest.mark.parametrize(
    ("dtype", "kept"),
    [
        (np.float16, np.float32),
        (np.float32, np.float32),
        (np.float64, np.float64),
        (np.uint8, np.float64),
        (np.int64, np.float64),
    ],
)
def test_numbers_are_as_precise_as_they_came(dtype, kept):
    volume = np.arange(6, dtype=dtype).reshape(1, 2, 3)
    everywhere = np.ones(volume.shape, dtype=bool)
    ranked = rank_map(volume, everywhere)
    assert ranked.values.dtype == kept
    assert ranked.values.tolist() == list(range(6))
    assert rank_map(volume * 0, everywhere).total == 0.0


def test_distances_of_peaks_are_those_of_its_place_and_none_without():
    grid = Grid((6, 1, 1), np.diag([2.0, 1.0, 1.0, 1.0]))
    everywhere = np.ones(grid.shape, dtype=bool)
    mask = np.zeros_like(everywhere)
    mask[4] = True
    ranked = rank_map(np.array([5.0, 0, 0, 5.0, 0, 5.0]).reshape(grid.shape), everywhere)
    seen = ranked.within(np.array([4]), MaskPlace(mask, everywhere, grid))
    assert seen.peak_distances.tolist() == [8.0, 2.0, 2.0]
    with pytest.raises(VolumeError, match="MaskPlace"):
        _ = ranked.within(np.array([4])).peak_distances
