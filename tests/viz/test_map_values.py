from __future__ import annotations

import itertools

import numpy as np
import pytest
from panel_cases import BRAIN_CENTRE, CAM_GRID, CHANNELS, GRIDS, cam, centred, distance, voxel_map

from xrano.geometry import Grid
from xrano.maps import AttributionMap
from xrano.resampling import resample
from xrano.viz.blocks import Block
from xrano.viz.map_values import MapValues, carried, reduced
from xrano.viz.slice_places import place_slice
from xrano.viz.slices import Plane

TURN = np.array([[0, -30.0, 0], [0, 0, 25.0], [-20.0, 0, 0]])
COARSE = {"RAS": CAM_GRID, "turned": centred((5, 6, 4), TURN), "oblique": GRIDS["oblique"]}


def values_of(attribution, grid, rectification="absolute", channels=None) -> MapValues:
    brain = distance(grid, BRAIN_CENTRE) < 62
    chosen = channels or attribution.channels
    return MapValues(attribution, chosen, rectification, "sum", grid, brain)


@pytest.mark.parametrize(
    ("rectification", "reduction"),
    list(itertools.product(("absolute", "positive", "negative", "none"), ("sum", "mean", "max"))),
)
def test_reduced_is_what_the_map_itself_gives(rectification, reduction):
    attribution = voxel_map(GRIDS["LAS"])
    found, lost = reduced(attribution.data, rectification, reduction)
    np.testing.assert_array_equal(found, attribution.reduced(rectification, reduction))
    assert lost == 0


@pytest.mark.parametrize("reduction", ["sum", "mean", "max"])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_nothing_and_is_counted(reduction, bad):
    data = voxel_map(GRIDS["LAS"]).data.copy()
    expected, _ = reduced(data, "none", reduction)
    data[1, 3, 4, 5] = data[2, 7, 8, 9] = bad
    found, lost = reduced(data, "none", reduction)
    assert lost == 2
    assert found[3, 4, 5] == found[7, 8, 9] == 0
    found[3, 4, 5], found[7, 8, 9] = expected[3, 4, 5], expected[7, 8, 9]
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("outside", ["zero", "edge"])
@pytest.mark.parametrize("source", COARSE)
def test_carried_is_resampled(source, outside):
    values = np.random.default_rng(3).normal(size=COARSE[source].shape).astype(np.float32)
    target = GRIDS["LAS"]
    expected = resample(values, COARSE[source], target, outside=outside)
    found = carried(values, COARSE[source], target, outside=outside)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert found.any()


@pytest.mark.parametrize("outside", ["zero", "edge"])
def test_carried_from_a_single_cell(outside):
    one = Grid((1, 1, 1), np.diag([200.0, 200, 200, 1]))
    target = GRIDS["RAS"]
    values = np.ones((1, 1, 1), np.float32)
    found = carried(values, one, target, outside=outside)
    np.testing.assert_array_equal(found, resample(values, one, target, outside=outside))


@pytest.mark.parametrize("plane", list(Plane))
@pytest.mark.parametrize("name", GRIDS)
@pytest.mark.parametrize("kind", ["voxels", "cells", "elsewhere"])
def test_a_slice_is_that_of_the_whole_volume(name, plane, kind):
    grid = GRIDS[name]
    other = centred((30, 33, 25), np.diag([5.0, 5.0, 5.0]))
    attribution = {
        "voxels": lambda: voxel_map(grid),
        "cells": cam,
        "elsewhere": lambda: voxel_map(other),
    }[kind]()
    values = values_of(attribution, grid)
    view = place_slice(grid, plane, 5.0, around=values.brain)
    whole = attribution.reduced("absolute", "sum")
    if kind != "voxels":
        outside = "edge" if kind == "cells" else "zero"
        whole = resample(whole, attribution.grid, grid, outside=outside)
    if kind == "cells":
        whole = np.where(values.brain, whole, 0)
    np.testing.assert_allclose(values.volume(), whole, atol=1e-5)
    expected = resample(whole, grid, view.grid).take(0, axis=plane.normal).T[::-1, ::-1]
    np.testing.assert_allclose(values.on(view), expected, atol=1e-5)
    assert values.on(view).any()
    inside, lost = values.inside(Block.around(values.brain))
    np.testing.assert_allclose(np.sort(inside), np.sort(whole[values.brain]), atol=1e-5)
    assert lost == 0


def test_channels_of_one_timepoint():
    attribution = voxel_map(GRIDS["RAS"])
    values = values_of(attribution, GRIDS["RAS"], "none", CHANNELS[2:])
    expected = attribution.reduced("none", "sum", channels=CHANNELS[2:])
    np.testing.assert_array_equal(values.volume(), expected)


def test_neither_map_nor_settings_are_touched():
    attribution = AttributionMap(
        np.full((1, *CAM_GRID.shape), 2, np.float32), CAM_GRID, ("all",), {"layer": "x"}
    )
    attribution.data[0, 0, 0, 0] = np.nan
    before = attribution.data.copy()
    values_of(attribution, GRIDS["RAS"]).volume()
    np.testing.assert_array_equal(attribution.data, before)


class TestBlock:
    @pytest.mark.parametrize("name", GRIDS)
    def test_a_block_holds_all_that_a_slice_is_interpolated_from(self, name):
        grid = GRIDS[name]
        data = np.random.default_rng(0).random(grid.shape)
        for plane in Plane:
            view = place_slice(grid, plane, 7.0)
            block = Block.under(view.grid, grid)
            expected = resample(data, grid, view.grid)
            found = resample(data[block.index], block.of(grid), view.grid)
            np.testing.assert_allclose(found, expected, atol=1e-12)
            if name != "oblique":
                assert min(block.shape) <= 3

    def test_grids_that_are_apart_give_one_voxel_and_zeros(self):
        grid = GRIDS["RAS"]
        far = Grid(
            (4, 5, 6), np.array([[1.0, 0, 0, 900], [0, 1, 0, 900], [0, 0, 1, 900], [0, 0, 0, 1]])
        )
        block = Block.under(far, grid)
        assert block.shape == (1, 1, 1)
        assert not carried(
            np.ones((1, 1, 1), np.float32), block.of(grid), far, outside="zero"
        ).any()

    def test_an_empty_mask_has_the_whole_volume(self):
        assert Block.around(np.zeros((3, 4, 5), bool)) == Block((0, 0, 0), (3, 4, 5))
        mask = np.zeros((6, 7, 8), bool)
        mask[1:3, 2:6, 4] = True
        assert Block.around(mask) == Block((1, 2, 4), (2, 4, 1))
