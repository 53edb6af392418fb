"""Bounding boxes and dilation in mm, by brute force."""

from __future__ import annotations

import numpy as np
import pytest
from grid_cases import AFFINES, SHAPE, voxels

from xrano.errors import GridMismatchError
from xrano.geometry import Grid, bounding_box, dilate_mm
from xrano.resampling import resample


class TestBoundingBox:
    @pytest.mark.parametrize("margin", [0, 1, 3])
    def test_smallest_box_by_brute_force(self, margin):
        mask = np.zeros((9, 7, 8), dtype=bool)
        hits = np.array([(2, 5, 1), (4, 5, 6), (3, 6, 2)])
        mask[tuple(hits.T)] = True
        start, shape = bounding_box(mask, margin=margin)
        assert start == tuple(hits.min(axis=0) - margin)
        assert shape == tuple(hits.max(axis=0) - hits.min(axis=0) + 1 + 2 * margin)

    def test_the_crop_of_the_box_holds_all_of_the_mask(self):
        mask = np.random.default_rng(3).random(SHAPE) > 0.97
        grid = Grid(SHAPE, AFFINES["oblique"])
        box = grid.crop(*bounding_box(mask, margin=2))
        assert resample(mask, grid, box, order=0).sum() == mask.sum() > 0

    def test_an_empty_mask_has_none(self):
        with pytest.raises(GridMismatchError, match="empty mask"):
            bounding_box(np.zeros((2, 3, 4), dtype=bool))


def brute_dilation(mask, spacing, radius):
    hits = np.argwhere(mask) * spacing
    out = np.zeros_like(mask)
    for index in voxels(mask.shape):
        distances = np.linalg.norm(np.array(index) * spacing - hits, axis=1)
        out[index] = distances.min() <= radius + 1e-9
    return out


class TestDilate:
    @pytest.mark.parametrize("radius", [0.0, 1.0, 1.1, 3.3, 3.7, 4.4, 5.0, 8.0])
    def test_brute_force_distances(self, radius):
        spacing = (1.1, 2.3, 3.7)
        mask = np.zeros((9, 7, 5), dtype=bool)
        mask[1, 2, 1] = mask[2, 2, 1] = mask[7, 6, 4] = True
        assert np.array_equal(
            dilate_mm(mask, spacing, radius), brute_dilation(mask, spacing, radius)
        )

    def test_the_radius_itself_belongs_whatever_the_direction_of_the_grid(self):
        mask = np.zeros((31, 3, 3), dtype=bool)
        mask[0, 1, 1] = True
        for name in ("RAS", "oblique"):
            grid = Grid(mask.shape, AFFINES[name])
            for steps in range(1, 30):
                found = dilate_mm(mask, grid.spacing, steps * 1.1)
                assert found[steps, 1, 1]
                assert not found[steps + 1, 1, 1]

    def test_an_empty_mask_stays_empty_and_the_input_is_left(self):
        empty = np.zeros((2, 3, 4), dtype=bool)
        found = dilate_mm(empty, (1, 1, 1), 100.0)
        assert not found.any()
        assert not np.shares_memory(found, empty)
