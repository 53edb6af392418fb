"""Figures as files: whole or not there, and the same bytes for the same figure.

Words in an SVG or PDF stay words, so that they can be searched, copied and set in a journal's own
type; nothing in a file says when it was made.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.collections import Collection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.text import Text

from xrano.atomic_files import write_atomically
from xrano.errors import ConfigError, UnknownNameError

COLUMN_WIDTHS_MM: Mapping[str, float] = {"single": 89.0, "middle": 120.0, "double": 183.0}
"""Widths of a journal's columns, in mm: one, one and a half, and two."""

SMALLEST_TEXT = 5.0
"""Points below which no text is printed, however narrow the figure."""

DPI, PRINT_DPI = 150, 300

# None leaves an entry out: dates and versions would make equal figures differ.
_METADATA: Mapping[str, Mapping[str, str | None]] = {
    ".png": {"Software": None},
    ".svg": {"Date": None, "Creator": "xrano"},
    ".pdf": {"CreationDate": None, "Creator": "xrano", "Producer": None},
}
_AS_TEXT: Mapping[Any, Any] = {"svg.hashsalt": "xrano", "svg.fonttype": "none", "pdf.fonttype": 42}

FORMATS = tuple(suffix[1:] for suffix in _METADATA)
"""What a figure can be written as."""


def save_figure(
    figure: Figure, path: Path, dpi: int | None = None, *, width: str | float | None = None
) -> None:
    """Write a figure as PNG, SVG or PDF, chosen by the suffix.

    Args:
        figure: the figure; it is left as it was.
        path: file to write; folders are made, an existing file is replaced at once.
        dpi: pixels an inch, of the pictures inside an SVG or PDF too; 150 if not given, 300 for a
            width in print, and the figure's own where that is more.
        width: print the figure this wide, all of it made smaller alike but no text below 5 points:
            a name of :data:`COLUMN_WIDTHS_MM`, or mm; as it is if not given.

    Raises:
        UnknownNameError: for another suffix, or an unknown name of a width.
        ConfigError: if the width is not some centimetres.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in _METADATA:
        raise UnknownNameError("figure format", suffix, _METADATA)
    pixels = dpi or max(DPI if width is None else PRINT_DPI, round(figure.dpi))
    with matplotlib.rc_context(dict(_AS_TEXT)), _printed_at(figure, width):
        write_atomically(Path(path), lambda temporary: _write(figure, temporary, suffix, pixels))


def png_bytes(figure: Figure, *dpi: int, limit: float = math.inf) -> bytes:
    """A figure as the content of a PNG file, for a page or a notebook.

    Args:
        figure: the figure; it is left as it was.
        *dpi: pixels an inch; of several the first whose picture is within the limit, else the last.
        limit: bytes.
    """
    for pixels in dpi:
        content = io.BytesIO()
        _write(figure, content, ".png", pixels)
        if content.tell() <= limit:
            break
    return content.getvalue()


def _write(figure: Figure, into: Path | io.BytesIO, suffix: str, dpi: int) -> None:
    figure.savefig(
        into,
        dpi=dpi,
        format=suffix[1:],
        facecolor=figure.get_facecolor(),
        metadata=dict(_METADATA[suffix]),
    )


def width_inches(width: str | float) -> float:
    """The inches of a column's name or of a width in mm.

    Raises:
        UnknownNameError: for an unknown name.
        ConfigError: if the width lies outside 40 to 1000 mm.

    Example:
        >>> round(width_inches("single"), 2), width_inches(127)
        (3.5, 5.0)
    """
    if isinstance(width, str):
        if width not in COLUMN_WIDTHS_MM:
            raise UnknownNameError("width", width, COLUMN_WIDTHS_MM)
        width = COLUMN_WIDTHS_MM[width]
    if not 40 <= width <= 1000:
        raise ConfigError(f"a figure is 40 to 1000 mm wide, got {width:g}")
    return width / 25.4


@contextmanager
def _printed_at(figure: Figure, width: str | float | None) -> Iterator[None]:
    """The figure at another width for a while: its size, text and lines by one factor."""
    before = float(figure.get_figwidth()), float(figure.get_figheight())
    factor = 1.0 if width is None else width_inches(width) / before[0]
    if abs(factor - 1) < 1e-3:
        yield
        return
    texts: list[tuple[Any, float]] = [
        (one, float(one.get_fontsize())) for one in _found(figure, Text)
    ]
    strokes = [
        (one, one.get_linewidth())
        for kind in (Line2D, Patch, Collection)
        for one in _found(figure, kind)
    ]
    try:
        figure.set_size_inches(before[0] * factor, before[1] * factor)
        for text, size in texts:
            text.set_fontsize(max(size * factor, min(size, SMALLEST_TEXT)))
        for stroke, thick in strokes:
            stroke.set_linewidth(thick * factor)
        yield
    finally:
        figure.set_size_inches(*before)
        for text, size in texts:
            text.set_fontsize(size)
        for stroke, thick in strokes:
            stroke.set_linewidth(thick)


def _found(figure: Figure, kind: type) -> list[Any]:
    return figure.findobj(kind)
