"""CSV files to cells of text, and cells to values: every complaint names file, line and value."""

from __future__ import annotations

import csv
import math
import os
import warnings
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NoReturn, TypeVar

import pandas as pd

from xrano.errors import ManifestError
from xrano.roots import bound_of, is_file_name, is_path

_Value = TypeVar("_Value")

_LARGEST_INTEGER = 2**31
"""No count of weeks or days is larger; what is would not fit a column of integers."""


def read_cells(path: Path, required: Sequence[str], *, separator: str = ",") -> pd.DataFrame:
    """Read a CSV as text, blanks around cells removed, nothing taken for NaN.

    Args:
        path: a UTF-8 file, with or without a byte order mark.
        required: columns that must be there.
        separator: what stands between cells: a comma, or a tab.

    Raises:
        ManifestError: if the file is missing, not UTF-8 or no such table, has a column twice, or
            lacks one.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = csv.reader(file, delimiter=separator)
            # Blank lines come before the header as pandas sees it.
            header = next((line for line in lines if any(cell.strip() for cell in line)), [])
        with warnings.catch_warnings():
            # pandas warns where a row is longer than the header, and drops the surplus.
            warnings.simplefilter("error", pd.errors.ParserWarning)
            frame = pd.read_csv(
                path,
                dtype=str,
                na_filter=False,
                encoding="utf-8-sig",
                index_col=False,
                sep=separator,
            )
    except FileNotFoundError as error:
        raise ManifestError(
            f"{path} does not exist; a table with the columns {', '.join(required)} is needed"
        ) from error
    except UnicodeDecodeError as error:
        raise ManifestError(
            f"{path} is no readable CSV: it is not UTF-8 ({error.reason} at byte {error.start}); "
            "save it as UTF-8"
        ) from error
    except (OSError, ValueError, csv.Error, pd.errors.ParserWarning) as error:
        raise ManifestError(
            f"{path} is no readable CSV ({error}); save it as UTF-8 with a row of column names"
        ) from error
    names = [str(column).strip() for column in header]
    # pandas would rename the second of two columns, which then passes for one more sequence.
    twice = sorted({name for name in names if name and names.count(name) > 1})
    if twice:
        raise ManifestError(f"{path} has more than one column {', '.join(twice)}; keep one of each")
    frame.columns = pd.Index([str(column).strip() for column in frame.columns])
    if not frame.columns.is_unique:
        raise ManifestError(f"{path} has columns that differ by blanks alone; rename them")
    missing = [column for column in required if column not in frame]
    if missing:
        raise ManifestError(
            f"{path} lacks {', '.join(missing)}; "
            + (_other_separator(header, separator) or f"found the columns {', '.join(names)}")
        )
    for column in frame:
        frame[column] = frame[column].str.strip()
    return frame


def _other_separator(header: Sequence[str], separator: str) -> str:
    """What to do about a header of one cell that holds others, as a spreadsheet may leave it."""
    if len(header) == 1:
        for found, name in ((";", "semicolons"), ("\t", "tabs"), (",", "commas")):
            if found != separator and found in header[0]:
                needed = "tabs" if separator == "\t" else "commas"
                return f"its cells stand between {name}; save it with {needed} between them"
    return ""


def refuse(path: Path, row: int, column: str, value: str, needed: str) -> NoReturn:
    """Complain about one cell; ``row`` counts from 0 below the header."""
    raise ManifestError(f"{path}, line {row + 2}: {column} is {value!r}; needed is {needed}")


def require_choice(path: Path, frame: pd.DataFrame, column: str, choices: Iterable[str]) -> None:
    """Refuse a cell that is none of the choices."""
    known = [str(choice) for choice in choices]
    for row, value in enumerate(frame[column]):
        if value not in known:
            named = ", ".join(choice or "an empty cell" for choice in known)
            refuse(path, row, column, value, f"one of: {named}")


def require_filled(path: Path, frame: pd.DataFrame, columns: Iterable[str]) -> None:
    """Refuse an empty cell."""
    for column in columns:
        for row, value in enumerate(frame[column]):
            if not value:
                refuse(path, row, column, value, "some text")


def require_unique(path: Path, frame: pd.DataFrame, columns: Sequence[str]) -> None:
    """Refuse two rows that are equal in all of the columns, or empty in one of them."""
    require_filled(path, frame, columns)
    seen: dict[tuple[str, ...], int] = {}
    for row, key in enumerate(zip(*(frame[column] for column in columns), strict=True)):
        if key in seen:
            raise ManifestError(
                f"{path}: lines {seen[key] + 2} and {row + 2} both hold {' '.join(map(str, key))}; "
                f"{' and '.join(columns)} must name one row, so remove one or rename it"
            )
        seen[key] = row


def require_folder_names(path: Path, frame: pd.DataFrame, columns: Iterable[str]) -> None:
    """Refuse a cell that could not be the name of a folder: files are named by it."""
    for column in columns:
        for row, value in enumerate(frame[column]):
            if not is_file_name(value):
                needed = "a name of at most 200 bytes without / and \\, since files get it"
                refuse(path, row, column, value, needed)


def parse_integers(path: Path, frame: pd.DataFrame, column: str) -> None:
    """Turn a column of text into integers, in place; ``12.0`` counts as one."""

    def parse(value: str) -> int:
        number = float(value)
        if not number.is_integer() or abs(number) > _LARGEST_INTEGER:
            raise ValueError(value)
        return int(number)

    frame[column] = _parsed(path, frame, column, parse, "a whole number").astype("int64")


def parse_numbers(path: Path, frame: pd.DataFrame, column: str) -> None:
    """Turn a column of text into floats, in place; an empty cell is NaN."""

    def parse(value: str) -> float:
        return float(value) if value else math.nan

    frame[column] = _parsed(path, frame, column, parse, "a number or nothing").astype("float64")


def parse_flags(path: Path, frame: pd.DataFrame, column: str) -> None:
    """Turn a column of ``True`` and ``False`` into booleans, in place."""
    known = {"true": True, "false": False, "1": True, "0": False}

    def parse(value: str) -> bool:
        if value.lower() not in known:
            raise ValueError(value)
        return known[value.lower()]

    frame[column] = _parsed(path, frame, column, parse, "True or False").astype("bool")


def resolve_paths(
    path: Path,
    frame: pd.DataFrame,
    columns: Iterable[str],
    roots: Sequence[Path] | None = None,
) -> None:
    """Make paths that are relative to the table's folder absolute, in place.

    Args:
        path: of the table.
        frame: its cells.
        columns: those that hold paths.
        roots: folders that every path must lie in once links are followed; ``None`` for anywhere.

    Raises:
        ManifestError: naming line and column, if a path leaves the roots or is none.
    """
    # Resolved, because ".." after a symbolic link leads elsewhere than the text suggests.
    folder = path.parent.resolve()
    bounds = None if roots is None else [Path(os.path.realpath(root)) for root in roots]
    known = frozenset(bounds or ())
    for column in columns:
        values = list(frame[column])
        for row, value in enumerate(values):
            if not is_path(value):
                refuse(path, row, column, value[:80], "the path of a file")
        frame[column] = [_absolute(folder, value) if value else "" for value in values]
        if bounds is not None:
            for row, value in enumerate(values):
                if value and bound_of(folder / value, known) is None:
                    _refuse_outside(path, row, column, value, folder, bounds)


def _absolute(folder: Path, value: str) -> str:
    """The path that a cell means; what lies inside by its links does so by its text as well."""
    path = folder / value
    if ".." in path.parts:
        # The file's own name is kept, be it a link: it may be telling.
        parent = Path(os.path.realpath(path.parent))
        return os.path.realpath(path) if path.name == ".." else str(parent / path.name)
    return os.path.normpath(path)


def _refuse_outside(
    path: Path, row: int, column: str, value: str, folder: Path, bounds: Sequence[Path]
) -> NoReturn:
    target = os.path.realpath(folder / value)
    more = f" or {len(bounds) - 3} folders more" if len(bounds) > 3 else ""
    where = " or ".join(str(bound) for bound in bounds[:3])
    raise ManifestError(
        f"{path}, line {row + 2}: {column} is {value!r}, which leads to {target}, outside of "
        f"{where}{more}; move the file there, or allow it with --allow-outside"
    )


def relative_path(value: str, folder: Path) -> str:
    """A path as it is written into a table of ``folder``: relative if there is a way.

    The name itself is not resolved, so that a link to a file keeps its telling name.
    """
    if not value:
        return ""
    target = Path(value)
    try:
        return Path(os.path.relpath(target.parent.resolve() / target.name, folder)).as_posix()
    except ValueError:
        # Another drive: there is no way.
        return str(target.absolute())


def _parsed(
    path: Path, frame: pd.DataFrame, column: str, parse: Callable[[str], _Value], needed: str
) -> pd.Series:
    values: list[_Value] = []
    for row, text in enumerate(frame[column]):
        try:
            values.append(parse(text))
        except (ValueError, OverflowError):
            refuse(path, row, column, text, needed)
    return pd.Series(values, index=frame.index, dtype=object)
