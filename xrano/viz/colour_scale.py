"""Colours with a meaning: which value is which colour, which is hidden, and what the unit is.

Methods have different units, so maps of several methods share one scale only after each has been
divided by a value of its own: the given percentile (99.5) of |value| in the brain. Maps of
one method (several targets, or its prior and current channels) share the largest of their scale
values, so they can be compared with each other. Signed values get a scale symmetric about zero.
Colours fade into the anatomy where relevance is weak, and vanish below a threshold.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, ListedColormap, Normalize
from matplotlib.figure import Figure
from numpy.typing import NDArray

from xrano.types import Mask, Volume
from xrano.viz.words import ON_SCREEN, TypeSizes, width_points, wrapped

OPACITY = 0.75
"""Opacity of the strongest relevance; the anatomy stays visible under it."""

FAINTEST = 0.35
"""Opacity just above a threshold; without a threshold colours fade to nothing."""

LABEL_WIDTH = 1.2
"""Width of a bar's label at most, as a multiple of the bar's."""

_STEPS = 1024


@dataclass(frozen=True)
class ColourScale:
    """One colour scale, shared by every picture that is drawn with it.

    Args:
        top: value of the last colour; larger values take it too.
        signed: whether the scale runs from -top to top, else from 0.
        threshold: share of ``top``, in [0, 1), below which |value| is not drawn; 0 draws all.
        label: what the colour bar says: quantity and unit.
        colours: name of a matplotlib colour map.
    """

    top: float
    signed: bool
    threshold: float
    label: str
    colours: str

    @property
    def norm(self) -> Normalize:
        """Value to position on the scale."""
        top = self.top if self.top > 0 else 1.0
        return Normalize(vmin=-top if self.signed else 0.0, vmax=top)

    @property
    def colormap(self) -> Colormap:
        """Position on the scale to RGBA: transparency is part of the colour map.

        Values are interpolated before they are coloured, so the edge of the hidden part is sharp.
        """
        position = np.linspace(-1.0 if self.signed else 0.0, 1.0, _STEPS)
        strength = np.abs(position)
        if self.signed:
            rgba = matplotlib.colormaps[self.colours]((position + 1) / 2)
        else:
            # The darkest fifth would read as a hole in the anatomy.
            rgba = matplotlib.colormaps[self.colours](0.2 + 0.8 * position)
        faintest = FAINTEST if self.threshold else 0.0
        rise = np.clip((strength - self.threshold) / (1 - self.threshold), 0, 1)
        rgba[:, 3] = faintest + (OPACITY - faintest) * rise
        rgba[strength < self.threshold, 3] = 0
        return ListedColormap(rgba, name=f"{self.colours} over anatomy")


def scale_value(volume: Volume, brain: Mask, percentile: float) -> float:
    """What a map is divided by: a percentile of its magnitude in the brain.

    Falls back to the largest magnitude in the brain where the percentile is 0 (a map that is zero
    almost everywhere), then to the largest anywhere; 0 only for an all-zero map.
    """
    return scale_of(volume[brain], percentile) or float(np.abs(volume).max())


def scale_of(inside: NDArray[np.floating[Any]], percentile: float) -> float:
    """The percentile of |value| of the values in the brain, else their largest; 0 of none."""
    strength = np.abs(inside)
    if not strength.size:
        return 0.0
    return float(np.percentile(strength, percentile)) or float(strength.max())


def draw_colour_bar(ax: Axes, scale: ColourScale, sizes: TypeSizes = ON_SCREEN) -> None:
    """Draw a horizontal bar with its label, ticks at 0 and both ends, and the threshold marked.

    The first and the last tick say ``≤`` and ``≥``, since values beyond them take the end colours.
    Of numbers that would lie on each other the ends stay, then the threshold, then 0.
    """
    low, high = scale.norm.vmin or 0.0, scale.norm.vmax or 1.0
    gradient = np.linspace(low, high, _STEPS)[None]
    ax.set_facecolor("black")
    ax.imshow(
        gradient,
        cmap=scale.colormap,
        norm=scale.norm,
        aspect="auto",
        extent=(low, high, 0.0, 1.0),
        interpolation="nearest",
    )
    ax.set_yticks([])
    ax.set_xticks(*_legible(ax, scale, sizes.tick))
    ax.tick_params(colors="0.85", labelsize=sizes.tick, length=2.5, pad=2)
    for cut in _cuts(scale):
        ax.axvline(cut, color="white", linewidth=1.2, linestyle=(0, (2, 1.5)))
    for spine in ax.spines.values():
        spine.set_edgecolor("0.6")
    width = _width_points(ax)
    label = "\n".join(wrapped(scale.label, LABEL_WIDTH * width, sizes.bar))
    ax.set_title(label, fontsize=sizes.bar, color="white", pad=4, linespacing=1.15)


def bar_ticks(scale: ColourScale) -> tuple[list[float], list[str]]:
    """Where a colour bar has ticks and what they say; of an all-zero scale only the zero."""
    if scale.top <= 0:
        return [0.0], ["0"]
    top = scale.norm.vmax or 1.0
    cuts = _cuts(scale)
    # In the order in which they are kept where there is no room for all.
    ticks = [top, *([-top] if scale.signed else []), *reversed(cuts), 0.0]
    return ticks, [_tick_name(tick, top) for tick in ticks]


def _tick_name(tick: float, top: float) -> str:
    if tick == top:
        return f"≥ {_number(tick)}"
    return f"≤ {_number(tick)}" if tick == -top else _number(tick)


def _legible(ax: Axes, scale: ColourScale, size: float) -> tuple[list[float], list[str]]:
    """The ticks whose numbers do not lie on one that matters more."""
    low, high = scale.norm.vmin or 0.0, scale.norm.vmax or 1.0
    a_point = (high - low) / _width_points(ax)
    kept: list[tuple[float, str]] = []
    taken: list[tuple[float, float]] = []
    for tick, name in zip(*bar_ticks(scale), strict=True):
        reach = (width_points(name, size) + 2) / 2 * a_point
        if all(tick + reach <= first or tick - reach >= last for first, last in taken):
            taken.append((tick - reach, tick + reach))
            kept.append((tick, name))
    return [tick for tick, _ in kept], [name for _, name in kept]


def _width_points(ax: Axes) -> float:
    figure = ax.get_figure()
    inches = figure.get_figwidth() if isinstance(figure, Figure) else 6.0
    return float(ax.get_position().width * inches * 72)


def _cuts(scale: ColourScale) -> list[float]:
    if not scale.threshold or scale.top <= 0:
        return []
    cut = scale.threshold * (scale.norm.vmax or 1.0)
    return [-cut, cut] if scale.signed else [cut]


def _number(value: float) -> str:
    """Two digits that count, and no power of ten where a reader needs none."""
    rounded = float(f"{value:.2g}")
    plain = rounded == 0 or 1e-4 <= abs(rounded) < 1e5
    return (f"{rounded:g}" if plain else f"{rounded:.2g}").replace("-", "−")
