"""Quality of a prepared store: the table of numbers, a page a session, and the list of pages.

::

    quality.csv                      one row a session, see xrano.data.quality.session_quality
    index.html                       all sessions, those with flags first
    pages/PATIENT/SESSION.png        see xrano.viz.session_page
    pages/PATIENT/SESSION.key        hash of what the page shows: drawn anew if it changed
    numbers/                         each patient's numbers, kept for the next run
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from xrano.atomic_files import write_text
from xrano.data.label_schemes import WHOLE, has_region, region_mask
from xrano.data.preparation.jobs import run_jobs
from xrano.data.quality.outliers import LEAST_VALUES
from xrano.data.quality.quality_flags import UNREADABLE, cohort_flags
from xrano.data.quality.session_quality import file_mark, session_quality
from xrano.data.store import PreparedSession, Store, read_prepared
from xrano.data.tables import write_table
from xrano.experiments.quality_numbers import INDEX_COLUMNS, PageTable, index_numbers
from xrano.progress import Progress, quiet

_PAGE_VERSION = 1
"""Of the pages: those of another version are drawn anew."""


@dataclass(frozen=True)
class StoreQuality:
    """What was written.

    Attributes:
        out: its folder.
        table: the quality table.
        drawn, kept: pages made now, and those that were up to date.
        failures: sessions whose page could not be drawn, with the cause.
    """

    out: Path
    table: pd.DataFrame
    drawn: int
    kept: int
    failures: tuple[str, ...]

    def describe(self) -> str:
        """The findings as lines of text."""
        flagged = self.table[self.table["flags"] != ""]
        lines = [
            f"{len(self.table)} sessions, {len(flagged)} with flags; "
            f"{self.drawn} pages drawn, {self.kept} up to date"
        ]
        lines += [
            f"  {row['patient_id']} {row['session_id']}: {row['flags']}"
            for row in flagged.head(10).to_dict("records")
        ]
        lines += [f"  and {len(flagged) - 10} more"] if len(flagged) > 10 else []
        lines += [f"  no page: {failure}" for failure in self.failures]
        lines += [outlier_note(len(self.table)), f"look at {self.out / 'index.html'}"]
        return "\n".join(lines)


def write_quality(
    store: Store, out: Path, *, jobs: int = 1, progress: Progress = quiet
) -> StoreQuality:
    """Measure every session, draw the pages that are not up to date, and list them.

    Args:
        store: an opened store.
        out: folder for everything.
        jobs: how many processes; 0 for one a core.
        progress: how to show progress.

    Returns:
        What was written. A session whose file is broken has a row and a flag, but no page.

    Raises:
        ConfigError: if ``jobs`` is negative.
    """
    out = Path(out)
    table = session_quality(store, cache=out / "numbers", jobs=jobs, progress=progress)
    write_table(out / "quality.csv", table)
    pages = [
        _PageJob(row, tuple(flags), _page_path(out, row), _page_key(store, row))
        for row, flags in zip(_records(table), cohort_flags(table), strict=True)
    ]
    readable = [page for page in pages if UNREADABLE not in page.row["flags"]]
    stale = [page for page in readable if not page.is_drawn]
    outcomes = run_jobs(
        partial(_draw_page, store), stale, jobs=jobs, progress=progress, what="drawing pages"
    )
    failures = [
        f"{page.row['patient_id']} {page.row['session_id']}: {outcome.error}"
        for page, outcome in zip(stale, outcomes, strict=True)
        if outcome.error is not None
    ]
    write_text(out / "index.html", _index(store, out, pages))
    drawn = len(stale) - len(failures)
    return StoreQuality(out, table, drawn, len(readable) - len(stale), tuple(failures))


def outlier_note(sessions: int) -> str:
    """What the flags of a cohort of this size mean."""
    if sessions < LEAST_VALUES:
        return (
            f"With {sessions} sessions nothing can be called an outlier (ten are needed); only "
            "broken files, empty brains and saturated scans are flagged."
        )
    return (
        f"Flags compare each number with the {sessions} sessions of this store (robust z beyond "
        "3.5); they say where to look, not what is wrong."
    )


@dataclass(frozen=True)
class _PageJob:
    """One page.

    ``row`` of the quality table, its columns that are ``flagged``, the page's ``path``, and the
    ``key``, a hash of what it shows.
    """

    row: Mapping[str, Any]
    flagged: tuple[str, ...]
    path: Path
    key: str

    @property
    def is_drawn(self) -> bool:
        mark = self.path.with_suffix(".key")
        drawn = self.path.is_file() and mark.is_file()
        return drawn and mark.read_text(encoding="utf-8").strip() == self.key


def _draw_page(store: Store, job: _PageJob) -> None:
    from xrano.viz.figure_files import save_figure
    from xrano.viz.session_page import SessionPage, session_page

    row = job.row
    session = read_prepared(store.session_path(row["patient_id"], row["session_id"]))
    present = [name for name in store.sequences if name in session.sequences]
    page = SessionPage(
        grid=store.grid,
        sequences={name: session.sequences[name] for name in present},
        brain=session.brain,
        segmentations=_tumours(session),
        title=f"{row['patient_id']}  {row['session_id']}",
        flags=[flag for flag in row["flags"].split("; ") if flag],
        numbers=PageTable(row, job.flagged, present, session.alignment).lines(),
    )
    save_figure(session_page(page), job.path, dpi=110)
    write_text(job.path.with_suffix(".key"), job.key + "\n")


def _tumours(session: PreparedSession) -> dict[str, Any]:
    return {
        source: region_mask(labels, scheme, WHOLE)
        for source, (labels, scheme) in session.segmentations.items()
        if has_region(scheme, WHOLE)
    }


def _index(store: Store, out: Path, pages: list[_PageJob]) -> str:
    from xrano.viz.session_index import IndexRow, session_index

    rows = [
        IndexRow(
            page.row["patient_id"],
            page.row["session_id"],
            page.path.relative_to(out).as_posix() if page.is_drawn else "",
            [flag for flag in page.row["flags"].split("; ") if flag],
            index_numbers(page.row),
        )
        for page in pages
    ]
    size = "×".join(map(str, store.grid.shape))
    spacing = "×".join(f"{step:.4g}" for step in store.grid.spacing)
    notes = (
        f"{len(rows)} sessions on {size} voxels of {spacing} mm.",
        outlier_note(len(rows)),
        "Dice is that of the brain mask; mutual information (MI) is in nats, each sequence with "
        "the session before; the smallest of the sequences is shown. All numbers: quality.csv.",
    )
    return session_index(f"Quality of {store.root.name}", notes, INDEX_COLUMNS, rows)


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]


def _page_path(out: Path, row: Mapping[str, Any]) -> Path:
    return out / "pages" / _file_name(row["patient_id"]) / f"{_file_name(row['session_id'])}.png"


def _file_name(name: str) -> str:
    """A name without what would lead out of the folder."""
    return re.sub(r"[^\w .+-]", "_", name).lstrip(".") or "_"


def _page_key(store: Store, row: Mapping[str, Any]) -> str:
    """A hash of the session's file and of every number and flag on the page."""
    mark = file_mark(store.session_path(row["patient_id"], row["session_id"]))
    shown = {name: str(value) for name, value in row.items()}
    text = json.dumps([_PAGE_VERSION, mark, shown], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
