"""An audit as one figure: how well every score tells honest models from cheating ones.

A row is a score, sorted by the best AUROC that any method has in the first panel; a mark in it is
a method, by colour and shape, with its interval over models. Filled marks are trusted, open ones
are not. The line is chance. The score that was named beforehand is bold, its mark ringed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from xrano.errors import ManifestError
from xrano.viz.names import method_name

# Okabe and Ito's colours, told apart by colour-blind readers; shapes tell them apart as well.
_STYLES = (
    ("#0072B2", "o"),
    ("#D55E00", "s"),
    ("#009E73", "^"),
    ("#CC79A7", "D"),
    ("#56B4E9", "v"),
    ("#E69F00", "P"),
    ("#000000", "X"),
)
CHANCE = 0.5

# Inches; 180 mm in all, two columns of a journal.
_WIDTH = 7.09
_NAMES, _GAP, _RIGHT = 1.62, 0.13, 0.1
_METHOD, _PAD = 0.085, 0.07
_TOP, _BOTTOM = 0.52, 0.95
_SIZE, _SMALL = 8, 7


@dataclass(frozen=True)
class AuditMark:
    """One method's AUROC of one score in one panel; NaN where undefined.

    ``trusted``: whether its verdict is to trust it; ``headline``: whether it was named beforehand.
    """

    panel: str
    score: str
    method: str
    value: float
    low: float
    high: float
    trusted: bool = False
    headline: bool = False


def audit_figure(
    marks: Sequence[AuditMark], *, panels: Mapping[str, str], note: str = ""
) -> Figure:
    """Draw the separation of every score.

    Args:
        marks: in any order.
        panels: panels from left to right, each with the words above it.
        note: words below, such as that the form is a quick one.

    Returns:
        A figure 180 mm wide that belongs to nobody; see
        :func:`xrano.viz.figure_files.save_figure`.

    Raises:
        ManifestError: if there is no mark or panel, a mark has no panel, or a value lies outside
            0 to 1.
    """
    _check(marks, panels)
    rows = sorted_scores(marks, next(iter(panels)))
    methods = list(dict.fromkeys(mark.method for mark in marks))
    row_height = _METHOD * len(methods) + _PAD
    heights = row_height * len(rows)
    height = _TOP + heights + _BOTTOM
    width = (_WIDTH - _NAMES - _RIGHT - _GAP * (len(panels) - 1)) / len(panels)
    with matplotlib.style.context("default"):
        figure = Figure(figsize=(_WIDTH, height), facecolor="white")
        for number, (panel, words) in enumerate(panels.items()):
            left = _NAMES + number * (width + _GAP)
            place = (left / _WIDTH, _BOTTOM / height, width / _WIDTH, heights / height)
            ax = figure.add_axes(place)
            ax.set_label(panel)
            _dress(ax, words, heights, row_height, len(rows), narrow=width < 1.2)
            for mark in (mark for mark in marks if mark.panel == panel):
                order = methods.index(mark.method)
                y = row_height * rows.index(mark.score) + _PAD / 2 + _METHOD * (order + 0.5)
                _draw_mark(ax, mark, y, *_STYLES[order % len(_STYLES)])
            if number == 0:
                _draw_names(ax, rows, row_height, {mark.score for mark in marks if mark.headline})
        _draw_foot(figure, methods, height, note)
    return figure


def sorted_scores(marks: Sequence[AuditMark], panel: str) -> list[str]:
    """Scores by their best AUROC in a panel, the best first; undefined ones last."""
    best: dict[str, float] = {}
    for mark in marks:
        value = mark.value if mark.panel == panel and mark.value == mark.value else -1.0
        best[mark.score] = max(best.get(mark.score, -1.0), value)
    return sorted(best, key=lambda score: -best[score])


def _check(marks: Sequence[AuditMark], panels: Mapping[str, str]) -> None:
    if not marks or not panels:
        raise ManifestError("the figure of an audit needs at least one score and one panel")
    for mark in marks:
        if mark.panel not in panels:
            raise ManifestError(f"a mark of {mark.score} is of the panel {mark.panel!r}, not drawn")
        given = np.array([mark.value, mark.low, mark.high])
        given = given[~np.isnan(given)]
        if ((given < 0) | (given > 1)).any():
            raise ManifestError(
                f"an AUROC lies from 0 to 1; {mark.method} {mark.score} has {given.tolist()}"
            )


def _dress(
    ax: Axes, words: str, heights: float, row_height: float, rows: int, *, narrow: bool
) -> None:
    ax.set_xlim(-0.04, 1.04)
    # The vertical axis is in inches, so that rows keep their size.
    ax.set_ylim(heights, 0)
    for side in ("top", "right", "left"):
        ax.spines[side].set_visible(False)
    ax.spines["bottom"].set_color("0.5")
    ax.set_yticks([])
    ax.set_xticks([0, 0.5, 1] if narrow else [0, 0.25, 0.5, 0.75, 1])
    ax.set_xticklabels(["0", ".5", "1"] if narrow else ["0", "0.25", "0.5", "0.75", "1"])
    ax.tick_params(axis="x", length=3, labelsize=_SMALL)
    for row in range(0, rows, 2):
        ax.axhspan(row * row_height, (row + 1) * row_height, color="0.96", linewidth=0, zorder=0)
    (chance,) = ax.plot([CHANCE] * 2, [heights, 0], color="0.35", linewidth=1, zorder=1)
    chance.set_linestyle((0, (4, 2)))
    chance.set_label("chance")
    ax.set_title(words, fontsize=_SMALL - 1.2 * narrow, loc="left", pad=4, linespacing=1.2)


def _draw_mark(ax: Axes, mark: AuditMark, y: float, colour: str, shape: str) -> None:
    name = f"{mark.method} {mark.score}"
    if not np.isnan(mark.low) and not np.isnan(mark.high):
        (bar,) = ax.plot([mark.low, mark.high], [y, y], color=colour, linewidth=1.1, zorder=2)
        bar.set_label(f"interval {name}")
    if np.isnan(mark.value):
        return
    if mark.headline:
        (ring,) = ax.plot(mark.value, y, "o", markersize=9.5, zorder=2.5, clip_on=False)
        ring.set(markerfacecolor="none", markeredgecolor="black", markeredgewidth=1.1)
        ring.set_label(f"headline {name}")
    (dot,) = ax.plot(mark.value, y, shape, markersize=4.2, zorder=3, clip_on=False)
    dot.set(
        markerfacecolor=colour if mark.trusted else "white",
        markeredgecolor=colour,
        markeredgewidth=0.9,
    )
    dot.set_label(f"value {name}")


def _draw_names(ax: Axes, rows: Sequence[str], row_height: float, headline: set[str]) -> None:
    for number, score in enumerate(rows):
        ax.annotate(
            score,
            (0.0, row_height * (number + 0.5)),
            xycoords=("axes fraction", "data"),
            xytext=(-5, 0),
            textcoords="offset points",
            horizontalalignment="right",
            verticalalignment="center",
            fontsize=_SIZE,
            fontweight="bold" if score in headline else "normal",
            color="0.1",
            annotation_clip=False,
        )


def _draw_foot(figure: Figure, methods: Sequence[str], height: float, note: str) -> None:
    handles = [
        Line2D([], [], color=colour, marker=shape, markersize=4.2, linewidth=1.1)
        for colour, shape in (_STYLES[i % len(_STYLES)] for i in range(len(methods)))
    ]
    figure.legend(
        handles,
        [method_name(method) for method in methods],
        loc="lower left",
        bbox_to_anchor=(0.06 / _WIDTH, 0.4 / height),
        ncols=min(len(methods), 4),
        fontsize=_SMALL,
        frameon=False,
        handlelength=1.6,
        columnspacing=1.4,
    )
    words = (
        "AUROC of honest against cheating models, in the direction named beforehand; bars: 95 % "
        "over models; dashed: chance.\nFilled: trusted; open: not; ringed, bold: the headline. "
    )
    figure.text(
        0.08 / _WIDTH, 0.08 / height, words + note, fontsize=_SMALL, color="0.3", linespacing=1.25
    )
