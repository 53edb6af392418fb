from __future__ import annotations

from dataclasses import replace

import matplotlib
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from panel_cases import (
    BRAIN_CENTRE,
    CAM_GRID,
    CHANNELS,
    GRIDS,
    LESION,
    axes,
    cam,
    centred,
    distance,
    image,
    make_case,
    rendered,
    side_of,
    texts,
    voxel_map,
)

from xrano.errors import ConfigError, GridMismatchError, UnknownNameError
from xrano.geometry import Grid
from xrano.maps import AttributionMap
from xrano.viz.colour_scale import ColourScale, scale_value
from xrano.viz.figure_files import save_figure
from xrano.viz.panel import DISCLAIMER, case_panel


@pytest.fixture(params=GRIDS)
def grid(request) -> Grid:
    return GRIDS[request.param]


class TestSides:
    @pytest.mark.parametrize(
        ("convention", "on_the_right"), [("radiological", True), ("neurological", False)]
    )
    def test_a_left_lesion_in_every_picture(self, grid, convention, on_the_right):
        case = make_case(grid, prior_mask=None, current_mask=None)
        figure = case_panel(
            case,
            [voxel_map(grid), cam()],
            convention=convention,
            slice_by={"axial": LESION[2]},
        )
        scan = rendered(figure, "current axial")
        middle = scan.shape[0] // 2
        white = (scan > 200).all(axis=2)
        # The lesion is the only white thing away from the letters and the scale bar.
        white[: middle // 4] = white[-middle // 3 :] = False
        white[:, : scan.shape[1] // 12] = white[:, -scan.shape[1] // 12 :] = False
        change, saliency, gradcam = (
            np.ptp(rendered(figure, f"{name} axial"), axis=2) > 60
            for name in ("change", "map 0", "map 1")
        )
        for coloured in (white, change, saliency, gradcam):
            side = side_of(coloured)
            assert side > 0.6 if on_the_right else side < 0.4
        letters = [
            text for text in axes(figure, "map 1 axial").texts if text.get_text() in ("L", "R")
        ]
        (left_letter,) = (text for text in letters if text.get_text() == "L")
        assert (left_letter.get_position()[0] > 0.5) == on_the_right

    def test_contours_surround_the_lesion(self, grid):
        figure = case_panel(make_case(grid), [voxel_map(grid)])
        for name, label in (("prior", "prior"), ("current", "current"), ("map 0", "prior")):
            collections = axes(figure, f"{name} axial").collections
            (outline,) = (one for one in collections if one.get_label() == f"contour {label}")
            points = np.concatenate([path.vertices for path in outline.get_paths()])
            assert points.mean(axis=0) == pytest.approx(LESION[:2], abs=4)
            radius = np.linalg.norm(points - LESION[:2], axis=1)
            assert 3 < radius.min() <= radius.max() < 22

    def test_a_cam_lies_where_its_cells_lie_not_where_its_array_would_stretch(self, grid):
        # One bright cell; stretching the array over the scan's field would move it by centimetres.
        data = np.zeros((1, *CAM_GRID.shape), dtype=np.float32)
        data[0, 3, 4, 2] = 1
        cell = CAM_GRID.world((3, 4, 2))
        one = AttributionMap(data, CAM_GRID, ("all",), cam().meta)
        figure = case_panel(make_case(grid), [one], slice_by={"axial": cell[2]})
        drawn = image(figure, "map 0 axial")
        left, right, bottom, top = drawn.get_extent()
        row, column = np.unravel_index(np.argmax(drawn.get_array()), drawn.get_array().shape)
        rows, columns = drawn.get_array().shape
        assert left + (column + 0.5) * (right - left) / columns == pytest.approx(cell[0], abs=4)
        assert top + (row + 0.5) * (bottom - top) / rows == pytest.approx(cell[1], abs=4)


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


class TestShape:
    def test_anisotropic_voxels_keep_the_patients_proportions(self):
        grid = centred((150, 160, 11), np.diag([-0.4, 0.4, 6.0]))
        case = make_case(grid)
        case = replace(case, brain=distance(grid, BRAIN_CENTRE) < 20)
        figure = case_panel(case, [cam()], planes=("axial", "coronal", "sagittal"))
        FigureCanvasAgg(figure).draw()
        for plane in ("axial", "coronal", "sagittal"):
            ax = axes(figure, f"current {plane}")
            box = ax.get_window_extent()
            width, height = (abs(np.subtract(*limits)) for limits in (ax.get_xlim(), ax.get_ylim()))
            assert box.width / box.height == pytest.approx(width / height, rel=0.01)
            # A ball of 40 mm and margins, not 150 voxels by 10.
            assert 0.8 < box.width / box.height < 1.2

    def test_nothing_overlaps(self):
        grid = GRIDS["LAS"]
        for maps, planes in (
            ([voxel_map(grid), cam(), voxel_map(grid, "ig", baseline="zero")], ("axial",)),
            ([cam(target_name=t) for t in ("CR", "PR", "SD", "PD")] * 2, ("coronal",)),
            ([cam(), voxel_map(grid)], ("sagittal", "axial")),
        ):
            figure = case_panel(make_case(grid), maps, planes=planes)
            FigureCanvasAgg(figure).draw()
            boxes = [ax.get_tightbbox().padded(-1) for ax in figure.axes]
            boxes += [text.get_window_extent() for text in figure.texts]
            for number, box in enumerate(boxes):
                assert box.x0 >= 0
                assert box.x1 <= figure.bbox.width
                assert box.y0 >= 0
                assert box.y1 <= figure.bbox.height
                assert not any(box.overlaps(other) for other in boxes[:number])

    def test_slices_are_chosen_as_asked(self):
        grid = GRIDS["RAS"]
        far = voxel_map(grid)
        data = far.data.copy()
        at = tuple(np.rint(grid.voxel([20, -30, -14])).astype(int))
        data[(0, *at)] = 50
        spike = AttributionMap(data, grid, CHANNELS, far.meta)
        seen = {}
        for by in ("tumour", "peak", "change", "centre", {"axial": 40.0}):
            figure = case_panel(make_case(grid), [spike], slice_by=by)
            (label,) = (
                text.get_text()
                for text in axes(figure, "prior axial").texts
                if text.get_text().startswith("z = ")
            )
            seen[str(by)] = float(label[4:-3].replace("−", "-"))
        assert abs(seen["tumour"] - LESION[2]) <= 6
        case = make_case(grid)
        changed = np.abs(case.current["CT1"] - case.prior["CT1"]).sum(axis=(0, 1))
        assert seen["change"] == pytest.approx(grid.world((0, 0, changed.argmax()))[2])
        assert seen["peak"] == pytest.approx(grid.world(at)[2])
        assert abs(seen["centre"] - BRAIN_CENTRE[2]) <= 3
        assert abs(seen["{'axial': 40.0}"] - 40) <= 3

    def test_the_background_falls_back_to_a_sequence_of_both_scans(self):
        case = make_case(GRIDS["RAS"])
        case = replace(case, prior={"T1": case.prior["CT1"], "FLAIR": case.prior["FLAIR"]})
        assert "Prior scan, FLAIR" in texts(case_panel(case, []))
        with pytest.raises(ConfigError, match=r"no sequence at both.*prior \['T1'\]"):
            case_panel(replace(case, prior={"T1": case.prior["T1"]}), [])


class TestErrors:
    def test_shapes_and_types_are_checked(self):
        case = make_case(GRIDS["RAS"])
        with pytest.raises(GridMismatchError, match=r"core mask of the prior scan .*\(2, 3, 4\)"):
            replace(case, prior_mask=np.zeros((2, 3, 4), dtype=bool))
        with pytest.raises(GridMismatchError, match="current T2 of P-1"):
            replace(case, current={"T2": np.zeros((2, 3, 4))})
        with pytest.raises(ConfigError, match="must be boolean, got int64"):
            replace(case, current_mask=np.zeros(case.grid.shape, dtype=np.int64))

    @pytest.mark.parametrize(
        ("setting", "names"),
        [
            ({"planes": ["oblique"]}, "axial"),
            ({"convention": "left"}, "radiological"),
            ({"slice_by": "best"}, "tumour"),
            ({"rectification": "relu"}, "positive"),
            ({"reduction": "median"}, "sum"),
            ({"timepoints": "both"}, "apart"),
        ],
    )
    def test_unknown_names_list_the_choices(self, setting, names):
        with pytest.raises(UnknownNameError, match=names):
            case_panel(make_case(GRIDS["RAS"]), [cam()], **setting)

    @pytest.mark.parametrize(
        "setting",
        [
            {"percentile": 0},
            {"percentile": 101},
            {"threshold": 1},
            {"threshold": -0.1},
            {"planes": []},
            {"slice_by": {"coronal": 3.0}},
        ],
    )
    def test_settings_out_of_range(self, setting):
        with pytest.raises(ConfigError):
            case_panel(make_case(GRIDS["RAS"]), [cam()], **setting)

    def test_the_peak_of_no_map(self):
        with pytest.raises(ConfigError, match="needs a map"):
            case_panel(make_case(GRIDS["RAS"]), [], slice_by="peak")


class TestFiles:
    @pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
    def test_the_same_figure_gives_the_same_bytes(self, tmp_path, suffix, monkeypatch):
        grid = GRIDS["RAS"]
        first, second = tmp_path / f"deep/er/one{suffix}", tmp_path / f"two{suffix}"
        save_figure(case_panel(make_case(grid), [voxel_map(grid)]), first, dpi=50)
        monkeypatch.setenv("SOURCE_DATE_EPOCH", "86400")
        with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "red"}):
            save_figure(case_panel(make_case(grid), [voxel_map(grid)]), second, dpi=50)
        assert first.read_bytes() == second.read_bytes()
        assert [path.name for path in first.parent.iterdir()] == [first.name]

    def test_an_unknown_suffix_is_refused(self, tmp_path):
        with pytest.raises(UnknownNameError, match=r"\.pdf, \.png, \.svg"):
            save_figure(case_panel(make_case(GRIDS["RAS"]), []), tmp_path / "panel.bmp")
        assert not list(tmp_path.iterdir())

    def test_inputs_are_left_as_they_were(self):
        grid = GRIDS["LAS"]
        case, attribution = make_case(grid), voxel_map(grid)
        before = case.current["CT1"].copy(), attribution.data.copy(), case.brain.copy()
        case_panel(case, [attribution, cam()])
        after = case.current["CT1"], attribution.data, case.brain
        assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))
