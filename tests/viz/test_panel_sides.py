"""A lesion in the patient's left half, looked for among the pixels of the drawn figures."""

from __future__ import annotations

import numpy as np
import pytest
from panel_cases import BRAIN_CENTRE, GRIDS, LESION, cam, make_case, rendered, voxel_map

from xrano.viz.comparison_figure import comparison_figure
from xrano.viz.panel import case_panel
from xrano.viz.slices import Plane

CLASSES = ("CR", "PR", "SD", "PD")
PLANES = tuple(Plane)
CONVENTIONS = ("radiological", "neurological")


def maps_of(grid, layout):
    if layout == "grid":
        return [
            one(target)
            for one in (
                lambda target: voxel_map(grid, target_name=target),
                lambda target: cam(target_name=target),
            )
            for target in CLASSES
        ]
    return [voxel_map(grid), cam()]


def draw(grid, layout, plane, convention, width=None):
    case = make_case(grid, prior_mask=None, current_mask=None)
    at = {plane.value: LESION[plane.normal]}
    maps = maps_of(grid, layout)
    if layout == "comparison":
        return comparison_figure(
            [(case, maps)], plane=plane, slice_by=at, convention=convention, width=width
        )
    if layout == "mosaic":
        # Slices of the brain: the masks, which would be outlined, are left out.
        return case_panel(
            case, maps, planes=(plane,), slice_by="mosaic", slices=5, convention=convention
        )
    return case_panel(case, maps, planes=(plane,), slice_by=at, convention=convention, width=width)


def pictures(figure):
    """The names of the pictures that show a map or a change."""
    names = [str(ax.get_label()) for ax in figure.axes]
    return [name for name in names if name.startswith(("map", "change"))]


def centre_of_colour(figure, name) -> tuple[float, float]:
    """Mean column and row of what is coloured, as shares of the picture from its upper left."""
    coloured = np.ptp(rendered(figure, name), axis=2) > 40
    assert coloured.sum() > 20, name
    rows, columns = np.nonzero(coloured)
    return columns.mean() / coloured.shape[1], rows.mean() / coloured.shape[0]


def on_the_right(plane, convention) -> bool:
    """Where the lesion, left and in front of the brain's centre, lies by the convention."""
    if plane is Plane.SAGITTAL:
        return convention == "neurological"
    return convention == "radiological"


def assert_letters(figure, plane, convention):
    """Four letters on every picture, each on its side."""
    drawn = [ax for ax in figure.axes if str(plane) in str(ax.get_label())]
    assert len(drawn) >= 3
    pair = ("A", "P") if plane is Plane.SAGITTAL else ("R", "L")
    first, second = pair if convention == "radiological" else pair[::-1]
    upper, lower = ("A", "P") if plane is Plane.AXIAL else ("S", "I")
    for ax in drawn:
        said = {
            text.get_text(): text.get_position() for text in ax.texts if len(text.get_text()) == 1
        }
        assert len(said) == 4
        assert said[first][0] < 0.1
        assert said[second][0] > 0.9
        assert said[upper][1] > 0.9
        assert said[lower][1] < 0.1


@pytest.mark.parametrize("layout", ["flow", "grid", "mosaic", "comparison"])
@pytest.mark.parametrize("plane", PLANES)
@pytest.mark.parametrize("convention", CONVENTIONS)
def test_the_left_lesion_is_on_its_side_in_every_layout(layout, plane, convention):
    figure = draw(GRIDS["LAS"], layout, plane, convention)
    assert_letters(figure, plane, convention)
    names = pictures(figure)
    if layout == "mosaic":
        # The slice that passes the lesion nearest.
        names = [
            min(found, key=lambda name: abs(float(name.split()[-1]) - LESION[plane.normal]))
            for found in ([one for one in names if one.startswith(f"map {n} ")] for n in (0, 1))
        ]
    assert len(names) == {"flow": 3, "grid": 9, "mosaic": 2, "comparison": 2}[layout]
    for name in names:
        column, row = centre_of_colour(figure, name)
        assert (column > 0.53) if on_the_right(plane, convention) else (column < 0.47), name
        # In front is up in axial pictures, and up is up in the others.
        assert row < 0.5


@pytest.mark.parametrize(
    ("grid", "plane"),
    [("RAS", Plane.AXIAL), *(("oblique", plane) for plane in PLANES)],
)
def test_whatever_the_grid_of_the_scans(grid, plane):
    for convention in CONVENTIONS:
        figure = draw(GRIDS[grid], "flow", plane, convention, width="single")
        assert_letters(figure, plane, convention)
        for name in pictures(figure):
            column, _ = centre_of_colour(figure, name)
            assert (column > 0.53) if on_the_right(plane, convention) else (column < 0.47), name


def test_the_lesion_of_these_tests_lies_left_in_front_and_above():
    assert (LESION - BRAIN_CENTRE < [0, 40, 40]).all()
    assert (LESION - BRAIN_CENTRE > [-50, 0, 0]).all()
