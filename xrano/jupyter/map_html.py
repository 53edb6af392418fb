"""A map for the eyes: three planes through its peak, and what it is, in HTML."""

from __future__ import annotations

from dataclasses import dataclass
from weakref import WeakKeyDictionary

import matplotlib.style
import numpy as np
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from xrano.channels import Timepoint
from xrano.data.pair_volumes import PairVolumes
from xrano.geometry import Grid
from xrano.jupyter import html
from xrano.maps import AttributionMap
from xrano.scoring.rows import default_rectification, relevance_on
from xrano.types import Mask, Volume
from xrano.viz.colour_scale import ColourScale, scale_value
from xrano.viz.drawing import annotate, draw_anatomy, draw_colour, frame
from xrano.viz.names import method_name, target_text
from xrano.viz.slice_places import place_slice
from xrano.viz.slices import Plane

_SHOWN_WITH: WeakKeyDictionary[AttributionMap, PairVolumes] = WeakKeyDictionary()
"""The scans of maps that were made here. A map knows its grid and no anatomy; one that was read
from a file is shown without any."""

_PERCENTILE = 99.5


@dataclass(frozen=True, eq=False)
class Relevance:
    """A map as it is scored: non-negative (i, j, k) on ``grid``, with the brain if it is known."""

    volume: Volume
    grid: Grid
    brain: Mask | None
    coarse: bool = False

    @property
    def drawn(self) -> Volume:
        """What is drawn: cells of centimetres spill over the brain's edge, and are cut there."""
        if self.brain is None or not self.coarse:
            return self.volume
        return np.where(self.brain, self.volume, np.float32(0))

    @property
    def peak(self) -> tuple[float, float, float] | None:
        """World mm of the largest value in the brain; ``None`` where all is zero."""
        inside = self.volume if self.brain is None else np.where(self.brain, self.volume, 0)
        if not inside.any():
            return None
        index = np.unravel_index(int(inside.argmax()), inside.shape)
        x, y, z = (float(value) for value in self.grid.world(index))
        return x, y, z

    @property
    def brain_mass(self) -> float:
        """Share of the relevance that lies in the brain; NaN if that is unknown or all is zero."""
        total = float(self.volume.sum(dtype=np.float64))
        if self.brain is None or total == 0:
            return float("nan")
        return float(self.volume[self.brain].sum(dtype=np.float64)) / total


def show_with(attribution: AttributionMap, pair: PairVolumes) -> None:
    """Draw a map over the scans of its pair from now on, for as long as the map lives."""
    _SHOWN_WITH[attribution] = pair


def map_html(attribution: AttributionMap) -> str:
    """A card of one map; below 200 kB."""
    pair = _SHOWN_WITH.get(attribution)
    seen = relevance_of(attribution, pair)
    picture = html.png_of(three_planes(seen, pair), limit=html.REPR_BYTES)
    told = map_facts(attribution, seen)
    alternative = f"{told['method']}, three planes through the peak at {told['peak']}"
    return html.card("Attribution map", html.image(picture, alternative), html.facts(told))


def relevance_of(attribution: AttributionMap, pair: PairVolumes | None) -> Relevance:
    """A map by its default rectification, channels summed, on the grid of its scans if known."""
    rectification = default_rectification(attribution)
    grid = attribution.grid if pair is None else pair.grid
    brain = None if pair is None else pair.brain
    volume = relevance_on(attribution, grid, rectification, "sum")
    return Relevance(volume, grid, brain, attribution.coarse)


def map_facts(attribution: AttributionMap, seen: Relevance) -> dict[str, str]:
    """What a map says of itself, and where it is strongest."""
    meta, grid = attribution.meta, attribution.grid
    named = [str(meta[key]) for key in ("method", "baseline") if meta.get(key)]
    layer = f", layer {meta['layer']}" if meta.get("layer") else ""
    weights = str(meta.get("weights") or "trained")
    untrained = "" if weights in ("trained", "none") else f", {weights} weights"
    target = target_text(
        meta, predicted=str(meta.get("predicted", "")), response=str(meta.get("response", ""))
    )
    unit = "cells" if attribution.coarse else "voxels"
    shape = " × ".join(map(str, grid.shape))
    spacing = " × ".join(f"{size:g}" for size in grid.spacing)
    mass = seen.brain_mass
    unknown = (
        "unknown: no scans are beside this map" if seen.brain is None else "undefined: zero map"
    )
    return {
        "pair": str(meta.get("pair_id") or "unknown"),
        "method": (method_name(":".join(named)) or "unknown") + layer + untrained,
        "target": target,
        "grid": f"{shape} {unit} of {spacing} mm",
        "channels": ", ".join(attribution.channels),
        "values": f"{attribution.data.min():.3g} to {attribution.data.max():.3g}",
        "mass in the brain": f"{mass:.2f}" if mass == mass else unknown,
        "peak": place_words(seen.peak),
    }


def place_words(world: tuple[float, float, float] | None) -> str:
    """World mm with a letter for each direction; "none" of no place.

    Example:
        >>> place_words((-34.2, 12.0, 0.3))
        'L 34, A 12, S 0 mm'
    """
    if world is None:
        return "none: all values are zero"
    letters = (("R", "L"), ("A", "P"), ("S", "I"))
    parts = [
        f"{positive if value >= 0 else negative} {abs(value):.0f}"
        for value, (positive, negative) in zip(world, letters, strict=True)
    ]
    return f"{', '.join(parts)} mm"


def three_planes(seen: Relevance, pair: PairVolumes | None) -> Figure:
    """Axial, coronal and sagittal slices through the peak, in radiological convention."""
    grid, brain = seen.grid, seen.brain
    centre = grid.world((np.array(grid.shape) - 1) / 2)
    cut = seen.peak or tuple(float(value) for value in centre)
    scale = _scale(seen)
    anatomy, drawn = None if pair is None else _anatomy(pair), seen.drawn
    with matplotlib.style.context("default"):
        figure = Figure(figsize=(6.0, 2.2), facecolor="black")
        for number, plane in enumerate(Plane):
            view = place_slice(grid, plane, cut[plane.normal], around=brain)
            ax = figure.add_axes((number / 3 + 0.005, 0.01, 0.323, 0.98))
            if anatomy is not None:
                draw_anatomy(ax, view, anatomy[0], grid, anatomy[1])
            draw_colour(ax, view, drawn, grid, scale)
            frame(ax, view)
            annotate(ax, view)
    return figure


def _scale(seen: Relevance) -> ColourScale:
    brain = np.ones(seen.grid.shape, dtype=bool) if seen.brain is None else seen.brain
    top = scale_value(seen.volume, brain, _PERCENTILE)
    return ColourScale(top=top, signed=False, threshold=0.0, label="", colours="inferno")


def _anatomy(pair: PairVolumes) -> tuple[Volume, Normalize]:
    """The current scan, black outside the brain, with its grey window."""
    sequences = pair.layout.sequences
    name = "CT1" if "CT1" in sequences else sequences[0]
    scan = pair.volume(Timepoint.CURRENT, name)
    inside = scan[pair.brain] if pair.brain.any() else scan.ravel()
    low, high = (float(value) for value in np.percentile(inside, [0.5, 99.8]))
    return np.where(pair.brain, scan, np.float32(low)), Normalize(low, max(high, low + 1e-6))
