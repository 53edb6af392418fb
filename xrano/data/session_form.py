"""The form of a session file's content: what its metadata hold, and that its volumes fit."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from xrano.errors import CheckpointError

Kind = type | tuple[type, ...]

_KINDS: Mapping[str, tuple[type, Kind]] = {
    "sequences": (list, str),
    "schemes": (dict, str),
    "scale": (dict, (int, float)),
    "sources": (dict, dict),
    "alignment": (dict, object),
}
"""Containers of a session file's metadata, and what they hold."""


def mistyped_details(details: Mapping[str, Any]) -> list[str]:
    """The entries of a session file's metadata that are not what they must be.

    Example:
        >>> mistyped_details({"sequences": ["T1"], "scale": {"T1": "large"}})
        ['scale']
    """
    return [
        name
        for name, (container, part) in _KINDS.items()
        if details.get(name) is not None and not is_filled_with(details[name], container, part)
    ]


def is_filled_with(value: Any, container: type, part: Kind) -> bool:
    """Whether a value is a container of one kind; of a mapping its values count.

    Example:
        >>> is_filled_with(["T1", "FLAIR"], list, str), is_filled_with({"T1": 1}, dict, str)
        (True, False)
    """
    parts = value.values() if isinstance(value, dict) else value
    return isinstance(value, container) and all(isinstance(one, part) for one in parts)


def require_one_shape(path: Path, volumes: Mapping[str, NDArray[Any]]) -> None:
    """Refuse volumes that cannot lie on one grid.

    Args:
        path: the session file.
        volumes: by name; the first is what others are held against.

    Raises:
        CheckpointError: naming the volume, its shape and that of the first.
    """
    first, shape = next((name, volume.shape) for name, volume in volumes.items())
    for name, volume in volumes.items():
        if volume.ndim != 3 or volume.shape != shape:
            raise CheckpointError(
                f"{path}: {name} has the shape {volume.shape}, {first} {shape}; all volumes of a "
                "session lie on one grid, so run xrano prepare again"
            )
