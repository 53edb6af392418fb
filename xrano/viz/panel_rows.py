"""Which picture of a panel stands in which row and column, and what is written beside it.

* One target a method, one slice: the scans, then the maps in rows below; on a screen a single map
  stands beside the scans.
* One target a method, several planes: one row a plane, the scans first, then the maps.
* Several targets, or timepoints apart: the scans above, then methods in rows and targets and
  timepoints in columns.
* A mosaic: slices in columns, scans and maps in rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from xrano.viz.panel_cells import Cell
from xrano.viz.slices import SliceView

Picture = tuple[Cell, SliceView]


@dataclass(frozen=True, eq=False)
class PanelRow:
    """One row of pictures.

    Args:
        pictures: from left to right; ``None`` leaves a place free.
        titles: lines above each place, or nothing for a row that stands close to the one above.
        head: lines beside the row.
        caption: lines over the whole row, below its titles.
    """

    pictures: tuple[Picture | None, ...]
    titles: tuple[tuple[str, ...], ...] = ()
    head: tuple[str, ...] = ()
    caption: tuple[str, ...] = ()


def rows_of(
    scans: Sequence[Cell],
    maps: Sequence[Cell],
    views: Sequence[SliceView],
    *,
    mosaic: bool = False,
    classes: Sequence[str] = (),
    screen: bool = True,
) -> list[PanelRow]:
    """Arrange the cells of a case.

    Args:
        scans: the cells of the first row.
        maps: the other cells.
        views: one a plane, or all slices of a mosaic; at least one.
        mosaic: whether they are a mosaic.
        classes: targets in the order of their columns; others follow as they come.
        screen: whether there is room for four pictures in a row, which a printed column lacks.
    """
    if mosaic:
        return [
            PanelRow(
                # What is said of a map is said once, in the first of its slices.
                tuple(
                    (replace(cell, note="") if n else cell, view) for n, view in enumerate(views)
                ),
                head=cell.title,
            )
            for cell in (*scans, *maps)
        ]
    if any(len(columns) > 1 for columns in _columns_by_group(maps)):
        return [*_scan_rows(scans, views), *_grid_rows(maps, views, classes)]
    if len(views) == 1:
        rows = [[*scans, *maps]] if screen and len(maps) == 1 else _flowing(scans, maps)
        return [
            PanelRow(tuple((cell, views[0]) for cell in row), tuple(cell.title for cell in row))
            for row in rows
        ]
    cells = (*scans, *maps)
    titles = tuple(cell.title for cell in cells)
    return [
        PanelRow(tuple((cell, view) for cell in cells), () if number else titles)
        for number, view in enumerate(views)
    ]


def _columns_by_group(maps: Sequence[Cell]) -> list[set[tuple[str, str]]]:
    groups: dict[tuple[str, ...], set[tuple[str, str]]] = {}
    for cell in maps:
        groups.setdefault(cell.group, set()).add(cell.column)
    return list(groups.values())


def _scan_rows(scans: Sequence[Cell], views: Sequence[SliceView]) -> list[PanelRow]:
    titles = tuple(cell.title for cell in scans)
    return [
        PanelRow(tuple((cell, view) for cell in scans), () if number else titles)
        for number, view in enumerate(views)
    ]


def _grid_rows(
    maps: Sequence[Cell], views: Sequence[SliceView], classes: Sequence[str]
) -> list[PanelRow]:
    targets = [*classes, *(cell.column[0] for cell in maps)]
    columns = sorted({cell.column: None for cell in maps}, key=lambda one: targets.index(one[0]))
    heads = {cell.column: _column_head(cell, columns) for cell in maps}
    rows = []
    for number, line in enumerate(_lines(maps)):
        some = next(iter(line.values()))
        for view in views:
            pictures = tuple((line[one], view) if one in line else None for one in columns)
            above = tuple(heads[one] for one in columns)
            first = number == 0 and view is views[0]
            rows.append(PanelRow(pictures, above if first else (), (*some.head, some.unit)))
    return rows


def _lines(maps: Sequence[Cell]) -> list[dict[tuple[str, str], Cell]]:
    """The maps of each method by column; a second line where a place would be taken twice."""
    groups: dict[tuple[str, ...], list[dict[tuple[str, str], Cell]]] = {}
    for cell in maps:
        lines = groups.setdefault(cell.group, [])
        free = next((line for line in lines if cell.column not in line), None)
        if free is None:
            lines.append(free := {})
        free[cell.column] = cell
    return [line for lines in groups.values() for line in lines]


def _column_head(cell: Cell, columns: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    target, timepoint = cell.column
    apart = any(name == target and other for name, other in columns)
    return (
        (*cell.column_head, "both scans at once") if apart and not timepoint else cell.column_head
    )


def _flowing(scans: Sequence[Cell], maps: Sequence[Cell]) -> list[list[Cell]]:
    """The scans, then the maps; maps of one method are not torn apart if they fit into a row."""
    groups = [list(group) for _, group in groupby(maps, key=lambda cell: cell.group)]
    per_row = 4 if len(maps) == 4 else 3
    rows: list[list[Cell]] = [list(scans), []]
    for group in groups:
        if rows[-1] and len(rows[-1]) + len(group) > per_row:
            rows.append([])
        for cell in group:
            if len(rows[-1]) == per_row:
                rows.append([])
            rows[-1].append(cell)
    return [row for row in rows if row]
