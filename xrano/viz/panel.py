"""One panel a case: both scans, their change, and where the network looked.

Drawn with matplotlib alone: nilearn's ``plot_stat_map`` draws one map a figure, resamples the whole
volume for it, and marks neither masks of two visits nor a threshold that several maps share.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from xrano.errors import ConfigError, UnknownNameError
from xrano.maps import AttributionMap
from xrano.viz.figure_files import width_inches
from xrano.viz.panel_case import PanelCase
from xrano.viz.panel_cells import Scans, outline_slices, prepare_scans, scan_cells
from xrano.viz.panel_maps import MapStyle, ReadMap, map_cells, read_maps
from xrano.viz.panel_page import DISCLAIMER, SIDES, draw_page
from xrano.viz.panel_rows import rows_of
from xrano.viz.slice_choice import (
    SliceBy,
    SliceChoice,
    slice_at_centre,
    slice_by_change,
    slice_by_peak,
    slice_by_tumour,
    slices_of_mosaic,
)
from xrano.viz.slice_places import place_slices
from xrano.viz.slices import Convention, Plane, parse_convention, parse_plane
from xrano.viz.words import panel_style

__all__ = ["DISCLAIMER", "case_panel", "choose_slices", "planes_to_cut"]

MOST_SLICES = 24


def case_panel(
    case: PanelCase,
    maps: Sequence[AttributionMap],
    *,
    background: str = "CT1",
    slice_by: str | Mapping[str, float] = SliceBy.TUMOUR,
    planes: Sequence[str] = (Plane.AXIAL,),
    slices: int = 6,
    convention: str = Convention.RADIOLOGICAL,
    rectification: str | None = None,
    reduction: str = "sum",
    percentile: float = 99.5,
    threshold: float = 0.2,
    timepoints: str = "together",
    width: str | float | None = None,
) -> Figure:
    """Draw prior, current, change, and every map over the patient's own anatomy.

    Where a method has maps of several targets, or timepoints stand apart, methods are rows, and
    targets and timepoints columns.

    Args:
        case: scans, masks and answers of the pair.
        maps: maps of the pair, each on any grid (a class activation map on its own coarse one).
        background: sequence to draw; the first that both scans have if this one is missing.
        slice_by: ``tumour`` (largest area of either mask), ``peak`` (of the first map), ``change``
            (largest |current − prior|), ``centre`` (of the brain), ``mosaic`` (several slices of
            one plane at even distances through the tumour, or the brain if there is none), or a
            mapping from plane to mm.
        planes: ``axial``, ``coronal``, ``sagittal``: one row of pictures each.
        slices: of a mosaic, 1 to 24.
        convention: ``radiological`` or ``neurological``.
        rectification: of every map, before channels are reduced; by default ``absolute`` for
            voxel-wise maps and ``positive`` for class activation maps. ``none`` gives signed
            colours on a scale symmetric about zero.
        reduction: over a map's channels: ``sum``, ``mean`` or ``max``.
        percentile: of |value| in the brain that ends each colour scale, in (0, 100]. All maps of
            one method share the largest of theirs.
        threshold: share of the scale, in [0, 1), below which relevance is not drawn.
        timepoints: ``together`` draws all channels of a map over the current scan, as they are
            scored; ``apart`` draws the prior channels over the prior scan and the current channels
            over the current scan, side by side on one scale.
        width: for print: ``single``, ``middle`` or ``double`` column, or mm; for the screen if not
            given.

    Returns:
        A figure that belongs to nobody: save it with
        :func:`xrano.viz.figure_files.save_figure`, or drop it.

    Raises:
        ConfigError: if the percentile, the threshold or the number of slices is out of range, no
            plane is asked for, or several for a mosaic, the scans have no sequence in common, or
            the pictures do not fit into the width.
        UnknownNameError: for an unknown plane, convention, slice choice, rectification, reduction,
            way of showing timepoints or width.
        GridMismatchError: if a position given in mm lies outside the volume.
    """
    style = MapStyle(rectification, reduction, percentile, threshold, timepoints)
    inches = None if width is None else width_inches(width)
    seen = parse_convention(convention)
    scans = prepare_scans(case, background, percentile)
    read = read_maps(case, maps, style)
    outlines = outline_slices(case)
    choices = choose_slices(case, scans, read, slice_by, planes, slices)
    views = place_slices(
        case.grid,
        [(plane, choice.mm) for plane, choice in choices],
        convention=seen,
        around=case.brain,
    )
    with panel_style():
        rows = rows_of(
            scan_cells(case, scans, outlines, percentile),
            map_cells(case, scans, outlines, read, style),
            views,
            mosaic=slice_by == SliceBy.MOSAIC,
            classes=tuple(case.probabilities),
            screen=width is None,
        )
        reasons = "; ".join(dict.fromkeys(choice.reason for _, choice in choices))
        below = f"{SIDES[seen]}. Slice: {reasons}."
        if timepoints == "together":
            below += " Colours lie over the current scan."
        if any(attribution.coarse for attribution in maps):
            below += " Cells of a feature grid are drawn inside the brain."
        return draw_page(
            rows,
            header=case.title,
            footer=below,
            legend={name: case.mask_text(name) for name in ("prior", "current")},
            width=inches,
        )


def choose_slices(
    case: PanelCase,
    scans: Scans,
    read: Sequence[ReadMap],
    slice_by: str | Mapping[str, float],
    planes: Sequence[str],
    count: int,
) -> list[tuple[Plane, SliceChoice]]:
    """The slices of a case and why each was chosen; see :func:`case_panel`."""
    cuts = planes_to_cut(slice_by, planes, count)
    if slice_by != SliceBy.MOSAIC:
        return [(plane, _choose(slice_by, plane, case, scans, read)) for plane in cuts]
    masks = [case.prior_mask, case.current_mask]
    mosaic = slices_of_mosaic(masks, case.grid, cuts[0], brain=case.brain, count=count)
    return [(cuts[0], choice) for choice in mosaic]


def planes_to_cut(
    slice_by: str | Mapping[str, float], planes: Sequence[str], count: int
) -> list[Plane]:
    """The planes of a panel, each once.

    Raises:
        ConfigError: if there is none, or a mosaic has several, or no or too many slices.
        UnknownNameError: for an unknown plane.
    """
    if not planes:
        raise ConfigError(f"a panel needs at least one plane; choose from: {', '.join(Plane)}")
    cuts = list(dict.fromkeys(parse_plane(plane) for plane in planes))
    if slice_by == SliceBy.MOSAIC and len(cuts) > 1:
        raise ConfigError(f"a mosaic has one plane, got {', '.join(cuts)}")
    if slice_by == SliceBy.MOSAIC and not 1 <= count <= MOST_SLICES:
        raise ConfigError(f"a mosaic has 1 to {MOST_SLICES} slices, got {count}")
    return cuts


def _choose(
    slice_by: str | Mapping[str, float],
    plane: Plane,
    case: PanelCase,
    scans: Scans,
    read: Sequence[ReadMap],
) -> SliceChoice:
    grid, brain = case.grid, case.brain
    if not isinstance(slice_by, str):
        if plane not in slice_by:
            raise ConfigError(f"no position in mm for the {plane} plane, got {dict(slice_by)}")
        return SliceChoice(float(slice_by[plane]), "as asked for")
    if slice_by == SliceBy.TUMOUR:
        return slice_by_tumour([case.prior_mask, case.current_mask], grid, plane, brain=brain)
    if slice_by == SliceBy.PEAK:
        if not read:
            raise ConfigError("slice_by='peak' needs a map, got none")
        return slice_by_peak(read[0].values.volume(), grid, plane, brain=brain)
    if slice_by == SliceBy.CHANGE:
        prior, current = scans.prior.volume, scans.current.volume
        return slice_by_change(prior, current, grid, plane, brain=brain)
    if slice_by == SliceBy.CENTRE:
        return slice_at_centre(brain, grid, plane)
    raise UnknownNameError("slice choice", slice_by, tuple(SliceBy))
