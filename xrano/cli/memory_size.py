"""Sizes of memory as people write them."""

from __future__ import annotations

import re

from xrano.errors import ConfigError

_UNITS = {"KB": 1e-6, "MB": 1e-3, "GB": 1.0, "TB": 1e3}


def gigabytes(text: str) -> float:
    """``8GB``, ``500 MB`` or a plain number of gigabytes.

    Raises:
        ConfigError: if it is none of these, or not above zero.

    Example:
        >>> gigabytes("8GB"), gigabytes("500 MB"), gigabytes("1.5")
        (8.0, 0.5, 1.5)
    """
    found = re.fullmatch(r"(\d+(?:\.\d*)?|\.\d+)\s*([KMGT]B)?", text.strip().upper())
    size = float(found[1]) * _UNITS[found[2] or "GB"] if found else 0.0
    if not size > 0:
        raise ConfigError(f"memory is written as 8GB or 500MB, got {text!r}")
    return size
