"""Left and right among the pixels of a panel over the scan as it came from the scanner."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from scanner_places import LEFT, hot_at, placed

from xrano.experiments.scan_panel import scan_case, scan_panel
from xrano.explain import Explanation
from xrano.geometry import inverse
from xrano.viz.comparison_figure import comparison_figure


def pixels_of(figure, start: str) -> np.ndarray:
    """(row, column, rgb) of the first picture whose name starts so."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    pixels = np.asarray(canvas.buffer_rgba())[..., :3].astype(int)
    ax = next(ax for ax in figure.axes if str(ax.get_label()).startswith(start))
    box, height = ax.get_window_extent(), pixels.shape[0]
    return pixels[height - round(box.y1) : height - round(box.y0), round(box.x0) : round(box.x1)]


@pytest.mark.parametrize("kind", ["LPS", "oblique"])
@pytest.mark.parametrize("layout", ["case", "grid", "comparison"])
@pytest.mark.parametrize(
    ("convention", "on_the_right"), [("radiological", True), ("neurological", False)]
)
def test_a_place_on_the_patients_left_over_the_scanners_voxels(
    tiny_run,
    pair,
    matrix,
    tmp_path: Path,
    kind,
    layout,
    convention,
    on_the_right,
):
    place = placed(tiny_run, pair, matrix, tmp_path / "CT1.nii.gz", kind)
    hot = hot_at(pair, LEFT)
    maps = [hot]
    if layout == "grid":
        other = type(hot)(hot.data, hot.grid, hot.channels, {**hot.meta, "target_name": "SD"})
        maps.append(other)
    explanation = Explanation(pair, {"PD": 1.0}, {"PD": 1.0}, "PD", tuple(maps))
    height = float((inverse(place.to_common) @ [*LEFT, 1])[2])
    options = {"convention": convention, "slice_by": {"axial": height}}
    if layout == "comparison":
        figure = comparison_figure([scan_case(explanation, place)], **options)
    else:
        figure = scan_panel(explanation, place, **options)
    names = [str(ax.get_label()) for ax in figure.axes if str(ax.get_label()).startswith("map")]
    assert len(names) == (2 if layout == "grid" else 1)
    for name in names:
        drawn = pixels_of(figure, name)
        # Warm colours are the map's: outlines are cyan and green.
        warm = drawn[..., 0] > drawn[..., 2] + 60
        warm &= drawn[..., 0] > drawn[..., 1] + 10
        brain = drawn.max(axis=2) > 40
        assert warm.sum() > 20
        offset = np.nonzero(warm)[1].mean() - np.nonzero(brain)[1].mean()
        assert abs(offset) > 0.05 * drawn.shape[1]
        assert (offset > 0) == on_the_right
