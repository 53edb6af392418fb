"""Resampling against its definition, scipy and nibabel; exact where nothing is interpolated."""

from __future__ import annotations

import itertools
import math

import nibabel as nib
import numpy as np
import pytest
from grid_cases import (
    AFFINES,
    SHAPE,
    SOURCE,
    SPACING,
    TARGETS,
    affine_of,
    numbers,
    rotation,
    voxels,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from nibabel.processing import resample_from_to
from scipy import ndimage

from xrano.errors import GridMismatchError
from xrano.geometry import Grid, image_grid, to_ras
from xrano.resampling import index_map, resample


@pytest.fixture(params=AFFINES)
def affine(request):
    return AFFINES[request.param]


@pytest.fixture(params=TARGETS)
def target(request):
    return TARGETS[request.param]


def trilinear(data, position):
    """The definition, at one position inside the outermost voxel centres; else None."""
    if any(p < -1e-9 or p > size - 1 + 1e-9 for p, size in zip(position, data.shape, strict=True)):
        return None
    low = [
        min(max(math.floor(p), 0), max(size - 2, 0))
        for p, size in zip(position, data.shape, strict=True)
    ]
    total = 0.0
    for corner in itertools.product((0, 1), repeat=3):
        weight = math.prod(
            (p - n) if c else 1 - (p - n) for p, n, c in zip(position, low, corner, strict=True)
        )
        if weight:
            total += weight * data[tuple(n + c for n, c in zip(low, corner, strict=True))]
    return total


def clamped(position, shape):
    return [min(max(p, 0.0), size - 1.0) for p, size in zip(position, shape, strict=True)]


class TestResample:
    def test_trilinear_by_the_definition(self, target):
        data = np.random.default_rng(5).normal(size=SHAPE)
        moved = resample(data, SOURCE, target)
        inside = 0
        for index in voxels(target.shape):
            expected = trilinear(data, SOURCE.voxel(target.world(index)))
            inside += expected is not None
            assert moved[index] == pytest.approx(expected or 0.0, abs=1e-9)
        assert 0 < inside < math.prod(target.shape), "the target must reach beyond the source"

    def test_the_edge_speaks_for_what_lies_beyond(self, target):
        data = np.random.default_rng(6).normal(size=SHAPE)
        moved = resample(data, SOURCE, target, outside="edge")
        for index in voxels(target.shape):
            position = clamped(SOURCE.voxel(target.world(index)), SHAPE)
            assert moved[index] == pytest.approx(trilinear(data, position), abs=1e-9)

    @pytest.mark.parametrize("order", [0, 1])
    @pytest.mark.parametrize("outside", ["zero", "edge"])
    def test_like_scipy_at_the_same_positions(self, target, order, outside):
        data = np.random.default_rng(7).normal(size=SHAPE)
        positions = SOURCE.voxel(target.world(np.stack(np.indices(target.shape), axis=-1)))
        mode = "nearest" if outside == "edge" else "constant"
        expected = ndimage.map_coordinates(
            data, np.moveaxis(positions, -1, 0), order=order, mode=mode
        )
        moved = resample(data, SOURCE, target, order=order, outside=outside)
        assert np.allclose(moved, expected, atol=1e-9)

    @pytest.mark.parametrize("order", [0, 1])
    def test_like_nibabel(self, target, order):
        data = np.random.default_rng(8).normal(size=SHAPE)
        image = nib.Nifti1Image(data, SOURCE.affine)
        expected = resample_from_to(image, (target.shape, target.affine), order=order)
        moved = resample(data, image_grid(image), target, order=order)
        assert np.abs(moved - expected.get_fdata()).max() < 1e-6 * np.abs(data).max()

    @pytest.mark.parametrize("outside", ["zero", "edge"])
    @pytest.mark.parametrize("order", [0, 1])
    def test_identity_is_exact(self, affine, order, outside):
        grid = Grid(SHAPE, affine)
        data = numbers() / 7
        moved = resample(data, grid, Grid(SHAPE, affine.copy()), order=order, outside=outside)
        assert np.array_equal(moved, data)
        assert not np.shares_memory(moved, data)

    def test_reorientation_and_back_is_exact(self, affine):
        data = numbers() / 7
        grid = Grid(SHAPE, affine)
        turned, ras = to_ras(data, affine)
        assert np.array_equal(resample(data, grid, ras), turned)
        assert np.array_equal(resample(turned, ras, grid), data)

    @pytest.mark.parametrize("start", [(1, 2, 3), (-2, 1, -1), (-3, -3, -3), (20, 0, 0)])
    def test_crops_and_padding_are_exact(self, affine, start):
        data, shape = numbers() / 7, (8, 6, 9)
        grid = Grid(SHAPE, affine)
        moved = resample(data, grid, grid.crop(start, shape))
        edge = resample(data, grid, grid.crop(start, shape), outside="edge")
        for index in voxels(shape):
            there = np.add(index, start)
            inside = (there >= 0).all() and (there < SHAPE).all()
            assert moved[index] == (data[tuple(there)] if inside else 0)
            assert edge[index] == data[tuple(np.clip(there, 0, np.array(SHAPE) - 1))]

    @pytest.mark.parametrize(
        "dtype",
        [np.float16, np.float32, np.float64, ">f4", np.bool_, np.uint8, np.int16, np.int64, ">i2"],
    )
    @pytest.mark.parametrize("order", [0, 1])
    @pytest.mark.parametrize("name", ["RAS", "same"])
    def test_types(self, dtype, order, name):
        target = SOURCE if name == "same" else TARGETS[name]
        data = (numbers() % 5 > 1).astype(dtype)
        moved = resample(data, SOURCE, target, order=order)
        kept = order == 0 or np.dtype(dtype).kind == "f"
        assert moved.dtype.newbyteorder("=") == (
            np.dtype(dtype).newbyteorder("=") if kept else np.float32
        )
        exact = resample(data.astype(np.float64), SOURCE, target, order=order)
        assert np.allclose(moved.astype(np.float64), exact, atol=1e-3)

    def test_labels_are_never_mixed(self, target):
        labels = np.random.default_rng(1).choice([0, 2, 7], size=SHAPE).astype(np.uint8)
        moved = resample(labels, SOURCE, target, order=0)
        assert set(np.unique(moved)) <= {0, 2, 7}
        assert moved.any()

    @given(st.integers(3, 60), st.integers(3, 60), st.floats(0.3, 4), st.floats(-200, 200))
    @settings(max_examples=200, deadline=None)
    def test_the_same_field_at_another_spacing_keeps_its_outer_faces(self, n, m, mm, origin):
        # The last centre of both lies at one place; rounding must not put it outside.
        source = Grid((n, 3, 2), affine_of(np.diag([mm, 2.0, 3.0]), (origin, 0, 0)))
        step = mm * (n - 1) / (m - 1)
        target = Grid((m, 3, 2), affine_of(np.diag([step, 2.0, 3.0]), (origin, 0, 0)))
        for order in (0, 1):
            assert resample(np.ones(source.shape), source, target, order=order).min() == (
                pytest.approx(1.0)
            )

    def test_a_single_cell_speaks_for_everything_and_has_no_extent_of_its_own(self):
        cell = Grid((1, 1, 1), affine_of(rotation(5, 6, 7) @ np.diag([32.0, 32, 40])))
        data = np.full((1, 1, 1), 2.5, np.float32)
        assert (resample(data, cell, TARGETS["RAS"], outside="edge") == 2.5).all()
        assert (resample(data, cell, TARGETS["RAS"]) == 0).all()

    def test_the_shape_must_be_the_grids(self):
        with pytest.raises(GridMismatchError, match=r"\(5, 7, 6\).*\(7, 5, 6\)"):
            resample(np.zeros((5, 7, 6)), SOURCE, SOURCE)

    def test_the_input_stays(self, target):
        data = numbers()
        resample(data, SOURCE, target)
        assert np.array_equal(data, numbers())


class TestIndexMap:
    def test_it_takes_target_voxels_to_source_voxels(self, target):
        mapping = index_map(SOURCE, target)
        for index in voxels(target.shape)[::17]:
            expected = SOURCE.voxel(target.world(index))
            assert mapping[:3, :3] @ index + mapping[:3, 3] == pytest.approx(expected)

    def test_flips_are_whole_numbers(self):
        grid = Grid(SHAPE, AFFINES["oblique"])
        _, ras = to_ras(numbers(), AFFINES["oblique LAS"])
        for source, target in ((grid, grid), (ras, Grid(SHAPE, AFFINES["oblique LAS"]))):
            mapping = index_map(source, target)
            assert np.array_equal(mapping, np.rint(mapping))

    def test_a_small_true_rotation_is_kept(self):
        turned = Grid(SHAPE, affine_of(rotation(0, 0, 0.01) @ SPACING))
        mapping = index_map(Grid(SHAPE, AFFINES["RAS"]), turned)
        assert not np.array_equal(mapping, np.rint(mapping))
