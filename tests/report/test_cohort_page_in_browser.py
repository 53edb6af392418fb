"""The page of a cohort in a browser: sorting, filtering, copying, keyboard, phone, paper."""

from __future__ import annotations

import pytest
from browser_pages import DESKTOP, PHONE, accessibility_faults, scrolls_sideways
from cohort_pages import CASES, hand_made
from playwright.sync_api import expect

from xrano.report.cohort_page import cohort_page

IDS = [one.pair_id for one in CASES]


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "index.html"
    path.write_text(cohort_page(hand_made()), encoding="utf-8")
    return path


def shown(page) -> list[str]:
    cells = page.locator("#case-table tbody tr:visible th")
    return [text.strip() for text in cells.all_inner_texts()]


def head(page, name: str):
    return page.locator("#case-table thead th", has_text=name)


@pytest.mark.parametrize("viewport", [DESKTOP, PHONE])
def test_the_page_is_accessible_and_fits_its_window(written, open_page, viewport):
    page = open_page(written, viewport=viewport)
    assert accessibility_faults(page) == []
    page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true; })")
    assert accessibility_faults(page) == []
    assert not scrolls_sideways(page)


def test_heads_sort_both_ways_and_what_has_no_number_stays_last(written, open_page):
    page = open_page(written)
    assert shown(page) == IDS
    button = head(page, "Saliency").get_by_role("button")
    button.click()
    assert shown(page) == ["b", "a", "d", "c9", "c10"]
    assert head(page, "Saliency").get_attribute("aria-sort") == "ascending"
    button.click()
    assert shown(page) == ["c9", "a", "d", "b", "c10"]
    assert head(page, "Saliency").get_attribute("aria-sort") == "descending"
    head(page, "Case").get_by_role("button").click()
    # Numbers in words count as numbers: 9 before 10.
    assert shown(page) == ["a", "b", "c9", "c10", "d"]
    assert page.locator("#case-table th[aria-sort]").count() == 1
    head(page, "Weeks").get_by_role("button").click()
    assert shown(page)[-1] == "c9"


def test_filters_leave_what_fits_and_say_how_many(written, open_page):
    page = open_page(written)
    count = page.locator("#case-count")
    assert count.inner_text() == "5 of 5 shown"
    page.get_by_label("Search").fill("patient-2")
    assert shown(page) == ["c9"]
    assert count.inner_text() == "1 of 5 shown"
    # Each word somewhere in the row, in any order.
    page.get_by_label("Search").fill("c9  patient-2")
    assert shown(page) == ["c9"]
    page.get_by_label("Search").fill("patient-2 elsewhere")
    assert shown(page) == []
    page.get_by_role("button", name="Clear").click()
    expect(count).to_have_text("5 of 5 shown")
    page.get_by_label("Verdict").select_option("wrong")
    assert shown(page) == ["a"]
    page.get_by_label("Response").select_option("PD")
    assert shown(page) == []
    assert count.inner_text() == "0 of 5 shown: no case fits; Clear shows all"
    assert count.get_attribute("role") == "status"


def test_sorted_rows_stay_filtered(written, open_page):
    page = open_page(written)
    page.get_by_label("Response").select_option("PD")
    head(page, "Saliency").get_by_role("button").click()
    assert shown(page) == ["b", "c9", "c10"]


def test_the_keyboard_is_enough(written, open_page):
    page = open_page(written)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    head(page, "Predicted").get_by_role("button").focus()
    page.keyboard.press("Enter")
    assert head(page, "Predicted").get_attribute("aria-sort") == "ascending"
    page.keyboard.press("Space")
    assert head(page, "Predicted").get_attribute("aria-sort") == "descending"
    page.get_by_label("Search").focus()
    page.keyboard.type("c1")
    assert shown(page) == ["c10"]
    # Enter in the field must not leave the page.
    page.keyboard.press("Enter")
    assert page.url == written.as_uri()


def test_the_methods_text_and_bibtex_are_copied(written, open_page):
    page = open_page(written)
    page.evaluate(
        "navigator.clipboard.writeText = (text) => { window.copied = text; "
        "return Promise.resolve(); }"
    )
    page.get_by_role("button", name="Copy methods text").click()
    page.get_by_role("button", name="Copied").wait_for()
    assert page.evaluate("window.copied").split("\n\n") == ["First paragraph.", "Second paragraph."]
    page.locator("details", has_text="BibTeX of all 2").locator("summary").click()
    page.get_by_role("button", name="Copy BibTeX").click()
    assert page.evaluate("window.copied").startswith("@misc{matoso2025,")


def test_a_link_leads_to_the_page_of_its_case(written, open_page):
    page = open_page(written)
    links = page.locator("#case-table tbody a")
    assert [link.get_attribute("href") for link in links.all()] == [
        f"cases/{name}.html" for name in IDS[:-1]
    ]


def test_without_a_script_every_case_is_there_and_no_dead_control(browser, written):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(written.as_uri())
    assert page.locator("#case-table tbody tr").count() == len(CASES)
    assert not page.locator("#case-filters").is_visible()
    assert not page.locator("button.copy").first.is_visible()
    context.close()


def test_on_paper_nothing_is_folded_or_cut(written, open_page):
    page = open_page(written)
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    page.emulate_media(media="print")
    assert page.locator("details:not([open])").count() == 0
    assert not page.locator("#case-filters").is_visible()
    box = page.locator(".scroll.tall")
    assert box.evaluate("box => getComputedStyle(box).maxHeight") == "none"
