"""Tables on disk: CSV always, and Parquet beside it where pyarrow is installed.

CSV is read by everything and is what xrano itself reads; Parquet holds the same rows with their
types, a tenth of the size, for those who load them elsewhere.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd

from xrano.atomic_files import write_atomically
from xrano.errors import ManifestError
from xrano.text_files import is_cut_off


def has_parquet() -> bool:
    """Whether Parquet can be written: pyarrow is an extra (``pip install 'xrano[parquet]'``)."""
    return find_spec("pyarrow") is not None


def write_frame(frame: pd.DataFrame, path: Path, *, parquet: bool = False) -> None:
    """Write a table as CSV, whole or not at all.

    Args:
        frame: the table.
        path: its ``.csv``.
        parquet: whether it has a ``.parquet`` beside it, where that can be written.
    """
    path = Path(path)
    beside = path.with_suffix(".parquet")
    # One of an earlier table would tell other numbers than the CSV.
    beside.unlink(missing_ok=True)
    write_atomically(path, lambda temporary: frame.to_csv(temporary, index=False))
    if parquet and has_parquet():
        plain = _of_one_type(frame)
        write_atomically(beside, lambda temporary: plain.to_parquet(temporary, index=False))


def read_frame(
    path: Path,
    *,
    numbers: tuple[str, ...] = (),
    counts: tuple[str, ...] = (),
    flags: tuple[str, ...] = (),
) -> pd.DataFrame:
    """Read a CSV: words as strings (never NaN), columns of the names given as what they are.

    Args:
        path: the file.
        numbers: columns of floats, NaN where empty.
        counts: columns of whole numbers.
        flags: columns of booleans.

    Raises:
        ManifestError: if the file is missing or cut off, or a number is none.
    """
    try:
        if is_cut_off(path):
            raise ValueError("its last line is cut off; make it again")
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
        for column in (name for name in numbers if name in table):
            table[column] = table[column].replace("", "nan").astype(float)
        for column in (name for name in counts if name in table):
            table[column] = table[column].astype(np.int64)
    except (OSError, ValueError) as error:
        raise ManifestError(f"cannot read the table {path}: {error}") from error
    for column in (name for name in flags if name in table):
        table[column] = table[column] == "True"
    return table


def _of_one_type(frame: pd.DataFrame) -> pd.DataFrame:
    """Columns that mix types (a fold may be a number or empty) as words, which Parquet needs."""
    mixed = [name for name, dtype in frame.dtypes.items() if dtype.kind not in "biuf"]
    return frame.astype(dict.fromkeys(mixed, "str"))
