"""The outline of a mask on a slice, in any colour."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from xrano.geometry import Grid
from xrano.types import Mask
from xrano.viz.slices import SliceView


@dataclass(frozen=True)
class Outline:
    """How one mask is outlined, and what the legend calls it."""

    name: str
    colour: str
    line: Literal["-", "--", ":"] = "-"
    width: float = 1.1


def draw_outline(ax: Axes, view: SliceView, mask: Mask, grid: Grid, outline: Outline) -> None:
    """Outline a mask halfway between its voxels and their neighbours; nothing if none is here."""
    outline_cut(ax, view, view.sample(mask, grid, order=0), outline)


def outline_cut(ax: Axes, view: SliceView, cut: NDArray[np.bool_], outline: Outline) -> None:
    """The same of a slice (row, column) of the mask that was taken on the view before."""
    if not cut.any():
        return
    # A margin of background closes outlines that reach the edge of the picture.
    closed = np.pad(cut, 1).astype(np.float32)
    left, right, bottom, top = view.extent
    rows, columns = cut.shape
    x = left + (np.arange(-1, columns + 1) + 0.5) * (right - left) / columns
    y = top + (np.arange(-1, rows + 1) + 0.5) * (bottom - top) / rows
    drawn = ax.contour(
        x,
        y,
        closed,
        levels=[0.5],
        colors=[outline.colour],
        linewidths=outline.width,
        linestyles=[outline.line],
    )
    drawn.set_label(f"contour {outline.name}")
    drawn.set_path_effects([withStroke(linewidth=2 * outline.width, foreground="black")])
