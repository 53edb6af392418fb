"""One picture for the explorer: the case panel of what is chosen, and where it is cut."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from matplotlib.figure import Figure

from xrano.maps import AttributionMap
from xrano.viz.panel import case_panel, choose_slices
from xrano.viz.panel_case import PanelCase
from xrano.viz.panel_cells import prepare_scans
from xrano.viz.panel_maps import MapStyle, read_maps
from xrano.viz.slice_choice import SliceBy, SliceChoice
from xrano.viz.slices import Convention, Plane

SLICE_CHOICES = ("tumour", "peak", "change", "centre", "mm")


@dataclass(frozen=True)
class Look:
    """How maps are looked at; most fields are options of :func:`xrano.viz.panel.case_panel`.

    ``slice_by``: a name in :data:`SLICE_CHOICES`; ``mm``: plane to world mm, for ``mm``;
    ``rectification``: empty for each map's own; ``opacity``: in [0, 1], of the maps' colours,
    where 1 is a panel's own; ``outlines``: whether the masks' outlines are drawn.
    """

    planes: tuple[Plane, ...] = (Plane.AXIAL,)
    slice_by: str = "tumour"
    mm: Mapping[Plane, float] = field(default_factory=dict)
    timepoints: str = "together"
    rectification: str = ""
    threshold: float = 0.2
    opacity: float = 1.0
    background: str = "CT1"
    convention: str = Convention.RADIOLOGICAL
    outlines: bool = True


@dataclass(frozen=True)
class Strongest:
    """Where a map is strongest in the brain: world mm (x, y, z), raw value, and the scan's there.

    ``scan_value`` is that of the current scan's ``sequence``, as normalised.
    """

    mm: tuple[float, float, float]
    value: float
    sequence: str
    scan_value: float


def strongest_of(case: PanelCase, attribution: AttributionMap, look: Look) -> Strongest | None:
    """The strongest relevance of a map as it is looked at; ``None`` of a map of zeros."""
    read = read_maps(case, [attribution], MapStyle(look.rectification or None))[0]
    values = read.values.volume()
    size = np.where(case.brain, np.abs(values), 0.0)
    voxel = np.unravel_index(int(size.argmax()), size.shape)
    if not size[voxel] > 0:
        return None
    x, y, z = (float(one) for one in case.grid.world(voxel))
    sequence = case.background(look.background)
    shown = float(case.current[sequence][voxel])
    return Strongest((x, y, z), float(values[voxel]), sequence, shown)


def slices_of(
    case: PanelCase, maps: Sequence[AttributionMap], look: Look
) -> dict[Plane, SliceChoice]:
    """Where each plane of a look cuts; one without a position in mm goes through the tumour."""
    style = MapStyle(look.rectification or None)
    read = read_maps(case, maps[:1], style) if look.slice_by == SliceBy.PEAK else []
    scans = prepare_scans(case, look.background, style.percentile)
    found = {}
    for plane in look.planes:
        by: str | dict[str, float] = look.slice_by
        if by == "mm":
            by = {str(plane): look.mm[plane]} if plane in look.mm else SliceBy.TUMOUR
        ((_, found[plane]),) = choose_slices(case, scans, read, by, (plane,), 1)
    return found


def draw_picture(
    case: PanelCase,
    maps: Sequence[AttributionMap],
    look: Look,
    choices: Mapping[Plane, SliceChoice],
) -> Figure:
    """The panel, cut where :func:`slices_of` says. Raises as ``case_panel``."""
    # Its foot says why the slice is this one, which a position alone cannot tell.
    places: str | dict[str, float] = look.slice_by
    if places == "mm":
        places = {str(plane): choice.mm for plane, choice in choices.items()}
    figure = case_panel(
        case,
        maps,
        background=look.background,
        slice_by=places,
        planes=look.planes,
        convention=look.convention,
        rectification=look.rectification or None,
        threshold=look.threshold,
        timepoints=look.timepoints,
    )
    if look.opacity < 1:
        _fade(figure, look.opacity)
    if not look.outlines:
        _hide_outlines(figure)
    return figure


def _fade(figure: Figure, opacity: float) -> None:
    """Make the colours of maps fainter, not those of the scans' own change."""
    for ax in figure.axes:
        if str(ax.get_label()).startswith("map"):
            for image in ax.images:
                if image.get_label() == "colour":
                    image.set_alpha(opacity)


def _hide_outlines(figure: Figure) -> None:
    """Take the masks' outlines away, and what names them."""
    for ax in figure.axes:
        if ax.get_label() == "legend":
            ax.set_visible(False)
        for drawn in ax.collections:
            if str(drawn.get_label()).startswith("contour"):
                drawn.set_visible(False)
