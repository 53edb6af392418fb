"""Numbers as a page shows them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from xrano.evaluation.estimates import DASH, show_number
from xrano.scoring.summary import DESCRIPTIVE_BELOW

INTERVAL = "95 % interval"


def bits(value: float) -> str:
    """A number of bits with its sign; a dash if undefined.

    Example:
        >>> bits(2.741), bits(float("-inf")), bits(float("nan"))
        ('+2.74', '−∞', '–')
    """
    if value is None or math.isnan(value):
        return DASH
    if math.isinf(value):
        return "+∞" if value > 0 else "−∞"
    return show_number(value, signed=True)


def bits_interval(row: Mapping[Any, Any], name: str) -> str:
    """Column ``name`` with its limits: ``+2.74 [+2.52, +3.00]``; a dash if undefined."""
    value, low, high = (float(row[f"{name}{end}"]) for end in ("", "_low", "_high"))
    if math.isnan(value):
        return DASH
    if math.isnan(low) or math.isnan(high):
        return bits(value)
    return f"{bits(value)} [{bits(low)}, {bits(high)}]"


def times(value: float) -> str:
    """Bits as a factor: ``8.0 times``.

    Example:
        >>> times(3.0), times(float("-inf")), times(-1.0)
        ('8.0 times', '0 times', '0.50 times')
    """
    factor = 2**value if value < 1000 else math.inf
    if math.isinf(factor):
        return "infinitely many times"
    if factor == 0:
        return "0 times"
    digits = 2 if factor < 1 else 1 if factor < 100 else 0
    return f"{factor:.{digits}f} times"


def percent(value: float | None, digits: int = 0) -> str:
    """A share in percent; a dash if undefined.

    Example:
        >>> percent(0.256), percent(None), percent(0.0042, 1)
        ('26 %', '–', '0.4 %')
    """
    if value is None or math.isnan(value):
        return DASH
    return f"{100 * value:.{digits}f} %"


def p_value(p: float | None) -> str:
    """A p-value; a dash if there is none."""
    if p is None or math.isnan(p):
        return DASH
    return f"{p:.4f}" if p < 0.001 else f"{p:.3f}"


def interval_words(numbers: Any) -> str:
    """``0.86 (95 % interval 0.79 to 0.92)`` from [value, low, high]; no brackets without limits."""
    value, low, high = numbers
    if low is None or high is None:
        return show_number(value)
    return f"{show_number(value)} ({INTERVAL} {show_number(low)} to {show_number(high)})"


def counted(number: int, what: str) -> str:
    """``1 pair``, ``86 pairs``."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def starred(name: str, *, descriptive: bool) -> str:
    """A class with a star where it has fewer than ten patients."""
    return f"{name}*" if descriptive else name


STAR_NOTE = f"* fewer than {DESCRIPTIVE_BELOW} patients: described, not compared."


def listed(words: list[str]) -> str:
    """``a, b and c``.

    Example:
        >>> listed(["a", "b", "c"]), listed(["a"])
        ('a, b and c', 'a')
    """
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} and {words[-1]}"
