"""The viewer of a case: scans, masks and maps as files that fit into a page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from matplotlib.colors import to_hex
from scipy import ndimage

from xrano.channels import Timepoint
from xrano.experiments.report.case_layers import MethodLayers, encoded_method, method_layers
from xrano.experiments.report.case_volumes import (
    Factor,
    blank_bytes,
    brain_frame,
    coarser,
    coarser_grid,
    factors,
    mask_bytes,
    window_bytes,
)
from xrano.geometry import Grid, bounding_box
from xrano.maps import AttributionMap
from xrano.report.viewer import Millimetres, ViewerColours, ViewerContent, ViewerMethod, base64_size
from xrano.resampling import resample
from xrano.types import Mask, Volume
from xrano.viz.colour_scale import FAINTEST, OPACITY
from xrano.viz.drawing import CONTOUR_STYLES
from xrano.viz.panel_case import PanelCase
from xrano.viz.panel_cells import prepare_scans
from xrano.viz.panel_maps import MapStyle

_LEAST_BYTES = 0.2
"""A voxel of a map or scan takes at least about this much after compression."""


@dataclass(frozen=True, eq=False)
class _Layers:
    """Everything at full resolution on one axis-aligned grid."""

    frame: Grid
    brain: Mask
    scans: dict[str, Volume]
    window: tuple[float, float]
    masks: dict[str, Mask]
    methods: list[MethodLayers]


def viewer_content(
    case: PanelCase,
    maps: Sequence[AttributionMap],
    *,
    background: str = "CT1",
    rectification: str | None = None,
    budget_bytes: int,
) -> ViewerContent:
    """Scans, masks and maps of a case, as fine as they fit.

    Maps and scans become coarser, each by whole voxels, until the volumes take no more than the
    budget in the page; masks and feature grids stay as they are.

    Args:
        case: the case of the panel.
        maps: its maps, those of one method together, classes in order.
        background: sequence to draw, as in the panel.
        rectification: of every map; that of the primary analysis if not given.
        budget_bytes: what the volumes may take, in base64.
    """
    style = MapStyle(rectification)
    layers = _layers(case, maps, background, style)
    sequence = case.background(background)
    masks = {name: mask_bytes(mask, layers.frame) for name, mask in layers.masks.items()}
    brain = mask_bytes(layers.brain, layers.frame)
    left = budget_bytes - sum(base64_size(len(one)) for one in (brain, *masks.values()))
    scan_factor, scans, map_factor, methods = _fitted(layers, style.percentile, left)
    start, words = _start(layers)
    return ViewerContent(
        sequence=sequence,
        sessions={"prior": case.prior_session, "current": case.current_session},
        scans=scans,
        window=layers.window,
        blank=blank_bytes(coarser_grid(layers.frame, scan_factor)),
        brain=brain,
        masks=masks,
        mask_words={name: case.mask_text(name) for name in masks},
        region=case.region,
        methods=methods,
        target=case.predicted,
        colours=_colours(layers.methods),
        threshold=style.threshold,
        start_mm=start,
        start_words=words,
        notes=_notes(case, layers, scan_factor, map_factor, methods, style),
    )


def _layers(
    case: PanelCase, maps: Sequence[AttributionMap], background: str, style: MapStyle
) -> _Layers:
    scans = prepare_scans(case, background, style.percentile)
    frame = brain_frame(case.grid, case.brain)
    drawn = {"prior": scans.prior.volume, "current": scans.current.volume}
    # Panels shift black to 0; the reading at the crosshair is in the unit of the volumes.
    black = _shift(case, scans.current.volume, scans.sequence)
    masks = {"prior": case.prior_mask, "current": case.current_mask}
    return _Layers(
        frame=frame,
        brain=resample(case.brain, case.grid, frame, order=0),
        scans={
            name: resample(volume, case.grid, frame) + np.float32(black)
            for name, volume in drawn.items()
        },
        window=(black, black + float(scans.window.vmax or 1.0)),
        masks={
            name: resample(mask, case.grid, frame, order=0)
            for name, mask in masks.items()
            if mask is not None
        },
        methods=method_layers(case, maps, style.rectification, frame),
    )


def _shift(case: PanelCase, shifted: Volume, sequence: str) -> float:
    """What a panel took away from every voxel of the brain."""
    inside = case.brain if case.brain.any() else np.ones(case.grid.shape, dtype=bool)
    volume = np.asarray(case.current[sequence], dtype=np.float32)
    return float(np.nanmedian(volume[inside] - shifted[inside]))


def _fitted(
    layers: _Layers, percentile: float, budget: int
) -> tuple[Factor, dict[str, bytes], Factor, tuple[ViewerMethod, ...]]:
    """The finest maps that fit beside scans no coarser; then the finest scans beside them.

    Where nothing fits, the coarsest of both.
    """
    levels = list(factors(layers.frame.spacing))
    volumes = len(Timepoint) + sum(
        bool(part.any())
        for method in layers.methods
        for layer in method.layers
        if layer.cells is None
        for part in (layer.parts or {"both": layer.whole}).values()
    )
    for number, factor in enumerate(levels):
        if _least(layers, factor, volumes) > budget:
            continue
        methods = _encoded(layers, factor, percentile)
        parts = [part for one in methods for item in one.maps for part in item.parts.values()]
        left = budget - sum(base64_size(len(part)) for part in parts)
        for scan_factor in levels[: number + 1]:
            if _least(layers, scan_factor, len(Timepoint)) > left:
                continue
            scans, blank = _scans(layers, scan_factor)
            if sum(base64_size(len(one)) for one in (blank, *scans.values())) <= left:
                return scan_factor, scans, factor, methods
    last = levels[-1]
    return last, _scans(layers, last)[0], last, _encoded(layers, last, percentile)


def _least(layers: _Layers, factor: Factor, volumes: int) -> int:
    """Characters that so many volumes take at least."""
    voxels = float(np.prod(coarser_grid(layers.frame, factor).shape))
    return base64_size(int(_LEAST_BYTES * voxels * volumes))


def _encoded(layers: _Layers, factor: Factor, percentile: float) -> tuple[ViewerMethod, ...]:
    return tuple(
        encoded_method(method, layers.frame, layers.brain, factor, percentile)
        for method in layers.methods
    )


def _scans(layers: _Layers, factor: Factor) -> tuple[dict[str, bytes], bytes]:
    """The files of both scans, and of the volume that is coloured over them."""
    grid = coarser_grid(layers.frame, factor)
    scans = {
        name: window_bytes(coarser(volume, factor), grid, layers.window)
        for name, volume in layers.scans.items()
    }
    return scans, blank_bytes(grid)


def _colours(methods: Sequence[MethodLayers]) -> ViewerColours:
    """The colours of the panel, without its threshold, which the page applies."""
    shades: tuple[str, ...] = ()
    if methods:
        scale = replace(methods[0].scale, threshold=0.0)
        shades = tuple(to_hex(colour) for colour in scale.colormap(np.linspace(0, 1, 256))[:, :3])
    return ViewerColours(shades, dict(CONTOUR_STYLES), OPACITY, FAINTEST)


def _start(layers: _Layers) -> tuple[Millimetres, str]:
    """The voxel deepest inside the tumour of either scan; without one the middle of the brain."""
    union = np.zeros(layers.frame.shape, dtype=bool)
    for mask in layers.masks.values():
        union |= mask
    if union.any():
        start, shape = bounding_box(union)
        box = tuple(slice(low, low + size) for low, size in zip(start, shape, strict=True))
        depth: Any = ndimage.distance_transform_edt(
            np.pad(union[box], 1), sampling=layers.frame.spacing
        )
        index = np.array(np.unravel_index(int(depth.argmax()), depth.shape)) - 1 + start
        words = "tumour"
    elif layers.brain.any():
        index = np.rint(np.argwhere(layers.brain).mean(axis=0))
        words = "middle of the brain"
    else:
        index = (np.array(layers.frame.shape) - 1) // 2
        words = "middle of the volume"
    x, y, z = (float(mm) for mm in layers.frame.world(index))
    return (x, y, z), words


def _notes(
    case: PanelCase,
    layers: _Layers,
    scan_factor: Factor,
    map_factor: Factor,
    methods: Sequence[ViewerMethod],
    style: MapStyle,
) -> tuple[str, ...]:
    fine = _size(layers.frame, (1, 1, 1))
    shown = f"Scans are shown at {_size(layers.frame, scan_factor)}"
    shown += f" and maps at {_size(layers.frame, map_factor)}" if methods else ""
    if (scan_factor, map_factor) == ((1, 1, 1), (1, 1, 1)):
        notes = [f"{shown}, as they were explained."]
    else:
        notes = [
            f"{shown}: values are means over voxels of {fine}, so that the page stays small. "
            "Outlines, panel and scores are at full resolution."
        ]
    # A grid whose voxels run along the axes, in whatever order, has one entry a row and column.
    directions = case.grid.affine[:3, :3] / case.grid.spacing
    if not np.allclose(np.abs(directions), np.abs(directions).round(), atol=1e-4):
        notes.append(
            "Voxels do not run along the patient's axes: scans, maps and outlines were brought to "
            f"voxels of {fine} that do."
        )
    if methods:
        worst = max((one.error / one.top for one in methods if one.top > 0), default=0.0)
        notes.append(
            f"A method's scale ends at the {style.percentile:g}th percentile of its values in the "
            f"brain, as shown, and is shared by its classes and by both scans. {_precision(worst)}"
        )
    if any(one.cells for method in methods for one in method.maps):
        notes.append("Cells of a feature grid are drawn inside the brain.")
    return tuple(notes)


def _precision(worst: float) -> str:
    """How exact stored values are; ``worst``: largest error as a share of a method's scale."""
    greys = "greys by 1/510 of their range."
    if worst <= 0.05:
        return f"Stored values are off by at most {100 * worst:.2g} % of the scale, {greys}"
    return (
        "The strongest values of a map lie so far beyond its scale's end that weak ones are stored "
        f"coarsely, off by up to {worst:.2g} of the scale, {greys}"
    )


def _size(frame: Grid, factor: Factor) -> str:
    sizes = [f"{size * step:.3g}" for size, step in zip(frame.spacing, factor, strict=True)]
    return f"{sizes[0] if len(set(sizes)) == 1 else ' × '.join(sizes)} mm"
