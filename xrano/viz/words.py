"""Words on pictures: how wide they are, where they break, and what the font cannot show.

Ids and names come from users. They are never read as mathematics (``$``), and a letter that
matplotlib's own font lacks is written as its code point rather than as an empty box.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache

import matplotlib.style
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.textpath import text_to_path

LINE_HEIGHT = 1.25
"""Of a line of text, as a multiple of its size."""


@dataclass(frozen=True)
class TypeSizes:
    """Sizes in points of the words of a panel."""

    title: float = 13.0
    answers: float = 10.5
    head: float = 9.5
    line: float = 9.0
    letter: float = 9.0
    position: float = 7.0
    bar: float = 8.5
    tick: float = 8.0
    foot: float = 7.5


ON_SCREEN = TypeSizes()
IN_PRINT = TypeSizes(7.5, 6.5, 6.5, 6.0, 6.0, 5.5, 5.5, 5.5, 5.5)
"""For a journal's column: nothing below 5.5 points."""


@contextmanager
def panel_style() -> Iterator[None]:
    """Matplotlib's own defaults, and no mathematics in texts made meanwhile.

    A user's settings (a notebook's dark style) must not change a panel, nor a ``$`` in an id.
    """
    with matplotlib.style.context(["default", {"text.parse_math": False}]):
        yield


def printable(text: str) -> str:
    r"""The text with every letter that the font lacks written as its code point.

    Example:
        >>> printable("Żółw-№7"), printable("患-1"), printable("a\nb")
        ('Żółw-№7', '\\u60a3-1', 'a\\nb')
    """
    return "".join(letter if _shown(letter) else _code_point(letter) for letter in text)


@lru_cache(maxsize=4096)
def width_points(text: str, size: float, weight: str = "normal") -> float:
    """Width of one line of text in points."""
    font = FontProperties(family="DejaVu Sans", size=size, weight=weight)
    width, _, _ = text_to_path.get_text_width_height_descent(text, font, ismath=False)
    return float(width)


def wrapped(text: str, width: float, size: float, weight: str = "normal") -> list[str]:
    """Lines of a text that are no wider than ``width`` points.

    Breaks at spaces (not before ``mm``), after ``_``, ``-``, ``,`` and ``/``, and within a word
    where nothing else helps; always at line breaks of its own.

    Example:
        >>> wrapped("Integrated gradients", 60, 9.5)
        ['Integrated', 'gradients']
        >>> wrapped("Patient-003_week-034_week-049", 90, 9)
        ['Patient-003_week-', '034_week-049']
    """
    lines: list[str] = []
    for part in text.split("\n"):
        line = ""
        for piece in _pieces(part, width, size, weight):
            if line and width_points((line + piece).rstrip(), size, weight) > width:
                lines.append(line.rstrip())
                line = ""
            line += piece if line else piece.lstrip()
        lines.append(line.rstrip())
    return lines


def height_inches(lines: int, size: float) -> float:
    """Height of some lines of text."""
    return lines * size * LINE_HEIGHT / 72


def _pieces(text: str, width: float, size: float, weight: str) -> Iterator[str]:
    """Parts that are not torn apart, each with the space after it."""
    for piece in re.findall(r"\s*[^\s]+?(?:[_\-,/]+(?=\S)|(?: mm\b)?(?=\s|$))", text):
        while len(piece) > 1 and width_points(piece.strip(), size, weight) > width:
            fits = 1
            while fits < len(piece) and width_points(piece[: fits + 1], size, weight) <= width:
                fits += 1
            yield piece[:fits]
            piece = piece[fits:]
        yield piece


@lru_cache(maxsize=4096)
def _shown(letter: str) -> bool:
    if letter == " ":
        return True
    return letter.isprintable() and bool(get_font(_font()).get_char_index(ord(letter)))


@lru_cache(maxsize=1)
def _font() -> str:
    return findfont(FontProperties(family="DejaVu Sans"))


def _code_point(letter: str) -> str:
    return letter.encode("unicode_escape").decode("ascii")
