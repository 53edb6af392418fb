"""The rows of one pair in a file: what a scoring that was stopped goes on from.

A part holds every table's rows with what all of them share written once, since the pair, run and
response of two thousand rows are the same: a third of the bytes, and of the time to write them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from xrano.atomic_files import write_text
from xrano.experiments.scored_pair import PairScores
from xrano.text_files import read_json


def write_part(path: Path, key: str, scores: PairScores) -> None:
    """Write a pair's rows, whole or not at all, with the key of what they were made of."""
    packed = {name: pack_rows(rows) for name, rows in vars(scores).items()}
    # Not indented: the indenting encoder takes a twelfth of the time of a pair.
    write_text(path, json.dumps({"key": key, **packed}, allow_nan=False))


def read_part(path: Path, key: str) -> PairScores | None:
    """The rows of a part, if it is whole and was made of the same things."""
    try:
        content = read_json(path)
        if content.pop("key") != key:
            return None
        return PairScores(**{name: unpack_rows(packed) for name, packed in content.items()})
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def pack_rows(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Rows as ``same`` (columns with one value), ``columns`` and ``rows`` (lists of values).

    A column that a row lacks becomes ``None`` there, which a table reads as undefined.

    Example:
        >>> pack_rows([{"pair": "P", "value": 1.0}, {"pair": "P", "value": 2.0}])
        {'same': {'pair': 'P'}, 'columns': ['value'], 'rows': [[1.0], [2.0]]}
    """
    names = list(dict.fromkeys(name for row in rows for name in row))
    same = {
        name: rows[0][name]
        for name in names
        if all(name in row and _equal(row[name], rows[0][name]) for row in rows)
    }
    columns = [name for name in names if name not in same]
    return {
        "same": same,
        "columns": columns,
        "rows": [[row.get(name) for name in columns] for row in rows],
    }


def unpack_rows(packed: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The inverse of :func:`pack_rows`.

    Example:
        >>> unpack_rows({"same": {"pair": "P"}, "columns": ["value"], "rows": [[1.0]]})
        [{'pair': 'P', 'value': 1.0}]
    """
    same, columns = packed["same"], packed["columns"]
    return [{**same, **dict(zip(columns, row, strict=True))} for row in packed["rows"]]


def _equal(one: Any, other: Any) -> bool:
    """Equal and of one type: 1, 1.0 and True are three values in JSON."""
    return type(one) is type(other) and bool(one == other)
