"""Ranks and tops of maps against scipy and brute force."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from xrano.errors import ConfigError, GridMismatchError
from xrano.faithfulness.agreement import (
    MapAgreement,
    agreement_among,
    agreement_rows,
    agreement_with,
    map_agreement,
    mean_agreement,
    relevance_in_brain,
)
from xrano.geometry import Grid
from xrano.maps import AttributionMap
from xrano.metrics.ranked import RankedMap
from xrano.resampling import resample

OBLIQUE = np.array(
    [[1.9, 0.3, -0.2, 5.0], [-0.4, 2.7, 0.1, -8.0], [0.2, -0.1, 3.9, 2.0], [0.0, 0.0, 0.0, 1.0]]
)
GRID = Grid((9, 7, 5), OBLIQUE)
RNG = np.random.default_rng(0)
BRAIN = RNG.random(GRID.shape) < 0.8


def ranked(values):
    return RankedMap(np.asarray(values, dtype=np.float64))


@pytest.mark.parametrize("levels", [None, 3])
def test_ranks_are_spearman_s_ties_included(levels):
    a, b = RNG.random((2, 400))
    b = 0.5 * a + b
    if levels:
        a, b = (np.floor(levels * one) for one in (a, b))
    found = map_agreement(ranked(a), ranked(b))
    assert found.rank_correlation == pytest.approx(stats.spearmanr(a, b).statistic)
    assert map_agreement(ranked(np.exp(3 * a)), ranked(b)) == found


def test_the_top_is_a_dice_of_sets_where_nothing_is_tied():
    a, b = RNG.random((2, 200))
    b = a + 0.3 * b
    top = [set(np.argsort(one)[-10:].tolist()) for one in (a, b)]
    expected = 2 * len(top[0] & top[1]) / 20
    assert 0 < expected < 1
    assert map_agreement(ranked(a), ranked(b)).top_dice == pytest.approx(expected)


def test_tied_voxels_share_the_places_that_are_left():
    a, b = np.zeros(100), np.zeros(100)
    a[:2], b[1:3] = 1, 1
    # Of the 5 places 3 are left for 98 zeros: each holds 3/98 of one.
    expected = (1 + 2 * 3 / 98 + 97 * 3 / 98) / 5
    assert map_agreement(ranked(a), ranked(b)).top_dice == pytest.approx(expected)
    assert map_agreement(ranked(a), ranked(a)).top_dice == pytest.approx(1)
    assert map_agreement(ranked(a), ranked(a)).rank_correlation == pytest.approx(1)


def test_maps_that_know_nothing_of_each_other_are_at_chance():
    found = agreement_among([ranked(one) for one in RNG.random((12, 2000))])
    assert found.rank_correlation == pytest.approx(0, abs=0.01)
    assert found.top_dice == pytest.approx(0.05, abs=0.01)


def test_a_map_without_ranks_is_undefined():
    some = ranked(RNG.random(50))
    assert map_agreement(some, ranked(np.zeros(50))).status == "zero_map"
    flat = map_agreement(ranked(np.full(50, 2.0)), some)
    assert flat.status == "uniform_map"
    assert np.isnan(flat.rank_correlation)
    assert np.isnan(flat.top_dice)


def test_means_leave_out_what_is_undefined():
    one, other = MapAgreement(0.2, 0.5), MapAgreement(0.4, 0.1)
    nothing = map_agreement(ranked(np.zeros(5)), ranked(np.arange(5)))
    mean = mean_agreement([one, nothing, other])
    assert (mean.rank_correlation, mean.top_dice) == pytest.approx((0.3, 0.3))
    assert mean_agreement([nothing]).status == "zero_map"
    with pytest.raises(ConfigError, match="no maps"):
        mean_agreement([])


def test_with_others_and_among_all():
    maps = [ranked(one) for one in RNG.random((3, 60))]
    pairs = [map_agreement(maps[a], maps[b]).rank_correlation for a, b in ((0, 1), (0, 2), (1, 2))]
    assert agreement_with(maps[0], maps[1:]).rank_correlation == pytest.approx(np.mean(pairs[:2]))
    assert agreement_among(maps).rank_correlation == pytest.approx(np.mean(pairs))
    for few in (maps[:1], []):
        alone = agreement_among(few)
        assert np.isnan([alone.rank_correlation, alone.top_dice]).all()
        assert alone.status == "too_few_maps"
    rows = agreement_rows("seed_agreement", agreement_with(maps[0], maps[1:]), setting="x")
    assert [row["quantity"] for row in rows] == ["rank_correlation", "top_dice"]
    assert [row["chance"] for row in rows] == [0, 0.05]
    assert all(np.isnan(row["reference"]) for row in rows)


def test_relevance_is_absolute_summed_and_of_the_brain_alone():
    data = RNG.normal(size=(4, *GRID.shape)).astype(np.float32)
    names = ("prior_T1", "prior_FLAIR", "current_T1", "current_FLAIR")
    found = relevance_in_brain(AttributionMap(data, GRID, names), GRID, BRAIN)
    np.testing.assert_allclose(found.values, np.abs(data).sum(axis=0)[BRAIN], rtol=1e-6)
    elsewhere = np.where(BRAIN, data, 1e3 * data).astype(np.float32)
    again = relevance_in_brain(AttributionMap(elsewhere, GRID, names), GRID, BRAIN)
    np.testing.assert_array_equal(again.values, found.values)


def test_a_coarse_map_is_rectified_on_its_cells_and_carried_over():
    affine = OBLIQUE @ np.diag([3.0, 3.0, 2.0, 1.0])
    cells = Grid((3, 3, 3), affine)
    data = RNG.normal(size=(1, *cells.shape)).astype(np.float32)
    found = relevance_in_brain(
        AttributionMap(data, cells, ("all",), {"layer": "features"}), GRID, BRAIN
    )
    expected = resample(np.abs(data[0]), cells, GRID, outside="edge")
    np.testing.assert_allclose(found.values, expected[BRAIN])


def test_bad_input_is_refused():
    with pytest.raises(GridMismatchError, match="do not lie in one brain"):
        map_agreement(ranked(np.arange(4)), ranked(np.arange(5)))
    with pytest.raises(ConfigError, match="share above 0"):
        map_agreement(ranked(np.arange(4)), ranked(np.arange(4)), top_share=0)
