"""Everything that the page of a cohort shows, from what lies beside a run."""

from __future__ import annotations

from collections.abc import Mapping

from xrano.experiments.report.accuracy_section import accuracy_section
from xrano.experiments.report.case_rows import case_methods, case_rows
from xrano.experiments.report.checks_section import audit_section, faithfulness_section
from xrano.experiments.report.cohort_figures import overlap_picture
from xrano.experiments.report.commands import CommandLines, lines_of
from xrano.experiments.report.controls_section import controls_section
from xrano.experiments.report.exclusions_section import exclusions_section
from xrano.experiments.report.exploratory_section import exploratory_section
from xrano.experiments.report.gathered import Gathered
from xrano.experiments.report.headline import tiles, warnings
from xrano.experiments.report.method_facts import (
    made_by,
    methods_text,
    report_citations,
    versions,
)
from xrano.experiments.report.number_words import counted
from xrano.experiments.report.overlap_section import overlap_section
from xrano.experiments.report.shares_section import shares_section
from xrano.experiments.report.sources import WHAT, Found
from xrano.experiments.report.summary_words import findings, summary_paragraph
from xrano.report.cohort_page import CohortContent, Source
from xrano.report.tables import Figure, Section
from xrano.viz.names import method_name


def cohort_content(
    gathered: Gathered, pages: Mapping[str, str], atlas: Figure | str = ""
) -> CohortContent:
    """The page's content.

    Args:
        gathered: what the report is made of.
        pages: file name of the page of each pair that has one.
        atlas: the class atlas, or why there is none.
    """
    lines = lines_of(gathered.run, relative=True)
    scored = gathered.scored
    figures = [None if scored is None else overlap_picture(scored.table("summary")), atlas]
    return CohortContent(
        title=f"xrano report: {gathered.run.root.resolve().name}",
        facts=_facts(gathered),
        summary=(summary_paragraph(gathered),),
        points=(*findings(gathered), *([atlas] if isinstance(atlas, str) and atlas else [])),
        warnings=tuple(warnings(gathered)),
        tiles=tuple(tiles(gathered)),
        figures=tuple(figure for figure in figures if isinstance(figure, Figure)),
        sources=tuple(report_sources(gathered, lines)),
        sections=_sections(gathered, lines),
        methods=tuple(method_name(label) for label in case_methods(scored)),
        cases=tuple(case_rows(gathered, pages)),
        cases_note=_cases_note(gathered, pages),
        paragraphs=tuple(methods_text(gathered)),
        versions=tuple(versions(gathered)),
        commands=tuple(made_by(gathered, lines)),
        citations=report_citations(gathered),
    )


def report_sources(gathered: Gathered, lines: CommandLines) -> list[Source]:
    """What the report is made of: found or missing, and the command that makes what is missing."""
    judged = gathered.judged
    if judged.complete:
        said = f"{len(judged.found) - 1} references beside the network"
        found = [Source("Evaluation", True, said)]
    elif judged.network is not None:
        said = "of the network alone; references are missing, or of other predictions"
        found = [Source("Evaluation", False, said, lines.evaluate())]
    else:
        found = [Source("Evaluation", False, judged.why)]
    return [*found, *(_source(gathered, one, lines) for one in gathered.sources.all())]


def _source(gathered: Gathered, found: Found, lines: CommandLines) -> Source:
    what = WHAT[found.kind]
    if found.path is None:
        return Source(what, False, found.why, lines.make(found.kind))
    where = lines.path(found.path)
    scored, audited = gathered.scored, gathered.audited
    if found.kind == "scores" and scored is not None:
        n = counted(scored.report["counts"]["pairs"], "pair")
        if scored.lacking:
            names = ", ".join(f"{name}.csv" for name in scored.lacking)
            said = f"{n} in {where}; missing or of another version: {names}"
            score = f"xrano score {lines.path(gathered.run.root)} --out {where}"
            return Source(what, False, said, score)
        return Source(what, True, f"{n} in {where}")
    if found.kind == "maps":
        with_maps, cases = len(gathered.sources.files), len(gathered.cases)
        said = f"{with_maps} of {cases} held-out pairs in {where}"
        if with_maps < cases:
            return Source(what, False, said, lines.make("maps"))
        return Source(what, True, said)
    if found.kind == "audit" and audited is not None and audited.placed is None:
        said = f"in {where}; this run has no place on it: {audited.why}"
        return Source(what, False, said)
    return Source(what, True, f"in {where}")


def _sections(gathered: Gathered, lines: CommandLines) -> tuple[Section, ...]:
    found = [accuracy_section(gathered, lines), overlap_section(gathered, lines)]
    if gathered.scored is not None:
        found += [controls_section(gathered.scored), shares_section(gathered.scored)]
    found += [audit_section(gathered, lines), faithfulness_section(gathered, lines)]
    if gathered.scored is not None:
        found.append(exploratory_section(gathered.scored))
    return (*found, exclusions_section(gathered))


def _facts(gathered: Gathered) -> str:
    run, cases = gathered.run, gathered.cases
    datasets = " + ".join(sorted({str(name) for name in run.store.sessions["dataset"]} - {""}))
    parts = [
        datasets,
        f"{run.config.model.name} on {', '.join(run.config.model.sequences)} of both scans",
        f"{counted(len(cases), 'held-out pair')} of "
        f"{counted(int(cases['patient_id'].nunique()), 'patient')}",
    ]
    return " · ".join(part for part in parts if part)


def _cases_note(gathered: Gathered, pages: Mapping[str, str]) -> str:
    cases = gathered.cases
    linked = len(pages)
    if linked == len(cases):
        return "A case leads to its page, with the scans, the maps and a viewer."
    if linked:
        return f"{linked} of {counted(len(cases), 'case')} have a page of their own, linked here."
    return "No pages of single cases were asked for (--cases all writes them)."
