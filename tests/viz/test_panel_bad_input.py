"""What a panel is given that it should not be: it draws what there is and says what is missing."""

from __future__ import annotations

import warnings
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from panel_cases import (
    BRAIN_CENTRE,
    CAM_GRID,
    CHANNELS,
    GRIDS,
    axes,
    cam,
    distance,
    image,
    make_case,
    rendered,
    texts,
    voxel_map,
)

from xrano.maps import AttributionMap
from xrano.viz.colour_scale import ColourScale, bar_ticks, draw_colour_bar
from xrano.viz.panel import case_panel
from xrano.viz.words import IN_PRINT, ON_SCREEN

IDS = (
    "Patient 7 $\\frac{1}{0}$ week_1$",
    "<script>alert('x')</script>_week-1_week-2",
    "Żółć-Ünïcode_№7_week-000",
    "患者-7_week\n-1\t",
    "a" * 260,
    "",
)


def holed(attribution: AttributionMap, where, value=np.nan) -> AttributionMap:
    """The map with a value that it would refuse, put there after it was made."""
    copy = AttributionMap(
        attribution.data.copy(), attribution.grid, attribution.channels, attribution.meta
    )
    copy.data[where] = value
    return copy


class TestNotFinite:
    @pytest.mark.parametrize("name", GRIDS)
    @pytest.mark.parametrize("value", [np.nan, np.inf])
    def test_voxels_are_drawn_as_nothing_and_said(self, name, value):
        grid = GRIDS[name]
        whole = voxel_map(grid)
        inside = distance(grid, BRAIN_CENTRE) < 62
        holes = inside & (np.indices(grid.shape)[1] < grid.shape[1] // 2)
        given = holed(whole, (1, holes), value)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            figure = case_panel(make_case(grid), [given], rectification="none", threshold=0.0)
            FigureCanvasAgg(figure).draw()
        drawn = np.asarray(image(figure, "map 0 axial").get_array())
        assert np.isfinite(drawn).all()
        assert drawn.any()
        (said,) = (
            text.get_text()
            for text in axes(figure, "map 0 axial").texts
            if "NaN" in text.get_text()
        )
        assert f"{int(holes.sum())} voxels hold NaN or" in said.replace("\n", " ")
        low, high = image(figure, "map 0 axial").get_clim()
        assert np.isfinite([low, high]).all()

    def test_what_is_left_is_scaled_as_without_the_holes(self):
        grid = GRIDS["LAS"]
        whole = voxel_map(grid)
        given = holed(whole, (slice(None), slice(None), slice(None), 0))
        first, second = (
            image(case_panel(make_case(grid), [one]), "map 0 axial") for one in (whole, given)
        )
        assert first.get_clim() == pytest.approx(second.get_clim(), rel=0.02)

    def test_a_cell_of_a_coarse_map(self):
        figure = case_panel(make_case(GRIDS["RAS"]), [holed(cam(), (0, 3, 3, 2))])
        assert "1 cells hold NaN or infinity" in texts(figure).replace("\n", " ")
        assert np.isfinite(np.asarray(image(figure, "map 0 axial").get_array())).all()

    def test_a_map_of_nothing_else(self):
        grid = GRIDS["RAS"]
        figure = case_panel(make_case(grid), [holed(voxel_map(grid), slice(None))])
        FigureCanvasAgg(figure).draw()
        assert "hold NaN or infinity" in texts(figure).replace("\n", " ")
        assert "all-zero" not in texts(figure)

    @pytest.mark.parametrize("name", ["RAS", "oblique"])
    def test_scans_with_nan_are_black_there_and_unchanged(self, name):
        grid = GRIDS[name]
        case = make_case(grid)
        plain = case_panel(case, [])
        current = case.current["CT1"].copy()
        current[~case.brain] = np.nan
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            figure = case_panel(replace(case, current={"CT1": current}), [])
            found = rendered(figure, "current axial")
        assert found[found.shape[0] // 12, found.shape[1] // 12].tolist() == [0, 0, 0]
        for picture in ("current", "change"):
            expected = rendered(plain, f"{picture} axial")
            assert np.abs(expected - rendered(figure, f"{picture} axial")).mean() < 2
        nothing = {"CT1": np.full(grid.shape, np.nan, np.float32)}
        FigureCanvasAgg(case_panel(replace(case, prior=nothing, current=nothing), [])).draw()


class TestNothing:
    def test_all_zero_maps_of_every_class(self):
        grid = GRIDS["LAS"]
        maps = [
            AttributionMap(
                np.zeros((4, *grid.shape), np.float32),
                grid,
                CHANNELS,
                {"method": "saliency", "target_name": target},
            )
            for target in ("CR", "PD")
        ]
        figure = case_panel(make_case(grid), maps)
        FigureCanvasAgg(figure).draw()
        assert texts(figure).count("all-zero map") == 2
        assert axes(figure, "colour bar 2").get_xticklabels()[0].get_text() == "0"

    def test_no_brain_mask(self):
        grid = GRIDS["LAS"]
        case = make_case(grid, brain=np.zeros(grid.shape, dtype=bool))
        figure = case_panel(case, [voxel_map(grid), cam()])
        FigureCanvasAgg(figure).draw()
        assert image(figure, "current axial", "anatomy").get_array().max() > 0

    def test_constant_scans(self):
        grid = GRIDS["RAS"]
        flat = {"CT1": np.full(grid.shape, 7, np.float16)}
        figure = case_panel(make_case(grid, prior=flat, current=flat), [cam()])
        FigureCanvasAgg(figure).draw()
        assert "no change" in texts(figure)


class TestNames:
    @pytest.mark.parametrize(
        ("name", "width"), [*((name, None) for name in IDS), (IDS[0], "single"), (IDS[4], "single")]
    )
    def test_ids_are_shown_as_they_are_written(self, name, width):
        grid = GRIDS["LAS"]
        case = make_case(grid, pair_id=name, prior_session=name, region=name[:40], prior_mask=None)
        maps = [voxel_map(grid, name[:30] or "?", target_name=t) for t in ("CR", name[:30])]
        with warnings.catch_warnings():
            # A letter that the font lacks would be warned of.
            warnings.simplefilter("error")
            figure = case_panel(case, maps, width=width)
            FigureCanvasAgg(figure).draw()
        assert not any(text.get_parse_math() for text in figure.texts)
        shown = "".join(text.get_text() for text in figure.texts).replace(" ", "")
        expected = name.replace("患者", "\\u60a3\\u8005").replace("\n", "\\n").replace("\t", "\\t")
        assert expected.replace(" ", "") in shown
        for text in figure.texts:
            box = text.get_window_extent()
            assert box.x0 >= -1
            assert box.x1 <= figure.bbox.width + 1

    def test_a_dollar_is_a_dollar_in_the_colour_bar_and_the_legend_too(self):
        grid = GRIDS["LAS"]
        case = make_case(grid, region="$a$", prior_mask=None)
        figure = case_panel(case, [voxel_map(grid, "$m$")])
        said = texts(figure)
        assert "$m$, raw values" in said
        assert "$a$, current scan" in said
        found = [axes(figure, "colour bar 2").title, *axes(figure, "legend").get_legend().texts]
        assert len(found) == 3
        assert not any(text.get_parse_math() for text in found)


class TestTicks:
    @pytest.mark.parametrize("signed", [True, False])
    @pytest.mark.parametrize("threshold", [0.01, 0.05, 0.5, 0.97])
    @pytest.mark.parametrize("inches", [1.3, 2.9])
    def test_numbers_of_the_bar_do_not_lie_on_each_other(self, threshold, signed, inches):
        figure = Figure(figsize=(2 * inches, 1.0))
        bar = figure.add_axes((0.25, 0.4, 0.5, 0.15))
        scale = ColourScale(1.0, signed, threshold, "relevance", "inferno")
        draw_colour_bar(bar, scale, ON_SCREEN if inches > 2 else IN_PRINT)
        FigureCanvasAgg(figure).draw()
        labels = [label for label in bar.get_xticklabels() if label.get_text()]
        boxes = sorted((label.get_window_extent() for label in labels), key=lambda box: box.x0)
        assert all(a.x1 < b.x0 for a, b in pairwise(boxes))
        said = [label.get_text() for label in labels]
        assert "≥ 1" in said
        # Only at the very end is there no room for the threshold's own number; its line stays.
        assert (f"{threshold:g}" in said) == (threshold < 0.9)
        assert len(bar.lines) == (2 if signed else 1)

    def test_large_and_small_numbers(self):
        def names(top):
            return bar_ticks(ColourScale(top, True, 0.0, "", "berlin"))[1]

        assert names(213.0) == ["≥ 210", "≤ −210", "0"]
        assert names(3.2e-6) == ["≥ 3.2e−06", "≤ −3.2e−06", "0"]
        assert names(0.012) == ["≥ 0.012", "≤ −0.012", "0"]


def test_a_coarse_map_on_its_own_grid_with_another_brain_is_drawn_inside_it():
    grid = GRIDS["LAS"]
    everywhere = AttributionMap(
        np.ones((1, *CAM_GRID.shape), np.float32), CAM_GRID, ("all",), cam().meta
    )
    figure = case_panel(make_case(grid), [everywhere])
    drawn = np.asarray(image(figure, "map 0 axial").get_array())
    anatomy = np.asarray(image(figure, "map 0 axial", "anatomy").get_array())
    assert ((drawn > 0) == (anatomy > 0)).mean() > 0.97
