"""``xrano report``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from xrano.cli.answers import Answer

EXAMPLE = "xrano report xrano-demo/run --out report   (then open report/index.html)"
POSITIONAL_HELP = "folder that xrano train or xrano demo wrote"
JSON_KEYS = {
    "index": "the page of the cohort",
    "cases": "the page of each case by its pair",
    "failed": "why a pair has no page, by pair",
    "sources": "what was found and what is missing, with the command that makes it",
}


def run(
    run_dir: Path,
    out: Path,
    scores: Path | None = None,
    maps: Path | None = None,
    audit: Path | None = None,
    faithfulness: Path | None = None,
    cases: tuple[int | str, ...] = ("all",),
    jobs: int = 0,
    store: Path | None = None,
) -> Answer:
    """Write pages for people: one of the cohort, one of each case; no server, no network.

    Scores, maps, faithfulness tests and an audit are looked for beside the run, where xrano demo
    puts them (scores, explained, faithfulness, audit); what is missing is said, with the command
    that makes it.

    Args:
        run_dir: the run.
        out: folder for index.html and cases/.
        scores: folder that xrano score wrote.
        maps: folder of maps that xrano explain saved.
        audit: folder that xrano audit wrote.
        faithfulness: folder that xrano faithfulness wrote.
        cases: pages of cases: all, none, or how many (responses take turns).
        jobs: processes for the pages of cases; 0 for one a core, four at most.
        store: where the prepared store is now, if it was moved.
    """
    from xrano.cli.terminal import bar
    from xrano.errors import ConfigError
    from xrano.experiments.report.sources import find_sources
    from xrano.experiments.report.write_report import write_report
    from xrano.training.run import open_run

    if len(cases) != 1:
        raise ConfigError(f"--cases takes one word: all, none or a number; got {len(cases)}")
    opened = open_run(run_dir, store=store)
    found = find_sources(opened, scores=scores, maps=maps, faithfulness=faithfulness, audit=audit)
    written = write_report(opened, out, found, cases=str(cases[0]), jobs=jobs, progress=bar)
    return _answer(opened, written)


def _answer(opened: Any, written: Any) -> Answer:
    from xrano.experiments.report.cohort_content import report_sources
    from xrano.experiments.report.commands import lines_of

    sources = report_sources(written.gathered, lines_of(opened, relative=False))
    lines = []
    for source in sources:
        lines.append(f"{'found  ' if source.found else 'missing'}  {source.what}: {source.said}")
        lines += [f"         make it:  {source.command}"] if source.command else []
    lines += [f"no page of {pair_id}: {why}" for pair_id, why in written.failed.items()]
    pages = f"{len(written.cases)} page{'' if len(written.cases) == 1 else 's'} of cases"
    lines.append(f"{pages}; open {written.index}")
    values = {
        "index": written.index,
        "cases": written.cases,
        "failed": written.failed,
        "sources": sources,
    }
    return Answer("\n".join(lines), values, lambda: _require_pages(written.failed))


def _require_pages(failed: Mapping[str, str]) -> None:
    """Complain of pages that could not be written; the others are there."""
    from xrano.errors import UnfinishedError

    if failed:
        pair_id, why = next(iter(failed.items()))
        more = f", and {len(failed) - 1} others" if len(failed) > 1 else ""
        raise UnfinishedError(f"no page of {pair_id}{more}: {why}")
