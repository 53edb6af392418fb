"""LUMIERE's CSV files as rows of wanted cells.

The long headers are found by their beginnings (both ``Rating (according ...)`` and ``Rating
rationale (...)`` start alike), and under the shorter names that copies of the dataset use.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from xrano.data.datasets.lumiere_layout import parse_session_name
from xrano.errors import ManifestError

PATIENT = ("patient",)
SESSION = ("date", "timepoint", "time point")
"""Headers of the two columns that name a session; three tables have three names for the second."""

_SWALLOWED = re.compile(r"\nPatient-\d")


class HeadedTable:
    """Rows of a CSV file whose columns are found by the beginnings of their names.

    Args:
        path: a comma-separated UTF-8 file, with or without a byte order mark.
        optional: wanted names whose column may be missing; their cells are empty then.
        verbatim: wanted names whose cells keep blanks around them.
        **wanted: name to headers in lower case, the first that is there counts; ``…`` at the end
            stands for any ending. A column wanted as ``session`` must hold names of sessions.

    Raises:
        ManifestError: if the file is missing or no CSV, leaves a quote open, or lacks a column;
            those found are listed.
    """

    def __init__(
        self,
        path: Path,
        *,
        optional: Sequence[str] = (),
        verbatim: Sequence[str] = (),
        **wanted: Sequence[str],
    ) -> None:
        self._verbatim = verbatim
        self.path = path
        try:
            with path.open(encoding="utf-8-sig", newline="") as file:
                reader = csv.reader(file)
                self._lines = [(reader.line_num, row) for row in reader]
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise ManifestError(
                f"{path} is no readable CSV ({error}); save it as UTF-8, separated by commas"
            ) from error
        if any(_SWALLOWED.search(cell) for _, row in self._lines for cell in row):
            raise ManifestError(f"{path}: a quote is opened and not closed; mend the file")
        header = [name.strip() for name in self._lines[0][1]] if self._lines else []
        self._columns = {name: _position(header, names) for name, names in wanted.items()}
        missing = [
            " or ".join(names)
            for name, names in wanted.items()
            if self._columns[name] is None and name not in optional
        ]
        if missing:
            raise ManifestError(
                f"{path} lacks a column {', a column '.join(missing)} (in any case); found: "
                f"{'; '.join(header) or 'an empty file'}"
            )

    def rows(self) -> Iterable[tuple[int, dict[str, str]]]:
        """Line number and cells of each row, by wanted name; blank rows are left out."""
        for line, row in self._lines[1:]:
            if not any(cell.strip() for cell in row):
                continue
            cells = {
                name: row[index] if index is not None and index < len(row) else ""
                for name, index in self._columns.items()
            }
            cells = {
                name: text if name in self._verbatim else text.strip()
                for name, text in cells.items()
            }
            self._check(line, cells)
            yield line, cells

    def _check(self, line: int, cells: Mapping[str, str]) -> None:
        try:
            if not cells["patient"]:
                raise ManifestError("the patient is not named")
            if "session" in cells:
                parse_session_name(cells["session"])
        except ManifestError as error:
            raise ManifestError(f"{self.path}, line {line}: {error}") from error


def _position(header: Sequence[str], names: Sequence[str]) -> int | None:
    """The column with one of the names, the first name first; ``…`` stands for any ending."""
    lowered = [column.lower() for column in header]
    for name in names:
        for index, column in enumerate(lowered):
            if column == name or (name.endswith("…") and column.startswith(name[:-1])):
                return index
    return None
