"""How long work says how far it is."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

Progress = Callable[[Iterable[Any], str], Iterable[Any]]
"""Wraps an iterable; the second argument names the work."""


def quiet(items: Iterable[Any], _what: str) -> Iterable[Any]:
    """No progress at all."""
    return items


def minutes(seconds: float) -> str:
    """Seconds in words.

    Example:
        >>> minutes(0.02), minutes(42), minutes(400), minutes(40000)
        ('less than a second', '42 s', '7 min', '11.1 h')
    """
    if 0 < seconds < 1:
        return "less than a second"
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
