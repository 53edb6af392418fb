"""Where everything of a panel stands on the page, in inches from its lower left corner.

All pictures have one scale (mm an inch). A page on the screen is as wide as its pictures need; in
print its width is given and the pictures fill it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from xrano.errors import ConfigError
from xrano.viz.colour_scale import LABEL_WIDTH, ColourScale
from xrano.viz.drawing import label_fits
from xrano.viz.panel_cells import Cell
from xrano.viz.panel_places import Box, Line, Page, Placed
from xrano.viz.panel_rows import PanelRow
from xrano.viz.slices import SliceView
from xrano.viz.words import IN_PRINT, ON_SCREEN, height_inches, width_points, wrapped

NARROWEST = 0.62
"""Inches below which a picture cannot hold its letters and the scale bar's length."""


def lay_out(
    rows: Sequence[PanelRow],
    *,
    header: tuple[str, str],
    footer: Sequence[str],
    legend: Sequence[str],
    scales: Sequence[ColourScale],
    width: float | None = None,
) -> Page:
    """Give every picture and every word its place.

    Args:
        rows: the pictures.
        header: two lines above them.
        footer: lines below them.
        legend: what the outlines' legend says, a line each.
        scales: a colour bar each.
        width: of the page in inches, in print; as the pictures need if not given.

    Raises:
        ConfigError: if the pictures do not fit into the width.
    """
    sheet = _Sheet(rows, width)
    depth = sheet.write_header(header)
    depth, free = sheet.place_rows(depth)
    depth = sheet.place_strip(depth, free, legend, scales)
    return sheet.finish(depth, footer)


class _Sheet:
    """A page being filled from the top; depths are turned into heights at the end."""

    def __init__(self, rows: Sequence[PanelRow], width: float | None) -> None:
        self.rows = rows
        self.sizes = ON_SCREEN if width is None else IN_PRINT
        self.margin, self.gap = (0.15, 0.1) if width is None else (0.05, 0.04)
        self.columns = max(len(row.pictures) for row in rows)
        self.widest = max(view.size_mm[0] for view in self._views(rows))
        self.heads: list[list[tuple[str, bool]]] = [[] for _ in rows]
        self._measure(width, 0.0)
        # Heads are broken into lines by the height of their rows, and take width from them.
        for _ in range(2):
            self.heads = [self._head_lines(row) for row in rows]
            lines = max(len(head) for head in self.heads)
            self._measure(width, height_inches(lines, self.sizes.line) + (0.06 if lines else 0))
        self.pictures: list[Placed] = []
        self.lines: list[Line] = []
        self.legend: Box = (0, 0, 0, 0)
        self.bars: list[Box] = []

    def _measure(self, width: float | None, head_width: float) -> None:
        self.head_width, between = head_width, (self.columns - 1) * self.gap
        if width is None:
            few = {1: 3.0, 2: 3.0, 3: 3.0, 4: 2.5, 5: 2.3, 6: 2.3}
            self.cell = few.get(self.columns, max(1.5, 14.0 / self.columns))
            needed = 2 * self.margin + head_width + self.columns * self.cell + between
            self.width = max(needed, 6.0)
        else:
            self.cell = (width - 2 * self.margin - head_width - between) / self.columns
            self.width = width
            if self.cell < NARROWEST:
                raise ConfigError(
                    f"{self.columns} pictures in a row do not fit into {25.4 * width:.0f} mm; "
                    "choose a larger width, or fewer targets or slices"
                )
        self.mm_an_inch = self.widest / self.cell
        used = head_width + self.columns * self.cell + between
        self.left = (self.width - used) / 2 + head_width

    @staticmethod
    def _views(rows: Sequence[PanelRow]) -> list[SliceView]:
        return [picture[1] for row in rows for picture in row.pictures if picture is not None]

    def _row_height(self, row: PanelRow) -> float:
        return max(view.size_mm[1] for view in self._views([row])) / self.mm_an_inch

    def _head_lines(self, row: PanelRow) -> list[tuple[str, bool]]:
        room = 72 * self._row_height(row)
        return self._broken(row.head, room)

    def _broken(self, texts: Sequence[str], room: float) -> list[tuple[str, bool]]:
        """Lines no wider than some points; the first text is bold."""
        lines: list[tuple[str, bool]] = []
        for number, text in enumerate(text for text in texts if text):
            bold = number == 0
            size = self.sizes.head if bold else self.sizes.line
            weight = "bold" if bold else "normal"
            lines += [(line, bold) for line in wrapped(text, room, size, weight)]
        return lines

    def write_header(self, header: tuple[str, str]) -> float:
        """The case and the answers; how deep they reach."""
        depth = self.margin
        room = 72 * (self.width - 2 * self.margin)
        sizes = (self.sizes.title, self.sizes.answers)
        for text, size, bold in zip(header, sizes, (True, False), strict=True):
            for line in wrapped(text, room, size, "bold" if bold else "normal"):
                self.lines.append(Line(line, self.width / 2, depth, size, bold))
                depth += height_inches(1, size)
            depth += 0.3 * size / 72
        return depth

    def place_rows(self, depth: float) -> tuple[float, Box | None]:
        """All pictures; how deep they reach, and a free place beside the first row."""
        free: Box | None = None
        for number, row in enumerate(self.rows):
            depth = self._write_caption(row, self._write_titles(row, depth))
            height = self._row_height(row)
            below = not all(
                label_fits(view, view.size_mm[0] / self.mm_an_inch, self.sizes)
                for view in self._views([row])
            )
            for column, picture in enumerate(row.pictures):
                if picture is not None:
                    self._place(picture, self._edge(column), depth, height, below=below)
            self._write_head(self.heads[number], depth + height / 2)
            here = len(row.pictures)
            if number == 0 and here < self.columns:
                wide = self.cell * (self.columns - here) + self.gap * (self.columns - here - 1)
                free = (self._edge(here), depth, wide, height)
            depth += height + (height_inches(1, self.sizes.position) if below else 0)
        return depth, free

    def _edge(self, column: int) -> float:
        return self.left + column * (self.cell + self.gap)

    def _place(
        self,
        picture: tuple[Cell, SliceView],
        left: float,
        depth: float,
        height: float,
        *,
        below: bool,
    ) -> None:
        cell, view = picture
        size = (view.size_mm[0] / self.mm_an_inch, view.size_mm[1] / self.mm_an_inch)
        corner = (left + (self.cell - size[0]) / 2, depth + (height - size[1]) / 2)
        self.pictures.append(Placed(cell, view, (*corner, *size), below))

    def _write_titles(self, row: PanelRow, depth: float) -> float:
        titles = [self._broken(title, 72 * self.cell) for title in row.titles]
        most = max((len(title) for title in titles), default=0)
        if not most:
            return depth + self.gap
        step = height_inches(1, self.sizes.head)
        depth += 1.2 * self.sizes.line / 72 + most * step
        for column, title in enumerate(titles):
            for number, (line, bold) in enumerate(reversed(title)):
                x = self._edge(column) + self.cell / 2
                size = self.sizes.head if bold else self.sizes.line
                colour = "white" if bold else "0.8"
                y = depth - number * step
                self.lines.append(Line(line, x, y, size, bold, colour, up="baseline"))
        return depth + 0.4 * self.sizes.line / 72

    def _write_caption(self, row: PanelRow, depth: float) -> float:
        lines = self._broken(row.caption, 72 * (self.width - self.left - self.margin))
        if lines:
            depth += 0.5 * self.sizes.line / 72
        for text, bold in lines:
            size = self.sizes.head if bold else self.sizes.line
            colour = "white" if bold else "0.8"
            self.lines.append(Line(text, self.left, depth, size, bold, colour, "left"))
            depth += height_inches(1, size)
        return depth + 0.3 * self.sizes.line / 72 if lines else depth

    def _write_head(self, head: Sequence[tuple[str, bool]], middle: float) -> None:
        step = height_inches(1, self.sizes.line)
        right = self.left - 0.06
        for number, (text, bold) in enumerate(reversed(head)):
            size = self.sizes.head if bold else self.sizes.line
            colour = "white" if bold else "0.8"
            x = right - (number + 0.25) * step
            self.lines.append(
                Line(text, x, middle, size, bold, colour, "right", "center", rotation=90)
            )

    def place_strip(
        self,
        depth: float,
        free: Box | None,
        legend: Sequence[str],
        scales: Sequence[ColourScale],
    ) -> float:
        """Legend and colour bars: beside each other where there is room; how deep they reach."""
        depth += 0.12
        inner = self.width - 2 * self.margin
        legend_height = height_inches(len(legend), 1.35 * self.sizes.bar)
        left, room = self.margin, inner
        handle = 4 * self.sizes.bar
        widest = max((width_points(text, self.sizes.bar) for text in legend), default=0) + handle
        if free is not None and widest > 72 * free[2]:
            free = None
        if free is not None:
            self.legend = free
        elif inner > 6.5 or not scales:
            self.legend = (self.margin, depth + 0.1, inner / 3 - 0.3, max(legend_height, 0.45))
            left, room = self.margin + inner / 3, inner * 2 / 3
        else:
            self.legend = (self.margin, depth, inner, legend_height)
            depth += legend_height + 0.06
        share = room / max(len(scales), 1)
        bar = min(share - 4 * self.sizes.tick / 72, 3.2 if self.sizes is ON_SCREEN else 2.2)
        most = 0
        for number, scale in enumerate(scales):
            lines = len(wrapped(scale.label, 72 * LABEL_WIDTH * bar, self.sizes.bar))
            most = max(most, lines)
            self.bars.append((left + (number + 0.5) * share - bar / 2, 0.0, bar, 0.0))
        top = depth + height_inches(most, self.sizes.bar) + 0.06
        thick = 0.14 if self.sizes is ON_SCREEN else 0.09
        self.bars = [(x, top, wide, thick) for x, _, wide, _ in self.bars]
        ticks = height_inches(1, self.sizes.tick) + 0.08
        below = top + thick + ticks if scales else depth
        beside = self.legend[1] + self.legend[3] if free is None else 0.0
        return max(below, beside)

    def finish(self, depth: float, footer: Sequence[str]) -> Page:
        """Write the footer, and turn depths into heights."""
        depth += 0.1
        room = 72 * (self.width - 2 * self.margin)
        for text in footer:
            for line in wrapped(text, room, self.sizes.foot):
                self.lines.append(
                    Line(line, self.margin, depth, self.sizes.foot, False, "0.75", "left")
                )
                depth += height_inches(1, self.sizes.foot)
        total = depth + self.margin

        def upright(box: Box) -> Box:
            left, top, width, height = box
            return left, total - top - height, width, height

        return Page(
            self.width,
            total,
            tuple(replace(one, box=upright(one.box)) for one in self.pictures),
            tuple(replace(line, y=total - line.y) for line in self.lines),
            upright(self.legend),
            tuple(upright(box) for box in self.bars),
            self.sizes,
        )
