"""The mean tumour of a class on the slices of an atlas: which outlines, and what they say."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes

from xrano.geometry import Grid
from xrano.viz.class_atlas import AtlasTumour
from xrano.viz.outlines import Outline, draw_outline
from xrano.viz.slices import SliceView

LEVELS = (0.25, 0.5)
"""Shares of patients at which the mean tumour is outlined."""

OUTLINES = {0.5: Outline("50 %", "#00e5ff", "-"), 0.25: Outline("25 %", "#00e5ff", "--")}
FEWER = Outline("largest share", "#00e5ff", ":")

_ROUNDING = 1e-6
"""Shares are sums of fractions in float32."""


def contour_levels(
    tumour: AtlasTumour, grid: Grid, views: Sequence[SliceView]
) -> tuple[float, ...]:
    """The levels that a class's tumours reach on these slices: 25 and 50 % of the patients.

    Where fewer than 25 % of the patients have a tumour in one place, the largest share that is
    reached; nothing where none has.
    """
    cuts = (view.sample(tumour.share, grid, order=0) for view in views)
    largest = max((float(cut.max()) for cut in cuts if cut.size), default=0.0)
    reached = tuple(level for level in LEVELS if largest >= level - _ROUNDING)
    return reached or ((largest,) if largest > 0 else ())


def draw_tumour(
    ax: Axes, view: SliceView, tumour: AtlasTumour, grid: Grid, levels: Sequence[float]
) -> None:
    """Outline where at least so many patients have a tumour, one line a level."""
    for level in levels:
        mask = tumour.share >= level - _ROUNDING
        draw_outline(ax, view, mask, grid, OUTLINES.get(level, FEWER))


def level_words(tumour: AtlasTumour | None, levels: Sequence[float]) -> str:
    """What the outlines of a class are, in words.

    Example:
        >>> import numpy as np
        >>> tumour = AtlasTumour(np.zeros((1, 1, 1), np.float32), 9, 7)
        >>> level_words(tumour, (0.25, 0.5)), level_words(tumour, (1 / 7,)), level_words(None, ())
        ('tumour: 25 %, 50 %', 'tumour: 14 % at most', 'tumour not segmented')
    """
    if tumour is None:
        return "tumour not segmented"
    if not levels:
        return "no tumour on this slice"
    shares = ", ".join(f"{100 * level:.0f} %" for level in levels)
    return f"tumour: {shares}" + ("" if levels[0] in LEVELS else " at most")
