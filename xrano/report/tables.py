"""What a page is made of: tables, figures, commands and sections, as plain values.

Everything here is text, numbers and PNG bytes; the templates lay it out and escape it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from xrano.errors import XranoError


@dataclass(frozen=True)
class Column:
    """A column: its head, a second line below it, and whether it holds numbers."""

    title: str
    note: str = ""
    numeric: bool = False


@dataclass(frozen=True)
class Cell:
    """A cell: its text, a quiet second line, and the page it leads to.

    ``sort``: what the cell is sorted by, where that is not its text.
    """

    text: str
    note: str = ""
    href: str = ""
    sort: float | str | None = None


@dataclass(frozen=True)
class Row:
    """A row; its first cell is its head. ``group`` starts a group of rows with a heading."""

    cells: tuple[Cell, ...]
    group: str = ""


@dataclass(frozen=True)
class Table:
    """A table with its caption and the notes below it.

    ``folded``: what the reader presses to see it; shown at once if empty.

    Raises:
        XranoError: if a row has another number of cells than there are columns.
    """

    name: str
    caption: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()
    folded: str = ""

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row.cells) != len(self.columns):
                raise XranoError(
                    f"table {self.name}: a row of {len(row.cells)} cells for "
                    f"{len(self.columns)} columns"
                )


@dataclass(frozen=True)
class Figure:
    """A picture in the page: PNG bytes, what it shows in words, and its caption.

    ``wide``: needs more width than a phone has, so that it scrolls in a box of its own there.
    """

    name: str
    png: bytes
    alt: str
    caption: str
    wide: bool = False


@dataclass(frozen=True)
class Command:
    """A line for the terminal and what it makes."""

    what: str
    line: str


@dataclass(frozen=True)
class Fold:
    """Lines to read on demand: what is pressed, and the lines."""

    title: str
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Section:
    """A part of the page with a heading of its own.

    ``missing``: what would fill it, with the command that makes it.
    """

    anchor: str
    title: str
    words: tuple[str, ...] = ()
    points: tuple[str, ...] = ()
    figures: tuple[Figure, ...] = ()
    tables: tuple[Table, ...] = ()
    folds: tuple[Fold, ...] = ()
    missing: tuple[Command, ...] = ()


def plain_table(
    name: str,
    caption: str,
    columns: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    notes: Sequence[str] = (),
    folded: str = "",
    numeric_from: int | None = None,
) -> Table:
    """A table of texts; a column of numbers, and dashes where there is none, is aligned as such.

    ``numeric_from``: the first of the columns that hold numbers, where their cells do not tell.

    Example:
        >>> table = plain_table("t", "Pairs", ["response", "pairs"], [["CR", "20"], ["PR", "–"]])
        >>> [column.numeric for column in table.columns]
        [False, True]
    """
    cells = [tuple(Cell(str(text)) for text in row) for row in rows]
    heads = tuple(
        Column(
            title,
            numeric=index >= numeric_from
            if numeric_from is not None
            else index > 0 and _are_numbers([row[index].text for row in cells]),
        )
        for index, title in enumerate(columns)
    )
    return Table(name, caption, heads, tuple(Row(row) for row in cells), tuple(notes), folded)


def _are_numbers(texts: Sequence[str]) -> bool:
    told = [text for text in texts if text != "–"]
    return bool(told) and all(text[:1] and text[:1] in "−+0123456789" for text in told)
