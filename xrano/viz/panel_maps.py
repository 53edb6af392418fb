"""Maps as cells of a panel: what is rectified how, which scale they share, what is said of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xrano.channels import Timepoint
from xrano.errors import ConfigError, UnknownNameError
from xrano.maps import AttributionMap, Rectification, Reduction
from xrano.viz.blocks import Block
from xrano.viz.colour_scale import ColourScale, scale_of
from xrano.viz.map_values import MapValues
from xrano.viz.names import map_group, map_title, method_name, target_roles, target_text
from xrano.viz.panel_case import PanelCase
from xrano.viz.panel_cells import Cell, Scans, Slices, SliceSource
from xrano.viz.slices import SliceView
from xrano.viz.words import printable

TIMEPOINT_CHOICES = ("together", "apart")


@dataclass(frozen=True)
class MapStyle:
    """How maps become pictures; see :func:`xrano.viz.panel.case_panel` for the fields.

    Raises:
        ConfigError: if the percentile or the threshold is out of range.
        UnknownNameError: for an unknown rectification, reduction or way of showing timepoints.
    """

    rectification: str | None = None
    reduction: str = "sum"
    percentile: float = 99.5
    threshold: float = 0.2
    timepoints: str = "together"

    def __post_init__(self) -> None:
        if not 0 < self.percentile <= 100:
            raise ConfigError(f"the percentile lies in (0, 100], got {self.percentile:g}")
        if not 0 <= self.threshold < 1:
            raise ConfigError(
                f"the threshold is a share of the scale in [0, 1), got {self.threshold:g}"
            )
        known = {
            "rectification": (self.rectification or Rectification.ABSOLUTE, tuple(Rectification)),
            "reduction": (self.reduction, tuple(Reduction)),
            "way of showing timepoints": (self.timepoints, TIMEPOINT_CHOICES),
        }
        for what, (name, choices) in known.items():
            if name not in choices:
                raise UnknownNameError(what, name, choices)

    def rectification_of(self, attribution: AttributionMap) -> str:
        """The rectification asked for, or the one of the primary analysis for this map."""
        default = Rectification.POSITIVE if attribution.coarse else Rectification.ABSOLUTE
        return self.rectification or default

    @property
    def end(self) -> str:
        """What ends a colour scale, in words."""
        return "maximum" if self.percentile == 100 else f"{self.percentile:g}th percentile"


@dataclass(frozen=True, eq=False)
class ReadMap:
    """A map, or its channels of one timepoint, with what its values in the brain say.

    ``top`` is the end of a scale of its own, ``note`` what is said where there is nothing to see.
    """

    attribution: AttributionMap
    timepoint: str
    values: MapValues
    top: float
    note: str

    @property
    def group(self) -> tuple[str, str, str]:
        """Method, baseline and layer."""
        return map_group(self.attribution)

    def in_units_of(self, top: float) -> SliceSource:
        """Slices of the map divided by a value."""

        def slices(view: SliceView) -> NDArray[Any]:
            return self.values.on(view) / np.float32(top)

        return slices if top > 0 else self.values.on


def read_maps(case: PanelCase, maps: Sequence[AttributionMap], style: MapStyle) -> list[ReadMap]:
    """Each map, or two of each (prior channels, current channels) with ``timepoints="apart"``."""
    block = Block.around(case.brain)
    found = []
    for attribution in maps:
        for timepoint in _timepoints(attribution, style):
            values = MapValues(
                attribution,
                _channels(attribution, timepoint) if timepoint else attribution.channels,
                style.rectification_of(attribution),
                style.reduction,
                case.grid,
                case.brain,
            )
            inside, lost = values.inside(block)
            top = scale_of(inside, style.percentile)
            note = ""
            if not top:
                everywhere = values.volume()
                top = float(np.abs(everywhere).max())
                note = _why_nothing(attribution, timepoint, top, style)
            elif np.count_nonzero(inside) <= inside.size * (1 - style.percentile / 100):
                note = f"zero in {style.percentile:g} % of the brain"
            if lost:
                note = "\n".join(part for part in (note, _lost_words(lost, attribution)) if part)
            found.append(ReadMap(attribution, timepoint, values, top, note))
    return found


def tops_of(read: Sequence[ReadMap]) -> dict[tuple[str, str, str], float]:
    """The end of the scale that the maps of each group share: the largest of their own."""
    tops: dict[tuple[str, str, str], float] = {}
    for one in read:
        tops[one.group] = max(tops.get(one.group, 0.0), one.top)
    return tops


def map_cells(
    case: PanelCase,
    scans: Scans,
    outlines: Mapping[str, Slices],
    read: Sequence[ReadMap],
    style: MapStyle,
) -> list[Cell]:
    """One cell for each; those of one method, its classes and timepoints, on one scale."""
    tops = tops_of(read)
    scale = _shared_scale(tops, style)
    cells = []
    for index, one in enumerate(read):
        top = tops[one.group]
        head = map_title(one.attribution, case.grid)
        below = [target_text(one.attribution.meta, **_answers(case))]
        if one.timepoint:
            below.insert(0, f"channels of the {one.timepoint} scan")
        cells.append(
            Cell(
                f"map {index}",
                tuple(head),
                tuple(below),
                scans.window,
                scans.prior if one.timepoint == Timepoint.PRIOR else scans.current,
                one.in_units_of(top if len(tops) > 1 else 0.0),
                scale,
                dict(outlines),
                one.note or _faint(one.top, top, style),
                (*one.group, *head),
                (str(one.attribution.meta.get("target_name") or ""), one.timepoint),
                _column_head(case, one),
                f"scale: 1 = {top:.2g}" if len(tops) > 1 and top > 0 else "",
            )
        )
    return cells


def _column_head(case: PanelCase, one: ReadMap) -> tuple[str, ...]:
    """``target PD``, then what it is in this case and how probable, then the channels."""
    target = str(one.attribution.meta.get("target_name") or "")
    said = target_roles(target, **_answers(case))
    if target in case.probabilities:
        said.insert(0, f"p = {case.probabilities[target]:.2f}")
    lines = [f"target {target}" if target else "no target class", ", ".join(said)]
    if one.timepoint:
        lines.append(f"channels of the {one.timepoint} scan")
    return tuple(line for line in lines if line)


def _answers(case: PanelCase) -> dict[str, str]:
    return {"predicted": case.predicted, "response": case.response}


def _timepoints(attribution: AttributionMap, style: MapStyle) -> tuple[str, ...]:
    if style.timepoints == "apart" and all(_channels(attribution, t) for t in Timepoint):
        return tuple(Timepoint)
    return ("",)


def _channels(attribution: AttributionMap, timepoint: str) -> tuple[str, ...]:
    return tuple(name for name in attribution.channels if name.startswith(f"{timepoint}_"))


def _shared_scale(tops: Mapping[tuple[str, str, str], float], style: MapStyle) -> ColourScale:
    if len(tops) == 1:
        (method, _, _), top = next(iter(tops.items()))
        label = (
            f"{printable(method_name(method))}, raw values\n(up to the {style.end} in the brain)"
        )
        return relevance_scale(top, label, style)
    return relevance_scale(1.0, f"relevance / {style.end} in the brain\n(of each method)", style)


def relevance_scale(top: float, label: str, style: MapStyle) -> ColourScale:
    """Sequential colours, or diverging ones about zero for signed values."""
    signed = style.rectification == Rectification.NONE
    return ColourScale(
        top=top,
        signed=signed,
        threshold=style.threshold,
        label=label,
        colours="managua_r" if signed else "inferno",
    )


def _why_nothing(attribution: AttributionMap, timepoint: str, top: float, style: MapStyle) -> str:
    """What is said of a map whose values in the brain are all zero."""
    if top > 0:
        return "no relevance in the brain"
    if timepoint == Timepoint.PRIOR and attribution.meta.get("baseline") == "prior":
        return "zero by construction:\nthe baseline is the prior scan"
    if np.isfinite(attribution.data).any() and np.nan_to_num(attribution.data).any():
        kind = style.rectification_of(attribution)
        return f"no {'' if kind == Rectification.NONE else f'{kind} '}relevance anywhere"
    return "all-zero map" if np.isfinite(attribution.data).all() else ""


def _faint(own: float, shared: float, style: MapStyle) -> str:
    """What is said of a map that is hardly drawn beside the stronger ones of its method."""
    return "below the threshold" if own < style.threshold * shared else ""


def _lost_words(lost: int, attribution: AttributionMap) -> str:
    what = "cells" if attribution.coarse else "voxels"
    return f"{lost} {what} hold NaN or infinity\nand are not drawn"
