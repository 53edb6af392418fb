"""A page of pictures as a figure: every picture, word, legend and colour bar drawn in its place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from xrano.viz.colour_scale import draw_colour_bar
from xrano.viz.drawing import (
    CONTOUR_STYLES,
    annotate,
    contour_of,
    frame,
    show_anatomy,
    show_colour,
)
from xrano.viz.figure_files import PRINT_DPI
from xrano.viz.outlines import outline_cut
from xrano.viz.panel_cells import Cell
from xrano.viz.panel_layout import lay_out
from xrano.viz.panel_places import Box, Page, Placed
from xrano.viz.panel_rows import PanelRow
from xrano.viz.slices import Convention
from xrano.viz.words import ON_SCREEN, printable

DISCLAIMER = "Research software, not a medical device"

SIDES: Mapping[str, str] = {
    Convention.RADIOLOGICAL: "Radiological convention: the patient's left is on the right",
    Convention.NEUROLOGICAL: "Neurological convention: the patient's left is on the left",
}


def draw_page(
    rows: Sequence[PanelRow],
    *,
    header: tuple[str, str],
    footer: str,
    legend: Mapping[str, str],
    width: float | None,
) -> Figure:
    """Lay rows of pictures out and draw them; to be called in :func:`xrano.viz.words.panel_style`.

    Args:
        rows: the pictures.
        header: the title and the line under it.
        footer: what is said below, before the disclaimer.
        legend: timepoint to what its outline is.
        width: of the page in inches, in print; as the pictures need if not given.

    Returns:
        The figure. Its resolution is that of print if a width is given.
    """
    rows = [_printable_row(row) for row in rows]
    scales = list(dict.fromkeys(cell.scale for cell in _cells(rows) if cell.scale is not None))
    words = {timepoint: printable(text) for timepoint, text in legend.items()}
    page = lay_out(
        rows,
        header=(printable(header[0]), printable(header[1])),
        footer=(printable(footer), DISCLAIMER),
        legend=tuple(words.values()),
        scales=scales,
        width=width,
    )
    figure = Figure(figsize=(page.width, page.height), facecolor="black")
    if width is not None:
        figure.set_dpi(PRINT_DPI)
    mosaic = len({one.view.plane for one in page.pictures}) < len(
        {one.view for one in page.pictures}
    )
    first = min(picture.box[0] for picture in page.pictures)
    for picture in page.pictures:
        where = f" {picture.view.mm:g}" if mosaic else ""
        name = f"{picture.cell.name} {picture.view.plane}{where}"
        # All pictures have one scale; in the small ones of a mosaic a bar each hides too much.
        scale_bar = not mosaic or picture.box[0] == first
        _draw_picture(figure, page, picture, name, scale_bar=scale_bar)
    _draw_words(figure, page)
    _draw_legend(_axes(figure, page, page.legend), page, words)
    for number, (scale, box) in enumerate(zip(scales, page.bars, strict=True), start=1):
        ax = _axes(figure, page, box)
        ax.set_label(f"colour bar {number}")
        draw_colour_bar(ax, scale, page.sizes)
    return figure


def _cells(rows: Sequence[PanelRow]) -> list[Cell]:
    return [picture[0] for row in rows for picture in row.pictures if picture is not None]


def _printable_row(row: PanelRow) -> PanelRow:
    return PanelRow(
        row.pictures,
        tuple(tuple(printable(line) for line in title) for title in row.titles),
        tuple(printable(line) for line in row.head),
        tuple(printable(line) for line in row.caption),
    )


def _axes(figure: Figure, page: Page, box: Box) -> Axes:
    left, bottom, width, height = box
    place = (left / page.width, bottom / page.height, width / page.width, height / page.height)
    return figure.add_axes(place)


def _draw_picture(
    figure: Figure, page: Page, picture: Placed, name: str, *, scale_bar: bool
) -> None:
    cell, view = picture.cell, picture.view
    ax = _axes(figure, page, picture.box)
    ax.set_label(name)
    show_anatomy(ax, view, cell.anatomy(view), cell.window)
    if cell.colour is not None and cell.scale is not None:
        show_colour(ax, view, cell.colour(view), cell.scale)
    thick = 1.1 if page.sizes is ON_SCREEN else 0.7
    for timepoint, mask in cell.outlines.items():
        outline_cut(ax, view, mask(view), contour_of(timepoint, thick))
    frame(ax, view)
    annotate(
        ax,
        view,
        note=cell.note,
        sizes=page.sizes,
        below=picture.below,
        scale_bar=scale_bar,
    )


def _draw_words(figure: Figure, page: Page) -> None:
    for line in page.lines:
        figure.text(
            line.x / page.width,
            line.y / page.height,
            line.text,
            fontsize=line.size,
            fontweight="bold" if line.bold else "normal",
            color=line.colour,
            horizontalalignment=line.across,
            verticalalignment=line.up,
            rotation=line.rotation,
        )


def _draw_legend(ax: Axes, page: Page, legend: Mapping[str, str]) -> None:
    ax.set_axis_off()
    ax.set_label("legend")
    thick = 1.6 if page.sizes is ON_SCREEN else 1.0
    handles = []
    for timepoint, text in legend.items():
        colour, line = CONTOUR_STYLES[timepoint]
        handles.append(Line2D([], [], color=colour, linestyle=line, linewidth=thick, label=text))
    ax.legend(
        handles=handles,
        loc="center left",
        frameon=False,
        labelcolor="white",
        fontsize=page.sizes.bar,
        borderaxespad=0,
        borderpad=0,
    )
