"""What ``torch.save`` wrote, read without executing anything or taking more memory than it has.

Such a file is a zip whose members are stored as they are. torch would inflate compressed ones as
well, a thousandfold, and make whatever a file asks for: bytes, or tensors that were never filled.
None of that is of ``torch.save``.
"""

from __future__ import annotations

import mmap
import re
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

_ZIP = b"PK\x03\x04"
"""By this alone torch tells its zips from its earlier form."""

_FILLED = (b"builtins\nbytearray", b"__builtin__\nbytearray")
"""How a file asks for any number of bytes; no tensor, number or text needs it."""


class TooLargeError(ValueError):
    """A file that would become more in memory than it is on disk."""


def read_torch_file(path: Path) -> Any:
    """The content of a file of ``torch.save``: tensors, numbers, text and their containers.

    Raises:
        OSError: if it cannot be read.
        TooLargeError: if it would become more than it is.
        Exception: whatever a broken file leads torch into; :func:`refusal` says it in a line.
    """
    _require_plain(path)
    content = torch.load(path, map_location="cpu", weights_only=True)
    storages = {storage.data_ptr(): storage.nbytes() for storage in _storages(content)}
    _require_size(path, "tensors", sum(storages.values()))
    return content


def _require_plain(path: Path) -> None:
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        if any(content.find(name) >= 0 for name in _FILLED):
            raise TooLargeError("it asks for bytes that it does not hold")
        if content[: len(_ZIP)] != _ZIP:
            return
    with zipfile.ZipFile(path) as packed:
        members = packed.infolist()
    if any(member.compress_type != zipfile.ZIP_STORED for member in members):
        raise TooLargeError("its members are compressed, which torch.save never does")
    _require_size(path, "members", sum(member.file_size for member in members))


def _require_size(path: Path, what: str, claimed: int) -> None:
    size = path.stat().st_size
    if claimed > size:
        raise TooLargeError(f"its {what} claim {claimed:,} bytes, and it has {size:,}")


def _storages(content: Any) -> Iterator[torch.UntypedStorage]:
    """Of all tensors in nested containers, which may hold themselves."""
    waiting, seen = [content], set()
    while waiting:
        value = waiting.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, Tensor):
            if value.layout == torch.strided:
                yield value.untyped_storage()
        elif isinstance(value, Mapping):
            waiting += [*value.keys(), *value.values()]
        elif isinstance(value, (list, tuple, set)):
            waiting += value


def refusal(error: Exception) -> str:
    """Why torch did not read a file, in a line; torch's own text advises to execute it."""
    if isinstance(error, TooLargeError):
        return f"is refused: {error}"
    asked = re.search(r"GLOBAL (\S+)", str(error))
    if asked is None:
        return f"was not written by torch.save, or is broken ({type(error).__name__})"
    return (
        f"holds more than tensors: reading it would call {asked[1]}, and nothing in it was "
        "executed. Save its state_dict alone, or as safetensors"
    )
