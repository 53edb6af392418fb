"""The pages of cases, patient by patient, in one process or several."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pandas as pd

from xrano.atomic_files import write_text
from xrano.data.preparation.jobs import Outcome, attempt, run_jobs, worker_count
from xrano.experiments.report.case_content import case_content
from xrano.experiments.report.gathered import Gathered
from xrano.experiments.report.read_once import read_once
from xrano.experiments.timeline import patient_timeline
from xrano.progress import Progress, quiet
from xrano.report.case_page import case_page
from xrano.scoring.tables import TABLES
from xrano.training.run import Run
from xrano.viz.figure_files import png_bytes
from xrano.viz.timeline_figure import timeline_figure

MOST_JOBS = 4
"""Processes at most where none is named: each takes most of a gigabyte."""

_WORTH_IT = 8
"""Cases from which another process saves more time than its start takes."""


@dataclass(frozen=True, eq=False)
class PatientPages:
    """The cases of one patient that get a page.

    ``files``: maps, ``rows``: of the score table, ``paths``: of the pages, each by pair, in the
    order of time; ``shares``: rows of the patient, ``None`` without scores.
    """

    run: Run
    patient_id: str
    files: Mapping[str, tuple[Path, ...]]
    rows: Mapping[str, pd.DataFrame]
    shares: pd.DataFrame | None
    paths: Mapping[str, Path]
    cohort_href: str

    def write(self) -> dict[str, Outcome[Path]]:
        """Write them; a page that fails stops no other."""
        # A page is worth having without the picture.
        timeline = attempt(self._timeline, None).value
        return {pair_id: attempt(self._write_one, (pair_id, timeline)) for pair_id in self.paths}

    def _write_one(self, asked: tuple[str, bytes | None]) -> Path:
        pair_id, timeline = asked
        order = list(self.paths)
        place = order.index(pair_id)
        content = case_content(
            self.run,
            pair_id,
            self.files[pair_id],
            self.rows[pair_id],
            timeline=timeline,
            cohort_href=self.cohort_href,
            earlier_href=self._href(order[place - 1]) if place else "",
            later_href=self._href(order[place + 1]) if place + 1 < len(order) else "",
        )
        write_text(self.paths[pair_id], case_page(content))
        return self.paths[pair_id]

    def _timeline(self, _nothing: None) -> bytes:
        timeline = patient_timeline(self.run, self.patient_id, self.shares)
        return png_bytes(timeline_figure(timeline), 100)

    def _href(self, pair_id: str) -> str:
        return quote(self.paths[pair_id].name)


def write_case_pages(
    gathered: Gathered,
    folder: Path,
    names: Mapping[str, str],
    *,
    cohort_href: str,
    jobs: int = 1,
    progress: Progress = quiet,
) -> tuple[dict[str, Path], dict[str, str]]:
    """Write pages into a folder.

    Args:
        gathered: what the report is made of.
        folder: where the pages go.
        names: file name of each pair that gets one.
        cohort_href: link to the page of the cohort.
        jobs: processes; 0 for one a core, :data:`MOST_JOBS` at most, and one for few cases.
        progress: how to show progress.

    Returns:
        The pages by pair, and why those that are missing are.
    """
    if jobs == 0:
        jobs = min(worker_count(0), MOST_JOBS) if len(names) >= _WORTH_IT else 1
    work = _by_patient(gathered, folder, names, cohort_href)
    outcomes = run_jobs(
        PatientPages.write, work, jobs=jobs, progress=progress, what="pages of cases, by patient"
    )
    written: dict[str, Path] = {}
    failed: dict[str, str] = {}
    for outcome in outcomes:
        for pair_id, page in outcome.required().items():
            if page.error is not None:
                failed[pair_id] = str(page.error)
            else:
                written[pair_id] = page.required()
    return written, failed


def _by_patient(
    gathered: Gathered, folder: Path, names: Mapping[str, str], cohort_href: str
) -> list[PatientPages]:
    run, scored = read_once(gathered.run), gathered.scored
    nothing = pd.DataFrame(columns=list(TABLES["scores"].columns))
    rows: dict[str, pd.DataFrame] = {}
    shares: dict[str, pd.DataFrame] = {}
    if scored is not None:
        groups = scored.tables["scores"].groupby("pair_id", sort=False)
        rows = {str(pair_id): own for pair_id, own in groups if str(pair_id) in names}
        groups = scored.table("shares").groupby("patient_id", sort=False)
        shares = {str(patient): own for patient, own in groups}
    work = []
    for patient, own in gathered.cases.groupby("patient_id", sort=False):
        shown = [str(pair_id) for pair_id in own["pair_id"] if str(pair_id) in names]
        if shown:
            work.append(
                PatientPages(
                    run,
                    str(patient),
                    {name: gathered.sources.files.get(name, ()) for name in shown},
                    {name: rows.get(name, nothing) for name in shown},
                    shares.get(str(patient)),
                    {name: folder / names[name] for name in shown},
                    cohort_href,
                )
            )
    return work
