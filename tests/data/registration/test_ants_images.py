from __future__ import annotations

import sys

import numpy as np
import pytest
from affines import GRIDS, SHAPE

from xrano.data.registration.ants_images import from_ants, load_ants, to_ants
from xrano.errors import ConfigError
from xrano.geometry import Grid

VALUES = np.arange(np.prod(SHAPE), dtype=np.float32).reshape(SHAPE)


@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS.keys())
def test_an_image_comes_back_as_it_was(grid: Grid):
    values, found = from_ants(to_ants(VALUES, grid))
    np.testing.assert_array_equal(values, VALUES)
    np.testing.assert_allclose(found.affine, grid.affine, rtol=0, atol=1e-12)


@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS.keys())
def test_itk_puts_each_voxel_at_its_place_in_lps(grid: Grid):
    ants = load_ants()
    image = to_ants(VALUES, grid)
    for index in ((0, 0, 0), (4, 1, 2), (1, 5, 6)):
        x, y, z = grid.world(index)
        place = ants.transform_index_to_physical_point(image, index)
        np.testing.assert_allclose(place, (-x, -y, z), rtol=0, atol=1e-5)
        assert image[index] == VALUES[index]


def test_an_array_of_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"\(5, 6, 6\) on a grid of shape \(5, 6, 7\)"):
        to_ants(VALUES[..., :-1], GRIDS["plain"])


def test_without_antspyx_the_message_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "ants", None)
    with pytest.raises(ConfigError, match=r'pip install "xrano\[prepare\]"'):
        load_ants()


def test_no_thread_is_refused():
    with pytest.raises(ConfigError, match="threads must be 1 or more, got 0"):
        load_ants(threads=0)
