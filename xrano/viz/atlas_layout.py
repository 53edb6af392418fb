"""Where the pictures of a class atlas stand, in inches: methods down, classes across."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from xrano.viz.slices import SliceView

WIDTH = 7.09
"""180 mm, two columns of a journal."""

MARGIN, NAMES, GAP = 0.1, 1.42, 0.05
TITLE, HEADER = 0.3, 0.36
COUNTS, BETWEEN = 0.17, 0.06
LEGEND, LINE = 0.22, 0.115


@dataclass(frozen=True, eq=False)
class AtlasPage:
    """The page; every method of each plane is a row of one picture a class."""

    views: tuple[SliceView, ...]
    n_methods: int
    n_classes: int
    n_lines: int

    @property
    def cell(self) -> float:
        """Width of a picture."""
        room = WIDTH - 2 * MARGIN - NAMES - GAP * self.n_classes
        return room / self.n_classes

    @property
    def height(self) -> float:
        """Of the whole page."""
        return MARGIN + TITLE + HEADER + self.n_methods * self._block + self.foot

    @property
    def foot(self) -> float:
        """Of the legend and the lines below it."""
        return MARGIN + LEGEND + LINE * self.n_lines + BETWEEN

    @property
    def _block(self) -> float:
        """One method: its planes, then the counts."""
        return sum(self._height_of(view) + BETWEEN for view in self.views) + COUNTS

    def _height_of(self, view: SliceView) -> float:
        return view.size_mm[1] / self._mm_an_inch

    @property
    def _mm_an_inch(self) -> float:
        return max(view.size_mm[0] for view in self.views) / self.cell

    def left_of(self, column: int) -> float:
        """Left edge of a class's column."""
        return MARGIN + NAMES + GAP + column * (self.cell + GAP)

    def top_of(self, row: int) -> float:
        """Distance of a method's block from the top of the page."""
        return MARGIN + TITLE + HEADER + row * self._block

    def picture(self, figure: Figure, row: int, column: int, plane: int) -> Axes:
        """Axes for one picture, in the middle of its cell."""
        view = self.views[plane]
        width, height = view.size_mm[0] / self._mm_an_inch, self._height_of(view)
        before = sum(self._height_of(one) + BETWEEN for one in self.views[:plane])
        left = self.left_of(column) + (self.cell - width) / 2
        return self.axes(figure, left, self.top_of(row) + before, width, height)

    def counts_at(self, row: int, column: int) -> tuple[float, float]:
        """Where the counts of a cell stand, as fractions of the page."""
        depth = self.top_of(row) + self._block - COUNTS + 0.01
        return self.at(self.left_of(column) + self.cell / 2, depth)

    def axes(self, figure: Figure, left: float, top: float, width: float, height: float) -> Axes:
        """Axes from inches, counted from the top left."""
        page = self.height
        place = (left / WIDTH, 1 - (top + height) / page, width / WIDTH, height / page)
        return figure.add_axes(place)

    def at(self, left: float, top: float) -> tuple[float, float]:
        """Fractions of the page from inches, counted from the top left."""
        return left / WIDTH, 1 - top / self.height


def page_of(
    views: Sequence[SliceView], *, n_methods: int, n_classes: int, n_lines: int
) -> AtlasPage:
    """The page for so many methods, classes, and lines of text below."""
    return AtlasPage(tuple(views), n_methods, n_classes, n_lines)
