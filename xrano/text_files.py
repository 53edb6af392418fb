"""JSON and YAML from anywhere: read without executing anything, and bounded in what they become.

A file of a few hundred bytes can stand for billions of values (YAML's aliases) or for a nesting
that no reader survives. Whatever is wrong is a :class:`ValueError`, in one line.
"""

from __future__ import annotations

import json
import os
import re
from functools import cache
from pathlib import Path
from typing import Any

LARGEST_JSON = 64 << 20
"""Bytes of a JSON file."""

LARGEST_YAML = 1 << 20
"""Bytes of a YAML file."""

MOST_VALUES = 100_000
"""Values that a YAML file may stand for, every alias counted as what it repeats."""

_LONGEST_NUMBER = 40


def read_json(path: Path) -> Any:
    """The content of a JSON file.

    Raises:
        OSError: if the file cannot be read.
        ValueError: if it is too large, not UTF-8, no JSON, or nested too deeply.
    """
    return parse_json(_read(path, LARGEST_JSON))


def parse_json(text: str) -> Any:
    """The content of JSON text.

    Raises:
        ValueError: if it is no JSON, or nested too deeply.

    Example:
        >>> parse_json('{"folds": [1]}')
        {'folds': [1]}
        >>> parse_json("[" * 100_000)
        Traceback (most recent call last):
        ...
        ValueError: its values are nested too deeply
    """
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("its values are nested too deeply") from error


def read_yaml(path: Path) -> Any:
    """The content of a YAML file: plain values, never objects.

    Raises:
        OSError: if the file cannot be read.
        ValueError: if it is too large, not UTF-8, no YAML, asks for an object, or stands for too
            many values.
    """
    return parse_yaml(_read(path, LARGEST_YAML))


def parse_yaml(text: str) -> Any:
    """The content of YAML text: plain values, never objects.

    Raises:
        ValueError: as for :func:`read_yaml`.

    Example:
        >>> parse_yaml("seeds: [0, 1]")
        {'seeds': [0, 1]}
        >>> parse_yaml("learning_rate: 1e-3")
        {'learning_rate': 0.001}
        >>> parse_yaml("a: !!python/object/apply:os.getcwd []")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ...
        ValueError: could not determine a constructor for the tag ...
    """
    import yaml

    try:
        loader = _loader()(text)
    except yaml.YAMLError as error:
        raise ValueError(_one_line(error)) from error
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        if _values(node, {}) > MOST_VALUES:
            raise ValueError(f"it stands for more than {MOST_VALUES:,} values")
        return loader.construct_document(node)
    except RecursionError as error:
        raise ValueError("its values are nested too deeply") from error
    # PyYAML stumbles over tags that do not fit their text: !!int "".
    except (
        yaml.YAMLError,
        ValueError,
        TypeError,
        LookupError,
        AttributeError,
        OverflowError,
    ) as error:
        raise ValueError(_one_line(error)) from error
    finally:
        loader.dispose()


@cache
def _loader() -> Any:
    """The safe loader, which also takes ``1e-3`` for a number, as YAML 1.2 and people do."""
    import yaml

    class Loader(yaml.SafeLoader):
        pass

    number = re.compile(r"[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$")
    Loader.add_implicit_resolver("tag:yaml.org,2002:float", number, list("-+0123456789"))
    return Loader


def is_cut_off(path: Path) -> bool:
    """Whether a table or list that xrano wrote has lost its end: each line of one is ended.

    Raises:
        OSError: if the file cannot be read.
    """
    with path.open("rb") as file:
        if not file.seek(0, os.SEEK_END):
            return True
        file.seek(-1, os.SEEK_END)
        return file.read(1) != b"\n"


def _read(path: Path, most: int) -> str:
    with path.open("rb") as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise ValueError(f"it has more than {most:,} bytes")
    return content.decode("utf-8")


def _values(node: Any, known: dict[int, int]) -> int:
    """How many values a node stands for; 0 in ``known`` marks one that is being counted."""
    found = known.get(id(node))
    if found == 0:
        raise ValueError("a value holds itself")
    if found is not None:
        return found
    known[id(node)] = 0
    children = node.value
    if isinstance(children, str):
        if node.tag.endswith((":int", ":float")) and len(children) > _LONGEST_NUMBER:
            raise ValueError(f"a number has {len(children)} signs")
        count = 1
    else:
        flat = [
            part for child in children for part in (child if isinstance(child, tuple) else (child,))
        ]
        count = 1 + sum(_values(child, known) for child in flat)
    known[id(node)] = count
    return count


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
