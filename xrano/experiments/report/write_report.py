"""Write the report of a run: ``index.html`` for the cohort, and a page a case.

::

    index.html        the cohort
    cases/PAIR.html   one page a case

Pages are self-contained. The same run gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from xrano.atomic_files import remove_leftovers, write_text
from xrano.experiments.report.case_pages import write_case_pages
from xrano.experiments.report.case_rows import CASES_FOLDER, chosen_cases, page_names
from xrano.experiments.report.cohort_content import cohort_content
from xrano.experiments.report.cohort_figures import atlas_picture
from xrano.experiments.report.gathered import Gathered, gather
from xrano.experiments.report.sources import Sources
from xrano.progress import Progress, quiet
from xrano.report.cohort_page import cohort_page
from xrano.training.run import Run

INDEX = "index.html"


@dataclass(frozen=True, eq=False)
class WrittenReport:
    """The page of the cohort, the pages of cases by pair, and the cases that failed and why."""

    index: Path
    cases: Mapping[str, Path]
    failed: Mapping[str, str]
    gathered: Gathered


def write_report(
    run: Run,
    out: Path,
    sources: Sources,
    *,
    cases: str = "all",
    jobs: int = 1,
    progress: Progress = quiet,
) -> WrittenReport:
    """Write all pages; the page of the cohort last, so that what it links to is there.

    Args:
        run: the run.
        out: folder of the report.
        sources: of :func:`~xrano.experiments.report.sources.find_sources`.
        cases: ``all``, ``none``, or how many pages of cases (responses take turns).
        jobs: processes for the pages of cases; 0 for one a core, four at most.
        progress: how to show progress.

    Raises:
        ConfigError: for another value of ``cases``.
        ManifestError: if the run has no held-out pair, or a folder given cannot be read.
        OSError: if nothing can be written to ``out``.
    """
    out = Path(out)
    gathered = gather(run, sources)
    names = page_names(chosen_cases(gathered.cases, cases))
    _require_writable(out)
    written, failed = write_case_pages(
        gathered,
        out / CASES_FOLDER,
        names,
        cohort_href=f"../{INDEX}",
        jobs=jobs,
        progress=progress,
    )
    kept = {pair_id: name for pair_id, name in names.items() if pair_id in written}
    atlas = atlas_picture(run, sources, progress)
    write_text(out / INDEX, cohort_page(cohort_content(gathered, kept, atlas)))
    return WrittenReport(out / INDEX, written, failed, gathered)


def _require_writable(out: Path) -> None:
    """Find out before the work, not after it, whether a file can be written."""
    probe = out / CASES_FOLDER / ".writable"
    write_text(probe, "")
    probe.unlink()
    remove_leftovers(out)
