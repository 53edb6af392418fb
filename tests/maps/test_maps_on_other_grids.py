"""Maps on other grids: left stays left through files and resampling, and cells speak for voxels."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from map_cases import CHANNELS, GRID, META, SHAPE, affine_of, cam, rotation, voxel_map

from xrano.geometry import Grid
from xrano.map_files import load_map, save_map
from xrano.maps import AttributionMap
from xrano.resampling import resample

LEFT = np.array([-34.0, 12.0, 18.0])
"""World mm in the patient's left hemisphere."""


def centred(shape, linear):
    return Grid(shape, affine_of(linear, np.array([1.0, -3, 8]) - linear @ np.divide(shape, 2)))


SCANS = {
    "RAS": centred((31, 27, 25), np.diag([3.5, 4.1, 3.9])),
    "LAS": centred((31, 27, 25), np.diag([-3.5, 4.1, 3.9])),
    "PIR": centred((27, 25, 31), np.array([[0, 0, 3.5], [-4.1, 0, 0], [0, -3.9, 0]])),
    "oblique": centred((33, 29, 27), rotation(17, 8, -12) @ np.diag([-3.3, 4.1, 3.9])),
}


def blob(grid, width=9.0):
    world = grid.world(np.stack(np.indices(grid.shape), axis=-1))
    return np.exp(-((np.linalg.norm(world - LEFT, axis=-1) / width) ** 2))


def centre_of_mass(volume, grid):
    world = grid.world(np.stack(np.indices(grid.shape), axis=-1))
    return (world * volume[..., None]).sum(axis=(0, 1, 2)) / volume.sum()


class TestOtherGrids:
    @pytest.mark.parametrize("there", SCANS)
    @pytest.mark.parametrize("here", SCANS)
    def test_left_stays_left_through_file_and_resampling(self, tmp_path, here, there):
        source, target = SCANS[here], SCANS[there]
        data = np.zeros((2, *source.shape), np.float32)
        data[1] = blob(source)
        start = AttributionMap(data, source, ("prior_T1", "current_T1"), META)
        loaded = load_map(save_map(start, tmp_path))
        for attribution in (loaded, loaded.resample_to(target)):
            found = centre_of_mass(attribution.data[1], attribution.grid)
            assert found == pytest.approx(LEFT, abs=0.5)
            assert not attribution.data[0].any()
        moved = loaded.resample_to(target)
        assert moved.grid is target
        assert moved.channels == loaded.channels
        assert moved.meta == {**loaded.meta, "resampled": True}
        back = load_map(save_map(moved, tmp_path / "moved"))
        assert centre_of_mass(back.data[1], back.grid) == pytest.approx(LEFT, abs=0.5)
        peak = np.unravel_index(back.data[1].argmax(), target.shape)
        assert back.grid.world(peak) == pytest.approx(LEFT, abs=4)

    def test_every_channel_is_carried_alone(self):
        attribution, target = voxel_map(), SCANS["LAS"]
        moved = attribution.resample_to(target)
        for index in range(4):
            expected = resample(attribution.data[index], GRID, target)
            assert np.array_equal(moved.data[index], expected)

    def test_a_coarse_cam_speaks_for_what_lies_beyond_its_outermost_centres(self):
        cells = Grid((2, 3, 2), affine_of(np.diag([32.0, 28.0, 36.0]), (-16, -28, -18)))
        data = np.arange(1.0, 13).reshape(cells.shape)
        fine = Grid((9, 11, 13), affine_of(np.diag([-12.0, 11.0, 9.0]), (48, -55, -54)))
        attribution = cam(cells, data)
        assert attribution.coarse
        moved = attribution.resample_to(fine).data[0]
        for index in itertools.product(*(range(size) for size in fine.shape)):
            position = np.clip(cells.voxel(fine.world(index)), 0, np.array(cells.shape) - 1)
            # Linear in the index, so that trilinear interpolation is exact.
            assert moved[index] == pytest.approx(1 + position @ (6, 2, 1), rel=1e-5)

    def test_a_voxel_map_says_nothing_beyond_its_own_field(self):
        ones = AttributionMap(np.ones((4, *SHAPE), np.float32), GRID, CHANNELS, META)
        assert not ones.coarse
        bigger = GRID.crop((-3, -2, -4), (11, 10, 15))
        moved = ones.resample_to(bigger).data
        inside = np.zeros(bigger.shape, dtype=bool)
        inside[3:8, 2:8, 4:11] = True
        assert np.array_equal(moved, np.broadcast_to(inside, moved.shape))

    def test_a_merged_map_without_a_layer_is_not_coarse(self):
        assert not cam(layer="").coarse

    def test_a_single_cell_covers_everything(self):
        cell = Grid((1, 1, 1), affine_of(np.diag([32.0, 32.0, 32.0]), (3, 4, 5)))
        moved = cam(cell, np.full((1, 1, 1), 0.5)).resample_to(SCANS["oblique"])
        assert (moved.data == 0.5).all()
