"""Where the sessions of a patient lie in time: from days where they are known, else by number."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping


def natural_key(name: str) -> list[tuple[int, str]]:
    """A sort key in which numbers within a name count as numbers.

    Example:
        >>> sorted(["ses-10", "ses-9"], key=natural_key)
        ['ses-9', 'ses-10']
    """
    parts = re.findall(r"\d+|\D+", name)
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]


def place_in_time(days: Mapping[str, float]) -> dict[str, dict[str, object]]:
    """The columns ``order``, ``week``, ``days`` and ``time_unit`` of one patient's sessions.

    Args:
        days: session_id to days since whatever event the dataset counts from; NaN if unknown.

    Returns:
        By session, earliest first. With a day for every session they are sorted by day and
        ``week`` is the whole weeks, rounded down. If one is missing, all are sorted by name,
        ``week`` is the position (0, 1, 2 …, no time at all), and ``time_unit`` says ``ordinal``.

    Example:
        >>> place_in_time({"t1": 60.0, "t0": -3.0})["t1"]
        {'order': 1, 'week': 8, 'days': 60, 'time_unit': 'days'}
        >>> place_in_time({"t1": 60.0, "t0": float("nan")})["t1"]
        {'order': 1, 'week': 1, 'days': 7, 'time_unit': 'ordinal'}
    """
    if any(math.isnan(day) for day in days.values()):
        return {
            name: {"order": order, "week": order, "days": 7 * order, "time_unit": "ordinal"}
            for order, name in enumerate(sorted(days, key=natural_key))
        }
    whole = {name: round(day) for name, day in days.items()}
    ordered = sorted(whole, key=lambda name: (days[name], natural_key(name)))
    return {
        name: {"order": order, "week": whole[name] // 7, "days": whole[name], "time_unit": "days"}
        for order, name in enumerate(ordered)
    }
