"""Maps as whole steps: no value off by more than the bound that the sidecar states."""

from __future__ import annotations

import json

import nibabel as nib
import numpy as np
import pytest
from map_cases import GRID, cam, voxel_map

from xrano.errors import UnknownNameError
from xrano.map_files import load_map, quantised, save_map, sidecar_path
from xrano.maps import AttributionMap


def same_map(data):
    return AttributionMap(data.astype(np.float32), GRID, ("all",), dict(voxel_map().meta))


@pytest.mark.parametrize("scale", [1.0, 1e-12, 1e12])
@pytest.mark.parametrize("make", [voxel_map, cam])
def test_the_bound_holds_and_the_place_stays(tmp_path, make, scale):
    start = make()
    start = AttributionMap(
        (start.data * scale).astype(np.float32), start.grid, start.channels, start.meta
    )
    path = save_map(start, tmp_path, storage="int16")
    bound = json.loads(sidecar_path(path).read_text())["error_bound"]
    loaded = load_map(path)
    off = np.abs(loaded.data.astype(np.float64) - start.data).max()
    largest = np.abs(start.data).max()
    # The float32 of a loaded value adds its own rounding.
    assert 0 < off <= bound + 1e-7 * largest
    assert bound == pytest.approx(largest / 32767 / 2, rel=1e-6)
    assert loaded.grid.matches(start.grid)
    assert loaded.channels == start.channels
    assert nib.load(path).get_data_dtype() == np.int16
    # Any NIfTI reader sees the same values.
    seen = np.asarray(nib.load(path).get_fdata(), dtype=np.float64)
    np.testing.assert_allclose(
        seen if seen.ndim == 3 else np.moveaxis(seen, -1, 0),
        loaded.data[0] if seen.ndim == 3 else loaded.data,
        rtol=1e-6,
        atol=1e-7 * largest,
    )


def test_zero_stays_zero_and_an_empty_map_is_empty(tmp_path):
    data = voxel_map().data[:1].copy()
    data[:, :2] = 0
    loaded = load_map(save_map(same_map(data), tmp_path, storage="int16"))
    assert np.count_nonzero(loaded.data[:, :2]) == 0
    assert np.count_nonzero(loaded.data[:, 2:]) > 0
    empty = load_map(save_map(same_map(np.zeros_like(data)), tmp_path / "e", storage="int16"))
    assert np.count_nonzero(empty.data) == 0


def test_the_same_map_gives_the_same_bytes_in_half_the_size(tmp_path):
    one, two, full = (
        save_map(voxel_map(), tmp_path / name, storage=storage)
        for name, storage in (("a", "int16"), ("b", "int16"), ("c", "float32"))
    )
    assert one.read_bytes() == two.read_bytes()
    assert one.stat().st_size < 0.6 * full.stat().st_size
    assert "error_bound" not in json.loads(sidecar_path(full).read_text())


def test_the_largest_value_is_kept_on_both_sides():
    steps, slope = quantised(np.array([-3.0, 3.0, 1e-9], dtype=np.float32))
    assert steps.tolist() == [-32767, 32767, 0]
    assert steps[1] * slope == pytest.approx(3.0, rel=1e-6)


def test_another_storage_is_refused(tmp_path):
    with pytest.raises(UnknownNameError, match="storage 'float16'"):
        save_map(voxel_map(), tmp_path, storage="float16")
    assert not list(tmp_path.iterdir())
