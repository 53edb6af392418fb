"""One page a session of a prepared store: every sequence in three planes, numbers beside them.

The page is for a quick look at many sessions: is the head upright, does the brain mask fit, do the
sequences lie on each other, is the segmentation where the tumour is?
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from xrano.errors import ConfigError, GridMismatchError
from xrano.geometry import Grid
from xrano.types import Mask, Volume
from xrano.viz.drawing import annotate, draw_anatomy, frame
from xrano.viz.outlines import Outline, draw_outline
from xrano.viz.panel import DISCLAIMER
from xrano.viz.slice_choice import slice_by_tumour
from xrano.viz.slice_places import place_slice
from xrano.viz.slices import Convention, Plane, SliceView, parse_convention

FLAG_COLOUR = "#ff8c42"
BRAIN = Outline("brain", "#ffd23f", "-", 0.8)
SEGMENTATION_COLOURS = ("#00e5ff", "#ff5ca8", "#a6ff3d", "#b18cff")
"""Of the segmentations, in their order; a fifth takes the first colour again."""

_SIDES = {
    Convention.RADIOLOGICAL: "Radiological convention: the patient's left is on the right",
    Convention.NEUROLOGICAL: "Neurological convention: the patient's left is on the left",
}
_ROOM_MM = 18.0
"""Around the brain, so that letters and numbers do not lie on it."""

_CELL_WIDTH = 2.2
_TABLE_WIDTH = 4.6
_LINE = 0.165
_HEADER, _FOOTER, _MARGIN, _GAP = 0.5, 0.62, 0.15, 0.08


@dataclass(frozen=True)
class PageNumber:
    """One line of the table: what, its value in words, and whether it stands apart."""

    name: str
    value: str = ""
    flagged: bool = False
    heading: bool = False


@dataclass(frozen=True, eq=False)
class SessionPage:
    """What a page shows. All arrays (i, j, k) lie on ``grid``.

    Args:
        grid: any grid; it may be flipped, anisotropic or oblique.
        sequences: name to volume, in the order of the rows.
        brain: brain mask: pictures are cropped to it, and windows taken from it.
        segmentations: source to mask of its whole tumour.
        title: patient and session.
        flags: what stands apart, each in words.
        numbers: the lines of the table.

    Raises:
        GridMismatchError: if an array does not have the grid's shape.
        ConfigError: if there is no sequence, or a mask is not boolean.
    """

    grid: Grid
    sequences: Mapping[str, Volume]
    brain: Mask
    segmentations: Mapping[str, Mask]
    title: str
    flags: Sequence[str] = ()
    numbers: Sequence[PageNumber] = ()

    def __post_init__(self) -> None:
        masks = {"brain": self.brain, **self.segmentations}
        for name, array in {**self.sequences, **masks}.items():
            if array.shape != self.grid.shape:
                raise GridMismatchError(
                    f"{name} of {self.title} has shape {array.shape}, the page's grid "
                    f"{self.grid.shape}"
                )
        for name, mask in masks.items():
            if mask.dtype != np.bool_:
                raise ConfigError(f"{name} of {self.title} must be boolean, got {mask.dtype}")
        if not self.sequences:
            raise ConfigError(f"{self.title} has no sequence to draw")


def session_page(page: SessionPage, *, convention: str = Convention.RADIOLOGICAL) -> Figure:
    """Draw the page of a session.

    Each row is a sequence, each column a plane, cut where the union of the segmentations is
    largest, else through the centre of the brain. Grey runs from the 0.5th to the 99.8th
    percentile of the sequence in the brain.

    Args:
        page: what to show.
        convention: ``radiological`` or ``neurological``.

    Returns:
        A figure that belongs to nobody: save it with
        :func:`xrano.viz.figure_files.save_figure`, or drop it.

    Raises:
        UnknownNameError: for an unknown convention.
    """
    seen = parse_convention(convention)
    choices = {
        plane: slice_by_tumour(
            list(page.segmentations.values()), page.grid, plane, brain=page.brain
        )
        for plane in Plane
    }
    views = [
        place_slice(
            page.grid, plane, choice.mm, convention=seen, around=page.brain, margin_mm=_ROOM_MM
        )
        for plane, choice in choices.items()
    ]
    # A user's own matplotlib settings (a notebook's dark style) must not change a page.
    with matplotlib.style.context("default"):
        sheet = _Sheet(page, views)
        for row, (name, volume) in enumerate(page.sequences.items()):
            anatomy, window = _windowed(volume, page.brain)
            for column, view in enumerate(views):
                ax = sheet.picture(row, column)
                ax.set_label(f"{name} {view.plane}")
                draw_anatomy(ax, view, anatomy, page.grid, window)
                for mask, outline in _outlines(page):
                    draw_outline(ax, view, mask, page.grid, outline)
                frame(ax, view)
                annotate(ax, view)
                if column == 0:
                    _name_sequence(ax, name)
        sheet.words(_SIDES[seen], next(iter(choices.values())).reason)
        return sheet.figure


def _outlines(page: SessionPage) -> list[tuple[Mask, Outline]]:
    colours = SEGMENTATION_COLOURS
    drawn = [
        (mask, Outline(source, colours[number % len(colours)]))
        for number, (source, mask) in enumerate(page.segmentations.items())
    ]
    return [(page.brain, BRAIN), *drawn]


def _windowed(volume: Volume, brain: Mask) -> tuple[Volume, Normalize]:
    """The scan shifted so that 0 is black, and its window; empty background is black as well."""
    # float16, as in the prepared store, is not interpolated well.
    values = np.asarray(volume, dtype=np.float32)
    inside = values[brain] if brain.any() else values.ravel()
    low, high = (float(value) for value in np.percentile(inside, [0.5, 99.8]))
    shifted = values - np.float32(low)
    shifted[~brain & (values == 0)] = 0
    return shifted, Normalize(0.0, high - low if high > low else 1.0)


def _name_sequence(ax: Axes, name: str) -> None:
    ax.text(
        0.03,
        0.97,
        name,
        transform=ax.transAxes,
        horizontalalignment="left",
        verticalalignment="top",
        fontsize=10,
        fontweight="bold",
        color="white",
    )


class _Sheet:
    """Where pictures, table and words stand, in inches."""

    def __init__(self, page: SessionPage, views: Sequence[SliceView]) -> None:
        self.page = page
        scale = _CELL_WIDTH / max(view.size_mm[0] for view in views)
        self._sizes = [(view.size_mm[0] * scale, view.size_mm[1] * scale) for view in views]
        self._row = max(height for _, height in self._sizes)
        flags = [f"⚠ {flag}" for flag in page.flags] or ["no flag"]
        self._flags = [line for flag in flags for line in textwrap.wrap(flag, 118)]
        self._top = _MARGIN + _HEADER + _LINE * len(self._flags)
        pictures = len(page.sequences) * (self._row + _GAP)
        self.height = self._top + max(pictures, _LINE * (len(page.numbers) + 1)) + _FOOTER
        self._table_left = _MARGIN + len(views) * (_CELL_WIDTH + _GAP) + 2 * _MARGIN
        self.width = self._table_left + _TABLE_WIDTH + _MARGIN
        self.figure = Figure(figsize=(self.width, self.height), facecolor="black")

    def picture(self, row: int, column: int) -> Axes:
        """The axes of one picture, centred in its cell."""
        width, height = self._sizes[column]
        left = _MARGIN + column * (_CELL_WIDTH + _GAP) + (_CELL_WIDTH - width) / 2
        top = self._top + row * (self._row + _GAP) + (self._row - height) / 2
        bottom = self.height - top - height
        place = (left / self.width, bottom / self.height, width / self.width, height / self.height)
        return self.figure.add_axes(place)

    def words(self, sides: str, reason: str) -> None:
        """Title, flags, table, legend and footer."""
        self._text(_MARGIN, 0.12, self.page.title, size=13, weight="bold")
        colour = FLAG_COLOUR if self.page.flags else "#7bd88f"
        for number, line in enumerate(self._flags):
            self._text(_MARGIN, 0.45 + _LINE * number, line, size=9.5, colour=colour)
        for number, line_of in enumerate(self.page.numbers):
            self._number(self._top + _LINE * number, line_of)
        self._legend()
        self._text(_MARGIN, self.height - 0.36, f"{sides}. Slices: {reason}.", size=7.5)
        self._text(_MARGIN, self.height - 0.2, DISCLAIMER, size=7.5)

    def _number(self, depth: float, line: PageNumber) -> None:
        colour = FLAG_COLOUR if line.flagged else "white" if line.heading else "0.85"
        weight = "bold" if line.flagged or line.heading else "normal"
        self._text(self._table_left, depth, line.name, size=8.5, colour=colour, weight=weight)
        right = self._table_left + _TABLE_WIDTH
        self._text(right, depth, line.value, size=8.5, colour=colour, weight=weight, across="right")

    def _legend(self) -> None:
        lines = [
            Line2D([], [], color=outline.colour, linestyle=outline.line, label=outline.name)
            for _, outline in _outlines(self.page)
        ]
        self.figure.legend(
            handles=lines,
            loc="lower right",
            bbox_to_anchor=(1 - _MARGIN / self.width, 0.1 / self.height),
            ncols=len(lines),
            frameon=False,
            labelcolor="white",
            fontsize=8,
        )

    def _text(
        self,
        x: float,
        depth: float,
        text: str,
        *,
        size: float,
        colour: str = "0.75",
        weight: str = "normal",
        across: str = "left",
    ) -> None:
        self.figure.text(
            x / self.width,
            1 - depth / self.height,
            text,
            fontsize=size,
            fontweight=weight,
            color="white" if size > 10 else colour,
            horizontalalignment=across,
            verticalalignment="top",
            # A dollar in a file's or a patient's name is no formula.
            parse_math=False,
        )
