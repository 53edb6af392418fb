"""Drawing one slice: anatomy, colours over it, outlines, letters, position and scale bar."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.patheffects import withStroke

from xrano.geometry import Grid
from xrano.types import Mask, Volume
from xrano.viz.colour_scale import ColourScale
from xrano.viz.outlines import Outline, draw_outline
from xrano.viz.slices import SliceView

CONTOUR_STYLES: Mapping[str, tuple[str, Literal["-", "--"]]] = {
    "prior": ("#a6ff3d", "--"),
    "current": ("#00e5ff", "-"),
}
"""Colour and line of the outline of each timepoint's mask."""

SCALE_BARS_MM = (50, 20, 10, 5, 2)


def draw_anatomy(ax: Axes, view: SliceView, volume: Volume, grid: Grid, window: Normalize) -> None:
    """Draw a scan in grey; ``window`` says which values are black and white."""
    image = ax.imshow(
        view.sample(volume, grid),
        extent=view.extent,
        cmap="gray",
        norm=window,
        interpolation="bilinear",
    )
    image.set_label("anatomy")


def draw_colour(ax: Axes, view: SliceView, volume: Volume, grid: Grid, scale: ColourScale) -> None:
    """Draw a map or a difference in the colours of a scale."""
    image = ax.imshow(
        view.sample(volume, grid),
        extent=view.extent,
        cmap=scale.colormap,
        norm=scale.norm,
        interpolation="bilinear",
        interpolation_stage="data",
    )
    image.set_label("colour")


def draw_contour(ax: Axes, view: SliceView, mask: Mask | None, grid: Grid, timepoint: str) -> None:
    """Outline the mask of a timepoint; nothing if there is none."""
    if mask is None:
        return
    colour, line = CONTOUR_STYLES[timepoint]
    draw_outline(ax, view, mask, grid, Outline(timepoint, colour, line))


def annotate(ax: Axes, view: SliceView, *, note: str = "") -> None:
    """Letters at the four edges, the slice's mm, a scale bar, and a note across the picture."""
    letters = view.letters
    places = {
        (0.015, 0.5, "left", "center"): letters.left,
        (0.985, 0.5, "right", "center"): letters.right,
        (0.5, 0.985, "center", "top"): letters.top,
        (0.5, 0.015, "center", "bottom"): letters.bottom,
    }
    for (x, y, across, up), letter in places.items():
        _text(ax, x, y, letter, across, up, size=9, weight="bold")
    _text(ax, 0.985, 0.015, view.label, "right", "bottom", size=7)
    _scale_bar(ax, view)
    if note:
        _text(ax, 0.5, 0.3, note, "center", "center", size=9, style="italic")


def frame(ax: Axes, view: SliceView) -> None:
    """Set the axes to the view's field in mm and hide them."""
    left, right, bottom, top = view.extent
    ax.set_xlim(left, right)
    ax.set_ylim(bottom, top)
    ax.set_aspect("equal")
    ax.set_axis_off()


def _scale_bar(ax: Axes, view: SliceView) -> None:
    width = view.size_mm[0]
    length = next((mm for mm in SCALE_BARS_MM if mm <= 0.4 * width), SCALE_BARS_MM[-1])
    start, y = 0.02, 0.025
    (line,) = ax.plot(
        [start, start + length / width],
        [y, y],
        transform=ax.transAxes,
        color="white",
        linewidth=2,
        solid_capstyle="butt",
        path_effects=[withStroke(linewidth=3, foreground="black")],
    )
    line.set_label("scale bar")
    _text(ax, start, y + 0.015, f"{length} mm", "left", "bottom", size=7.5)


def _text(
    ax: Axes,
    x: float,
    y: float,
    text: str,
    across: str,
    up: str,
    *,
    size: float,
    weight: str = "normal",
    style: str = "normal",
) -> None:
    ax.text(
        x,
        y,
        text,
        transform=ax.transAxes,
        horizontalalignment=across,
        verticalalignment=up,
        fontsize=size,
        fontweight=weight,
        fontstyle=style,
        color="white",
        path_effects=[withStroke(linewidth=2, foreground="black")],
    )
