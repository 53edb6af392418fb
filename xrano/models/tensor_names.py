"""The names of tensors in files of others: what wrappers add to them, taken off."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from xrano.errors import CheckpointError

WRAPPERS = ("state_dict", "model_state_dict", "model", "network", "net")
"""Keys under which a file may keep its tensors beside other things (MedicalNet: state_dict)."""

PREFIXES = ("module.", "_orig_mod.", "model.", "network.", "net.", "backbone.", "encoder.")
"""What wrappers put before a tensor's name (MedicalNet: module.)."""

_SHOWN = 4


def bare_tensors(content: Any, path: Path) -> dict[str, Tensor]:
    """The tensors in what a file held, wrapper keys and prefixes of names taken off.

    Args:
        content: a mapping, perhaps of mappings.
        path: the file, for messages.

    Raises:
        CheckpointError: if there are no tensors by name, or two get one name.

    Example:
        >>> content = {"epoch": 9, "state_dict": {"module.conv1.weight": Tensor([1])}}
        >>> list(bare_tensors(content, Path("resnet_18.pth")))
        ['conv1.weight']
    """
    content = _unwrapped(content)
    given = content if isinstance(content, Mapping) else {}
    bare: dict[str, Tensor] = {}
    for full, value in given.items():
        if not isinstance(value, Tensor):
            continue
        name = _without_prefixes(str(full))
        if name in bare:
            raise CheckpointError(f"{path} holds two tensors of the name {name}, one is {full}")
        bare[name] = value
    if not bare:
        found = f"the keys {listed(map(str, given))}" if given else f"a {type(content).__name__}"
        raise CheckpointError(
            f"{path} holds no tensors by name: found {found}; needed is a state_dict, alone or "
            f"under one of the keys {', '.join(WRAPPERS)}"
        )
    return bare


def _unwrapped(content: Any) -> Any:
    inner = content
    while isinstance(inner, Mapping):
        found = [inner[key] for key in WRAPPERS if isinstance(inner.get(key), Mapping)]
        if not found:
            break
        inner = found[0]
    return inner


def _without_prefixes(name: str) -> str:
    for prefix in PREFIXES:
        if name.startswith(prefix):
            return _without_prefixes(name.removeprefix(prefix))
    return name


def listed(names: Iterable[str]) -> str:
    """The first names, and how many more there are.

    Example:
        >>> listed("abcdef")
        'a, b, c, d, … 2 more'
    """
    every = list(names)
    more = f", … {len(every) - _SHOWN} more" if len(every) > _SHOWN else ""
    return ", ".join(every[:_SHOWN]) + more
