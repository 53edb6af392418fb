"""A study as one figure: balanced accuracy of every arm and reference, with a verdict.

A row is an arm (blue) or a reference that needs no network (grey), grouped by approach. The large
mark is the value pooled over folds, the bar its interval; small dots above it are single seeds,
open ones below it single folds. Vertical lines: chance, and the paper's result, which another
protocol gave.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from itertools import groupby

import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from xrano.viz.forest_rows import ForestRow, check_rows, value_limits, value_text

PAPER_VALUE = 0.5096
PAPER_PROTOCOL = "paper: median of timepoint folds,\ncheckpoint chosen on the test fold"
"""Median balanced accuracy over folds of the paper's best network, and how it came about."""

# Okabe and Ito's colours, told apart by colour-blind readers; verdicts are words as well.
_ARM, _REFERENCE = "#0072B2", "#6b6b6b"
_PAPER = "#CC79A7"
_VERDICT_COLOURS = {"better": "#00694d", "worse": "#a84300"}

# Inches; 180 mm in all, two columns of a journal.
_WIDTH = 7.09
_NAMES, _PLOT, _GAP = 2.05, 2.42, 0.12
_PAIRS, _VALUE = 0.34, 1.2
_ROW, _HEADING = 0.29, 0.27
_TOP, _BOTTOM = 0.44, 0.9
_PAPER_WORDS = 0.14
_SIZE, _SMALL = 8, 7
_LONGEST = 32


def forest_figure(
    rows: Sequence[ForestRow], *, n_classes: int = 4, paper_line: bool = True
) -> Figure:
    """Draw the arms of a study.

    Args:
        rows: from top to bottom.
        n_classes: chance is 1 / n_classes.
        paper_line: draw the paper's result, which is one of four classes.

    Returns:
        A figure 180 mm wide that belongs to nobody; see
        :func:`xrano.viz.figure_files.save_figure`.

    Raises:
        ManifestError: if there is no row, or one has a value outside 0 to 1.
    """
    check_rows(rows)
    groups = [(name, list(members)) for name, members in groupby(rows, lambda row: row.approach)]
    heights = _HEADING * sum(bool(name) for name, _ in groups) + _ROW * len(rows)
    top = _TOP + (_PAPER_WORDS if paper_line else 0)
    height = top + heights + _BOTTOM
    lines = {"chance": 1 / n_classes} | ({PAPER_PROTOCOL: PAPER_VALUE} if paper_line else {})
    with matplotlib.style.context("default"):
        figure = Figure(figsize=(_WIDTH, height), facecolor="white")
        place = (_NAMES / _WIDTH, _BOTTOM / height, _PLOT / _WIDTH, heights / height)
        ax = figure.add_axes(place)
        ax.set_label("forest")
        ax.set_xlim(*value_limits(rows, list(lines.values())))
        # The vertical axis is in inches, so that headings and rows keep their size.
        ax.set_ylim(heights, 0)
        _dress(ax)
        for text, value in lines.items():
            _draw_line(ax, text, value, heights)
        y = 0.0
        for approach, members in groups:
            if approach:
                _draw_heading(ax, approach, y)
                y += _HEADING
            for row in members:
                _draw_row(ax, row, y + _ROW / 2)
                y += _ROW
        _draw_heads(ax, rows)
        _draw_footer(figure, rows, height)
    return figure


def _dress(ax: Axes) -> None:
    for side in ("top", "right", "left"):
        ax.spines[side].set_visible(False)
    ax.spines["bottom"].set_color("0.5")
    ax.set_yticks([])
    ax.grid(axis="x", color="0.92", linewidth=0.7)
    ax.set_axisbelow(True)
    ax.tick_params(axis="x", length=3, labelsize=_SIZE)
    ax.xaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 5, 10]))
    ax.set_xlabel("balanced accuracy", fontsize=_SIZE, labelpad=2)


def _draw_line(ax: Axes, text: str, value: float, heights: float) -> None:
    chance = text == "chance"
    colour = "0.35" if chance else _PAPER
    # Up to its words, above the heads of the columns.
    (line,) = ax.plot(
        [value, value],
        [heights, -0.2],
        color=colour,
        linewidth=1.0,
        linestyle=(0, (4, 2)) if chance else (0, (1, 1.2)),
        clip_on=False,
        zorder=1,
    )
    line.set_label(text)
    ax.annotate(
        f"{text} {value:.2f}" if chance else text.replace(":", f" {value:.4f}:", 1),
        (value, -0.22),
        xytext=(0 if chance else -2, 0),
        textcoords="offset points",
        horizontalalignment="center" if chance else "left",
        verticalalignment="bottom",
        fontsize=_SMALL,
        color="0.3" if chance else "#8a3f6a",
        linespacing=1.1,
        annotation_clip=False,
    )


def _draw_heading(ax: Axes, approach: str, y: float) -> None:
    _write(ax, 0.08 - _NAMES, y + 0.62 * _HEADING, approach, weight="bold")


def _draw_row(ax: Axes, row: ForestRow, y: float) -> None:
    colour = _REFERENCE if row.is_reference else _ARM
    name = "\n".join(textwrap.wrap(row.name, _LONGEST, max_lines=2, placeholder=" …"))
    _write(ax, 0.2 - _NAMES, y, name, size=_SIZE if "\n" not in name else _SMALL)
    right = _PLOT + _GAP
    _write(ax, right + _PAIRS, y, str(row.n_pairs), align="right")
    _write(ax, right + _PAIRS + 0.12, y, value_text(row))
    _write(
        ax,
        right + _PAIRS + _VALUE,
        y,
        row.verdict,
        colour=_VERDICT_COLOURS.get(row.verdict, "0.35"),
        weight="bold" if row.verdict in _VERDICT_COLOURS else "normal",
    )
    for values, shift, fill, label in (
        (row.seeds, -0.085, colour, "seeds"),
        (row.folds, 0.085, "none", "folds"),
    ):
        (dots,) = ax.plot(
            values,
            [y + shift] * len(values),
            linestyle="",
            marker="o",
            markersize=2.6,
            markerfacecolor=fill,
            markeredgecolor=colour,
            markeredgewidth=0.6,
            clip_on=False,
        )
        dots.set_label(f"{label} {row.name}")
    if not np.isnan(row.low) and not np.isnan(row.high):
        (bar,) = ax.plot(
            [row.low, row.high], [y, y], color=colour, linewidth=1.5, solid_capstyle="butt"
        )
        bar.set_label(f"interval {row.name}")
    if not np.isnan(row.value):
        (mark,) = ax.plot(
            row.value,
            y,
            "s" if row.is_reference else "o",
            markersize=5.2,
            color=colour,
            markeredgecolor="white",
            markeredgewidth=0.5,
            zorder=3,
            clip_on=False,
        )
        mark.set_label(f"value {row.name}")


def _draw_heads(ax: Axes, rows: Sequence[ForestRow]) -> None:
    right = _PLOT + _GAP
    _write(ax, right + _PAIRS, -0.1, "pairs", align="right", size=_SMALL, colour="0.35")
    _write(ax, right + _PAIRS + 0.12, -0.1, "95 % interval", size=_SMALL, colour="0.35")
    if any(row.verdict for row in rows):
        _write(ax, right + _PAIRS + _VALUE, -0.1, "verdict", size=_SMALL, colour="0.35")


def _write(
    ax: Axes,
    inches: float,
    y: float,
    text: str,
    *,
    align: str = "left",
    size: float = _SIZE,
    colour: str = "0.1",
    weight: str = "normal",
) -> None:
    """Words at so many inches right of the plot's left edge, at a height of the axis."""
    ax.annotate(
        text,
        (0.0, y),
        xycoords=("axes fraction", "data"),
        xytext=(72 * inches, 0),
        textcoords="offset points",
        horizontalalignment=align,
        verticalalignment="center",
        fontsize=size,
        fontweight=weight,
        color=colour,
        linespacing=1.05,
        annotation_clip=False,
    )


def _draw_footer(figure: Figure, rows: Sequence[ForestRow], height: float) -> None:
    dots = [
        words
        for words, there in (
            ("small dots above: seeds", any(row.seeds for row in rows)),
            ("open dots below: folds", any(row.folds for row in rows)),
        )
        if there
    ]
    first = "; ".join(["Large mark: pooled over folds", "bar: resampled patients", *dots])
    kinds = "Round, blue: networks; square, grey: references that need none."
    compared = (
        "\nVerdicts: an arm against the one it names, a reference against the first arm; same "
        "pairs, Holm-corrected."
        if any(row.verdict for row in rows)
        else ""
    )
    figure.text(
        0.08 / _WIDTH,
        0.08 / height,
        f"{first}.\n{kinds}{compared}",
        fontsize=_SMALL,
        color="0.3",
        linespacing=1.25,
    )
