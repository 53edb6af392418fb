"""The tracks of a time line: ratings, volumes, probabilities, and shares of relevance."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from xrano.viz.patient_timeline import PatientTimeline, TimelineVisit
from xrano.viz.timeline_axis import (
    SMALL,
    TINY,
    WeekAxis,
    class_style,
    legend_beside,
    name_track,
)
from xrano.viz.words import printable

_TISSUES = {
    "enhancing": ("#CC79A7", "o"),
    "necrosis": ("#333333", "s"),
    "oedema": ("#0072B2", "^"),
    "tumour": ("#CC79A7", "o"),
}
# Tol's muted scheme, so that no sequence has the colour of a class.
_SEQUENCES = ("#332288", "#AA4499", "#44AA99", "#DDCC77", "#88CCEE", "#882255")
_EXCLUDED = "0.45"
_ROOM = 20
"""Points that a class and its mark take beside each other."""

_HATCH = "/////"


def draw_ratings(ax: Axes, timeline: PatientTimeline, axis: WeekAxis) -> None:
    """A mark with letters at every visit; hollow, with the reason, where it is in no pair."""
    ax.set_label("ratings")
    for visit in timeline.visits:
        x = axis.places[visit.session_id]
        colour, shape = class_style(visit.rating) if visit.rating else (_EXCLUDED, "o")
        (mark,) = ax.plot(x, 0.0, shape, markersize=6.5, clip_on=False, zorder=3)
        hollow = bool(visit.excluded) or not visit.rating
        mark.set(markeredgecolor=colour, markerfacecolor="white" if hollow else colour)
        mark.set_label(f"rating {visit.session_id}")
        style = "italic" if visit.rating_source == "rule" else "normal"
        _words(ax, x, visit.rating, -8, "top", size=SMALL, weight="bold", style=style)
        above = "; ".join(text for text in (visit.excluded, visit.treatment) if text)
        _words(ax, x, above, 6, "bottom", size=TINY, rotation=90)
    ax.set_ylim(-0.1, 1)
    ax.set_yticks([])
    name_track(ax, "rating", level=True)


def draw_volumes(ax: Axes, timeline: PatientTimeline, axis: WeekAxis) -> None:
    """A line a tissue in ml, broken where a visit has no segmentation."""
    ax.set_label("volumes")
    handles = []
    for tissue in timeline.tissues:
        colour, shape = _TISSUES.get(tissue, ("0.45", "v"))
        for part in _unbroken(timeline.visits, tissue):
            points = [(axis.places[visit.session_id], visit.volumes[tissue]) for visit in part]
            (line,) = ax.plot(*zip(*points, strict=True), color=colour, linewidth=1.1)
            line.set_label(f"line {tissue}")
            for visit, (x, ml) in zip(part, points, strict=True):
                (mark,) = ax.plot(x, ml, shape, markersize=4, markeredgecolor=colour, zorder=3)
                mark.set(markerfacecolor="white" if visit.excluded else colour, clip_on=False)
                mark.set_label(f"volume {tissue} {visit.session_id}")
        handles.append(Line2D([], [], color=colour, marker=shape, markersize=4, linewidth=1.1))
    ax.set_ylim(bottom=0)
    if not timeline.tissues:
        _say(ax, "no visit is segmented")
        ax.set_yticks([])
    elif not any(value for visit in timeline.visits for value in visit.volumes.values()):
        ax.set_ylim(0, 1)
    for visit in timeline.visits:
        if not visit.volumes and timeline.tissues:
            _words(ax, axis.places[visit.session_id], "not segmented", 2, "bottom", rotation=90)
    name_track(ax, "volume (ml)")
    if handles:
        legend_beside(ax, handles, timeline.tissues)


def draw_probabilities(ax: Axes, timeline: PatientTimeline, axis: WeekAxis) -> None:
    """Stacked bars at the current visit of each pair; the true class is outlined."""
    ax.set_label("probabilities")
    axis.dress(ax, last=False)
    sessions = [item.current_session for item in timeline.predictions]
    between = " " if axis.points_apart(ax, sessions) > _ROOM else "\n"
    for item in timeline.predictions:
        x, bottom = axis.places[item.current_session], 0.0
        for name in timeline.classes:
            share = item.probabilities.get(name, 0.0)
            true = name == item.truth
            (bar,) = ax.bar(x, share, axis.bar_width, bottom, color=class_style(name)[0])
            bar.set(linewidth=1.3 if true else 0, edgecolor="black", zorder=3 if true else 2)
            bar.set_label(f"probability {name} {item.current_session}")
            bottom += share
        mark = "✓" if item.predicted == item.truth else "✗"
        said = f"{item.predicted}{between}{mark}" if item.truth else item.predicted
        _words(ax, x, said, 2, "bottom", at=1.0, size=TINY + 0.5)
    ax.set_ylim(0, 1)
    ax.set_yticks([0, 0.5, 1], ["0", "0.5", "1"])
    name_track(ax, "probability")
    if not timeline.predictions:
        _say(ax, "no out-of-fold prediction")
        return
    # As they are stacked.
    names = timeline.classes[::-1]
    handles = [Patch(facecolor=class_style(name)[0]) for name in names]
    outlined = Patch(facecolor="white", edgecolor="black", linewidth=1.3)
    legend_beside(ax, [*handles, outlined], [*names, "true class"])


def draw_shares(
    ax: Axes, timeline: PatientTimeline, axis: WeekAxis, method: str, *, legend: bool
) -> None:
    """Stacked bars of relevance by sequence, the prior scan's hatched and below."""
    ax.set_label(f"shares {method}")
    own = [item for item in timeline.shares if item.method == method]
    sequences = share_sequences(timeline)
    for item in own:
        x, bottom = axis.places[item.current_session], 0.0
        for scan in ("prior", "current", "change"):
            there = [name for name in sequences if (scan, name) in item.shares]
            for name in there:
                share = item.shares[scan, name]
                colour = _SEQUENCES[sequences.index(name) % len(_SEQUENCES)]
                (bar,) = ax.bar(x, share, axis.bar_width, bottom, color=colour, linewidth=0)
                if scan == "prior":
                    bar.set(hatch=_HATCH, edgecolor="white")
                bar.set_label(f"share {scan} {name} {item.current_session}")
                bottom += share
            if scan == "prior" and there:
                half = axis.bar_width / 2
                ax.plot([x - half, x + half], [bottom] * 2, color="black", linewidth=1.2, zorder=4)
    ax.axhline(0.5, color="0.35", linewidth=0.7, linestyle=(0, (4, 2)), zorder=5)
    ax.set_ylim(0, 1)
    ax.set_yticks([0, 0.5, 1], ["0", "0.5", "1"])
    name_track(ax, "relevance")
    if legend:
        handles = [
            Patch(facecolor=_SEQUENCES[number % len(_SEQUENCES)])
            for number in reversed(range(len(sequences)))
        ]
        names = list(reversed(sequences))
        if any(scan == "prior" for item in timeline.shares for scan, _ in item.shares):
            handles.append(Patch(facecolor="0.6", edgecolor="white", hatch=_HATCH))
            names.append("of the prior scan")
        legend_beside(ax, handles, names)


def share_sequences(timeline: PatientTimeline) -> tuple[str, ...]:
    """Sequences that relevance is divided among."""
    return tuple(dict.fromkeys(name for item in timeline.shares for _, name in item.shares))


def _unbroken(visits: Sequence[TimelineVisit], tissue: str) -> list[list[TimelineVisit]]:
    """Runs of visits that all have a volume of the tissue."""
    parts: list[list[TimelineVisit]] = [[]]
    for visit in visits:
        if tissue in visit.volumes:
            parts[-1].append(visit)
        elif parts[-1]:
            parts.append([])
    return [part for part in parts if part]


def _words(
    ax: Axes,
    x: float,
    text: str,
    points: float,
    up: str,
    *,
    at: float = 0.0,
    size: float = TINY,
    weight: str = "normal",
    style: str = "normal",
    rotation: float = 0,
) -> None:
    """Words some points above or below a place."""
    ax.annotate(
        "\n".join(map(printable, text.split("\n"))),
        (x, at),
        xytext=(0, points),
        textcoords="offset points",
        horizontalalignment="center",
        verticalalignment=up,
        fontsize=size,
        fontweight=weight,
        fontstyle=style,
        rotation=rotation,
        color="0.2",
        annotation_clip=False,
    )


def _say(ax: Axes, text: str) -> None:
    ax.text(
        0.5,
        0.5,
        text,
        transform=ax.transAxes,
        horizontalalignment="center",
        verticalalignment="center",
        fontsize=SMALL,
        color="0.4",
    )
