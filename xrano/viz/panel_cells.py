"""The contents of a panel before anything is drawn: scans, their change, and each map.

A *cell* is one picture of a panel in every plane that is asked for. Map cells hold values in
units of their colour scale.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.colors import Normalize

from xrano.channels import Timepoint
from xrano.errors import UnknownNameError
from xrano.maps import AttributionMap, Rectification
from xrano.resampling import Outside, resample
from xrano.types import Mask, Volume
from xrano.viz.colour_scale import ColourScale, scale_value
from xrano.viz.names import map_group, map_title, method_name, target_text
from xrano.viz.panel_case import PanelCase

TIMEPOINT_CHOICES = ("together", "apart")


@dataclass(frozen=True, eq=False)
class Cell:
    """One picture of a panel.

    Args:
        name: what it is, for whoever looks for it in the figure.
        title: lines above it.
        anatomy: (i, j, k) grey background; ``None`` for none.
        colour: (i, j, k) values drawn in colour; ``None`` for none.
        scale: colour scale of ``colour``.
        contours: timepoints whose mask is outlined.
        note: said across the picture where there is nothing to see.
        group: maps of one group are comparable and stay in one row.
    """

    name: str
    title: tuple[str, ...]
    anatomy: Volume | None
    colour: Volume | None = None
    scale: ColourScale | None = None
    contours: tuple[str, ...] = ("prior", "current")
    note: str = ""
    group: tuple[str, str, str] = ("", "", "")


@dataclass(frozen=True, eq=False)
class Scans:
    """The two scans of one sequence as they are drawn: 0 is black, ``window`` ends at white."""

    sequence: str
    prior: Volume
    current: Volume
    window: Normalize


@dataclass(frozen=True)
class MapStyle:
    """How maps become pictures; see :func:`xrano.viz.panel.case_panel` for the fields."""

    rectification: str | None = None
    reduction: str = "sum"
    percentile: float = 99.5
    threshold: float = 0.2
    timepoints: str = "together"

    def rectification_of(self, attribution: AttributionMap) -> str:
        """The rectification asked for, or the one of the primary analysis for this map."""
        default = Rectification.POSITIVE if attribution.coarse else Rectification.ABSOLUTE
        return self.rectification or default


def prepare_scans(case: PanelCase, background: str) -> Scans:
    """Choose the sequence and the grey window, and make the empty background black.

    The window runs from the 0.5th to the 99.8th percentile of both scans in the brain.
    """
    sequence = case.background(background)
    # float16, as in the prepared store, is neither interpolated nor subtracted well.
    prior, current = (
        np.asarray(scan[sequence], dtype=np.float32) for scan in (case.prior, case.current)
    )
    inside = case.brain if case.brain.any() else np.ones(case.grid.shape, dtype=bool)
    values = np.concatenate([prior[inside], current[inside]])
    low, high = (float(value) for value in np.percentile(values, [0.5, 99.8]))
    return Scans(
        sequence,
        _blacken(prior, case.brain, low),
        _blacken(current, case.brain, low),
        Normalize(0.0, high - low if high > low else 1.0),
    )


def scan_cells(case: PanelCase, scans: Scans, percentile: float) -> list[Cell]:
    """Prior, current, and current − prior."""
    # Where one scan shows a skull and the other has none, the difference is no change.
    change = np.where(case.brain, scans.current - scans.prior, np.float32(0))
    scale = ColourScale(
        top=scale_value(change, case.brain, percentile),
        signed=True,
        threshold=0.0,
        label=f"{scans.sequence}, current − prior\n(image intensity)",
        colours="berlin",
    )
    return [
        Cell(
            "prior",
            (f"Prior scan, {scans.sequence}", case.prior_session),
            scans.prior,
            contours=("prior",),
        ),
        Cell(
            "current",
            (f"Current scan, {scans.sequence}", case.current_session),
            scans.current,
            contours=("current",),
        ),
        Cell(
            "change",
            (f"Change in {scans.sequence}", "current − prior"),
            scans.current,
            change,
            scale,
            note="" if change.any() else "no change",
        ),
    ]


def map_cells(
    case: PanelCase, scans: Scans, maps: Sequence[AttributionMap], style: MapStyle
) -> list[Cell]:
    """One cell a map, or two (prior channels, current channels) with ``timepoints="apart"``.

    Raises:
        UnknownNameError: for an unknown rectification, reduction or way of showing timepoints.
    """
    if style.timepoints not in TIMEPOINT_CHOICES:
        raise UnknownNameError("way of showing timepoints", style.timepoints, TIMEPOINT_CHOICES)
    drawn = [
        (attribution, timepoint, _volume(case, attribution, timepoint, style))
        for attribution in maps
        for timepoint in _timepoints(attribution, style)
    ]
    tops: dict[tuple[str, str, str], float] = {}
    for attribution, _, volume in drawn:
        group = map_group(attribution)
        top = scale_value(volume, case.brain, style.percentile)
        tops[group] = max(tops.get(group, 0.0), top)
    scale = _shared_scale(tops, style)
    return [
        Cell(
            name=f"map {index}",
            title=_title(case, attribution, timepoint),
            anatomy=scans.prior if timepoint == Timepoint.PRIOR else scans.current,
            colour=_in_units(volume, tops[map_group(attribution)], normalised=len(tops) > 1),
            scale=scale,
            note=_note(attribution, timepoint, volume, case.brain, style),
            group=map_group(attribution),
        )
        for index, (attribution, timepoint, volume) in enumerate(drawn)
    ]


def _blacken(volume: Volume, brain: Mask, low: float) -> Volume:
    """Shift a scan so that 0 is the black end of the window, with its empty background at 0.

    Normalisation can move a constant background outside the brain anywhere; it would be drawn
    grey. What lies beyond the scan's field is 0 as well, and so as black.
    """
    shifted = np.asarray(volume - np.float32(low))
    empty = ~brain & (volume == volume[0, 0, 0])
    if 2 * int(empty.sum()) >= int((~brain).sum()):
        shifted[empty] = 0
    return shifted


def _timepoints(attribution: AttributionMap, style: MapStyle) -> tuple[str, ...]:
    if style.timepoints == "apart" and all(_channels(attribution, t) for t in Timepoint):
        return tuple(Timepoint)
    return ("",)


def _channels(attribution: AttributionMap, timepoint: str) -> tuple[str, ...]:
    return tuple(name for name in attribution.channels if name.startswith(f"{timepoint}_"))


def _volume(
    case: PanelCase, attribution: AttributionMap, timepoint: str, style: MapStyle
) -> Volume:
    channels = _channels(attribution, timepoint) if timepoint else None
    rectification = style.rectification_of(attribution)
    # Rectified on its own grid and then carried over, as it is scored.
    volume = attribution.reduced(rectification, style.reduction, channels=channels)
    if not attribution.grid.matches(case.grid):
        outside: Outside = "edge" if attribution.coarse else "zero"
        volume = resample(volume, attribution.grid, case.grid, outside=outside)
    # Cells of centimetres spill over the brain's edge, where nothing is to be read.
    return np.where(case.brain, volume, 0) if attribution.coarse else volume


def _shared_scale(tops: dict[tuple[str, str, str], float], style: MapStyle) -> ColourScale:
    signed = style.rectification == Rectification.NONE
    end = "maximum" if style.percentile == 100 else f"{style.percentile:g}th percentile"
    if len(tops) == 1:
        (method, _, _), top = next(iter(tops.items()))
        label = f"{method_name(method)}, raw values\n(up to the {end} in the brain)"
    else:
        top = 1.0
        label = f"relevance / {end} in the brain\n(of each method)"
    return ColourScale(
        top=top,
        signed=signed,
        threshold=style.threshold,
        label=label,
        colours="managua_r" if signed else "inferno",
    )


def _in_units(volume: Volume, top: float, *, normalised: bool) -> Volume:
    return volume / top if normalised and top > 0 else volume


def _title(case: PanelCase, attribution: AttributionMap, timepoint: str) -> tuple[str, ...]:
    lines = map_title(attribution, case.grid)
    if timepoint:
        lines.append(f"channels of the {timepoint} scan")
    target = target_text(attribution.meta, predicted=case.predicted, response=case.response)
    return (*lines, target)


def _note(
    attribution: AttributionMap, timepoint: str, volume: Volume, brain: Mask, style: MapStyle
) -> str:
    if not volume.any():
        if timepoint == Timepoint.PRIOR and attribution.meta.get("baseline") == "prior":
            return "zero by construction:\nthe baseline is the prior scan"
        if attribution.data.any():
            return f"no {style.rectification_of(attribution)} relevance anywhere"
        return "all-zero map"
    inside = volume[brain]
    if not inside.any():
        return "no relevance in the brain"
    if np.count_nonzero(inside) <= inside.size * (1 - style.percentile / 100):
        return f"zero in {style.percentile:g} % of the brain"
    return ""
