"""Weeks on a time line: where visits stand, and the axes that share them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from matplotlib.artist import Artist
from matplotlib.axes import Axes

from xrano.viz.words import printable, width_points

CLASS_STYLES = {
    "CR": ("#009E73", "o"),
    "PR": ("#56B4E9", "^"),
    "SD": ("#E69F00", "s"),
    "PD": ("#D55E00", "D"),
}
"""Okabe and Ito's colours, told apart by colour-blind readers, and a shape each."""

OTHER_STYLE = ("#6b6b6b", "v")

SIZE, SMALL, TINY = 7.5, 6.5, 5.5
"""Points of labels, legends and words beside marks."""

_CLOSEST = 0.04
"""Share of the axis that visits are drawn apart at least."""


def class_style(name: str) -> tuple[str, str]:
    """Colour and shape of a class; grey for one that is no RANO response."""
    return CLASS_STYLES.get(name, OTHER_STYLE)


@dataclass(frozen=True)
class WeekAxis:
    """Where each session stands, in weeks; those of one week stand side by side.

    ``places``: session to position; ``labels``: position to week, one a week.
    """

    places: dict[str, float]
    labels: tuple[tuple[float, str], ...]
    apart: float

    @classmethod
    def of(cls, sessions: Sequence[tuple[str, float]]) -> WeekAxis:
        """Of sessions with their weeks, in the order of time.

        Example:
            >>> axis = WeekAxis.of([("a", 0), ("b", 0), ("c", 50)])
            >>> axis.places, axis.labels
            ({'a': 0.0, 'b': 2.0, 'c': 50.0}, ((0.0, '0'), (50.0, '50')))
        """
        span = (sessions[-1][1] - sessions[0][1]) or 1.0
        apart = span * min(_CLOSEST, 1 / len(sessions))
        places: dict[str, float] = {}
        labels: dict[str, float] = {}
        last = -float("inf")
        for session, week in sessions:
            last = max(float(week), last + apart)
            places[session] = last
            labels.setdefault(f"{week:g}", last)
        return cls(places, tuple((place, text) for text, place in labels.items()), apart)

    @property
    def bar_width(self) -> float:
        """Of a bar at a visit, so that no two touch."""
        return 0.72 * self.apart

    def before(self, session: str) -> float:
        """Just before a session, after the one before it."""
        place = self.places[session]
        earlier = [other for other in self.places.values() if other < place]
        return (place + max(earlier)) / 2 if earlier else place - 0.7 * self.apart

    def points_apart(self, ax: Axes, sessions: Iterable[str]) -> float:
        """Points between the two sessions that are closest; after :meth:`dress`."""
        low, high = ax.get_xlim()
        places = sorted(self.places[session] for session in sessions)
        closest = min((after - before for before, after in pairwise(places)), default=high - low)
        return closest / (high - low) * _width_points(ax)

    def _legible(self, ax: Axes) -> list[str]:
        """The weeks, empty where one would lie on the one before it."""
        low, high = ax.get_xlim()
        a_point = (high - low) / _width_points(ax)
        names, end = [], -float("inf")
        for place, text in self.labels:
            half = (width_points(text, SMALL) / 2 + 1.5) * a_point
            shown = place - half >= end
            names.append(text if shown else "")
            end = place + half if shown else end
        return names

    def dress(self, ax: Axes, *, last: bool) -> None:
        """The limits of an axes; ticks and their weeks on the last one only."""
        first, end = min(self.places.values()), max(self.places.values())
        margin = max(0.05 * (end - first), 1.2 * self.apart)
        ax.set_xlim(first - margin, end + margin)
        ax.set_xticks([place for place, _ in self.labels], self._legible(ax))
        ax.tick_params(axis="x", labelbottom=last, length=2.5, labelsize=SMALL)
        ax.tick_params(axis="y", length=2.5, labelsize=SMALL)
        for side in ("top", "right"):
            ax.spines[side].set_visible(False)
        for side in ("left", "bottom"):
            ax.spines[side].set_color("0.5")
        if last:
            ax.set_xlabel("week", fontsize=SIZE, labelpad=2)


def _width_points(ax: Axes) -> float:
    figure = ax.get_figure(root=True)
    inches = 6.0 if figure is None else float(figure.get_size_inches()[0])
    return float(ax.get_position().width) * inches * 72


def name_track(ax: Axes, words: str, *, level: bool = False) -> None:
    """What a track shows, to the left of it; ``level`` where the track is lower than the words."""
    label = ax.set_ylabel(printable(words), fontsize=SIZE)
    if level:
        label.set(rotation=0, verticalalignment="center")
    # All at one place, whatever the width of the numbers.
    ax.yaxis.set_label_coords(-0.075, 0.5)


def legend_beside(ax: Axes, handles: Sequence[Artist], names: Sequence[str]) -> None:
    """A legend to the right of a track, where it can lie on nothing."""
    ax.legend(
        handles,
        [printable(name) for name in names],
        loc="upper left",
        bbox_to_anchor=(1.005, 1.04),
        fontsize=SMALL,
        frameon=False,
        handlelength=1.5,
        handletextpad=0.5,
        labelspacing=0.3,
        borderpad=0.1,
    )
