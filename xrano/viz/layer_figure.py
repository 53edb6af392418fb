"""Lift of class activation maps by the size of their cells, beside what the mask itself scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from xrano.errors import ManifestError
from xrano.viz.names import method_name

# Okabe and Ito's colours.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9")
_MARKS = ("o", "s", "^", "D", "v")
_SIZE = 8


@dataclass(frozen=True)
class LayerPoint:
    """One layer of one method: cells in mm, lifts in bits; ``chosen`` on training pairs."""

    method: str
    layer: str
    cells: str
    cell_mm: float
    lift: float
    low: float
    high: float
    reference_lift: float
    chosen: bool


def layer_figure(points: Sequence[LayerPoint], *, title: str = "") -> Figure:
    """Draw the lift of each layer, fine cells on the left.

    Args:
        points: of held-out pairs.
        title: above the plot, such as the number of pairs and patients.

    Returns:
        A figure 120 mm wide that belongs to nobody; see
        :func:`xrano.viz.figure_files.save_figure`.

    Raises:
        ManifestError: if there is no point.
    """
    if not points:
        raise ManifestError("the figure of layers needs at least one point")
    with matplotlib.style.context("default"):
        figure = Figure(figsize=(4.72, 3.9), facecolor="white", layout="constrained")
        ax = figure.add_subplot()
        ax.set_label("layers")
        places = _places(points)
        reference = {point.layer: point.reference_lift for point in points}
        ordered = sorted(places, key=lambda layer: places[layer])
        ax.plot(
            [places[layer] for layer in ordered],
            [reference[layer] for layer in ordered],
            color="0.45",
            linestyle=(0, (4, 2)),
            linewidth=1.2,
            label="the tumour's mask, seen at the cells",
        )
        methods = list(dict.fromkeys(point.method for point in points))
        for number, method in enumerate(methods):
            own = [point for point in points if point.method == method]
            shift = 0.09 * (number - (len(methods) - 1) / 2)
            _draw_method(ax, own, places, number, shift)
        ax.axhline(0, color="0.35", linewidth=0.8)
        _dress(ax, points, places, title)
    return figure


def _places(points: Sequence[LayerPoint]) -> dict[str, int]:
    """Layers from fine to coarse cells."""
    sizes = {point.layer: point.cell_mm for point in points}
    ordered = sorted(sizes, key=lambda layer: sizes[layer])
    return {layer: number for number, layer in enumerate(ordered)}


def _draw_method(
    ax: Axes, own: Sequence[LayerPoint], places: dict[str, int], number: int, shift: float
) -> None:
    colour, mark = _COLOURS[number % len(_COLOURS)], _MARKS[number % len(_MARKS)]
    for point in own:
        x = places[point.layer] + shift
        if np.isfinite([point.low, point.high]).all():
            ax.plot([x, x], [point.low, point.high], color=colour, linewidth=1.2)
    ax.plot(
        [places[point.layer] + shift for point in own],
        [point.lift for point in own],
        linestyle="none",
        marker=mark,
        markersize=5,
        color=colour,
        label=method_name(own[0].method),
    )
    for point in own:
        if point.chosen:
            ax.plot(
                places[point.layer] + shift,
                point.lift,
                marker="o",
                markersize=11,
                markerfacecolor="none",
                markeredgecolor=colour,
                linestyle="none",
            )


def _dress(ax: Axes, points: Sequence[LayerPoint], places: dict[str, int], title: str) -> None:
    words = {point.layer: f"{point.cell_mm:.0f} mm\n{point.cells}" for point in points}
    ax.set_xticks(list(places.values()), [words[layer] for layer in places], fontsize=_SIZE)
    ax.set_xlim(-0.5, len(places) - 0.5)
    ax.set_xlabel("cells of the layer", fontsize=_SIZE)
    ax.set_ylabel("log2 lift over chance (bits)", fontsize=_SIZE)
    ax.tick_params(labelsize=_SIZE)
    ax.set_title(title, fontsize=_SIZE, loc="left")
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    # Beside the plot, where it can lie on nothing.
    ax.figure.legend(
        fontsize=_SIZE - 1,
        frameon=False,
        loc="outside lower center",
        ncols=2,
        title="ring: layer chosen on training pairs",
        title_fontsize=_SIZE - 1,
    )
