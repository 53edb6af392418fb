"""Drawing one slice: anatomy, colours over it, outlines, letters, position and scale bar."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from xrano.geometry import Grid
from xrano.types import Mask, Volume
from xrano.viz.colour_scale import ColourScale
from xrano.viz.outlines import Outline, draw_outline
from xrano.viz.slices import SliceView
from xrano.viz.words import ON_SCREEN, TypeSizes, width_points, wrapped

CONTOUR_STYLES: Mapping[str, tuple[str, Literal["-", "--"]]] = {
    "prior": ("#a6ff3d", "--"),
    "current": ("#00e5ff", "-"),
}
"""Colour and line of the outline of each timepoint's mask."""

SCALE_BARS_MM = (50, 20, 10, 5, 2)


def draw_anatomy(ax: Axes, view: SliceView, volume: Volume, grid: Grid, window: Normalize) -> None:
    """Draw a scan in grey; ``window`` says which values are black and white."""
    show_anatomy(ax, view, view.sample(volume, grid), window)


def show_anatomy(ax: Axes, view: SliceView, picture: NDArray[Any], window: Normalize) -> None:
    """The same of a slice (row, column) that was taken on the view before."""
    image = ax.imshow(
        picture, extent=view.extent, cmap="gray", norm=window, interpolation="bilinear"
    )
    image.set_label("anatomy")


def draw_colour(ax: Axes, view: SliceView, volume: Volume, grid: Grid, scale: ColourScale) -> None:
    """Draw a map or a difference in the colours of a scale."""
    show_colour(ax, view, view.sample(volume, grid), scale)


def show_colour(ax: Axes, view: SliceView, picture: NDArray[Any], scale: ColourScale) -> None:
    """The same of a slice (row, column) that was taken on the view before."""
    image = ax.imshow(
        picture,
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
    draw_outline(ax, view, mask, grid, contour_of(timepoint))


def contour_of(timepoint: str, width: float = 1.1) -> Outline:
    """How the mask of a timepoint is outlined."""
    colour, line = CONTOUR_STYLES[timepoint]
    return Outline(timepoint, colour, line, width)


def annotate(
    ax: Axes,
    view: SliceView,
    *,
    note: str = "",
    sizes: TypeSizes = ON_SCREEN,
    below: bool = False,
    scale_bar: bool = True,
) -> None:
    """Letters at the four edges, the slice's mm, a scale bar, and a note under the upper letter.

    ``below`` writes the mm under the picture, where they hide nothing of a narrow one.
    """
    letters = view.letters
    places = {
        (0.015, 0.5, "left", "center"): letters.left,
        (0.985, 0.5, "right", "center"): letters.right,
        (0.5, 0.985, "center", "top"): letters.top,
        (0.5, 0.015, "center", "bottom"): letters.bottom,
    }
    for (x, y, across, up), letter in places.items():
        _text(ax, x, y, letter, across, up, size=sizes.letter, weight="bold")
    width, height = _size_points(ax)
    if below:
        _text(ax, 0.985, -1.5 / height, view.label, "right", "top", size=sizes.position)
    else:
        _text(ax, 0.985, 0.015, view.label, "right", "bottom", size=sizes.position)
    if scale_bar:
        letter_width = width_points("P", sizes.letter, "bold")
        _scale_bar(ax, view, sizes, 0.48 - (letter_width + 4) / 2 / width)
    if note:
        size = sizes.letter if sizes is ON_SCREEN else sizes.position
        said = "\n".join(wrapped(note, 0.9 * width, size))
        # A tumour is seldom so near the edge; in the middle the words would hide it.
        top = 0.985 - (1.35 * sizes.letter + 1) / height
        _text(ax, 0.5, top, said, "center", "top", size=size, style="italic")


def label_fits(view: SliceView, inches: float, sizes: TypeSizes) -> bool:
    """Whether a picture so wide has room for its mm beside the letter at its lower edge."""
    beside = 0.485 * 72 * inches - width_points("P", sizes.letter, "bold") / 2 - 3
    return width_points(view.label, sizes.position) <= beside


def frame(ax: Axes, view: SliceView) -> None:
    """Set the axes to the view's field in mm and hide them."""
    left, right, bottom, top = view.extent
    ax.set_xlim(left, right)
    ax.set_ylim(bottom, top)
    ax.set_aspect("equal")
    ax.set_axis_off()


def _scale_bar(ax: Axes, view: SliceView, sizes: TypeSizes, room: float) -> None:
    """A bar of a round length, no longer than ``room``, a share of the picture's width."""
    width, height = view.size_mm[0], _size_points(ax)[1]
    length = next((mm for mm in SCALE_BARS_MM if mm <= room * width), SCALE_BARS_MM[-1])
    start, y = 0.02, 0.025
    (line,) = ax.plot(
        [start, start + length / width],
        [y, y],
        transform=ax.transAxes,
        color="white",
        linewidth=2 if sizes is ON_SCREEN else 1.2,
        solid_capstyle="butt",
        path_effects=[withStroke(linewidth=3, foreground="black")],
    )
    line.set_label("scale bar")
    size = sizes.position + (0.5 if sizes is ON_SCREEN else 0.0)
    _text(ax, start, y + 3 / height, f"{length} mm", "left", "bottom", size=size)


def _size_points(ax: Axes) -> tuple[float, float]:
    box, figure = ax.get_position(), ax.get_figure(root=True)
    width, height = (6.0, 6.0) if figure is None else figure.get_size_inches()
    return 72 * box.width * float(width), 72 * box.height * float(height)


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
        # Not a halo: letters with path effects are written into an SVG or PDF as drawings.
        bbox={"facecolor": "black", "alpha": 0.5, "linewidth": 0, "pad": 0.4},
    )
