"""Where things lie in a panel: left is left, proportions are kept, slices are those asked for."""

from __future__ import annotations

from dataclasses import replace

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

from xrano.errors import ConfigError
from xrano.geometry import Grid
from xrano.maps import AttributionMap
from xrano.viz.panel import case_panel


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
