"""Where the pictures of a panel stand on the page, in inches.

One plane: the scans in the first row, the maps in rows below, maps of one method together. Several
planes: one row a plane, scans first, then the maps. All pictures have one scale (mm an inch).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from xrano.viz.panel_cells import Cell
from xrano.viz.slices import SliceView

MARGIN = 0.15
GAP = 0.1
HEADER = 0.62
TITLE_LINE = 0.165
STRIP = 0.7
FOOTER = 0.36

Box = tuple[float, float, float, float]
"""Left, bottom, width, height in inches."""


@dataclass(frozen=True, eq=False)
class Placed:
    """One picture: what it shows, where it cuts, where it stands, whether its title is shown."""

    cell: Cell
    view: SliceView
    box: Box
    titled: bool


@dataclass(frozen=True, eq=False)
class Page:
    """The whole page; ``strip`` holds the legend and the colour bars."""

    width: float
    height: float
    pictures: tuple[Placed, ...]
    strip: Box


def lay_out(scans: Sequence[Cell], maps: Sequence[Cell], views: Sequence[SliceView]) -> Page:
    """Give every cell, in every plane, its place.

    Args:
        scans: the cells of the first row.
        maps: the other cells.
        views: one view a plane, at least one.
    """
    if len(views) == 1:
        rows = [[(cell, views[0]) for cell in row] for row in _single_plane_rows(scans, maps)]
    else:
        rows = [[(cell, view) for cell in (*scans, *maps)] for view in views]
    columns = max(len(row) for row in rows)
    cell_width = 3.0 if columns <= 3 else 2.5 if columns == 4 else 2.3
    mm_an_inch = max(view.size_mm[0] for view in views) / cell_width
    width = 2 * MARGIN + columns * cell_width + (columns - 1) * GAP
    placed: list[Placed] = []
    depth = MARGIN + HEADER
    for number, row in enumerate(rows):
        titled = number == 0 or len(views) == 1
        depth += _title_height(row) if titled else GAP
        height = max(view.size_mm[1] for _, view in row) / mm_an_inch
        for column, (cell, view) in enumerate(row):
            size = (view.size_mm[0] / mm_an_inch, view.size_mm[1] / mm_an_inch)
            left = MARGIN + column * (cell_width + GAP) + (cell_width - size[0]) / 2
            top = depth + (height - size[1]) / 2
            placed.append(Placed(cell, view, (left, top, *size), titled))
        depth += height
    total = depth + GAP + STRIP + FOOTER + MARGIN
    upright = tuple(
        Placed(one.cell, one.view, _from_bottom(one.box, total), one.titled) for one in placed
    )
    strip = (MARGIN, MARGIN + FOOTER, width - 2 * MARGIN, STRIP)
    return Page(width, total, upright, strip)


def _single_plane_rows(scans: Sequence[Cell], maps: Sequence[Cell]) -> list[list[Cell]]:
    """The scans, then the maps; maps of one method are not torn apart if they fit into a row."""
    groups = [list(group) for _, group in groupby(maps, key=lambda cell: cell.group)]
    four = len(maps) == 4 or any(len(group) == 4 or len(group) > 6 for group in groups)
    per_row = 4 if four else 3
    rows: list[list[Cell]] = [list(scans), []]
    for group in groups:
        if rows[-1] and len(rows[-1]) + len(group) > per_row:
            rows.append([])
        for cell in group:
            if len(rows[-1]) == per_row:
                rows.append([])
            rows[-1].append(cell)
    return [row for row in rows if row]


def _title_height(row: Sequence[tuple[Cell, SliceView]]) -> float:
    return TITLE_LINE * max(len(cell.title) for cell, _ in row) + 0.16


def _from_bottom(box: Box, height: float) -> Box:
    left, top, box_width, box_height = box
    return left, height - top - box_height, box_width, box_height
