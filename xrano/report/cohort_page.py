"""The page of a cohort: a summary first, then every number, every case, and how it was made."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from xrano.report.citations import Citation
from xrano.report.page import render_page
from xrano.report.tables import Command, Figure, Section


@dataclass(frozen=True)
class Tile:
    """A number that matters most: its name, the number, and what it means below."""

    name: str
    value: str
    below: str


@dataclass(frozen=True)
class Source:
    """One thing that the report is made of: what it is, whether it was found, and where.

    ``command`` makes it where it is missing (or of an older version).
    """

    what: str
    found: bool
    said: str
    command: str = ""


@dataclass(frozen=True)
class CaseScore:
    """The score of one method in one case: its text, a second line, and what it is sorted by."""

    text: str
    note: str
    sort: float


@dataclass(frozen=True)
class CaseRow:
    """One pair of scans in the table of cases.

    ``href``: its page, percent-encoded, empty where it has none; ``verdict``: right, wrong, or
    unrated or not rated by the network; ``weeks`` between the scans, ``None`` if unknown;
    ``status``: what is to know of its scores, in words.
    """

    pair_id: str
    patient_id: str
    weeks: float | None
    response: str
    predicted: str
    probability: float | None
    verdict: str
    scores: tuple[CaseScore, ...]
    status: str
    href: str = ""


@dataclass(frozen=True)
class CohortContent:
    """Everything that the page of a cohort shows.

    Attributes:
        title: heading.
        facts: a line below it: network, sequences, pairs, patients.
        summary: paragraphs that a radiologist understands.
        points: one finding each.
        warnings: what spoils the numbers (a protocol that leaks), before anything else.
        tiles: the numbers that matter most.
        figures: pictures beside the summary.
        sources: what was found and what is missing.
        sections: all numbers.
        methods: names of the methods in the table of cases.
        cases: the table of cases.
        cases_note: a sentence above it.
        paragraphs: methods text to paste into a paper.
        versions: name and version of each library.
        commands: what made the report, in order.
        citations: whom to cite.
    """

    title: str
    facts: str
    summary: tuple[str, ...]
    points: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    tiles: tuple[Tile, ...] = ()
    figures: tuple[Figure, ...] = ()
    sources: tuple[Source, ...] = ()
    sections: tuple[Section, ...] = ()
    methods: tuple[str, ...] = ()
    cases: tuple[CaseRow, ...] = ()
    cases_note: str = ""
    paragraphs: tuple[str, ...] = ()
    versions: tuple[tuple[str, str], ...] = ()
    commands: tuple[Command, ...] = ()
    citations: tuple[Citation, ...] = ()

    @property
    def bibtex(self) -> str:
        """All citations as one BibTeX file."""
        return "\n\n".join(one.bibtex for one in self.citations)


def cohort_page(content: CohortContent) -> str:
    """The page as one self-contained HTML text.

    Example:
        >>> page = cohort_page(CohortContent("<b>", "", ("One sentence.",)))
        >>> "<h1>&lt;b&gt;</h1>" in page, "One sentence." in page
        (True, True)
    """
    choices = {
        "response": _choices(row.response for row in content.cases),
        "predicted": _choices(row.predicted for row in content.cases),
        "verdict": _choices(row.verdict for row in content.cases),
        "status": _choices(row.status for row in content.cases),
    }
    return render_page("cohort.html.j2", title=content.title, content=content, choices=choices)


_ORDER = ("CR", "PR", "SD", "PD", "right", "wrong")


def _choices(values: Iterable[str]) -> list[str]:
    """Different values, responses from best to worst first, then by name."""
    found = set(values)
    known = [name for name in _ORDER if name in found]
    return known + sorted(found - set(known) - {""})
