"""Which part of the work this process does: by an option, or by its rank in a job."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from xrano.errors import ConfigError

_Item = TypeVar("_Item")

_RANKS = (("RANK", "WORLD_SIZE"), ("SLURM_PROCID", "SLURM_NTASKS"))
"""Variables of torchrun and of SLURM."""

Shard = tuple[int, int]
"""The i-th of n parts, counted from 1."""


def parse_shard(text: str) -> Shard:
    """``2/8`` as (2, 8): the second of eight parts of the work.

    Raises:
        ConfigError: if it is not written so.

    Example:
        >>> parse_shard("2/8")
        (2, 8)
    """
    found = re.fullmatch(r"(\d+)/(\d+)", text.strip())
    if not found or not 1 <= int(found[1]) <= int(found[2]):
        raise ConfigError(f"a shard is written i/n with 1 ≤ i ≤ n, such as 2/8; got {text!r}")
    return int(found[1]), int(found[2])


def shard_of(text: str, environment: Mapping[str, str] | None = None) -> Shard | None:
    """The shard that is named, or this process's own in a job of several; ``None`` for all.

    Args:
        text: ``i/n``, or empty to ask the environment (torchrun's ``RANK`` and ``WORLD_SIZE``,
            then SLURM's ``SLURM_PROCID`` and ``SLURM_NTASKS``).
        environment: variables; those of the process if not given.

    Raises:
        ConfigError: if the text or the variables make no sense.

    Example:
        >>> shard_of("", {"RANK": "1", "WORLD_SIZE": "4"}), shard_of("", {})
        ((2, 4), None)
    """
    if text:
        return parse_shard(text)
    variables = os.environ if environment is None else environment
    for rank, count in _RANKS:
        if variables.get(count, "1") != "1" and rank in variables:
            try:
                return parse_shard(f"{int(variables[rank]) + 1}/{int(variables[count])}")
            except ValueError as error:
                raise ConfigError(
                    f"{rank}={variables[rank]} and {count}={variables[count]} name no part of a "
                    "job; give --shard i/n"
                ) from error
    return None


def of_shard(items: Sequence[_Item], shard: Shard | None) -> list[_Item]:
    """The items of one shard: every n-th one."""
    if shard is None:
        return list(items)
    index, count = shard
    return list(items[index - 1 :: count])


@contextmanager
def alone_in(folder: Path, shard: Shard | None) -> Iterator[None]:
    """Hold a folder's lock for one shard while working in it; it falls with the process.

    Raises:
        ConfigError: if another process works on the same shard of the folder.
    """
    import fcntl

    folder.mkdir(parents=True, exist_ok=True)
    name = "all" if shard is None else f"{shard[0]}-of-{shard[1]}"
    with (folder / f".lock-{name}").open("w", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ConfigError(
                f"another process is writing {folder} (shard {name}); wait for it, choose another "
                "--out, or share the work with --shard i/n"
            ) from error
        except OSError:
            # A file system without locks: files are written whole, so twice is only twice the work.
            pass
        yield
