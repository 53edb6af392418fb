"""Small pieces of HTML for notebooks; everything that comes from data is escaped."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape

from matplotlib.figure import Figure

from xrano.viz.figure_files import png_bytes

REPR_BYTES = 100_000
"""The picture in a repr is at most this large; in base64 a third more."""

_DPI = (100, 80, 60, 45, 30)

LINES = "line-height:1.45"
"""Lines of text in a widget stand as far apart as its controls unless they are told."""

WHOLE_WIDTH = "calc(100% - 4px)"
"""Of a widget, which has margins: with all of the width its box would scroll sideways."""

_CELL = 'style="text-align:left;padding:.15em .8em .15em 0"'

NOTE = "Research software, not a medical device."


def png_of(figure: Figure, *, limit: float = math.inf) -> bytes:
    """A figure as PNG, with fewer pixels where it would be larger than ``limit`` bytes."""
    return png_bytes(figure, *_DPI, limit=limit)


def image(png: bytes, alternative: str) -> str:
    """A picture that needs no file; ``alternative`` is what it shows, in words."""
    data = base64.b64encode(png).decode()
    return (
        f'<img src="data:image/png;base64,{data}" alt="{escape(alternative)}" '
        'style="display:block;max-width:100%;margin:.3em 0">'
    )


def facts(pairs: Mapping[str, object]) -> str:
    """A table of names and values."""
    rows = "".join(
        f'<tr><th scope="row" {_CELL}>{escape(name)}</th><td {_CELL}>{escape(str(value))}</td></tr>'
        for name, value in pairs.items()
    )
    return f'<table style="{LINES}">{rows}</table>'


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], caption: str = "") -> str:
    """A table with a head; the first cell of a row heads it."""
    head = "".join(f'<th scope="col" {_CELL}>{escape(name)}</th>' for name in columns)
    body = "".join(
        f'<tr><th scope="row" {_CELL}>{escape(str(first))}</th>'
        + "".join(f"<td {_CELL}>{escape(str(value))}</td>" for value in rest)
        + "</tr>"
        for first, *rest in rows
    )
    above = f'<caption style="text-align:left">{escape(caption)}</caption>' if caption else ""
    inside = f"{above}<thead><tr>{head}</tr></thead><tbody>{body}</tbody>"
    return f'<table style="{LINES}">{inside}</table>'


def card(title: str, *parts: str) -> str:
    """A heading, what belongs to it, and the disclaimer."""
    head = f"<div><strong>{escape(title)}</strong></div>"
    foot = f"<div><small>{NOTE}</small></div>"
    # Jupyter would typeset what stands between two dollars of an id.
    return f'<div class="mathjax_ignore tex2jax_ignore">{head}{"".join(parts)}{foot}</div>'


def number(value: float, form: str = ".2f") -> str:
    """A number with a true minus sign; a dash where there is none.

    Example:
        >>> number(-1.234, "+.1f"), number(float("nan"))
        ('−1.2', '–')
    """
    if value != value:
        return "–"
    return format(value, form).replace("-", "−").replace("inf", "∞")


def chances(probabilities: Mapping[str, float]) -> str:
    """Probabilities in one line.

    Example:
        >>> chances({"CR": 0.1, "PD": 0.9})
        'CR 0.10, PD 0.90'
    """
    return ", ".join(f"{name} {value:.2f}" for name, value in probabilities.items())
