"""Names and paths from files of others: whether they stay in the folder that they belong to."""

from __future__ import annotations

import os
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
