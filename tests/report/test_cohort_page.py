"""The page of a cohort as text: what it holds, in which order, and that nothing runs in it."""

from __future__ import annotations

import re
from dataclasses import fields, replace
from itertools import pairwise

import pytest
from cohort_pages import CASES, NASTY, case, hand_made, tables_of

from xrano.errors import XranoError
from xrano.report.citations import CITATIONS, cited, method_citations
from xrano.report.cohort_page import cohort_page
from xrano.report.tables import Cell, Column, Row, Table, plain_table


def test_everything_given_is_on_the_page_and_the_summary_comes_first():
    page = cohort_page(hand_made())
    said = (
        *("These results leak.", "Balanced accuracy", "The network is right, or wrong."),
        *("A finding.", "86 pairs in scores", "One paragraph.", "No audit was given."),
        *("A case leads to its page.", "First paragraph.", "Second paragraph."),
        *("xrano score run --out scores", "xrano 0.1.0", "not a medical device"),
    )
    places = [page.index(text) for text in said]
    assert places == sorted(places)


def test_headings_go_down_one_level_at_a_time_and_the_contents_name_every_section():
    page = cohort_page(hand_made())
    levels = [int(level) for level in re.findall(r"<h([1-6])[ >]", page)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    anchors = re.findall(r'<li><a href="#([^"]+)">', page)
    assert anchors == re.findall(r'<section id="([^"]+)"', page)


def test_tables_keep_their_cells_and_say_what_their_heads_are():
    page = cohort_page(hand_made())
    tables = tables_of(page)
    assert tables["table-lift"] == [
        ["method", "CR* 9 patients"],
        ["Saliency", "+2.74 [+2.52, +3.00] 1 undefined"],
        ["Maps that need no network"],
        ["edges", "–"],
    ]
    assert page.count("<caption") == page.count("<table") == 3
    heads = re.findall(r"<th ([^>]*)>", page)
    assert all("scope=" in head for head in heads)


def test_cases_are_rows_in_the_order_given_with_dashes_for_what_is_unknown():
    rows = tables_of(cohort_page(hand_made()))["case-table"]
    assert [row[0] for row in rows[1:]] == [one.pair_id for one in CASES]
    known = dict(zip(rows[0], rows[4], strict=True))
    assert known["Weeks"] == "–"
    assert known["Saliency"] == "+3.00"
    unrated = dict(zip(rows[0], rows[5], strict=True))
    assert (unrated["Response"], unrated["Probability"]) == ("–", "–")


def nasty_content():
    """The same content with a hostile text wherever a text may stand."""
    content = hand_made()
    texts = {
        one.name: NASTY for one in fields(content) if isinstance(getattr(content, one.name), str)
    }
    row = case(NASTY, patient_id=NASTY, response=NASTY, predicted=NASTY, status=NASTY, href="")
    table = plain_table("t", NASTY, (NASTY, "b"), [[NASTY, NASTY]], notes=(NASTY,), folded=NASTY)
    section = replace(
        content.sections[0],
        title=NASTY,
        words=(NASTY,),
        points=(NASTY,),
        tables=(table,),
        figures=tuple(replace(one, alt=NASTY, caption=NASTY) for one in content.figures),
        missing=(replace(content.commands[0], what=NASTY, line=NASTY),),
    )
    return replace(
        content,
        **texts,
        summary=(NASTY,),
        points=(NASTY,),
        warnings=(NASTY,),
        tiles=(replace(content.tiles[0], name=NASTY, value=NASTY, below=NASTY),),
        sources=(replace(content.sources[1], what=NASTY, said=NASTY, command=NASTY),),
        sections=(section,),
        methods=(NASTY,),
        cases=(row, *CASES),
        paragraphs=(NASTY,),
        versions=((NASTY, NASTY),),
        commands=(replace(content.commands[0], what=NASTY, line=NASTY),),
    )


def test_no_text_becomes_markup():
    page = cohort_page(nasty_content())
    assert "<script>alert" not in page
    assert page.count("<script>") == 1
    assert page.count("&lt;script&gt;alert(1)&lt;/script&gt;") > 30
    # Attributes are quoted, and a quote in them is escaped.
    assert not re.search(r'="[^"]*<script', page)
    assert tables_of(page)["case-table"][1][0] == NASTY


def test_the_page_names_nothing_outside_but_links_to_publications():
    page = cohort_page(hand_made())
    links = set(re.findall(r'(?:href|src)="([a-z]+:[^"]+)"', page))
    outside = {link for link in links if not link.startswith("data:")}
    assert outside == {CITATIONS[key].link for key in ("matoso2025", "suter2022")}
    assert "Content-Security-Policy" in page


def test_a_page_without_anything_is_still_a_page():
    empty = hand_made(
        **dict.fromkeys(
            (
                *("points", "warnings", "tiles", "figures", "sources", "sections", "methods"),
                *("cases", "paragraphs", "versions", "commands", "citations"),
            ),
            (),
        )
    )
    page = cohort_page(empty)
    assert "<h2" in page
    assert "case-table" not in tables_of(page)


def test_a_row_of_another_length_is_refused():
    with pytest.raises(XranoError, match="2 cells for 1 columns"):
        Table("t", "c", (Column("a"),), (Row((Cell("1"), Cell("2"))),))


def test_columns_of_numbers_are_told_from_words():
    table = plain_table(
        "t", "c", ("a", "b", "c", "d"), [["1", "−1.0", "–", "x"], ["2", "–", "–", "1"]]
    )
    assert [column.numeric for column in table.columns] == [False, True, False, False]
    told = plain_table("t", "c", ("a", "b"), [["1", "fixed"]], numeric_from=1)
    assert [column.numeric for column in told.columns] == [False, True]


def test_every_method_of_xrano_that_was_published_is_cited():
    from xrano.attribution.method_table import METHODS

    for name, spec in METHODS.items():
        found = cited(method_citations([f"{name}:prior@layer"]))
        numbers = [one.link.rsplit("/", 1)[-1] for one in found]
        if "arXiv:" in spec.citation or "doi:" in spec.citation:
            assert any(number in spec.citation for number in numbers), name


def test_bibtex_has_one_entry_a_key_with_balanced_braces():
    bibtex = hand_made().bibtex
    assert re.findall(r"^@\w+\{(\w+),$", bibtex, re.MULTILINE) == ["matoso2025", "suter2022"]
    for one in CITATIONS.values():
        assert one.bibtex.count("{") == one.bibtex.count("}")
        assert str(one.year) in one.bibtex
        assert one.text.endswith(f"{one.year}.")
