"""What a command found: one object, shown to people as text and to scripts as JSON.

A command that can answer scripts has ``JSON_KEYS``, each key of its JSON object with its meaning,
and its ``run`` returns an :class:`Answer`. Then it has the option ``--json``: one JSON object on
standard output and nothing else there. Words and progress go to standard error, a number that does
not exist is ``null``, and the exit status is the same as without.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any


def _fine() -> None:
    pass


@dataclass(frozen=True)
class Answer:
    """What a command found.

    Attributes:
        text: for people.
        values: for scripts: numbers, words, tables and dataclasses under documented keys.
        require: raises what is to be complained of once the answer is shown.
        status: exit status of a command that says itself what is wrong.
    """

    text: str
    values: Mapping[str, Any]
    require: Callable[[], object] = _fine
    status: int = 0

    def show(self, *, as_json: bool) -> None:
        """Print it, then complain if there is reason to."""
        print(to_json(self.values) if as_json else self.text)
        self.require()


def to_json(values: Mapping[str, Any]) -> str:
    """One JSON object, as every parser of JSON reads it.

    Example:
        >>> print(to_json({"lift": float("nan"), "file": Path("scores.csv")}))
        {
          "lift": null,
          "file": "scores.csv"
        }
    """
    return json.dumps(plain(values), indent=2, allow_nan=False, ensure_ascii=False)


def plain(value: Any) -> Any:
    """The same as JSON values: tables as lists of rows, dataclasses by field, paths as strings.

    Raises:
        TypeError: for what has no such form.
    """
    if value is None or isinstance(value, (bool, int, str)):
        # An enum of words is one of them, and its repr would not be.
        return str(value) if isinstance(value, str) else value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item) for item in value]
    if isinstance(value, Path):
        return str(value)
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if hasattr(value, "columns"):
        return plain(value.to_dict("records"))
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    raise TypeError(f"{type(value).__name__} has no form in JSON: {value!r}")
