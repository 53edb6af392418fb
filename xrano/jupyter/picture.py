"""One picture for the explorer: the case panel of what is chosen, and where it is cut."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from matplotlib.figure import Figure

from xrano.channels import Timepoint
from xrano.experiments.panels import outlines, panel_case
from xrano.explain import Explanation
from xrano.maps import AttributionMap, Rectification
from xrano.resampling import Outside, resample
from xrano.scoring.rows import default_rectification
from xrano.types import Volume
from xrano.viz.panel import case_panel
from xrano.viz.panel_case import PanelCase
from xrano.viz.slice_choice import (
    SliceChoice,
    slice_at_centre,
    slice_by_change,
    slice_by_peak,
    slice_by_tumour,
)
from xrano.viz.slices import Convention, Plane

SLICE_CHOICES = ("tumour", "peak", "change", "centre", "mm")


@dataclass(frozen=True)
class Look:
    """How maps are looked at; most fields are options of :func:`xrano.viz.panel.case_panel`.

    ``slice_by``: a name in :data:`SLICE_CHOICES`; ``mm``: plane to world mm, for ``mm``;
    ``rectification``: empty for each map's own; ``opacity``: in [0, 1], of the maps' colours,
    where 1 is a panel's own.
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


def case_of(explanation: Explanation) -> PanelCase:
    """What a panel shows of an explanation; no array is copied."""
    pair = explanation.pair
    region, *masks = outlines(pair, "core")
    prior, current = (
        {name: pair.volume(timepoint, name) for name in pair.layout.sequences}
        for timepoint in Timepoint
    )
    return panel_case(
        explanation, pair.grid, prior, current, pair.brain, (masks[0], masks[1]), region
    )


def choose_slices(
    case: PanelCase, maps: Sequence[AttributionMap], look: Look
) -> dict[Plane, SliceChoice]:
    """Where each plane of a look cuts; one without a position in mm goes through the tumour."""
    shown = _shown(case, maps[0], look) if look.slice_by == "peak" and maps else None
    return {plane: _choose(case, shown, plane, look) for plane in look.planes}


def draw_picture(
    case: PanelCase,
    maps: Sequence[AttributionMap],
    look: Look,
    choices: Mapping[Plane, SliceChoice],
) -> Figure:
    """The panel, cut where :func:`choose_slices` says. Raises as ``case_panel``."""
    figure = case_panel(
        case,
        maps,
        background=look.background,
        slice_by={str(plane): choice.mm for plane, choice in choices.items()},
        planes=look.planes,
        convention=look.convention,
        rectification=look.rectification or None,
        threshold=look.threshold,
        timepoints=look.timepoints,
    )
    if look.opacity < 1:
        _fade(figure, look.opacity)
    return figure


def _choose(case: PanelCase, shown: Volume | None, plane: Plane, look: Look) -> SliceChoice:
    grid, brain = case.grid, case.brain
    if look.slice_by == "mm" and plane in look.mm:
        return SliceChoice(float(look.mm[plane]), "as asked for")
    if look.slice_by == "peak" and shown is not None:
        return slice_by_peak(shown, grid, plane, brain=brain)
    if look.slice_by == "change":
        name = case.background(look.background)
        return slice_by_change(case.prior[name], case.current[name], grid, plane, brain=brain)
    if look.slice_by == "centre":
        return slice_at_centre(brain, grid, plane)
    return slice_by_tumour([case.prior_mask, case.current_mask], grid, plane, brain=brain)


def _shown(case: PanelCase, attribution: AttributionMap, look: Look) -> Volume:
    """One volume on the grid of the scans, as the panel draws it with both visits together."""
    rectification = look.rectification or default_rectification(attribution)
    volume = attribution.reduced(Rectification(rectification))
    if attribution.grid.matches(case.grid):
        return volume
    outside: Outside = "edge" if attribution.coarse else "zero"
    return resample(volume, attribution.grid, case.grid, outside=outside)


def _fade(figure: Figure, opacity: float) -> None:
    """Make the colours of maps fainter, not those of the scans' own change."""
    for ax in figure.axes:
        if str(ax.get_label()).startswith("map"):
            for image in ax.images:
                if image.get_label() == "colour":
                    image.set_alpha(opacity)
