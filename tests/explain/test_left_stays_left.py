"""Left is left to the end: in the map, on other grids, in the file and in the picture."""

from __future__ import annotations

import numpy as np
import pytest
from lesion_pair import GRIDS, LAS, LESION, Detector, centre_of_mass, make_pair
from matplotlib.backends.backend_agg import FigureCanvasAgg

from xrano.experiments.panels import explanation_panel
from xrano.explain import Explainer
from xrano.map_files import load_map, save_map


def drawn_centre(figure, name):
    """Where the colour of one picture lies: world x by its extent, and the pixels' share."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    (ax,) = (one for one in figure.axes if one.get_label() == name)
    (image,) = (one for one in ax.images if one.get_label() == "colour")
    values = np.asarray(image.get_array())
    left, right, _, _ = image.get_extent()
    columns = values.shape[1]
    x = left + (np.arange(columns) + 0.5) * (right - left) / columns
    pixels = np.asarray(canvas.buffer_rgba())[..., :3].astype(int)
    box = ax.get_window_extent()
    height = pixels.shape[0]
    part = pixels[height - round(box.y1) : height - round(box.y0), round(box.x0) : round(box.x1)]
    coloured = np.ptp(part, axis=2) > 60
    assert coloured.any()
    return float((values * x).sum() / values.sum()), float(
        np.nonzero(coloured)[1].mean() / part.shape[1]
    )


@pytest.fixture(scope="module", params=GRIDS)
def found(request):
    methods = ["saliency", "gradcam", "ig", "ig:prior"]
    return Explainer(Detector(), methods).explain(make_pair(GRIDS[request.param]), "PD")


class TestLeftStaysLeft:
    """The lesion lies in the patient's left hemisphere: so must every map, file and picture."""

    def test_in_the_map(self, found):
        for item in found.maps:
            centre = centre_of_mass(item.reduced("positive"), item.grid)
            tolerance = max(item.grid.spacing) if item.coarse else 4
            assert centre == pytest.approx(LESION, abs=tolerance)
            assert centre[0] < -20

    @pytest.mark.parametrize("there", GRIDS)
    def test_in_the_map_on_another_grid(self, found, there):
        for item in found.maps:
            moved = item.resample_to(GRIDS[there])
            centre = centre_of_mass(moved.reduced("positive"), moved.grid)
            assert centre == pytest.approx(LESION, abs=8)

    def test_in_the_saved_file(self, found, tmp_path):
        for item in found.maps:
            on_scan = item.resample_to(LAS)
            for one in (item, on_scan):
                loaded = load_map(save_map(one, tmp_path / str(one is item)))
                centre = centre_of_mass(loaded.reduced("positive"), loaded.grid)
                assert centre == pytest.approx(LESION, abs=12)
                assert centre[0] < -20

    @pytest.mark.parametrize(
        ("convention", "on_the_right"), [("radiological", True), ("neurological", False)]
    )
    def test_in_the_panel(self, found, convention, on_the_right):
        figure = explanation_panel(
            found, convention=convention, slice_by={"axial": float(LESION[2])}
        )
        for number in range(len(found.maps)):
            x, share = drawn_centre(figure, f"map {number} axial")
            assert x == pytest.approx(LESION[0], abs=10)
            assert (share > 0.6) if on_the_right else (share < 0.4)

    def test_the_cam_lies_on_the_lesion_and_not_where_stretching_would_put_it(self, found):
        (item,) = (one for one in found.maps if one.meta["method"] == "gradcam")
        peak = np.unravel_index(item.data[0].argmax(), item.grid.shape)
        half_cell = np.abs(item.grid.affine[:3, :3]).sum(axis=1) / 2
        assert (np.abs(item.grid.world(peak) - LESION) <= half_cell + 7).all()
