"""What people write on the command line, as the parser wants it.

Lists with blanks (``--methods saliency gradcam``), bare flags (``--paper``), hyphens
(``--spacing-mm``) and presets (``--preset laptop``).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

import xrano
from xrano.errors import UnknownNameError


def presets() -> dict[str, Path]:
    """Name to file of the settings that come with xrano."""
    return {path.stem: path for path in (Path(xrano.__file__).parent / "presets").glob("*.yaml")}


def expand_preset(arguments: Sequence[str]) -> list[str]:
    """``--preset NAME`` means ``--config`` with the preset's file.

    Raises:
        UnknownNameError: if there is no such preset.
    """
    known = presets()
    expanded: list[str] = []
    remaining = iter(arguments)
    for argument in remaining:
        name, equals, value = argument.partition("=")
        if name != "--preset":
            expanded.append(argument)
            continue
        preset = value if equals else next(remaining, "")
        if preset not in known:
            raise UnknownNameError("preset", preset, known)
        # Right after the command: what is named on the line holds, wherever it stands.
        expanded[1:1] = ["--config", str(known[preset])]
    return expanded


def gather_lists(arguments: Sequence[str], lists: Collection[str]) -> list[str]:
    """``--methods a b``, ``--methods=a`` and repeats of these as one ``--methods [a,b]``.

    Example:
        >>> gather_lists(["score", "run", "--methods", "ig", "gradcam"], ["--methods"])
        ['score', 'run', '--methods', '[ig,gradcam]']
    """
    rest: list[str] = []
    gathered: dict[str, list[str]] = {}
    collecting = ""
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if name in lists:
            gathered.setdefault(name, [])
            collecting, argument = ("", value) if equals else (name, "")
        elif argument.startswith("-") or not collecting:
            collecting = ""
            rest.append(argument)
            continue
        gathered[collecting or name] += [item for item in argument.strip("[]").split(",") if item]
        if argument.startswith("["):
            collecting = ""
    return rest + [part for name, items in gathered.items() for part in (name, _listed(items))]


def underscored(argument: str) -> str:
    """Options are known with underscores, and may be written with hyphens.

    Example:
        >>> underscored("--spacing-mm=1.5"), underscored("a-b")
        ('--spacing_mm=1.5', 'a-b')
    """
    name, equals, value = argument.partition("=")
    if not name.startswith("--"):
        return argument
    return "--" + name[2:].replace("-", "_") + equals + value


def complete_flags(arguments: Sequence[str], flags: Collection[str]) -> list[str]:
    """A bare flag means true.

    Example:
        >>> complete_flags(["index", "tree", "--paper", "--measure", "false"],
        ...                ["--paper", "--measure"])
        ['index', 'tree', '--paper', 'true', '--measure', 'false']
    """
    completed: list[str] = []
    for argument, following in zip(arguments, [*arguments[1:], "-"], strict=True):
        completed.append(argument)
        if argument in flags and following.lower() not in ("true", "false", "null"):
            completed.append("true")
    return completed


def _listed(items: Sequence[str]) -> str:
    return f"[{','.join(item.strip() for item in items)}]"
