"""Methods in rows, classes and timepoints in columns; mosaics."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from panel_cases import CAM_GRID, GRIDS, LESION, axes, cam, image, make_case, texts, voxel_map

from xrano.errors import ConfigError
from xrano.maps import AttributionMap
from xrano.viz.panel import case_panel
from xrano.viz.slice_choice import slices_of_mosaic
from xrano.viz.slices import Plane

CLASSES = ("CR", "PR", "SD", "PD")


def of_classes(grid, classes=CLASSES):
    """Saliency, integrated gradients and Grad-CAM of each class, stronger from class to class."""
    strengths = range(1, len(classes) + 1)
    return [
        *(
            voxel_map(grid, scale=1e-3 * n, target_name=t)
            for n, t in zip(strengths, classes, strict=True)
        ),
        *(voxel_map(grid, "ig", baseline="prior", target_name=t) for t in classes),
        *(cam(3.0 * n, target_name=t) for n, t in zip(strengths, classes, strict=True)),
    ]


def place(figure, name):
    box = axes(figure, name).get_position()
    return round(box.x0, 6), round(box.y0, 6)


class TestGrid:
    def test_methods_are_rows_and_classes_columns_below_the_scans(self):
        grid = GRIDS["LAS"]
        figure = case_panel(make_case(grid), of_classes(grid))
        rows = [[place(figure, f"map {4 * row + n} axial") for n in range(4)] for row in range(3)]
        for row in rows:
            assert len({y for _, y in row}) == 1
            assert [x for x, _ in row] == sorted(x for x, _ in row)
        for column in zip(*rows, strict=True):
            assert len({x for x, _ in column}) == 1
            assert [y for _, y in column] == sorted((y for _, y in column), reverse=True)
        scans = [place(figure, f"{name} axial") for name in ("prior", "current", "change")]
        assert [x for x, _ in scans] == [x for x, _ in rows[0][:3]]
        assert scans[0][1] > rows[0][0][1]

    def test_columns_say_the_class_and_rows_the_method_once(self):
        grid = GRIDS["LAS"]
        said = texts(case_panel(make_case(grid), of_classes(grid))).split("\n")
        for expected in (
            "target CR",
            "p = 0.25, true response",
            "p = 0.65, predicted",
            "Saliency",
            "Integrated gradients",
            "baseline: prior scan",
            "Grad-CAM, cells 32 mm",
        ):
            assert said.count(expected) == 1, expected

    def test_classes_stand_in_their_own_order_and_a_missing_map_leaves_a_gap(self):
        grid = GRIDS["RAS"]
        maps = [cam(target_name="PD"), cam(target_name="PR"), voxel_map(grid, target_name="PD")]
        figure = case_panel(make_case(grid), maps)
        (pd, cams), (pr, _), (saliency, below) = (place(figure, f"map {n} axial") for n in range(3))
        assert pr < pd == saliency
        assert below < cams

    def test_maps_of_one_method_need_not_follow_each_other(self):
        grid = GRIDS["RAS"]
        maps = [
            one(target_name=t)
            for t in ("CR", "PD")
            for one in (cam, lambda **m: voxel_map(grid, **m))
        ]
        figure = case_panel(make_case(grid), maps)
        assert place(figure, "map 0 axial")[1] == place(figure, "map 2 axial")[1]
        assert place(figure, "map 1 axial")[1] == place(figure, "map 3 axial")[1]

    def test_one_scale_for_the_classes_of_a_method(self):
        grid = GRIDS["LAS"]
        case = make_case(grid)
        maps = of_classes(grid)
        figure = case_panel(case, maps)
        strongest = np.percentile(np.abs(maps[3].data).sum(axis=0)[case.brain], 99.5)
        for number in range(4):
            drawn = image(figure, f"map {number} axial").get_array()
            own = np.unique(np.abs(maps[number].data).sum(axis=0) / strongest)
            assert np.isin(np.round(drawn, 4), np.round(own, 4)).all()
            assert image(figure, f"map {number} axial").get_clim() == (0, 1)
        assert f"scale: 1 = {strongest:.2g}" in texts(figure)
        # The weakest class is a quarter as strong, and looks so.
        weak, strong = (image(figure, f"map {n} axial").get_array().max() for n in (0, 3))
        assert weak == pytest.approx(strong / 4, rel=0.01)

    def test_a_class_far_weaker_than_another_is_said_to_lie_below_the_threshold(self):
        maps = [cam(0.01, target_name="CR"), cam(target_name="PD")]
        figure = case_panel(make_case(GRIDS["RAS"]), maps)
        notes = [text.get_text() for text in axes(figure, "map 0 axial").texts]
        assert "below the threshold" in notes
        assert "below the threshold" not in [
            text.get_text() for text in axes(figure, "map 1 axial").texts
        ]

    def test_timepoints_are_columns_and_what_has_none_stands_apart(self):
        grid = GRIDS["RAS"]
        figure = case_panel(make_case(grid), [voxel_map(grid), cam()], timepoints="apart")
        (prior, one), (current, same), (both, below) = (
            place(figure, f"map {n} axial") for n in range(3)
        )
        assert prior < current < both
        assert one == same > below
        clims = {image(figure, f"map {n} axial").get_clim() for n in range(3)}
        assert clims == {(0.0, 1.0)}
        assert "both scans at once" in texts(figure)

    def test_planes_follow_each_other_below_every_method(self):
        grid = GRIDS["LAS"]
        planes = ("axial", "coronal", "sagittal")
        maps = of_classes(grid, ("SD", "PD"))
        figure = case_panel(make_case(grid), maps, planes=planes)
        heights = [place(figure, f"map {n} {plane}")[1] for n in (0, 2, 4) for plane in planes]
        assert heights == sorted(heights, reverse=True)
        assert len(set(heights)) == 9

    def test_one_class_and_one_map(self):
        grid = GRIDS["RAS"]
        case = make_case(grid, probabilities={"PD": 1.0}, prior_mask=None, current_mask=None)
        assert "predicted PD  (PD 1.00)" in texts(case_panel(case, [voxel_map(grid)]))


class TestMosaic:
    def positions(self, figure, cell, axis="z"):
        found = [ax for ax in figure.axes if str(ax.get_label()).startswith(f"{cell} ")]
        found.sort(key=lambda ax: ax.get_position().x0)
        labels = [
            next(t for t in ax.texts if t.get_text().startswith(f"{axis} = ")) for ax in found
        ]
        return [float(label.get_text()[4:-3].replace("−", "-")) for label in labels]

    @pytest.mark.parametrize("name", GRIDS)
    def test_slices_are_even_and_within_the_tumour(self, name):
        grid = GRIDS[name]
        maps = [voxel_map(grid), cam()]
        figure = case_panel(make_case(grid), maps, slice_by="mosaic", slices=4)
        for cell in ("prior", "current", "change", "map 0", "map 1"):
            found = self.positions(figure, cell)
            assert 2 <= len(found) <= 4
            steps = np.diff(found)
            # An oblique grid is drawn at its smallest spacing, 4 mm, so a step may be one off.
            assert (steps > 0).all()
            assert np.ptp(steps) <= (4.2 if name == "oblique" else 0.11)
            assert LESION[2] - 18 < found[0] < LESION[2] < found[-1] < LESION[2] + 18
        assert "through the tumour" in texts(figure)

    def test_one_scale_bar_a_row_and_a_note_said_once(self):
        grid = GRIDS["LAS"]
        nothing = voxel_map(grid, scale=0.0)
        figure = case_panel(
            make_case(grid), [nothing], slice_by="mosaic", slices=4, planes=("axial",)
        )
        for cell in ("prior", "current", "change", "map 0"):
            row = sorted(
                (ax for ax in figure.axes if ax.get_label().startswith(f"{cell} axial")),
                key=lambda ax: ax.get_position().x0,
            )
            bars = [[line.get_label() for line in ax.lines].count("scale bar") for ax in row]
            assert bars == [1, *[0] * (len(row) - 1)]
            noted = ["zero" in "\n".join(text.get_text() for text in ax.texts) for ax in row]
            assert noted == [cell == "map 0", *[False] * (len(row) - 1)]

    def test_without_masks_through_the_brain(self):
        grid = GRIDS["LAS"]
        case = make_case(grid, prior_mask=None, current_mask=None)
        figure = case_panel(case, [], slice_by="mosaic", slices=5, planes=("sagittal",))
        found = self.positions(figure, "prior", "x")
        assert len(found) == 5
        assert found[0] < -40
        assert found[-1] > 40
        assert len(set(np.round(np.diff(found), 3))) == 1
        assert "through the brain, no tumour mask" in texts(figure)

    def test_half_a_step_stays_free_at_both_ends(self):
        grid = GRIDS["RAS"]
        mask = np.zeros(grid.shape, dtype=bool)
        mask[5:9, 5:9, 4:16] = True
        choices = slices_of_mosaic([mask, None], grid, Plane.AXIAL, brain=mask, count=3)
        found = [float(grid.voxel([0, 0, choice.mm])[2]) for choice in choices]
        assert found == pytest.approx([5, 9, 13])
        assert choices[0].reason == "every 24 mm through the tumour"

    @pytest.mark.parametrize("count", [1, 2, 3, 5, 24])
    def test_no_more_slices_than_there_are(self, count):
        grid = GRIDS["RAS"]
        mask = np.zeros(grid.shape, dtype=bool)
        mask[4, 4, 6:9] = True
        choices = slices_of_mosaic([mask], grid, Plane.AXIAL, brain=mask, count=count)
        assert len(choices) == min(count, 3)
        found = [round(float(grid.voxel([0, 0, choice.mm])[2])) for choice in choices]
        assert set(found) <= {6, 7, 8}

    def test_neither_tumour_nor_brain(self):
        grid = GRIDS["RAS"]
        empty = np.zeros(grid.shape, dtype=bool)
        choices = slices_of_mosaic([empty, None], grid, Plane.CORONAL, brain=empty, count=3)
        assert [choice.reason for choice in choices] == [
            "every 60 mm through the volume, no brain mask"
        ] * 3

    @pytest.mark.parametrize(
        ("setting", "words"),
        [
            ({"planes": ("axial", "coronal")}, "one plane, got axial, coronal"),
            ({"slices": 0}, "1 to 24 slices, got 0"),
            ({"slices": 25}, "1 to 24"),
        ],
    )
    def test_what_no_mosaic_can_have(self, setting, words):
        grid = GRIDS["RAS"]
        with pytest.raises(ConfigError, match=words):
            case_panel(make_case(grid), [cam()], slice_by="mosaic", **setting)


def test_the_drawn_picture_has_the_patients_size_for_flat_oblique_voxels():
    """0.4 × 0.4 × 6 mm: a ball of 30 mm is as high as it is wide, in pixels, in each plane."""
    linear = np.diag([-0.4, 0.4, 6.0])
    affine = np.eye(4)
    affine[:3, :3] = linear
    affine[:3, 3] = -linear @ [74.5, 79.5, 5]
    grid = type(CAM_GRID)((150, 160, 11), affine)
    world = grid.world(np.stack(np.indices(grid.shape), axis=-1))
    ball = np.linalg.norm(world, axis=-1) < 15
    scans = {"CT1": np.where(ball, 3, 1).astype(np.float32)}
    case = make_case(GRIDS["RAS"])
    case = type(case)(
        **{
            **vars(case),
            "grid": grid,
            "prior": scans,
            "current": scans,
            "brain": np.ones(grid.shape, dtype=bool),
            "prior_mask": None,
            "current_mask": ball,
        }
    )
    planes = ("axial", "coronal", "sagittal")
    figure = case_panel(case, [], planes=planes)
    FigureCanvasAgg(figure).draw()
    for plane in planes:
        ax = axes(figure, f"current {plane}")
        (outline,) = ax.collections
        points = np.concatenate([path.vertices for path in outline.get_paths()])
        width, height = np.ptp(ax.transData.transform(points), axis=0)
        # The outline runs between slices that are 6 mm apart.
        assert 0.75 < width / height < 1.3
        box, (left, right) = ax.get_window_extent(), ax.get_xlim()
        assert width / box.width * abs(right - left) == pytest.approx(30, abs=1)
        assert box.width / box.height == pytest.approx(
            abs(right - left) / abs(np.subtract(*ax.get_ylim())), rel=0.01
        )


def test_a_map_of_no_target():
    grid = GRIDS["RAS"]
    given = voxel_map(grid)
    bare = AttributionMap(given.data, grid, given.channels, {"method": "change"})
    assert "no target class" in texts(case_panel(make_case(grid), [bare]))
