"""Names and paths from files of others: whether they stay in the folder that they belong to."""

from __future__ import annotations

import os
from collections.abc import Collection
from os import PathLike
from pathlib import Path

LONGEST_NAME = 255
"""Bytes that the name of a file may have on common file systems."""

LONGEST_STEM = 200
"""Bytes of a name that files are called by: it leaves room for their suffixes."""

LONGEST_PATH = 4096
"""Bytes that a path may have."""


def lies_inside(path: str | PathLike[str], root: str | PathLike[str]) -> bool:
    """Whether a path, its links followed, is the folder ``root`` or lies below it.

    Example:
        >>> lies_inside("/data/cohort/T1.nii", "/data/cohort")
        True
        >>> lies_inside("/data/cohort/../../etc/passwd", "/data/cohort")
        False
    """
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(root))


def bound_of(path: str | PathLike[str], roots: Collection[Path]) -> Path | None:
    """The root that a path, its links followed, is or lies below; ``None`` if it is none of them.

    Args:
        path: a file or folder.
        roots: their own links followed. As a set thousands of them take no longer than one.
    """
    real = Path(os.path.realpath(path))
    return next((place for place in (real, *real.parents) if place in roots), None)


_SYSTEM = (
    *("Applications", "Library", "System", "Users", "private", "bin", "boot", "dev", "etc", "home"),
    *("lib", "lib64", "opt", "proc", "root", "run", "sbin", "sys", "tmp", "usr", "var"),
)
_SYSTEM_FOLDERS = {Path("/", name) for name in _SYSTEM}
_WHOLLY_SYSTEM = {Path("/etc"), Path("/proc"), Path("/sys"), Path("/boot")}


def bounds_nothing(root: Path) -> bool:
    """Whether a folder holds what is no cohort: a disk, the system's, or everybody's homes.

    Folders of data at the top of a disk (``/data``, ``/scratch``, ``/mnt``) do not count: a
    container often has its cohort there.

    Args:
        root: its links followed.

    Example:
        >>> [bounds_nothing(Path(root)) for root in ("/", "/home", "/etc/ssh", "/data")]
        [True, True, True, False]
    """
    home = os.path.realpath(Path("~").expanduser())
    return (
        root == Path(root.anchor)
        or root in _SYSTEM_FOLDERS
        or any(place in _WHOLLY_SYSTEM for place in root.parents)
        or root in Path(home).parents
    )


def is_file_name(name: str) -> bool:
    r"""Whether a text can be the name of one file or folder, and of none elsewhere.

    It has at most :data:`LONGEST_STEM` bytes, so that a suffix can follow.

    Example:
        >>> [is_file_name(name) for name in ("Patient-001", "..", "a/b", "", "a\0b")]
        [True, False, False, False, False]
    """
    return (
        name not in ("", ".", "..")
        and not any(sign in name for sign in "/\\\0")
        and len(name.encode("utf-8", errors="replace")) <= LONGEST_STEM
    )


def is_path(text: str) -> bool:
    r"""Whether an operating system would take a text for a path at all.

    Example:
        >>> is_path("scans/T1.nii.gz"), is_path("T1\0.nii"), is_path("x" * 300)
        (True, False, False)
    """
    content = text.encode("utf-8", errors="replace")
    short = all(len(part) <= LONGEST_NAME for part in content.split(b"/"))
    return short and b"\0" not in content and len(content) <= LONGEST_PATH
