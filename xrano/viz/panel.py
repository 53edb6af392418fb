"""One panel a case: both scans, their change, and where the network looked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib
import matplotlib.style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from xrano.channels import Timepoint
from xrano.errors import ConfigError, UnknownNameError
from xrano.maps import AttributionMap
from xrano.viz.colour_scale import draw_colour_bar
from xrano.viz.drawing import (
    CONTOUR_STYLES,
    annotate,
    draw_anatomy,
    draw_colour,
    draw_contour,
    frame,
)
from xrano.viz.panel_case import PanelCase
from xrano.viz.panel_cells import Cell, MapStyle, Scans, map_cells, prepare_scans, scan_cells
from xrano.viz.panel_layout import MARGIN, TITLE_LINE, Box, Page, Placed, lay_out
from xrano.viz.slice_choice import (
    SliceBy,
    SliceChoice,
    slice_at_centre,
    slice_by_change,
    slice_by_peak,
    slice_by_tumour,
)
from xrano.viz.slices import (
    Convention,
    Plane,
    parse_convention,
    parse_plane,
    place_slice,
)

DISCLAIMER = "Research software, not a medical device"

_SIDES = {
    Convention.RADIOLOGICAL: "Radiological convention: the patient's left is on the right",
    Convention.NEUROLOGICAL: "Neurological convention: the patient's left is on the left",
}


def case_panel(
    case: PanelCase,
    maps: Sequence[AttributionMap],
    *,
    background: str = "CT1",
    slice_by: str | Mapping[str, float] = SliceBy.TUMOUR,
    planes: Sequence[str] = (Plane.AXIAL,),
    convention: str = Convention.RADIOLOGICAL,
    rectification: str | None = None,
    reduction: str = "sum",
    percentile: float = 99.5,
    threshold: float = 0.2,
    timepoints: str = "together",
) -> Figure:
    """Draw prior, current, change, and every map over the patient's own anatomy.

    Args:
        case: scans, masks and answers of the pair.
        maps: maps of the pair, each on any grid (a class activation map on its own coarse one).
        background: sequence to draw; the first that both scans have if this one is missing.
        slice_by: ``tumour`` (largest area of either mask), ``peak`` (of the first map), ``change``
            (largest |current − prior|), ``centre`` (of the brain), or a mapping from plane to mm.
        planes: ``axial``, ``coronal``, ``sagittal``: one row of pictures each.
        convention: ``radiological`` or ``neurological``.
        rectification: of every map, before channels are reduced; by default ``absolute`` for
            voxel-wise maps and ``positive`` for class activation maps. ``none`` gives signed
            colours on a scale symmetric about zero.
        reduction: over a map's channels: ``sum``, ``mean`` or ``max``.
        percentile: of |value| in the brain that ends each colour scale, in (0, 100].
        threshold: share of the scale, in [0, 1), below which relevance is not drawn.
        timepoints: ``together`` draws all channels of a map over the current scan, as they are
            scored; ``apart`` draws the prior channels over the prior scan and the current channels
            over the current scan, side by side on one scale.

    Returns:
        A figure that belongs to nobody: save it with
        :func:`xrano.viz.figure_files.save_figure`, or drop it.

    Raises:
        ConfigError: if the percentile or the threshold is out of range, no plane is asked for, or
            the scans have no sequence in common.
        UnknownNameError: for an unknown plane, convention, slice choice, rectification, reduction
            or way of showing timepoints.
        GridMismatchError: if a position given in mm lies outside the volume.
    """
    if not 0 < percentile <= 100 or not 0 <= threshold < 1:
        raise ConfigError(
            f"the percentile lies in (0, 100] and the threshold in [0, 1), got {percentile:g} "
            f"and {threshold:g}"
        )
    if not planes:
        raise ConfigError(f"a panel needs at least one plane; choose from: {', '.join(Plane)}")
    style = MapStyle(rectification, reduction, percentile, threshold, timepoints)
    scans = prepare_scans(case, background)
    cells = map_cells(case, scans, maps, style)
    choices = {
        parse_plane(plane): _choose(slice_by, parse_plane(plane), case, scans, cells)
        for plane in planes
    }
    views = [
        place_slice(case.grid, plane, choice.mm, convention=convention, around=case.brain)
        for plane, choice in choices.items()
    ]
    page = lay_out(scan_cells(case, scans, percentile), cells, views)
    # A user's own matplotlib settings (a notebook's dark style) must not change a panel.
    with matplotlib.style.context("default"):
        figure = Figure(figsize=(page.width, page.height), facecolor="black")
        for picture in page.pictures:
            _draw_picture(figure, page, picture, case, scans)
        _draw_strip(figure, page, case)
        reasons = "; ".join(dict.fromkeys(choice.reason for choice in choices.values()))
        below = f"{_SIDES[parse_convention(convention)]}. Slice: {reasons}."
        if timepoints == "together":
            below += " Colours lie over the current scan."
        if any(attribution.coarse for attribution in maps):
            below += " Cells of a feature grid are drawn inside the brain."
        _draw_words(figure, page, case, below)
    return figure


def _choose(
    slice_by: str | Mapping[str, float],
    plane: Plane,
    case: PanelCase,
    scans: Scans,
    cells: Sequence[Cell],
) -> SliceChoice:
    grid, brain = case.grid, case.brain
    if not isinstance(slice_by, str):
        if plane not in slice_by:
            raise ConfigError(f"no position in mm for the {plane} plane, got {dict(slice_by)}")
        return SliceChoice(float(slice_by[plane]), "as asked for")
    if slice_by == SliceBy.TUMOUR:
        return slice_by_tumour([case.prior_mask, case.current_mask], grid, plane, brain=brain)
    if slice_by == SliceBy.PEAK:
        if not cells or cells[0].colour is None:
            raise ConfigError("slice_by='peak' needs a map, got none")
        return slice_by_peak(cells[0].colour, grid, plane, brain=brain)
    if slice_by == SliceBy.CHANGE:
        return slice_by_change(scans.prior, scans.current, grid, plane, brain=brain)
    if slice_by == SliceBy.CENTRE:
        return slice_at_centre(brain, grid, plane)
    raise UnknownNameError("slice choice", slice_by, tuple(SliceBy))


def _axes(figure: Figure, page: Page, box: Box) -> Axes:
    left, bottom, width, height = box
    place = (left / page.width, bottom / page.height, width / page.width, height / page.height)
    return figure.add_axes(place)


def _draw_picture(
    figure: Figure, page: Page, picture: Placed, case: PanelCase, scans: Scans
) -> None:
    cell, view = picture.cell, picture.view
    ax = _axes(figure, page, picture.box)
    ax.set_label(f"{cell.name} {view.plane}")
    if cell.anatomy is not None:
        draw_anatomy(ax, view, cell.anatomy, case.grid, scans.window)
    if cell.colour is not None and cell.scale is not None:
        draw_colour(ax, view, cell.colour, case.grid, cell.scale)
    # The dashed line comes last: where both agree, the solid one shows in its gaps.
    masks = {Timepoint.CURRENT: case.current_mask, Timepoint.PRIOR: case.prior_mask}
    for timepoint, mask in masks.items():
        if timepoint in cell.contours:
            draw_contour(ax, view, mask, case.grid, timepoint)
    frame(ax, view)
    annotate(ax, view, note=cell.note)
    if picture.titled:
        _draw_title(ax, cell)


def _draw_title(ax: Axes, cell: Cell) -> None:
    for number, line in enumerate(reversed(cell.title), start=1):
        first = number == len(cell.title)
        ax.annotate(
            line,
            (0.5, 1.0),
            xycoords="axes fraction",
            xytext=(0, 4 + 72 * TITLE_LINE * (number - 1)),
            textcoords="offset points",
            horizontalalignment="center",
            verticalalignment="bottom",
            fontsize=9.5 if first else 9,
            fontweight="bold" if first else "normal",
            color="white" if first else "0.8",
        )


def _draw_strip(figure: Figure, page: Page, case: PanelCase) -> None:
    """Legend of the outlines, then one colour bar for each scale in use."""
    scales = dict.fromkeys(one.cell.scale for one in page.pictures if one.cell.scale is not None)
    left, bottom, width, height = page.strip
    third = width / 3
    legend = _axes(figure, page, (left, bottom, third, height))
    legend.set_axis_off()
    lines = [
        Line2D([], [], color=colour, linestyle=line, linewidth=1.6, label=case.mask_text(timepoint))
        for timepoint, (colour, line) in CONTOUR_STYLES.items()
    ]
    legend.legend(handles=lines, loc="center left", frameon=False, labelcolor="white", fontsize=8.5)
    for number, scale in enumerate(scales, start=1):
        box = (left + number * third + 0.3, bottom + 0.2, third - 0.6, 0.14)
        ax = _axes(figure, page, box)
        ax.set_label(f"colour bar {number}")
        draw_colour_bar(ax, scale)


def _draw_words(figure: Figure, page: Page, case: PanelCase, below: str) -> None:
    pair, answers = case.title
    for text, size, weight, depth in ((pair, 13, "bold", 0.14), (answers, 10.5, "normal", 0.44)):
        figure.text(
            0.5,
            1 - depth / page.height,
            text,
            horizontalalignment="center",
            verticalalignment="top",
            fontsize=size,
            fontweight=weight,
            color="white",
        )
    for text, up in ((below, 0.27), (DISCLAIMER, 0.12)):
        figure.text(MARGIN / page.width, up / page.height, text, fontsize=7.5, color="0.75")
