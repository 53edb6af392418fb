"""The report of a run, as it is written, in a browser: cohort page, a case, the way between."""

from __future__ import annotations

import pytest
from browser_pages import DESKTOP, PHONE, accessibility_faults, scrolls_sideways

from xrano.experiments.report.sources import find_sources
from xrano.experiments.report.write_report import write_report
from xrano.training.run import open_run

LARGEST = 5_000_000
"""Bytes of a page."""


@pytest.fixture(scope="module")
def written(laid_out, tmp_path_factory):
    run = open_run(laid_out / "run")
    out = tmp_path_factory.mktemp("whole-report")
    return write_report(run, out, find_sources(run), cases="4")


@pytest.mark.parametrize("viewport", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_the_cohort_page_is_accessible_and_fits(written, open_page, viewport):
    page = open_page(written.index, viewport=viewport)
    page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true; })")
    assert accessibility_faults(page) == []
    assert not scrolls_sideways(page)
    assert page.locator("figure img").count() >= 1
    loaded = page.evaluate(
        "[...document.images].every(one => one.complete && one.naturalWidth > 0)"
    )
    assert loaded


def test_a_case_is_one_click_away_and_leads_back(written, open_page):
    page = open_page(written.index)
    link = page.locator("#case-table tbody th a").first
    name = link.inner_text().strip()
    link.click()
    page.wait_for_load_state()
    assert name in page.locator("h1").inner_text()
    assert page.locator("canvas").count() >= 1
    page.get_by_role("link", name="All cases").click()
    page.wait_for_load_state()
    assert page.url.endswith("index.html")


def test_no_page_is_large(written):
    pages = list(written.index.parent.rglob("*.html"))
    assert len(pages) == 1 + len(written.cases)
    assert max(path.stat().st_size for path in pages) < LARGEST
