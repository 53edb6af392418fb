from __future__ import annotations

import gc
import weakref
from dataclasses import replace

import numpy as np
import pytest
from panel_cases import GRIDS, LESION, axes, cam, image, make_case, texts, voxel_map

from xrano.errors import ConfigError, UnknownNameError
from xrano.viz.comparison_figure import comparison_figure


def named(case, name, **changes):
    return replace(case, pair_id=name, **changes)


def drawn(figure, kind="map"):
    found = [ax for ax in figure.axes if str(ax.get_label()).startswith(kind)]
    return sorted(found, key=lambda ax: (-round(ax.get_position().y0, 4), ax.get_position().x0))


@pytest.fixture
def figure():
    cases = []
    for name, pair in (("LAS", "first_pair"), ("oblique", "second_pair")):
        grid = GRIDS[name]
        case = named(make_case(grid, response="" if name == "oblique" else "PD"), pair)
        cases.append((case, [voxel_map(grid), cam(), voxel_map(grid, "ig", baseline="prior")]))
    return comparison_figure(cases)


def test_cases_are_rows_and_methods_columns(figure):
    maps, scans = drawn(figure), drawn(figure, "current")
    assert len(maps) == 6
    assert len(scans) == 2
    columns = [round(ax.get_position().x0 + ax.get_position().width / 2, 3) for ax in maps]
    assert columns[:3] == columns[3:] == sorted(columns[:3])
    assert scans[0].get_position().x0 < maps[0].get_position().x0
    said = texts(figure)
    for words in (
        "Saliency",
        "Grad-CAM, cells 32 mm",
        "Integrated gradients",
        "baseline: prior scan",
        "first_pair",
        "second_pair",
        "predicted PD (0.65), true PD  ·  target PD (predicted and true response)  ·  core 3.0 →",
        "predicted PD (0.65), unrated  ·  target PD (predicted)  ·  core ",
        "amounts are not compared",
    ):
        assert said.count(words) == 1, words


def test_a_case_has_one_slice_for_all_of_its_methods(figure):
    for row in (drawn(figure)[:3], drawn(figure)[3:]):
        labels = {text.get_text() for ax in row for text in ax.texts if "z =" in text.get_text()}
        assert len(labels) == 1
        (label,) = labels
        assert abs(float(label[4:-3].replace("−", "-")) - LESION[2]) < 6


def test_each_map_is_divided_by_its_own_percentile():
    grid = GRIDS["LAS"]
    case = make_case(grid)
    strong, weak = voxel_map(grid, scale=40.0), voxel_map(grid, scale=1e-4)
    figure = comparison_figure([(case, [strong]), (named(case, "other"), [weak])])
    first, second = (
        next(im for im in ax.images if im.get_label() == "colour") for ax in drawn(figure)
    )
    np.testing.assert_allclose(first.get_array(), second.get_array(), rtol=1e-4)
    assert first.get_clim() == (0, 1)


def test_a_method_that_a_case_lacks_leaves_a_gap():
    grid = GRIDS["RAS"]
    case = make_case(grid)
    figure = comparison_figure(
        [(case, [cam()]), (named(case, "other"), [voxel_map(grid), cam()])], width="middle"
    )
    (cams, saliency, below) = (ax.get_position().x0 for ax in drawn(figure)[:1] + drawn(figure)[1:])
    assert cams == pytest.approx(saliency, abs=1e-6)
    assert below > saliency


def test_volumes_of_a_case_are_given_up_before_the_next_is_made():
    grid = GRIDS["LAS"]
    alive = []

    def cases():
        for number in range(3):
            gc.collect()
            assert all(one() is None for one in alive)
            maps = [voxel_map(grid)]
            case = named(make_case(grid), f"pair {number}")
            alive.extend(weakref.ref(one) for one in (case, maps[0]))
            yield case, maps
            del case, maps

    figure = comparison_figure(cases())
    assert len(drawn(figure)) == 3


def test_options_reach_the_pictures():
    grid = GRIDS["LAS"]
    figure = comparison_figure(
        [(make_case(grid), [voxel_map(grid)])],
        rectification="none",
        threshold=0.4,
        percentile=90,
        plane="coronal",
        slice_by={"coronal": 12.0},
        background="FLAIR",
        title="Two <of> $three$",
        convention="neurological",
    )
    low, high = image(figure, "map 0 coronal").get_clim()
    assert (low, high) == (-1, 1)
    said = texts(figure)
    for words in ("Current scan, FLAIR", "90th percentile", "Two <of> $three$", "Neurological"):
        assert words in said
    cuts = [line.get_xdata()[0] for line in axes(figure, "colour bar 1").lines]
    assert cuts == pytest.approx([-0.4, 0.4])


def test_what_cannot_be_compared_is_refused():
    grid = GRIDS["RAS"]
    case = make_case(grid)
    with pytest.raises(ConfigError, match="no case"):
        comparison_figure([])
    with pytest.raises(ConfigError, match="maps of none"):
        comparison_figure([(case, [])])
    with pytest.raises(ConfigError, match="maps of target CR, target PD"):
        comparison_figure([(case, [cam(target_name="CR"), cam()])])
    with pytest.raises(ConfigError, match="two maps of Grad-CAM"):
        comparison_figure([(case, [cam(), cam()])])
    with pytest.raises(ConfigError, match="not on a mosaic"):
        comparison_figure([(case, [cam()])], slice_by="mosaic")
    with pytest.raises(UnknownNameError, match="axial"):
        comparison_figure([(case, [cam()])], plane="transverse")
