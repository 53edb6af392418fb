"""One picture of each kind, from fixed inputs, and where the one that was looked at is kept.

What a trained network gives differs in its last digits between machines, so the pictures are of
numbers that are written down. After a change that is meant, this draws them anew; look at them
before they are kept::

    PYTHONPATH=tests python tests/viz/reference_pictures.py
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from figure_inputs import fixed_atlas, fixed_timeline
from matplotlib.figure import Figure
from panel_cases import GRIDS, cam, make_case, voxel_map
from test_audit_figure import MARKS, PANELS
from test_forest_figure import ROWS
from test_overlap_figure import make_table
from test_reliability_figure import BINS

from xrano.viz.atlas_figure import atlas_figure
from xrano.viz.audit_figure import audit_figure
from xrano.viz.comparison_figure import comparison_figure
from xrano.viz.figure_files import save_figure
from xrano.viz.forest_figure import forest_figure
from xrano.viz.layer_figure import LayerPoint, layer_figure
from xrano.viz.overlap_figure import primary_figure
from xrano.viz.panel import case_panel
from xrano.viz.reliability_figure import reliability_figure
from xrano.viz.timeline_figure import timeline_figure

FOLDER = Path(__file__).parent / "reference_figures"
DPI = 60
_LARGE = {"case": 40, "comparison": 30}
"""Pixels an inch; fewer of a picture that would take more than 60 kB."""


def _layers() -> Figure:
    points = [
        LayerPoint(method, layer, cells, mm, lift, lift - 0.3, lift + 0.2, ceiling, layer == "fine")
        for method, lift in (("gradcam", 0.8), ("layercam", 1.4))
        for layer, cells, mm, ceiling in (("fine", "24×28×22", 8, 4.0), ("coarse", "6×7×5", 32, 2))
    ]
    return layer_figure(points, title="12 held-out pairs of 5 patients")


def _case() -> Figure:
    grid = GRIDS["LAS"]
    return case_panel(make_case(grid), [voxel_map(grid), cam()])


def _comparison() -> Figure:
    grids = GRIDS["LAS"], GRIDS["oblique"]
    return comparison_figure(
        (replace(make_case(grid), pair_id=name), [voxel_map(grid), cam()])
        for name, grid in zip(("first pair", "second pair"), grids, strict=True)
    )


PICTURES: dict[str, Callable[[], Figure]] = {
    "atlas": lambda: atlas_figure(fixed_atlas()),
    "timeline": lambda: timeline_figure(fixed_timeline()),
    "overlap": lambda: primary_figure(make_table()),
    "reliability": lambda: reliability_figure(BINS, title="network", error=0.1),
    "layers": _layers,
    "case": _case,
    "comparison": _comparison,
    "study": lambda: forest_figure(ROWS),
    "audit": lambda: audit_figure(MARKS, panels=PANELS),
}
"""Kind, as in :data:`xrano.experiments.figures.KINDS`, to what draws it."""


def draw(kind: str, path: Path) -> None:
    """Write one picture."""
    save_figure(PICTURES[kind](), path, dpi=_LARGE.get(kind, DPI))


if __name__ == "__main__":
    for name in PICTURES:
        draw(name, FOLDER / f"{name}.png")
