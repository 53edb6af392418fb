"""One patient over all visits: ratings, volumes, what the network said, and where it looked.

All tracks share the weeks. A bar stands at the current visit of its pair; visits of one week
stand side by side.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from xrano.viz.names import method_name
from xrano.viz.panel import DISCLAIMER
from xrano.viz.patient_timeline import PatientTimeline
from xrano.viz.timeline_axis import SIZE, SMALL, TINY, WeekAxis
from xrano.viz.timeline_tracks import (
    draw_probabilities,
    draw_ratings,
    draw_shares,
    draw_volumes,
)
from xrano.viz.words import LINE_HEIGHT, panel_style, printable, width_points, wrapped

MOST_METHODS = 4
"""Methods whose shares are drawn; a line below says how many more there are."""

# Inches; 180 mm in all, two columns of a journal.
_WIDTH = 7.09
_LEFT, _RIGHT = 0.62, 1.18
_TOP, _BETWEEN, _WEEKS = 0.3, 0.27, 0.42
_RATING, _VOLUME, _PROBABILITY, _SHARE = 0.16, 1.45, 0.95, 0.75

Track = tuple[float, float, Callable[[Axes], None]]
"""Height, room above, and what draws it."""


def timeline_figure(timeline: PatientTimeline) -> Figure:
    """Draw one patient's visits.

    Args:
        timeline: of :func:`xrano.experiments.timeline.patient_timeline`.

    Returns:
        A figure 180 mm wide that belongs to nobody; see
        :func:`xrano.viz.figure_files.save_figure`.
    """
    axis = WeekAxis.of([(visit.session_id, visit.week) for visit in timeline.visits])
    tracks = _tracks(timeline, axis)
    lines = _foot(timeline)
    height = _TOP + sum(tall + above for tall, above, _ in tracks) + _WEEKS
    height += 0.1 + len(lines) * TINY * LINE_HEIGHT / 72
    wide = _WIDTH - _LEFT - _RIGHT
    with panel_style():
        figure = Figure(figsize=(_WIDTH, height), facecolor="white")
        top = _TOP
        drawn: list[Axes] = []
        for number, (tall, above, draw) in enumerate(tracks):
            top += above
            place = (_LEFT / _WIDTH, 1 - (top + tall) / height, wide / _WIDTH, tall / height)
            ax = figure.add_axes(place)
            draw(ax)
            axis.dress(ax, last=number == len(tracks) - 1)
            drawn.append(ax)
            top += tall
        _draw_operations(drawn, timeline, axis)
        _draw_words(figure, timeline, lines, height)
    return figure


def _tracks(timeline: PatientTimeline, axis: WeekAxis) -> list[Track]:
    reasons = [visit.excluded + visit.treatment for visit in timeline.visits]
    room = max((width_points(printable(text), TINY) for text in reasons), default=0.0)
    tracks: list[Track] = [
        (_RATING, room / 72 + 0.04, partial(draw_ratings, timeline=timeline, axis=axis)),
        (_VOLUME, _BETWEEN, partial(draw_volumes, timeline=timeline, axis=axis)),
        (_PROBABILITY, _BETWEEN, partial(draw_probabilities, timeline=timeline, axis=axis)),
    ]
    for number, method in enumerate(timeline.methods[:MOST_METHODS]):
        draw = partial(_draw_shares, timeline, axis, method, first=number == 0)
        tracks.append((_SHARE, _BETWEEN, draw))
    return tracks


def _draw_shares(
    timeline: PatientTimeline, axis: WeekAxis, method: str, ax: Axes, *, first: bool
) -> None:
    draw_shares(ax, timeline, axis, method, legend=first)
    ax.set_title(printable(method_name(method)), fontsize=SMALL, loc="left", pad=2.5)


def _draw_operations(drawn: list[Axes], timeline: PatientTimeline, axis: WeekAxis) -> None:
    for session, words in timeline.events:
        x = axis.before(session)
        for ax in drawn[1:]:
            (line,) = ax.plot([x, x], [0, 1], transform=ax.get_xaxis_transform(), color="0.35")
            line.set(linewidth=0.9, linestyle=(0, (1, 1.5)), zorder=1)
            line.set_label(f"event {session}")
        drawn[1].annotate(
            printable(words),
            (x, 1.0),
            xycoords=drawn[1].get_xaxis_transform(),
            xytext=(0, 1.5),
            textcoords="offset points",
            horizontalalignment="center",
            verticalalignment="bottom",
            fontsize=TINY,
            color="0.3",
        )


def _foot(timeline: PatientTimeline) -> list[str]:
    words = []
    if any(visit.excluded for visit in timeline.visits):
        words.append("Hollow: current scan of no pair, the reason above it.")
    if timeline.source:
        words.append(f"Volumes: {timeline.source}.")
    if timeline.predictions:
        words.append(f"Probabilities are of a network that never saw the {timeline.held_out}.")
    if timeline.shares:
        words.append(
            "Relevance: share of each sequence in the brain; dashed: one half; the bold line parts "
            "the prior scan (below) from the current one."
        )
    if any(visit.rating_source == "rule" for visit in timeline.visits):
        words.append("Italic ratings follow from volumes, not from an expert.")
    left_out = len(timeline.methods) - MOST_METHODS
    if left_out > 0:
        words.append(f"{left_out} more methods are not shown.")
    said = printable(" ".join([*words, *timeline.notes, f"{DISCLAIMER}."]))
    # Small letters come out wider on a coarse screen.
    return wrapped(said, 0.96 * 72 * (_WIDTH - 0.2), TINY)


def _draw_words(figure: Figure, timeline: PatientTimeline, lines: list[str], height: float) -> None:
    figure.text(
        0.1 / _WIDTH,
        1 - 0.09 / height,
        wrapped(printable(timeline.patient_id), 72 * (_WIDTH - 0.2), SIZE + 2.5, "bold")[0],
        fontsize=SIZE + 2.5,
        fontweight="bold",
        verticalalignment="top",
    )
    for number, line in enumerate(reversed(lines)):
        up = 0.07 + number * TINY * LINE_HEIGHT / 72
        figure.text(0.1 / _WIDTH, up / height, line, fontsize=TINY, color="0.3")
