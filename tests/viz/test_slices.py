from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from xrano.errors import GridMismatchError, UnknownNameError
from xrano.geometry import Grid
from xrano.viz.slice_choice import (
    slice_at_centre,
    slice_by_change,
    slice_by_peak,
    slice_by_tumour,
)
from xrano.viz.slice_places import aligned_grid, place_slice
from xrano.viz.slices import Convention, Plane

LESION = np.array([-31.0, 22.0, 14.0])
"""World mm: the patient's left, front, upper side."""

PLANES = tuple(Plane)
CONVENTIONS = tuple(Convention)


def centred(shape, linear, centre=(2.0, -9.0, 5.0)) -> Grid:
    affine = np.eye(4)
    affine[:3, :3] = linear
    affine[:3, 3] = np.array(centre) - linear @ ((np.array(shape) - 1) / 2)
    return Grid(shape, affine)


OBLIQUE = Rotation.from_euler("xyz", [21, -9, 14], degrees=True).as_matrix()
GRIDS = {
    "RAS": centred((34, 38, 27), np.diag([4.0, 5.0, 6.0])),
    "LAS": centred((34, 38, 27), np.diag([-4.0, 5.0, 6.0])),
    # i runs down, j to the left, k to the front
    "permuted": centred((27, 34, 38), np.array([[0, -4.0, 0], [0, 0, 5.0], [-6.0, 0, 0]])),
    "oblique": centred((38, 40, 32), OBLIQUE @ np.diag([-4.0, 5.0, 6.0])),
}


def world_of(grid: Grid) -> np.ndarray:
    return grid.world(np.stack(np.indices(grid.shape), axis=-1))


def ball(grid: Grid, centre=LESION, radius=13.0) -> np.ndarray:
    return np.linalg.norm(world_of(grid) - centre, axis=-1) <= radius


@pytest.fixture(params=GRIDS)
def grid(request) -> Grid:
    return GRIDS[request.param]


def drawn_at(view, picture) -> tuple[float, float]:
    """World mm (column axis, row axis) of the centre of mass of a picture."""
    left, right, bottom, top = view.extent
    rows, columns = picture.shape
    weight = picture / picture.sum()
    x = left + (np.arange(columns) + 0.5) * (right - left) / columns
    y = top + (np.arange(rows) + 0.5) * (bottom - top) / rows
    return float(weight.sum(axis=0) @ x), float(weight.sum(axis=1) @ y)


class TestSides:
    @pytest.mark.parametrize("convention", CONVENTIONS)
    @pytest.mark.parametrize("plane", PLANES)
    def test_lesion_is_drawn_where_it_lies(self, grid, plane, convention):
        view = place_slice(grid, plane, LESION[plane.normal], convention=convention)
        picture = view.sample(ball(grid).astype(np.float32), grid)
        column, row = drawn_at(view, picture)
        # Voxels are up to 6 mm, so the centre of the drawn disc is within some 3 mm.
        assert column == pytest.approx(LESION[plane.columns], abs=3.0)
        assert row == pytest.approx(LESION[plane.rows], abs=3.0)

    @pytest.mark.parametrize("plane", [Plane.AXIAL, Plane.CORONAL])
    def test_left_lesion_is_on_the_right_only_in_radiological_pictures(self, grid, plane):
        for convention, on_the_right in (("radiological", True), ("neurological", False)):
            view = place_slice(grid, plane, LESION[plane.normal], convention=convention)
            picture = view.sample(ball(grid), grid, order=0)
            half = picture.shape[1] // 2
            right_half, left_half = picture[:, half:].sum(), picture[:, :half].sum()
            assert (right_half > left_half) == on_the_right
            assert max(right_half, left_half) > 5 * min(right_half, left_half)
            assert view.letters.right == ("L" if on_the_right else "R")
            assert view.letters.left == ("R" if on_the_right else "L")

    def test_front_is_up_in_axial_and_left_in_radiological_sagittal_pictures(self, grid):
        axial = place_slice(grid, "axial", LESION[2])
        picture = axial.sample(ball(grid), grid, order=0)
        half = picture.shape[0] // 2
        assert picture[:half].sum() > picture[half:].sum()
        assert (axial.letters.top, axial.letters.bottom) == ("A", "P")
        sagittal = place_slice(grid, "sagittal", LESION[0])
        letters = sagittal.letters
        assert (letters.left, letters.right, letters.top, letters.bottom) == ("A", "P", "S", "I")
        turned = place_slice(grid, "sagittal", LESION[0], convention="neurological")
        assert (turned.letters.left, turned.letters.right) == ("P", "A")


class TestSampling:
    @pytest.mark.parametrize("name", ["RAS", "LAS", "permuted"])
    @pytest.mark.parametrize("plane", PLANES)
    def test_aligned_grids_are_read_voxel_by_voxel(self, name, plane):
        grid = GRIDS[name]
        data = np.random.default_rng(3).random(grid.shape)
        view = place_slice(grid, plane, 3.0)
        picture = view.sample(data, grid)
        left, right, bottom, top = view.extent
        rows, columns = picture.shape
        assert (rows, columns) == (
            view.grid.shape[plane.rows],
            view.grid.shape[plane.columns],
        )
        for row, column in itertools.product(range(0, rows, 5), range(0, columns, 4)):
            world = np.zeros(3)
            world[plane.normal] = view.mm
            world[plane.columns] = left + (column + 0.5) * (right - left) / columns
            world[plane.rows] = top + (row + 0.5) * (bottom - top) / rows
            nearest = tuple(np.rint(grid.voxel(world)).astype(int))
            assert picture[row, column] == data[nearest]

    @pytest.mark.parametrize("plane", PLANES)
    def test_a_linear_field_survives_an_oblique_grid(self, plane):
        grid = GRIDS["oblique"]
        slope = np.array([0.3, -0.7, 1.1])
        view = place_slice(grid, plane, 6.0, around=ball(grid, radius=15.0), margin_mm=0.0)
        picture = view.sample(world_of(grid) @ slope, grid)
        expected = view.sample(world_of(view.grid) @ slope, view.grid)
        assert np.allclose(picture, expected, atol=1e-9)

    def test_the_picture_has_the_size_of_the_anatomy(self):
        grid = centred((60, 50, 7), np.diag([-0.4, 0.4, 6.0]))
        axial, coronal = (place_slice(grid, plane, 0.0) for plane in ("axial", "coronal"))
        assert axial.size_mm == pytest.approx((24.0, 20.0))
        assert coronal.size_mm == pytest.approx((24.0, 42.0))
        assert coronal.sample(np.zeros(grid.shape), grid).shape == (7, 60)

    @pytest.mark.parametrize("plane", PLANES)
    def test_the_crop_holds_the_whole_brain_and_not_much_more(self, grid, plane):
        brain = ball(grid, centre=np.array([2.0, -9.0, 5.0]), radius=48.0)
        view = place_slice(grid, plane, 5.0 if plane is Plane.AXIAL else 0.0, around=brain)
        full = place_slice(grid, plane, view.mm)
        inside = view.sample(brain, grid, order=0)
        assert inside.sum() == full.sample(brain, grid, order=0).sum() > 0
        # 96 mm of brain, a voxel, and 10 mm of margin on both sides.
        assert all(110 < size < 130 for size in view.size_mm)
        assert not inside[0].any()
        assert not inside[:, -1].any()


class TestPosition:
    def test_the_slice_nearest_to_the_position_is_labelled_with_its_own_mm(self):
        grid = Grid((5, 6, 9), np.diag([2.0, 2.0, 6.0, 1.0]))
        view = place_slice(grid, "axial", 25.9)
        assert view.mm == 24.0
        assert view.label == "z = +24 mm"
        assert place_slice(grid, "coronal", 0.2).label == "y = +0 mm"

    def test_fractions_and_negative_positions(self):
        affine = np.diag([2.0, 2.0, 2.5, 1.0])
        affine[:3, 3] = (-30, -40, -12.5)
        grid = Grid((5, 6, 9), affine)
        assert place_slice(grid, "axial", -7.4).label == "z = −7.5 mm"
        assert place_slice(grid, "sagittal", -28).label == "x = −28 mm"

    def test_outside_the_volume_is_refused(self):
        grid = Grid((5, 6, 9), np.diag([2.0, 2.0, 6.0, 1.0]))
        assert place_slice(grid, "axial", 50.9).mm == 48.0
        with pytest.raises(GridMismatchError, match=r"axial slice at 51\.5 mm.*from 0 to 48 mm"):
            place_slice(grid, "axial", 51.5)

    def test_unknown_names_list_the_choices(self, grid):
        with pytest.raises(UnknownNameError, match="axial, coronal, sagittal"):
            place_slice(grid, "transverse", 0)
        with pytest.raises(UnknownNameError, match="neurological, radiological"):
            place_slice(grid, "axial", 0, convention="surgical")

    def test_a_mask_of_another_shape_is_refused(self, grid):
        with pytest.raises(GridMismatchError, match=r"\(2, 3, 4\)"):
            place_slice(grid, "axial", 0, around=np.ones((2, 3, 4), dtype=bool))


class TestAlignedGrid:
    @pytest.mark.parametrize("name", ["RAS", "LAS", "permuted"])
    def test_aligned_grids_keep_their_voxel_centres(self, name):
        aligned = aligned_grid(GRIDS[name])
        assert np.allclose(aligned.affine[:3, :3], np.diag([4.0, 5.0, 6.0]))
        given = world_of(GRIDS[name]).reshape(-1, 3)
        found = world_of(aligned).reshape(-1, 3)
        assert np.allclose(
            given[np.lexsort(np.round(given, 6).T)], found[np.lexsort(np.round(found, 6).T)]
        )

    def test_an_oblique_grid_is_covered(self):
        grid = GRIDS["oblique"]
        for fine, spacing in ((False, (4, 5, 6)), (True, (4, 4, 4))):
            aligned = aligned_grid(grid, fine=fine)
            assert aligned.spacing == pytest.approx(spacing)
            index = aligned.voxel(world_of(grid))
            assert index.min() >= -0.5 - 1e-9
            assert (index <= np.array(aligned.shape) - 0.5 + 1e-9).all()


class TestChoice:
    @pytest.mark.parametrize("plane", PLANES)
    def test_the_largest_area_of_the_union(self, grid, plane):
        brain = np.ones(grid.shape, dtype=bool)
        small, large = ball(grid, centre=LESION * [-1, -2, -1], radius=9.0), ball(grid)
        choice = slice_by_tumour([small, large], grid, plane, brain=brain)
        assert choice.mm == pytest.approx(LESION[plane.normal], abs=6.0)
        assert choice.reason == "largest tumour area"

    def test_two_masks_count_once_where_they_overlap(self):
        grid = Grid((5, 6, 4), np.diag([-1.0, 2.0, 3.0, 1.0]))
        first, second = np.zeros((2, 5, 6, 4), dtype=bool)
        first[:3, :3, 1] = second[:3, :3, 1] = True  # 9 voxels, twice
        second[:2, :5, 2] = True  # 10 voxels, once
        choice = slice_by_tumour([first, second], grid, Plane.AXIAL, brain=first)
        assert choice.mm == 6.0

    def test_the_middle_of_equal_slices_is_taken(self):
        grid = Grid((5, 6, 9), np.diag([1.0, 2.0, 3.0, 1.0]))
        box = np.zeros(grid.shape, dtype=bool)
        box[1:3, 2:4, 2:7] = True
        assert slice_by_tumour([None, box], grid, Plane.AXIAL, brain=box).mm == 12.0

    @pytest.mark.parametrize("masks", [[None, None], [None, "empty"], ["empty", "empty"]])
    def test_without_a_tumour_the_centre_of_the_brain(self, grid, masks):
        centre = np.array([12.0, -14.0, 11.0])
        brain = ball(grid, centre=centre, radius=40.0)
        given = [None if mask is None else np.zeros(grid.shape, dtype=bool) for mask in masks]
        choice = slice_by_tumour(given, grid, Plane.CORONAL, brain=brain)
        assert choice.mm == pytest.approx(-14.0, abs=3.0)
        assert "no tumour mask" in choice.reason

    @pytest.mark.parametrize("plane", PLANES)
    def test_the_peak_of_magnitude_in_the_brain(self, grid, plane):
        volume = np.random.default_rng(5).random(grid.shape)
        at = tuple(np.rint(grid.voxel(LESION)).astype(int))
        elsewhere = tuple(np.rint(grid.voxel([40.0, -40.0, -20.0])).astype(int))
        volume[at], volume[elsewhere] = -3.0, 9.0
        brain = np.ones(grid.shape, dtype=bool)
        brain[elsewhere] = False
        choice = slice_by_peak(volume, grid, plane, brain=brain)
        assert choice.mm == pytest.approx(grid.world(at)[plane.normal], abs=3.0)

    def test_the_largest_change_in_the_brain(self, grid):
        prior = np.zeros(grid.shape)
        current = np.where(ball(grid), -1.0, 0.0)
        brain = np.ones(grid.shape, dtype=bool)
        choice = slice_by_change(prior, current, grid, Plane.SAGITTAL, brain=brain)
        assert choice.mm == pytest.approx(LESION[0], abs=6.0)
        still = slice_by_change(prior, prior, grid, Plane.SAGITTAL, brain=brain)
        assert still.reason == "no change: centre of the brain"

    def test_without_a_brain_the_centre_of_the_volume(self, grid):
        choice = slice_at_centre(np.zeros(grid.shape, dtype=bool), grid, Plane.AXIAL)
        assert choice.mm == pytest.approx(5.0, abs=3.0)
        assert choice.reason == "centre of the volume"
