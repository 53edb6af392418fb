"""Processor, memory and disk, and what a container or a cluster's job leaves of them."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from xrano.threads import usable_cores

_NO_LIMIT = 1 << 60
"""Control groups write a number near 2**63 where there is none."""


@dataclass(frozen=True)
class Memory:
    """Bytes; ``limited``: by a control group (container, cluster job) below the machine's own."""

    total: int
    free: int | None
    limited: bool = False


@dataclass(frozen=True)
class Disk:
    """Bytes on the disk of a folder, and why nothing can be written there (empty if it can)."""

    path: Path
    total: int
    free: int
    trouble: str = ""


@dataclass(frozen=True)
class Processor:
    """Cores of the machine, those that this process may use, and the time that it gets of them.

    ``quota``: cores' worth of time that a control group allows; ``None`` without a limit.
    """

    cores: int
    usable: int
    quota: float | None = None

    @property
    def worth(self) -> float:
        """Cores that work can count on."""
        return self.usable if self.quota is None else min(float(self.usable), self.quota)


def processor(root: Path = Path("/")) -> Processor:
    """Cores of this machine and process.

    Args:
        root: above ``proc`` and ``sys``.
    """
    cores = os.cpu_count() or 1
    quotas = [quota for folder in _groups(root, "cpu") if (quota := _quota(folder)) is not None]
    return Processor(cores, usable_cores(), min(quotas, default=None))


def memory(root: Path = Path("/")) -> Memory | None:
    """Memory of this machine, or of the control group that this process lives in if that is less.

    Args:
        root: above ``proc`` and ``sys``.

    Returns:
        ``None`` where the machine does not tell.
    """
    total, free = _machine_memory(root)
    if total is None:
        return None
    limited = False
    for folder in _groups(root, "memory"):
        found = _group_memory(folder)
        if found is not None and found[0] < total:
            total, limited = found[0], True
        if found is not None:
            free = found[1] if free is None else min(free, found[1])
    return Memory(total, free, limited)


def disk(path: Path) -> Disk:
    """Room on the disk of a folder, or of the nearest one above it that is there."""
    path = Path(path).absolute()
    there = next(one for one in (path, *path.parents) if one.exists())
    usage = shutil.disk_usage(there)
    trouble = ""
    try:
        with tempfile.TemporaryFile(dir=there) as file:
            file.write(b"xrano")
    except OSError as error:
        trouble = error.strerror or str(error)
    return Disk(path, usage.total, usage.free, trouble)


def _machine_memory(root: Path) -> tuple[int | None, int | None]:
    lines = _lines(root / "proc" / "meminfo")
    found = {
        name.strip(): value.split() for name, _, value in (one.partition(":") for one in lines)
    }
    if "MemTotal" in found:
        kilobytes = [
            found[name][0] if name in found else "" for name in ("MemTotal", "MemAvailable")
        ]
        total, free = (int(text) * 1024 if text.isdigit() else None for text in kilobytes)
        return total, free
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"), None
    except (ValueError, OSError, AttributeError):
        return None, None


def _groups(root: Path, controller: str) -> Iterator[Path]:
    """Folders of the control groups (version 2, then 1) that this process is in, inmost first."""
    base = root / "sys" / "fs" / "cgroup"
    for line in _lines(root / "proc" / "self" / "cgroup"):
        number, controllers, name = [*line.split(":", 2), "", ""][:3]
        if number == "0" and not controllers:
            top = base
        elif controller in controllers.split(","):
            top = base / controller
        else:
            continue
        inmost = top / name.lstrip("/")
        for folder in (inmost, *inmost.parents):
            if folder.is_dir():
                yield folder
            if folder == top:
                break


def _group_memory(folder: Path) -> tuple[int, int] | None:
    """Limit and what is left of it; file contents that can be dropped count as left."""
    for limit_name, used_name, cache_name in (
        ("memory.max", "memory.current", "inactive_file"),
        ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    ):
        limit, used = _number(folder / limit_name), _number(folder / used_name)
        if limit is not None and limit < _NO_LIMIT:
            statistics = dict([*line.split(), ""][:2] for line in _lines(folder / "memory.stat"))
            cache = statistics.get(cache_name, "")
            spare = int(cache) if cache.isdigit() else 0
            return limit, max(limit - max((used or 0) - spare, 0), 0)
    return None


def _quota(folder: Path) -> float | None:
    words = " ".join(_lines(folder / "cpu.max")[:1]).split()
    if len(words) == 2 and words[0].isdigit() and words[1].isdigit():
        return int(words[0]) / int(words[1])
    quota, period = _number(folder / "cpu.cfs_quota_us"), _number(folder / "cpu.cfs_period_us")
    return quota / period if quota and period else None


def _number(path: Path) -> int | None:
    text = "".join(_lines(path)[:1]).strip()
    return int(text) if text.isdigit() else None


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
