"""Frames of rows, given one by one or as whole columns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

Rows: TypeAlias = Iterable[Mapping[str, Any]] | Mapping[str, pd.Series]
"""Rows as mappings, or columns by name, all of one length, which take far less memory."""


def frame_of(rows: Rows, columns: Sequence[str]) -> pd.DataFrame:
    """A frame of the columns named, in order; NaN where a row or a column is missing.

    Example:
        >>> frame_of([{"a": 1}], ["a", "b"]).equals(frame_of({"a": pd.Series([1])}, ["a", "b"]))
        True
    """
    if not isinstance(rows, Mapping):
        return pd.DataFrame(list(rows), columns=list(columns))
    length = len(next(iter(rows.values()), ()))
    if not length:
        return pd.DataFrame([], columns=list(columns))
    missing = np.full(length, np.nan)
    return pd.DataFrame({name: rows.get(name, missing) for name in columns})
