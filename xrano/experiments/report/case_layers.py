"""The maps of a case as layers of its viewer: the values of the panel, on the grid of the viewer.

Values, rectification and notes are those of :func:`xrano.viz.panel_maps.read_maps`. A map on a
feature grid stays on its own cells, with their own affine.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np

from xrano.channels import Timepoint
from xrano.experiments.report.case_volumes import (
    STEPS_TO_TOP,
    Factor,
    coarser,
    coarser_grid,
    map_bytes,
    step_for,
)
from xrano.geometry import Grid
from xrano.maps import RESAMPLED, AttributionMap
from xrano.report.viewer import ViewerMap, ViewerMethod
from xrano.resampling import resample
from xrano.types import Mask, Volume
from xrano.viz.colour_scale import ColourScale, scale_value
from xrano.viz.names import map_group, map_title, target_text
from xrano.viz.panel_case import PanelCase
from xrano.viz.panel_maps import MapStyle, ReadMap, read_maps, relevance_scale


@dataclass(frozen=True, eq=False)
class MapLayer:
    """One map on the grid of the viewer at full resolution.

    ``whole``: all channels; ``parts``: ``prior`` and ``current`` where the map tells them apart;
    ``cells``: values on the feature grid and that grid, of a map that has one.
    """

    target: str
    target_text: str
    whole: Volume
    parts: Mapping[str, Volume]
    cells: tuple[Volume, Grid] | None
    note: str


@dataclass(frozen=True, eq=False)
class MethodLayers:
    """The layers of one method and the colour scale that they share."""

    name: str
    layers: tuple[MapLayer, ...]
    scale: ColourScale


def method_layers(
    case: PanelCase, maps: Sequence[AttributionMap], rectification: str | None, frame: Grid
) -> list[MethodLayers]:
    """The maps of a case, one entry a method.

    Args:
        case: the case of the panel.
        maps: maps in the world of the case; those of one method stand together.
        rectification: of every map; that of the primary analysis if ``None``.
        frame: grid of the viewer.
    """
    style = MapStyle(rectification)
    methods = []
    for _, group in groupby(maps, key=_group):
        members = list(group)
        layers = tuple(_layer(case, one, style, frame) for one in members)
        name = ", ".join(map_title(members[0], case.grid))
        methods.append(MethodLayers(name, layers, relevance_scale(1.0, name, style)))
    return methods


def encoded_method(
    method: MethodLayers, frame: Grid, brain: Mask, factor: Factor, percentile: float
) -> ViewerMethod:
    """The files of a method's layers at a coarser spacing.

    Args:
        method: the layers, on ``frame``.
        frame: their grid.
        brain: brain mask on it.
        factor: voxels that become one along each axis.
        percentile: of |value| in the brain, as shown, that ends the scale.
    """
    grid, inside = coarser_grid(frame, factor), coarser(brain, factor) >= 0.5
    wholes = [coarser(layer.whole, factor) for layer in method.layers]
    top = max(scale_value(whole, inside, percentile) for whole in wholes)
    step, error, maps = top / STEPS_TO_TOP, 0.0, []
    for layer in method.layers:
        if layer.cells is not None:
            values, cell_grid = layer.cells
            parts = {"both": map_bytes(values, cell_grid, step_for(values))}
            error = max(error, step_for(values) / 2)
        else:
            volumes = {
                name: coarser(part, factor)
                for name, part in (layer.parts or {"both": layer.whole}).items()
            }
            parts = {name: map_bytes(volume, grid, step) for name, volume in volumes.items()}
            error = max(error, sum(max(step, step_for(one)) / 2 for one in volumes.values()))
        maps.append(
            ViewerMap(layer.target, layer.target_text, parts, layer.cells is not None, layer.note)
        )
    return ViewerMethod(method.name, tuple(maps), top, method.scale.signed, error)


def _group(attribution: AttributionMap) -> tuple[str, ...]:
    return (*map_group(attribution), str(attribution.meta.get("weights") or ""))


def _layer(case: PanelCase, attribution: AttributionMap, style: MapStyle, frame: Grid) -> MapLayer:
    (together,) = read_maps(case, [attribution], style)
    apart = read_maps(case, [attribution], replace(style, timepoints="apart"))
    parts: dict[str, Volume] = {}
    cells, notes = None, [together.note]
    if len(apart) == len(Timepoint):
        parts = {str(one.timepoint): _carried(one, frame) for one in apart}
        # Channels are summed, so both scans together are the sum of each.
        whole = np.asarray(sum(parts.values()))
        if not together.note:
            notes += [f"{one.timepoint} channels: {one.note}" for one in apart if one.note]
    else:
        whole = _carried(together, frame)
        if attribution.coarse and not attribution.meta.get(RESAMPLED):
            values = attribution.reduced(style.rectification_of(attribution), style.reduction)
            cells = (np.asarray(values, dtype=np.float32), attribution.grid)
    named = target_text(attribution.meta, predicted=case.predicted, response=case.response)
    return MapLayer(
        target=str(attribution.meta.get("target_name") or ""),
        target_text=named.removeprefix("target "),
        whole=whole,
        parts=parts,
        cells=cells,
        note="; ".join(note.replace("\n", " ") for note in notes if note),
    )


def _carried(read: ReadMap, frame: Grid) -> Volume:
    values = resample(read.values.volume(), read.values.grid, frame)
    return np.asarray(values, dtype=np.float32)
