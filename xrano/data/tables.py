"""The tables of a cohort on disk: sessions, segmentations, pairs and exclusions, as CSV.

Sessions and segmentations may be written by hand; what is missing or wrong is told with file, line
and value. Paths in a file are absolute or relative to its folder; in memory they are absolute.
Strings are never NaN (empty when missing). Columns beyond the known ones are kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import pandas as pd

from xrano.atomic_files import write_atomically
from xrano.channels import KNOWN_SEQUENCES
from xrano.data.cells import (
    parse_flags,
    parse_integers,
    parse_numbers,
    read_cells,
    refuse,
    relative_path,
    require_choice,
    require_filled,
    require_folder_names,
    require_unique,
    resolve_paths,
)
from xrano.data.label_schemes import EXPLICIT_EXAMPLE, LABEL_SCHEMES, label_scheme
from xrano.data.session_order import order_by_week, require_increasing
from xrano.data.table_columns import (
    EXCLUSION_COLUMNS,
    PAIR_COLUMNS,
    SEGMENTATION_COLUMNS,
    SESSION_COLUMNS,
    sequence_columns,
)
from xrano.errors import LabelSchemeError, ManifestError, UnknownNameError
from xrano.rano import RESPONSES, Role
from xrano.roots import is_file_name

SPACES = ("native", "session", "atlas")
"""Where images lie: each on its scanner's grid, all on one grid of the session, or all on one grid
of the cohort."""

RATING_SOURCES = ("", "expert", "rule")
_RATINGS = ("", *RESPONSES)
_CLINICAL_NUMBERS = ("age", "mgmt_percent", "survival_weeks")


def session_table(rows: Iterable[Mapping[Any, object]]) -> pd.DataFrame:
    """A sessions table from rows: every column there, in order, with its type.

    Missing strings are empty and missing clinical numbers NaN; ``order`` and ``week`` are needed.
    """
    frame = pd.DataFrame(list(rows))
    for column in SESSION_COLUMNS:
        if column not in frame:
            frame[column] = ""
    for column in frame.columns:
        if column in ("order", "week", "days"):
            frame[column] = frame[column].astype("int64")
        elif column in _CLINICAL_NUMBERS:
            frame[column] = pd.to_numeric(frame[column], errors="coerce").astype("float64")
        else:
            frame[column] = frame[column].fillna("").astype(str)
    further = [column for column in frame if column not in SESSION_COLUMNS]
    return frame[[*SESSION_COLUMNS, *further]]


def segmentation_table(rows: Iterable[Mapping[Any, object]]) -> pd.DataFrame:
    """A segmentations table from rows: every column there, in order, all of them strings."""
    frame = pd.DataFrame(list(rows))
    for column in SEGMENTATION_COLUMNS:
        if column not in frame:
            frame[column] = ""
    further = [column for column in frame if column not in SEGMENTATION_COLUMNS]
    return frame[[*SEGMENTATION_COLUMNS, *further]].fillna("").astype("str")


def read_sessions(
    path: str | PathLike[str],
    *,
    sequences: Sequence[str] = (),
    roots: Sequence[Path] | None = None,
) -> pd.DataFrame:
    """Read ``sessions.csv``, one row a session.

    ``patient_id``, ``session_id``, ``week``, ``rating`` and at least one sequence are needed. Of
    the others, ``order`` follows week and name where it is missing, ``days`` is 7 x week, ``role``
    is ``unknown``, ``space`` is ``native``, and the rest are empty.

    Args:
        path: the CSV file.
        sequences: columns that must be there beyond the known ones (``ADC``). Without being named,
            columns are found as :func:`sequence_columns` says.
        roots: folders that every image must lie in; by default it may lie anywhere (see
            :func:`~xrano.data.datasets.manifest.read_index` for tables from others).

    Returns:
        :data:`SESSION_COLUMNS`, then further columns; sorted by patient and order.

    Raises:
        ManifestError: naming file, line, column and value, if the file is missing or no CSV, lacks
            a column, or holds an unknown rating, role, rating source or space, a week that is no
            integer, an empty or repeated session, weeks that fall along the order, or an image
            outside of the roots.
    """
    path = Path(path)
    frame = read_cells(path, ("patient_id", "session_id", "week", "rating", *sequences))
    images = tuple(dict.fromkeys([*sequence_columns(frame), *sequences]))
    if not images:
        raise ManifestError(
            f"{path} names no images: it needs a column of paths for at least one of "
            f"{', '.join(KNOWN_SEQUENCES)}; found the columns {', '.join(frame.columns)}"
        )
    _require_names(path, images)
    require_unique(path, frame, ("patient_id", "session_id"))
    require_folder_names(path, frame, ("patient_id", "session_id"))
    parse_integers(path, frame, "week")
    _fill_sessions(path, frame)
    for column, choices in (
        ("rating", _RATINGS),
        ("role", tuple(Role)),
        ("rating_source", RATING_SOURCES),
        ("space", SPACES),
        ("brain_mask_sequence", ("", *images)),
    ):
        require_choice(path, frame, column, choices)
    resolve_paths(path, frame, [*images, "brain_mask"], roots)
    frame = session_table(frame.to_dict("records"))
    frame = frame.sort_values(["patient_id", "order"], kind="stable", ignore_index=True)
    require_increasing(path, frame)
    return frame


def _require_names(path: Path, sequences: Sequence[str]) -> None:
    """Refuse a column of images whose name could not be that of a file: transforms get it."""
    for name in sequences:
        if not is_file_name(name):
            raise ManifestError(
                f"{path}: the column {name[:80]!r} holds images, so its name is that of a sequence "
                "and of files; name it without / and \\, such as ADC"
            )


def _fill_sessions(path: Path, frame: pd.DataFrame) -> None:
    """Add the columns that may be missing, and parse the numbers, in place."""
    if "order" in frame:
        parse_integers(path, frame, "order")
    else:
        frame["order"] = order_by_week(frame)
    if "days" in frame:
        parse_integers(path, frame, "days")
    else:
        frame["days"] = 7 * frame["week"]
    for column, value in (("role", str(Role.UNKNOWN)), ("space", "native")):
        if column not in frame:
            frame[column] = value
    for column in SESSION_COLUMNS:
        if column not in frame:
            frame[column] = ""
    for column in _CLINICAL_NUMBERS:
        parse_numbers(path, frame, column)


def read_segmentations(
    path: str | PathLike[str], *, roots: Sequence[Path] | None = None
) -> pd.DataFrame:
    """Read ``segmentations.csv``, one row a segmentation; a session can have several or none.

    Args:
        path: the CSV file.
        roots: as for :func:`read_sessions`.

    Returns:
        :data:`SEGMENTATION_COLUMNS`, then further columns. ``space`` is ``native`` where missing.

    Raises:
        ManifestError: if the file is missing or no CSV, lacks a column, or holds an unknown scheme
            or space, no path, one outside of the roots, or one source twice for a session.
    """
    path = Path(path)
    frame = read_cells(path, ("patient_id", "session_id", "source", "scheme", "path"))
    if "space" not in frame:
        frame["space"] = "native"
    require_unique(path, frame, ("patient_id", "session_id", "source"))
    require_filled(path, frame, ("path",))
    _require_schemes(path, frame)
    require_choice(path, frame, "space", SPACES)
    resolve_paths(path, frame, ["path"], roots)
    return segmentation_table(frame.to_dict("records"))


def _require_schemes(path: Path, frame: pd.DataFrame) -> None:
    for row, scheme in enumerate(frame["scheme"]):
        try:
            label_scheme(scheme)
        except (LabelSchemeError, UnknownNameError) as error:
            cause = f" ({error})" if "=" in scheme else ""
            needed = f"one of: {', '.join(sorted(LABEL_SCHEMES))}, or a map such as "
            refuse(path, row, "scheme", scheme, f"{needed}{EXPLICIT_EXAMPLE}{cause}")


def read_pairs(path: str | PathLike[str]) -> pd.DataFrame:
    """Read ``pairs.csv``, one row a pair.

    Raises:
        ManifestError: if the file is missing or no CSV, lacks a column, or holds an unknown
            response, a week that is no integer, a flag that is neither True nor False, a pair
            twice, or an identifier that could not be the name of a file.
    """
    path = Path(path)
    frame = read_cells(path, PAIR_COLUMNS)
    require_unique(path, frame, ("pair_id",))
    require_folder_names(path, frame, ("pair_id", "patient_id", "prior_session", "current_session"))
    require_choice(path, frame, "response", _RATINGS)
    parse_integers(path, frame, "prior_week")
    parse_integers(path, frame, "current_week")
    parse_flags(path, frame, "spans_surgery")
    return frame


def read_exclusions(path: str | PathLike[str]) -> pd.DataFrame:
    """Read ``exclusions.csv``, one row a session that yields no pair, the reason last.

    Raises:
        ManifestError: if the file is missing or no CSV, or lacks a column.
    """
    return read_cells(Path(path), EXCLUSION_COLUMNS)


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of a table as dictionaries."""
    return [{str(name): value for name, value in row.items()} for row in frame.to_dict("records")]


def write_table(path: str | PathLike[str], frame: pd.DataFrame) -> None:
    """Write a table as CSV, whole or not at all.

    Paths of images become relative to the table's folder where there is a way, so that an index
    can move together with its data.
    """
    path = Path(path)
    written = frame.copy()
    folder = path.parent.resolve()
    for column in {*sequence_columns(frame), "brain_mask", "path"} & set(frame.columns):
        written[column] = [relative_path(value, folder) for value in frame[column]]
    write_atomically(
        path, lambda temporary: written.to_csv(temporary, index=False, lineterminator="\n")
    )
