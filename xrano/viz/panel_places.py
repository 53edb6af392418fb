"""What stands where on a page of pictures, in inches from its lower left corner."""

from __future__ import annotations

from dataclasses import dataclass

from xrano.viz.panel_cells import Cell
from xrano.viz.slices import SliceView
from xrano.viz.words import TypeSizes

Box = tuple[float, float, float, float]
"""Left, bottom, width, height in inches."""


@dataclass(frozen=True)
class Line:
    """Words in one place: ``across`` and ``up`` say which of their edges lies at (x, y)."""

    text: str
    x: float
    y: float
    size: float
    bold: bool = False
    colour: str = "white"
    across: str = "center"
    up: str = "top"
    rotation: float = 0.0


@dataclass(frozen=True, eq=False)
class Placed:
    """One picture: what it shows, where it cuts, where it stands, and its mm below it or inside."""

    cell: Cell
    view: SliceView
    box: Box
    below: bool


@dataclass(frozen=True, eq=False)
class Page:
    """The whole page."""

    width: float
    height: float
    pictures: tuple[Placed, ...]
    lines: tuple[Line, ...]
    legend: Box
    bars: tuple[Box, ...]
    sizes: TypeSizes
