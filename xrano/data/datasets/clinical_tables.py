"""Clinical tables as datasets ship them: sheets of Excel workbooks, CSV and TSV files.

Headers come with stray blanks and change between releases, so columns are found without regard to
case and blanks, and all but the key may be missing. Cells are text; what says that it is unknown
is empty.
"""

from __future__ import annotations

import math
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd

from xrano.data.cells import read_cells
from xrano.errors import ConfigError, ManifestError

_Key = TypeVar("_Key", str, tuple[str, str])

_MISSING = {"", "na", "n/a", "nan", "none", "unknown", "not available", "not reported", "-", "."}


_LARGEST = 1e9
"""No number of these tables is larger; days that are would fit no column of integers."""

_LARGEST_WORKBOOK = 64 << 20
"""Bytes that the parts of a workbook, a zip file, may have when unpacked; reading them takes many
times as much. The datasets' own have less than one megabyte."""

_MOST_CELLS = 2_000_000
"""Cells of a sheet, the empty ones between filled ones counted."""


@dataclass(frozen=True)
class Row:
    """One row of a table: its cells by wanted name, and where it stands."""

    place: str
    cells: Mapping[str, str]

    def text(self, name: str) -> str:
        """The cell, or an empty string if it is missing or says that it is unknown."""
        value = self.cells[name]
        return "" if value.lower() in _MISSING else value

    def number(self, name: str) -> float:
        """The cell as a number, NaN if unknown.

        Raises:
            ManifestError: naming file and line, if it is neither.
        """
        value = self.text(name)
        try:
            number = float(value) if value else math.nan
        except ValueError:
            number = math.inf
        if abs(number) > _LARGEST:
            raise ManifestError(f"{self.place}: {name} is {value!r}; a number or 'na' is needed")
        return number


def find_tables(folders: Iterable[Path], patterns: Sequence[str]) -> list[Path]:
    """The files of the first folder that has some whose names match, case aside, sorted."""
    for folder in dict.fromkeys(folders):
        found = [
            path
            for path in sorted(folder.glob("*"))
            if not path.name.startswith((".", "~"))
            and any(Path(path.name.lower()).match(pattern.lower()) for pattern in patterns)
        ]
        if found:
            return found
    return []


def find_table(folders: Iterable[Path], patterns: Sequence[str]) -> Path | None:
    """The one file whose name matches, of the first folder that has such.

    Raises:
        ManifestError: if that folder has several.
    """
    found = find_tables(folders, patterns)
    if len(found) > 1:
        names = ", ".join(path.name for path in found)
        raise ManifestError(
            f"{found[0].parent} holds several tables of one kind ({names}); keep one"
        )
    return found[0] if found else None


def read_rows(
    path: Path, columns: Mapping[str, Sequence[str]], *, key: str, sheet: str = ""
) -> Iterator[Row]:
    """The rows of a table whose key is filled.

    Args:
        path: an ``.xlsx`` workbook, a ``.tsv`` or a ``.csv`` file.
        columns: wanted name to the headers that it may have; ``…`` at the end stands for any
            ending. A column that is not there gives empty cells.
        key: the wanted name that must be there.
        sheet: the sheet of a workbook.

    Raises:
        ManifestError: if the file cannot be read, or lacks sheet or key.
        ConfigError: if it is a workbook and openpyxl is not installed.
    """
    frame = read_workbook(path, sheet) if path.suffix.lower() == ".xlsx" else _read_text(path)
    headers = [_plain(str(column)) for column in frame.columns]
    positions = {name: _position(headers, wanted) for name, wanted in columns.items()}
    if positions[key] is None:
        raise ManifestError(
            f"{_place(path, sheet)} lacks a column {' or '.join(columns[key])}; found: "
            f"{'; '.join(str(column) for column in frame.columns)}"
        )
    for number, values in enumerate(frame.itertuples(index=False, name=None)):
        cells = {
            name: "" if position is None else str(values[position]).strip()
            for name, position in positions.items()
        }
        if cells[key]:
            yield Row(f"{_place(path, sheet)}, line {number + 2}", cells)


def by_key(rows: Iterable[Row], key: Callable[[Row], _Key]) -> dict[_Key, Row]:
    """The rows by their key.

    Raises:
        ManifestError: if two rows have one key.
    """
    found: dict[_Key, Row] = {}
    for row in rows:
        name = key(row)
        if name in found:
            words = " ".join(name) if isinstance(name, tuple) else name
            raise ManifestError(f"{row.place}: {words} stands there a second time; keep one row")
        found[name] = row
    return found


def read_workbook(path: Path, sheet: str) -> pd.DataFrame:
    """One sheet of an Excel workbook as text.

    Raises:
        ManifestError: if the file cannot be read or has no such sheet.
        ConfigError: if openpyxl is not installed.
    """
    try:
        with zipfile.ZipFile(path) as parts:
            unpacked = sum(part.file_size for part in parts.infolist())
        if unpacked > _LARGEST_WORKBOOK:
            raise ManifestError(
                f"{path} would be {unpacked / 1e6:,.0f} MB when unpacked, which no clinical table "
                "is; save the sheet as CSV"
            )
        with pd.ExcelFile(path, engine="openpyxl") as book:
            names = [str(name) for name in book.sheet_names]
            if sheet not in names:
                raise ManifestError(f"{path} has no sheet {sheet!r}; found: {', '.join(names)}")
            _require_small(path, book.book[sheet])
            return pd.read_excel(book, sheet_name=sheet, dtype=str, na_filter=False)
    except ImportError as error:
        raise ConfigError(
            f"{path} is an Excel workbook, and reading one needs openpyxl: pip install "
            "'xrano[excel]'"
        ) from error
    except ManifestError:
        raise
    except Exception as error:  # openpyxl lets out whatever a broken file makes it stumble over
        raise ManifestError(
            f"{path} is no readable Excel workbook ({type(error).__name__}: {error})"
        ) from error


def _require_small(path: Path, sheet: Any) -> None:
    """Refuse a cell so far down and to the right that the empty ones before it fill the memory.

    Empty cells after the last filled one (a column that was formatted as a whole) cost nothing.
    """
    sheet.reset_dimensions()
    seen = rows = width = 0
    for number, row in enumerate(sheet.iter_rows(values_only=True), start=1):
        seen += len(row) + 1
        filled = next((at for at in range(len(row), 0, -1) if row[at - 1] is not None), 0)
        if filled:
            rows, width = number, max(width, filled)
        if rows * width > _MOST_CELLS or seen > 10 * _MOST_CELLS:
            raise ManifestError(
                f"{path}, sheet {sheet.title}: its table reaches to row {number} and column "
                f"{max(width, len(row))}, which no clinical table does; save the cells as CSV"
            )


def _read_text(path: Path) -> pd.DataFrame:
    return read_cells(path, (), separator="\t" if path.suffix.lower() == ".tsv" else ",")


def _place(path: Path, sheet: str) -> str:
    return f"{path}, sheet {sheet}" if path.suffix.lower() == ".xlsx" else str(path)


def _plain(header: str) -> str:
    return " ".join(header.lower().split())


def _position(headers: Sequence[str], wanted: Sequence[str]) -> int | None:
    for name in map(_plain, wanted):
        for position, header in enumerate(headers):
            if header == name or (name.endswith("…") and header.startswith(name[:-1])):
                return position
    return None
