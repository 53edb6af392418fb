"""What a panel says in words: of the case, of every picture, and of what is undefined."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from panel_cases import CAM_GRID, CHANNELS, GRIDS, axes, cam, image, make_case, texts, voxel_map

from xrano.maps import AttributionMap
from xrano.viz.panel import DISCLAIMER, case_panel


class TestWords:
    def test_titles_answers_and_footer(self):
        grid = GRIDS["LAS"]
        maps = [
            voxel_map(grid),
            cam(target_name="SD"),
            voxel_map(grid, "ig", baseline="prior", target_name="CR", weights="untrained"),
        ]
        said = texts(case_panel(make_case(grid), maps))
        for expected in (
            "P-1_week-000_week-012",
            "predicted PD  (CR 0.03   PR 0.07   SD 0.25   PD 0.65)   ·   true response SD",
            "target PD (predicted)",
            "Grad-CAM, cells 32 mm",
            "target SD (true response)",
            "Integrated gradients",
            "baseline: prior scan",
            "untrained weights",
            "target CR",
            "week-000",
            "week-012",
            "the patient's left is on the right. Slice: largest tumour area.",
            DISCLAIMER,
        ):
            assert expected in said
        voxels = int(make_case(grid).current_mask.sum())
        assert f"core, current scan: {voxels * 0.12:.1f} ml" in said

    def test_an_unrated_pair(self):
        said = texts(case_panel(make_case(GRIDS["RAS"], response=""), []))
        assert "unrated" in said
        assert "true response" not in said

    def test_every_picture_has_letters_position_and_scale_bar(self):
        grid = GRIDS["LAS"]
        planes = ("axial", "coronal", "sagittal")
        figure = case_panel(make_case(grid), [voxel_map(grid), cam()], planes=planes)
        for name in ("prior", "current", "change", "map 0", "map 1"):
            for plane, letters, axis in zip(planes, ("ALPR", "ILRS", "AIPS"), "zyx", strict=True):
                ax = axes(figure, f"{name} {plane}")
                said = [text.get_text() for text in ax.texts]
                assert sorted(t for t in said if len(t) == 1) == sorted(letters)
                assert any(t.startswith(f"{axis} = ") and t.endswith(" mm") for t in said)
                (bar,) = (line for line in ax.lines if line.get_label() == "scale bar")
                (length,) = (float(t[:-3]) for t in said if t[:-3].isdigit())
                width = abs(np.subtract(*ax.get_xlim()))
                assert np.ptp(bar.get_xdata()) * width == pytest.approx(length)

    def test_timepoints_apart(self):
        grid = GRIDS["RAS"]
        data = np.zeros((4, *grid.shape), np.float32)
        data[2:] = voxel_map(grid).data[2:]
        meta = {**voxel_map(grid, "ig", baseline="prior").meta}
        change = AttributionMap(data, grid, CHANNELS, meta)
        figure = case_panel(make_case(grid), [change, cam()], timepoints="apart")
        said = texts(figure)
        assert "channels of the prior scan" in said
        assert "zero by construction" in said
        assert (image(figure, "map 0 axial").get_array() == 0).all()
        assert image(figure, "map 1 axial").get_array().max() > 0
        prior, current = (
            image(figure, f"{t} axial", "anatomy").get_array() for t in ("prior", "current")
        )
        assert np.array_equal(image(figure, "map 0 axial", "anatomy").get_array(), prior)
        assert np.array_equal(image(figure, "map 1 axial", "anatomy").get_array(), current)
        assert axes(figure, "map 2 axial") is not None


class TestUndefined:
    def test_missing_and_empty_masks_are_told_apart(self):
        grid = GRIDS["RAS"]
        empty = np.zeros(grid.shape, dtype=bool)
        figure = case_panel(make_case(grid, prior_mask=None, current_mask=empty), [voxel_map(grid)])
        said = texts(figure)
        assert "core, prior scan: not segmented" in said
        assert "core, current scan: none" in said
        assert "no tumour mask: centre of the brain" in said
        assert not any(
            str(one.get_label()).startswith("contour")
            for ax in figure.axes
            for one in ax.collections
        )

    def test_an_all_zero_map_is_drawn_and_says_so(self):
        grid = GRIDS["LAS"]
        zero = AttributionMap(
            np.zeros((4, *grid.shape), np.float32), grid, CHANNELS, voxel_map(grid).meta
        )
        figure = case_panel(make_case(grid), [zero, cam()])
        assert "all-zero map" in texts(figure)
        assert (image(figure, "map 0 axial").get_array() == 0).all()
        alone = case_panel(make_case(grid), [zero], rectification="none")
        FigureCanvasAgg(alone).draw()

    def test_a_cam_without_positive_relevance_says_so(self):
        negative = AttributionMap(
            -np.ones((1, *CAM_GRID.shape), np.float32), CAM_GRID, ("all",), cam().meta
        )
        figure = case_panel(make_case(GRIDS["RAS"]), [negative])
        assert "no positive relevance anywhere" in texts(figure)

    def test_maps_that_are_almost_or_wholly_outside_the_brain_say_so(self):
        grid = GRIDS["RAS"]
        case = make_case(grid)
        data = np.zeros((4, *grid.shape), np.float32)
        data[:, 0, 0, 0] = 1
        outside = AttributionMap(data.copy(), grid, CHANNELS, voxel_map(grid).meta)
        data[:, 20, 19, 11] = 1
        sparse = AttributionMap(data, grid, CHANNELS, voxel_map(grid, "ig").meta)
        said = texts(case_panel(case, [outside, sparse]))
        assert "no relevance in the brain" in said
        assert "zero in 99.5 % of the brain" in said

    def test_the_same_scan_twice_has_no_change(self):
        case = make_case(GRIDS["RAS"])
        figure = case_panel(replace(case, prior=case.current), [], slice_by="change")
        assert "no change: centre of the brain" in texts(figure)
        (tick,) = axes(figure, "colour bar 1").get_xticklabels()
        assert tick.get_text() == "0"
