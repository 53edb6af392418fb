"""Colours of a panel: scales that maps share or do not, thresholds, greys of the scans."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from panel_cases import GRIDS, axes, cam, image, make_case, rendered, texts, voxel_map

from xrano.geometry import Grid
from xrano.viz.colour_scale import ColourScale, scale_value
from xrano.viz.panel import case_panel


@pytest.fixture(params=GRIDS)
def grid(request) -> Grid:
    return GRIDS[request.param]


class TestColours:
    def test_signed_scales_are_symmetric(self, grid):
        figure = case_panel(make_case(grid), [voxel_map(grid), cam()], rectification="none")
        for name in ("change", "map 0", "map 1"):
            low, high = image(figure, f"{name} axial").get_clim()
            assert -low == high > 0

    def test_one_method_keeps_its_values_and_shares_the_largest_scale(self):
        grid = GRIDS["LAS"]
        case = make_case(grid)
        maps = [voxel_map(grid, scale=k, target_name=t) for t, k in (("SD", 2e-4), ("PD", 5e-4))]
        figure = case_panel(case, maps)
        volume = np.abs(maps[1].data).sum(axis=0)
        top = np.percentile(volume[case.brain], 99.5)
        for name in ("map 0 axial", "map 1 axial"):
            assert image(figure, name).get_clim() == pytest.approx((0, top), rel=1e-6)
        drawn = np.unique(image(figure, "map 1 axial").get_array())
        assert np.isin(drawn, volume).all()
        label = axes(figure, "colour bar 2").get_title()
        assert label.startswith("Saliency, raw values")
        assert "99.5th percentile in the brain" in label

    def test_several_methods_are_each_divided_by_their_own_percentile(self):
        grid = GRIDS["RAS"]
        case = make_case(grid)
        maps = [voxel_map(grid, scale=7e-5), cam(40.0), voxel_map(grid, "ig", baseline="zero")]
        figure = case_panel(case, maps)
        assert all(image(figure, f"map {n} axial").get_clim() == (0, 1) for n in range(3))
        rectified = replace(maps[1], data=np.maximum(maps[1].data, 0))
        positive = np.where(case.brain, rectified.resample_to(grid).data[0], 0)
        expected = positive / np.percentile(positive[case.brain], 99.5)
        drawn = image(figure, "map 1 axial").get_array()
        assert np.isin(np.round(drawn, 4), np.round(expected, 4)).all()
        assert "relevance / 99.5th percentile in the brain" in texts(figure)

    def test_below_the_threshold_nothing_is_drawn_and_the_bar_says_so(self):
        scale = ColourScale(2.0, signed=False, threshold=0.25, label="", colours="inferno")
        alpha = scale.colormap(scale.norm(np.array([0.0, 0.49, 0.51, 1.0, 2.0, 9.0])))[:, 3]
        assert alpha[0] == alpha[1] == 0
        assert 0 < alpha[2] < alpha[3] < alpha[4] == alpha[5] < 1
        signed = replace(scale, signed=True)
        alpha = signed.colormap(signed.norm(np.array([-2.0, -0.49, 0.49, 2.0])))[:, 3]
        assert alpha[1] == alpha[2] == 0
        assert alpha[0] == alpha[3] == pytest.approx(0.75)
        figure = case_panel(make_case(GRIDS["RAS"]), [voxel_map(GRIDS["RAS"])], threshold=0.3)
        bar = axes(figure, "colour bar 2")
        top = image(figure, "map 0 axial").get_clim()[1]
        (cut,) = (line.get_xdata()[0] for line in bar.lines)
        assert cut == pytest.approx(0.3 * top)
        assert any(tick == pytest.approx(cut) for tick in bar.get_xticks())

    def test_scale_falls_back_where_almost_everything_is_zero(self):
        brain = np.zeros((10, 20, 30), dtype=bool)
        brain[2:8] = True
        volume = np.zeros(brain.shape)
        assert scale_value(volume, brain, 99.5) == 0
        volume[0, 0, 0] = 5
        assert scale_value(volume, brain, 99.5) == 5
        volume[3, 3, 3] = -2
        assert scale_value(volume, brain, 99.5) == 2

    def test_a_bright_mass_leaves_the_rest_its_greys(self):
        """White is what ends the brain outside the masks; without masks it is what ends it all."""
        grid = GRIDS["LAS"]
        case = make_case(grid)
        masked = case.prior_mask | case.current_mask
        both = np.concatenate(
            [scan["CT1"][case.brain & ~masked] for scan in (case.prior, case.current)]
        )
        low, high = np.percentile(both, [0.5, 99.8])
        grey = image(case_panel(case, [], background="CT1"), "current axial", "anatomy")
        assert grey.norm.vmax == pytest.approx(high - low, rel=1e-5)
        plain = image(
            case_panel(replace(case, prior_mask=None, current_mask=None), [], background="CT1"),
            "current axial",
            "anatomy",
        )
        assert plain.norm.vmax > 10 * grey.norm.vmax

    def test_an_empty_background_is_black_wherever_normalisation_put_it(self):
        grid = GRIDS["LAS"]
        case = make_case(grid)
        moved = {
            name: np.where(case.brain, volume - 100, 40).astype(np.float16)
            for name, volume in case.current.items()
        }
        figure = case_panel(replace(case, prior=moved, current=moved), [])
        scan = rendered(figure, "current axial")
        corner = scan[scan.shape[0] // 12, scan.shape[1] // 12]
        assert corner.tolist() == [0, 0, 0]

    def test_a_grid_that_ends_inside_the_picture_is_black_beyond(self):
        grid = GRIDS["oblique"]
        case = make_case(grid)
        shifted = {name: volume - 500 for name, volume in case.current.items()}
        case = replace(case, prior=shifted, current=shifted, brain=np.ones(grid.shape, dtype=bool))
        drawn = image(case_panel(case, []), "current axial", "anatomy")
        assert drawn.get_array()[0, 0] <= drawn.get_clim()[0] == 0
