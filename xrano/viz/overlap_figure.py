"""The primary analysis as one figure: how much relevance lies in the tumour, by response.

Left, log2 lift: relevance mass in the tumour against chance (a map that ignores the tumour); each
step to the right doubles it. Right, its gain over the same method on networks with random weights.
Rows are methods, grouped by response.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Sequence

import matplotlib.style
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from xrano.errors import ManifestError
from xrano.viz.names import method_name

COLUMNS = (
    "response",
    "method",
    "lift",
    "lift_low",
    "lift_high",
    "gain",
    "gain_low",
    "gain_high",
    "n_patients",
    "n_pairs",
    "n_undefined",
    "descriptive",
)
"""What the table must hold; lift and gain in log2 units with their interval, counts as numbers."""

REFERENCE_METHODS = (
    *("change", "uniform", "centre", "edges", "enhancement", "training_mask"),
    *("input_difference", "mask"),
)
"""Rows that explain no network, drawn in grey; a baseline or layer may follow the name."""

# Okabe and Ito's colours, told apart by colour-blind readers; grey is kept for reference rows.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_GREY = "#6b6b6b"
_ROW = 0.25
_NAMES_WIDTH = 3.2
_PLOT_WIDTH = 3.1
_COUNTS_WIDTH = 2.35
_GAP = 0.35
_TOP, _BOTTOM, _BETWEEN = 0.74, 0.82, 0.16


def primary_figure(table: pd.DataFrame) -> Figure:
    """Draw the table of the primary analysis.

    Args:
        table: one row a response (CR, PR, SD, PD, all) and method, with :data:`COLUMNS`. A lift or
            gain of −inf or +inf is marked with an arrow at the edge, NaN is left out.
            ``descriptive`` rows (fewer than ten patients) are drawn hollow.

    Returns:
        A figure that belongs to nobody; see :func:`xrano.viz.figure_files.save_figure`.

    Raises:
        ManifestError: if the table is empty or lacks a column.
    """
    missing = [name for name in COLUMNS if name not in table.columns]
    if missing or table.empty:
        raise ManifestError(
            f"the figure of the primary analysis needs at least one row with the columns "
            f"{', '.join(COLUMNS)}; got {len(table)} rows, missing: {', '.join(missing) or 'none'}"
        )
    groups = list(table.groupby("response", sort=False))
    colours = method_colours([str(name) for name in table["method"]])
    width = _NAMES_WIDTH + 2 * _PLOT_WIDTH + _GAP + _COUNTS_WIDTH
    rows_height = _ROW * len(table) + _BETWEEN * (len(groups) - 1)
    height = _TOP + rows_height + _BOTTOM
    limits = {name: axis_limits(table, name) for name in ("lift", "gain")}
    with matplotlib.style.context("default"):
        figure = Figure(figsize=(width, height), facecolor="white")
        top = _TOP
        for number, (response, rows) in enumerate(groups):
            last = number == len(groups) - 1
            tall = _ROW * len(rows)
            for column, name in enumerate(("lift", "gain")):
                left = _NAMES_WIDTH + column * (_PLOT_WIDTH + _GAP)
                place = (
                    left / width,
                    1 - (top + tall) / height,
                    _PLOT_WIDTH / width,
                    tall / height,
                )
                ax = figure.add_axes(place)
                ax.set_label(f"{name} {response}")
                _draw_group(ax, rows, name, limits[name], colours)
                _label_axes(ax, rows, response, name, last=last)
            top += tall + _BETWEEN
        _draw_words(figure, width, height, gained=bool(table["gain"].notna().any()))
    return figure


def method_colours(methods: Sequence[str]) -> dict[str, str]:
    """One colour a method, in order of appearance; reference methods are grey."""
    networks = [name for name in dict.fromkeys(methods) if not is_reference(name)]
    colours = {name: _COLOURS[number % len(_COLOURS)] for number, name in enumerate(networks)}
    references = [*REFERENCE_METHODS, *filter(is_reference, methods)]
    return colours | dict.fromkeys(references, _GREY)


def is_reference(method: str) -> bool:
    """Whether a row's method explains no network.

    Example:
        >>> is_reference("input_difference:zero"), is_reference("ig:zero")
        (True, False)
    """
    return re.split("[:@]", method)[0] in REFERENCE_METHODS


def axis_limits(table: pd.DataFrame, name: str) -> tuple[float, float]:
    """Limits that hold zero and every finite value and interval, with a margin."""
    values = table[[name, f"{name}_low", f"{name}_high"]].to_numpy(dtype=np.float64).ravel()
    finite = np.append(values[np.isfinite(values)], 0.0)
    low, high = float(finite.min()), float(finite.max())
    margin = 0.08 * max(high - low, 1.0)
    return low - margin, high + margin


def _draw_group(
    ax: Axes,
    rows: pd.DataFrame,
    name: str,
    limits: tuple[float, float],
    colours: dict[str, str],
) -> None:
    ax.set_xlim(*limits)
    ax.set_ylim(len(rows) - 0.5, -0.5)
    ax.axvline(0, color="0.35", linewidth=1, linestyle=(0, (4, 2)))
    ax.grid(axis="x", color="0.9", linewidth=0.8)
    ax.set_axisbelow(True)
    for y, row in enumerate(rows.to_dict("records")):
        _draw_row(ax, y, row, name, colours[str(row["method"])])


def _draw_row(ax: Axes, y: int, row: dict[Hashable, object], name: str, colour: str) -> None:
    value, low, high = (float(str(row[key])) for key in (name, f"{name}_low", f"{name}_high"))
    if np.isnan(value):
        return
    edges = ax.get_xlim()
    if not np.isnan(low) and not np.isnan(high):
        inside = np.clip([low, high], *edges)
        (line,) = ax.plot(inside, [y, y], color=colour, linewidth=1.6, solid_capstyle="butt")
        line.set_label(f"interval {row['method']}")
    for end in (low, high, value):
        if np.isinf(end):
            _draw_arrow(ax, y, float(np.sign(end)), colour)
    if np.isfinite(value):
        fill = "white" if bool(row["descriptive"]) else colour
        (dot,) = ax.plot(
            value, y, "o", markersize=6, markerfacecolor=fill, markeredgecolor=colour, zorder=3
        )
        dot.set_label(f"dot {row['method']}")


def _draw_arrow(ax: Axes, y: int, sign: float, colour: str) -> None:
    """An arrow head at the edge of the axes: the value lies at infinity."""
    (arrow,) = ax.plot(
        ax.get_xlim()[0 if sign < 0 else 1],
        y,
        "<" if sign < 0 else ">",
        markersize=7,
        color=colour,
        clip_on=False,
        zorder=3,
    )
    arrow.set_label("arrow")


def _label_axes(ax: Axes, rows: pd.DataFrame, response: object, name: str, *, last: bool) -> None:
    for side in ("top", "right", "left"):
        ax.spines[side].set_visible(False)
    ax.spines["bottom"].set_visible(last)
    ax.spines["bottom"].set_color("0.5")
    ax.tick_params(axis="x", length=3 if last else 0, labelbottom=last, labelsize=8.5)
    ax.tick_params(axis="y", length=0, labelsize=8.5, pad=9)
    ax.xaxis.set_major_locator(MaxNLocator(nbins=7, steps=[1, 2, 5, 10]))
    if name == "gain":
        ax.set_yticks([])
        for y, row in enumerate(rows.to_dict("records")):
            text = counts_text(row)
            ax.annotate(
                text,
                (1.0, y),
                xycoords=("axes fraction", "data"),
                xytext=(10, 0),
                textcoords="offset points",
                verticalalignment="center",
                fontsize=8,
                color="0.25",
                annotation_clip=False,
            )
        return
    ax.set_yticks(range(len(rows)), [method_name(str(method)) for method in rows["method"]])
    ax.annotate(
        str(response),
        (0.0, 0.5),
        xycoords="axes fraction",
        xytext=(-72 * (_NAMES_WIDTH - 0.15), 0),
        textcoords="offset points",
        verticalalignment="center",
        fontsize=12,
        fontweight="bold",
        annotation_clip=False,
    )


def counts_text(row: dict[Hashable, object]) -> str:
    """``12 patients, 30 pairs, 2 undefined``; the last only where there are any."""
    text = f"{_count(row['n_patients'], 'patient')}, {_count(row['n_pairs'], 'pair')}"
    undefined = int(float(str(row["n_undefined"])))
    return f"{text}, {undefined} undefined" if undefined else text


def _count(number: object, what: str) -> str:
    return f"{int(float(str(number)))} {what}" + ("" if number == 1 else "s")


def _draw_words(figure: Figure, width: float, height: float, *, gained: bool) -> None:
    of_gain = "log2 lift − that of untrained networks"
    if not gained:
        of_gain = "not measured: it needs xrano score --copies"
    titles = (
        ("Lift over chance", "log2; each step doubles the relevance in the tumour", "chance"),
        ("Gain over random weights", of_gain, "untrained network"),
    )
    for column, (title, below, zero) in enumerate(titles):
        middle = (_NAMES_WIDTH + column * (_PLOT_WIDTH + _GAP) + _PLOT_WIDTH / 2) / width
        for text, inches, size, weight in ((title, 0.12, 11, "bold"), (below, 0.34, 8.5, "normal")):
            figure.text(
                middle,
                1 - inches / height,
                text,
                horizontalalignment="center",
                verticalalignment="top",
                fontsize=size,
                fontweight=weight,
            )
        ax = figure.axes[column]
        ax.annotate(
            zero,
            (0, 1.0),
            xycoords=("data", "axes fraction"),
            xytext=(0, 1),
            textcoords="offset points",
            horizontalalignment="center",
            verticalalignment="bottom",
            fontsize=8,
            color="0.35",
        )
    figure.text(
        0.15 / width,
        0.12 / height,
        "Lines: intervals of the patient-clustered bootstrap. Hollow: fewer than ten patients, "
        "descriptive only.\nArrow at an edge: infinite (no relevance in the tumour at all, "
        "or none in the untrained networks).",
        fontsize=8,
        color="0.3",
        linespacing=1.3,
    )
