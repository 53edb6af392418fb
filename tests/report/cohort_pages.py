"""A cohort page of hand-made content, and its tables read back from the HTML."""

from __future__ import annotations

import io
from html.parser import HTMLParser

from matplotlib.figure import Figure as Drawing

from xrano.report.citations import cited
from xrano.report.cohort_page import CaseRow, CaseScore, CohortContent, Source, Tile
from xrano.report.tables import (
    Cell,
    Column,
    Command,
    Figure,
    Fold,
    Row,
    Section,
    Table,
    plain_table,
)

NASTY = "P'<script>alert(1)</script>\" é &amp; 患者"


def small_png() -> bytes:
    found = io.BytesIO()
    drawing = Drawing(figsize=(6, 2))
    drawing.text(0.1, 0.5, "a picture")
    drawing.savefig(found, format="png", metadata={"Software": None})
    return found.getvalue()


def case(pair_id: str, **changes: object) -> CaseRow:
    facts = {
        "patient_id": "Patient-1",
        "weeks": 12.0,
        "response": "PD",
        "predicted": "PD",
        "probability": 0.9,
        "verdict": "right",
        "scores": (CaseScore("+1.00", "2.0 % / 1.0 %", 1.0),),
        "status": "defined",
        "href": f"cases/{pair_id}.html",
    }
    return CaseRow(pair_id, **{**facts, **changes})


CASES = (
    case("a", response="CR", predicted="SD", verdict="wrong", probability=0.4),
    case("b", scores=(CaseScore("−∞", "0.0 % / 1.0 %", -1e9),)),
    case("c10", scores=(CaseScore("–", "", float("nan")),), status="map without relevance"),
    case("c9", patient_id="Patient-2", weeks=None, scores=(CaseScore("+3.00", "", 3.0),)),
    case("d", response="", predicted="SD", probability=None, verdict="unrated", href=""),
)


def hand_made(**changes: object) -> CohortContent:
    section = Section(
        "where",
        "Where does it look?",
        ("One paragraph.",),
        points=("One point.",),
        figures=(Figure("wide", small_png(), "A wide picture", "Its caption", wide=True),),
        tables=(
            Table(
                "lift",
                "Lift by method",
                (Column("method"), Column("CR*", "9 patients", numeric=True)),
                (
                    Row((Cell("Saliency"), Cell("+2.74 [+2.52, +3.00]", "1 undefined"))),
                    Row((Cell("edges"), Cell("–")), "Maps that need no network"),
                ),
                ("* fewer than 10 patients.",),
            ),
            plain_table("more", "More", ("a", "b"), [["x", "1"]], folded="All numbers"),
        ),
        folds=(Fold("The verdict", ("A line.",)),),
        missing=(Command("No audit was given.", "xrano audit --out audit"),),
    )
    content = {
        "title": "xrano report: run",
        "facts": "lumiere · a network",
        "summary": ("The network is right, or wrong.",),
        "points": ("A finding.",),
        "warnings": ("These results leak.",),
        "tiles": (Tile("Balanced accuracy", "0.86", "chance 0.25"),),
        "figures": (Figure("narrow", small_png(), "A picture", "Its caption"),),
        "sources": (
            Source("Scores", True, "86 pairs in scores"),
            Source("Audit", False, "not found", "xrano audit --out audit"),
        ),
        "sections": (section,),
        "methods": ("Saliency",),
        "cases": CASES,
        "cases_note": "A case leads to its page.",
        "paragraphs": ("First paragraph.", "Second paragraph."),
        "versions": (("xrano", "0.1.0"),),
        "commands": (Command("Score", "xrano score run --out scores"),),
        "citations": cited(["matoso2025", "suter2022"]),
    }
    return CohortContent(**{**content, **changes})


class _Tables(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tables: dict[str, list[list[str]]] = {}
        self._rows: list[list[str]] | None = None
        self._in_cell = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        if tag == "table":
            self._rows = self.tables.setdefault(str(named.get("id")), [])
        elif tag == "tr" and self._rows is not None:
            self._rows.append([])
        elif tag in ("td", "th") and self._rows is not None:
            self._rows[-1].append("")
            self._in_cell = True

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th"):
            self._in_cell = False
        elif tag == "table":
            self._rows = None

    def handle_data(self, data: str) -> None:
        if self._in_cell and self._rows:
            self._rows[-1][-1] += data


def tables_of(page: str) -> dict[str, list[list[str]]]:
    """Rows of cells of every table by its id, heads first; blanks in a cell are single."""
    reader = _Tables()
    reader.feed(page)
    return {
        name: [[" ".join(cell.split()) for cell in row] for row in rows]
        for name, rows in reader.tables.items()
    }
