"""The placement null against moving the mask by hand, on small uneven volumes."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from xrano.errors import ConfigError, GridMismatchError, UnknownNameError
from xrano.geometry import Grid
from xrano.metrics import placement
from xrano.metrics.overlap import score_overlap
from xrano.metrics.placement import PLACEMENT_METRICS, PlacedMap, placement_null
from xrano.metrics.places import dilated_kernel
from xrano.metrics.ranked import rank_map
from xrano.metrics.translations import BrainBox, Placements

SHAPE = (11, 9, 7)
AFFINE = np.array([[2.0, 0.5, 0, -9], [-0.4, 3.0, 0.3, 5], [0, 0.7, 4.0, 2], [0, 0, 0, 1]])
GRID = Grid(SHAPE, AFFINE)  # oblique and sheared


def case(seed, *, levels=None):
    rng = np.random.default_rng(seed)
    attribution = rng.gamma(0.5, size=SHAPE)
    if levels:
        attribution = np.floor(attribution * levels)
    domain = np.zeros(SHAPE, dtype=bool)
    domain[1:10, 1:9, 0:6] = True
    domain[1, 1, 0] = domain[9, 8, 5] = domain[5, 4, 3] = False
    mask = np.zeros(SHAPE, dtype=bool)
    mask[3:5, 2:4, 1:3] = True
    mask[5, 3, 1] = True
    mask[0, 5, 5] = True  # outside the brain: neither counts nor moves
    return attribution, mask, domain


def brute_translations(mask, domain):
    """Every translation that keeps the mask in the brain, and the moved mask."""
    voxels = np.argwhere(mask & domain)
    found = {}
    for t in itertools.product(*(range(-size, size + 1) for size in SHAPE)):
        moved = voxels + t
        if (moved >= 0).all() and (moved < SHAPE).all() and domain[tuple(moved.T)].all():
            volume = np.zeros(SHAPE, dtype=bool)
            volume[tuple(moved.T)] = True
            found[t] = volume
    return found


def placed(attribution, domain, **options):
    return PlacedMap(rank_map(attribution, domain), BrainBox(domain, **options))


@pytest.mark.parametrize("precise", [False, True])
@pytest.mark.parametrize("levels", [None, 3])
@pytest.mark.parametrize("seed", range(2))
def test_every_score_of_every_translation_equals_moving_the_mask(seed, levels, precise):
    attribution, mask, domain = case(seed, levels=levels)
    moved = brute_translations(mask, domain)
    map_ = placed(attribution, domain, precise=precise)
    places = Placements(mask, map_.brain, GRID)
    assert places.n_valid == len(moved) > 100
    assert {tuple(t) for t in places.translations.tolist()} == set(moved)
    found = map_.scores(places)
    assert tuple(found) == PLACEMENT_METRICS
    tolerance = 1e-12 if precise else 1e-5
    for index, translation in enumerate(places.translations):
        volume = moved[tuple(translation.tolist())]
        np.testing.assert_array_equal(places.moved(translation), volume)
        expected = score_overlap(
            attribution, volume, domain=domain, grid=GRID, metrics=PLACEMENT_METRICS
        )
        for name, values in found.items():
            assert values[index] == pytest.approx(expected[name].value, abs=tolerance), name


@pytest.mark.parametrize("precise", [False, True])
def test_the_null_is_the_summary_of_the_scores(precise):
    attribution, mask, domain = case(3)
    map_ = placed(attribution, domain, precise=precise)
    places = Placements(mask, map_.brain, GRID)
    scored = [
        score_overlap(attribution, moved, domain=domain, grid=GRID, metrics=PLACEMENT_METRICS)
        for moved in brute_translations(mask, domain).values()
    ]
    values = {name: np.array([one[name].value for one in scored]) for name in PLACEMENT_METRICS}
    own = score_overlap(attribution, mask, domain=domain, grid=GRID)
    for name, result in placement_null(map_, places).items():
        null, observed = values[name], own[name].value
        assert result.null == "placement"
        assert result.observed == pytest.approx(observed, abs=1e-6)
        assert result.n == null.size
        assert result.mean == pytest.approx(null.mean(), abs=1e-6)
        assert result.sd == pytest.approx(null.std(), abs=1e-6)
        assert result.z == pytest.approx((observed - null.mean()) / null.std(), abs=1e-4)
        assert result.p == pytest.approx((null >= observed - 1e-9).mean(), abs=1e-12)
        below, tied = (null < observed - 1e-9).mean(), (abs(null - observed) <= 1e-9).mean()
        assert result.percentile == pytest.approx(100 * (below + tied / 2), abs=1e-9)


def test_one_set_of_transforms_serves_many_masks():
    attribution, mask, domain = case(4)
    other = np.zeros(SHAPE, dtype=bool)
    other[6:8, 5:6, 2:5] = True
    shared = placed(attribution, domain)
    for one in (mask, other, mask):
        places = Placements(one, shared.brain, GRID)
        fresh = placed(attribution, domain)
        alone = placement_null(fresh, Placements(one, fresh.brain, GRID))
        assert placement_null(shared, places) == alone


def test_many_equal_maxima_are_counted_by_one_convolution(monkeypatch):
    attribution, mask, domain = case(5, levels=1)
    attribution[attribution > 0] = 1.0
    few = placed(attribution, domain)
    assert few.ranked.peaks.size > 20
    places = Placements(mask, few.brain, GRID)
    names = ["pointing_game", "pointing_game_5mm", "pointing_game_10mm"]
    by_slices = few.scores(places, names)
    monkeypatch.setattr(placement, "_MOST_PEAKS", 0)
    by_convolution = few.scores(places, names)
    for name in names:
        np.testing.assert_allclose(by_convolution[name], by_slices[name], rtol=0, atol=1e-12)


def test_a_uniform_map_has_no_spread_and_no_z():
    _, mask, domain = case(0)
    map_ = placed(np.full(SHAPE, 0.3), domain)
    for name, result in placement_null(map_, Placements(mask, map_.brain)).items():
        assert result.p == 1.0, name
        assert result.percentile == 50.0, name
        assert math.isnan(result.z), name


def test_a_map_of_the_mask_itself_is_at_the_top():
    _, mask, domain = case(0)
    map_ = placed((mask & domain).astype(float), domain)
    places = Placements(mask, map_.brain)
    result = placement_null(map_, places)["relevance_mass_accuracy"]
    assert result.observed == pytest.approx(1.0, abs=1e-6)
    assert result.p == pytest.approx(1 / places.n_valid)
    assert result.percentile > 99


def test_a_score_without_a_value_has_no_null():
    attribution, mask, domain = case(0)
    map_ = placed(attribution, domain)
    nothing = placement_null(map_, Placements(mask & ~domain, map_.brain, GRID))
    assert {result.status for result in nothing.values()} == {"empty_mask"}
    small = placement_null(map_, Placements(mask, map_.brain, GRID), least_voxels=100)
    assert {result.status for result in small.values()} == {"below_measurable"}
    zero = placed(np.zeros(SHAPE), domain)
    silent = placement_null(zero, Placements(mask, zero.brain, GRID))
    assert {result.status for result in silent.values()} == {"zero_map"}
    for result in (*nothing.values(), *small.values(), *silent.values()):
        assert (result.null, result.n) == ("placement", 0)
        assert math.isnan(result.p)


def test_a_mask_that_fits_in_one_place_has_no_p():
    attribution, _, domain = case(0)
    map_ = placed(attribution, domain)
    places = Placements(domain, map_.brain, GRID)
    assert places.n_valid == 1
    results = placement_null(map_, places)
    assert results["auroc"].status == "full_mask"
    mass = results["relevance_mass_accuracy"]
    assert (mass.n, mass.status) == (1, "ok")
    assert math.isnan(mass.p)
    assert math.isnan(mass.z)


def test_an_empty_mask_can_be_nowhere():
    _, mask, domain = case(0)
    brain = BrainBox(domain)
    places = Placements(np.zeros_like(mask), brain, GRID)
    assert (places.m, places.n_valid, places.home) == (0, 0, (0, 0, 0))
    assert not places.kernel.any()
    assert places.valid.shape == brain.inside.shape
    assert not places.valid.any()


def test_the_inputs_are_left_as_they_were():
    arrays = case(6)
    copies = [array.copy() for array in arrays]
    map_ = placed(arrays[0], arrays[2])
    placement_null(map_, Placements(arrays[1], map_.brain, GRID))
    for array, copy in zip(arrays, copies, strict=True):
        np.testing.assert_array_equal(array, copy)


def test_what_cannot_be_placed_is_refused():
    attribution, mask, domain = case(0)
    map_ = placed(attribution, domain)
    places = Placements(mask, map_.brain)
    assert "pointing_game_5mm" not in placement_null(map_, places)
    with pytest.raises(ConfigError, match="grid"):
        placement_null(map_, places, metrics=["pointing_game_5mm"])
    with pytest.raises(UnknownNameError, match="relevance_mass_accuracy"):
        placement_null(map_, places, metrics=["average_precision"])
    with pytest.raises(GridMismatchError, match="one brain mask"):
        PlacedMap(rank_map(attribution, np.ones(SHAPE, dtype=bool)), map_.brain)
    with pytest.raises(GridMismatchError, match="^the mask has shape"):
        Placements(mask[:4], map_.brain)


def test_transforms_are_in_single_precision_unless_asked_for_more():
    _, _, domain = case(0)
    for options, dtype in (({}, np.float32), ({"precise": True}, np.float64)):
        brain = BrainBox(domain, **options)
        assert brain.dtype is dtype
        assert brain.transform(np.ones(brain.inside.shape, dtype)).real.dtype == dtype
        # An equal score is one within the rounding of such a transform, and no more.
        assert np.finfo(dtype).eps < brain.rounding < 100 * np.finfo(dtype).eps * 100


def test_the_pointing_game_without_a_tolerance_forgives_no_part_of_a_millimetre():
    grid = Grid((9, 1, 1), np.diag([0.4, 0.4, 0.4, 1]))
    mask = np.zeros(grid.shape, dtype=bool)
    mask[0] = True
    attribution = np.zeros(grid.shape)
    attribution[[4, 8]] = 1.0
    map_ = placed(attribution, np.ones_like(mask))
    found = map_.scores(Placements(mask, map_.brain, grid), ["pointing_game", "pointing_game_5mm"])
    assert found["pointing_game"].tolist() == [0, 0, 0, 0, 0.5, 0, 0, 0, 0.5]
    assert found["pointing_game_5mm"].tolist() == [1] * 9


def test_a_tolerance_reaches_beyond_the_edge_of_the_grid():
    # At the edge of the grid the grown mask is cut off; moved inwards it must be whole again.
    grid = Grid((9, 1, 1), np.diag([5.0, 5, 5, 1]))
    mask = np.zeros(grid.shape, dtype=bool)
    mask[0] = True
    attribution = np.zeros(grid.shape)
    attribution[4] = 1.0
    map_ = placed(attribution, np.ones_like(mask))
    found = map_.scores(Placements(mask, map_.brain, grid), ["pointing_game_5mm"])
    assert found["pointing_game_5mm"].tolist() == [0, 0, 0, 1, 1, 1, 0, 0, 0]
    assert dilated_kernel(mask[:1], grid, 5.0)[0].sum() == 7
