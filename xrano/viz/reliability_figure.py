"""Reliability diagram: how often predictions of a stated confidence are right, and how many.

On the diagonal a network is right as often as it says; below it is overconfident.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from xrano.errors import ManifestError

FEW = 10
"""A bin with fewer predictions is drawn hollow: its share says little."""

_BLUE, _ORANGE = "#0072B2", "#E69F00"
# Inches; 89 mm wide, one column of a journal.
_WIDTH, _HEIGHT = 3.5, 4.15
_SIZE, _SMALL = 8, 7


@dataclass(frozen=True)
class ReliabilityBin:
    """Predictions whose confidence lies in (low, high]: their number, mean confidence, share right.

    Fields are those of :class:`xrano.evaluation.calibration.Bin`.
    """

    low: float
    high: float
    count: int
    confidence: float
    accuracy: float


def reliability_figure(
    bins: Sequence[ReliabilityBin],
    *,
    title: str = "",
    error: float | None = None,
    error_if_calibrated: float | None = None,
) -> Figure:
    """Draw accuracy against confidence, and below it how many predictions each bin holds.

    Args:
        bins: those that hold any prediction, from low to high confidence.
        title: name of the arm.
        error: expected calibration error, 0 to 1; None leaves it out.
        error_if_calibrated: the error that a calibrated network would have with these confidences.

    Returns:
        A figure 89 mm wide that belongs to nobody; see
        :func:`xrano.viz.figure_files.save_figure`.

    Raises:
        ManifestError: if there is no bin, or one without a prediction.
    """
    if not bins or any(item.count < 1 for item in bins):
        raise ManifestError(
            f"a reliability diagram needs bins that each hold a prediction, got "
            f"{len(bins)} bins with {[item.count for item in bins]}"
        )
    with matplotlib.style.context("default"):
        figure = Figure(figsize=(_WIDTH, _HEIGHT), facecolor="white")
        left, wide = 0.155, 0.8
        above = figure.add_axes((left, 0.325, wide, 0.57))
        below = figure.add_axes((left, 0.105, wide, 0.17))
        _draw_accuracy(above, bins)
        _draw_counts(below, bins)
        words = [error_text(error, error_if_calibrated)]
        words += [f"hollow: fewer than {FEW}"] if any(item.count < FEW for item in bins) else []
        # Above the diagram: no corner of it is free of bins in every network.
        told = "; ".join(word for word in words if word)
        figure.text(left, 0.91, told, fontsize=_SMALL, color="0.25")
        figure.text(left, 0.945, title, fontsize=_SIZE + 1, fontweight="bold")
    return figure


def calibration_figure(calibration: Mapping[str, Any], *, title: str = "") -> Figure:
    """The same from what an evaluation says of a network's calibration.

    Args:
        calibration: ``calibration`` of one entry of ``evaluation.json`` or ``study.json``:
            ``reliability`` (the bins), ``ece``, ``ece_if_calibrated``.
        title: name of the arm.

    Raises:
        ManifestError: if there is no bin.
    """
    return reliability_figure(
        [ReliabilityBin(**item) for item in calibration["reliability"]],
        title=title,
        error=calibration["ece"],
        error_if_calibrated=calibration["ece_if_calibrated"],
    )


def error_text(error: float | None, if_calibrated: float | None) -> str:
    """The calibration error in words; empty without one.

    Example:
        >>> error_text(0.124, 0.05)
        'ECE 0.12 (0.05 if calibrated)'
    """
    if error is None:
        return ""
    beside = "" if if_calibrated is None else f" ({if_calibrated:.2f} if calibrated)"
    return f"ECE {error:.2f}{beside}"


def _draw_accuracy(ax: Axes, bins: Sequence[ReliabilityBin]) -> None:
    ax.set_label("accuracy")
    (diagonal,) = ax.plot([0, 1], [0, 1], color="0.35", linewidth=1, linestyle=(0, (4, 2)))
    diagonal.set_label("calibrated")
    ax.text(
        0.05,
        0.035,
        "calibrated",
        rotation=45,
        rotation_mode="anchor",
        transform_rotates_text=True,
        verticalalignment="top",
        fontsize=_SMALL,
        color="0.35",
    )
    for item in bins:
        (gap,) = ax.plot(
            [item.confidence] * 2,
            [item.confidence, item.accuracy],
            color=_ORANGE,
            linewidth=2.2,
            solid_capstyle="butt",
        )
        gap.set_label("gap")
    (line,) = ax.plot(
        [item.confidence for item in bins],
        [item.accuracy for item in bins],
        color=_BLUE,
        linewidth=1.2,
    )
    line.set_label("bins")
    for item in bins:
        (mark,) = ax.plot(
            item.confidence,
            item.accuracy,
            "o",
            markersize=4.8,
            markeredgecolor=_BLUE,
            markerfacecolor="white" if item.count < FEW else _BLUE,
            clip_on=False,
            zorder=3,
        )
        mark.set_label("bin")
    ax.set_xlim(0, 1)
    ax.set_ylim(0, 1)
    ax.set_ylabel("share that is right", fontsize=_SIZE)
    _dress(ax)
    ax.tick_params(labelbottom=False)


def _draw_counts(ax: Axes, bins: Sequence[ReliabilityBin]) -> None:
    ax.set_label("counts")
    counts = [item.count for item in bins]
    middles = [(item.low + item.high) / 2 for item in bins]
    ax.bar(middles, counts, [item.high - item.low for item in bins], color="0.75", edgecolor="w")
    ax.set_xlim(0, 1)
    ax.set_ylim(0, 1.25 * max(counts))
    for middle, count in zip(middles, counts, strict=True):
        ax.annotate(
            str(count),
            (middle, count),
            xytext=(0, 1),
            textcoords="offset points",
            horizontalalignment="center",
            verticalalignment="bottom",
            fontsize=_SMALL - 0.5,
            color="0.25",
        )
    ax.set_xlabel("confidence (probability of the predicted class)", fontsize=_SIZE, labelpad=2)
    ax.set_ylabel("predictions", fontsize=_SIZE)
    _dress(ax)
    ax.yaxis.set_major_locator(MaxNLocator(nbins=3, integer=True))


def _dress(ax: Axes) -> None:
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    ax.grid(color="0.92", linewidth=0.7)
    ax.set_axisbelow(True)
    ax.tick_params(labelsize=_SIZE, length=3)
    ax.set_xticks(np.linspace(0, 1, 6))
    # Both labels at one place, whatever the width of the numbers.
    ax.yaxis.set_label_coords(-0.125, 0.5)
