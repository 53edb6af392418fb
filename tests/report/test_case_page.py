import dataclasses
import re

import pandas as pd
import pytest
from browser_pages import PHONE, accessibility_faults, scrolls_sideways
from playwright.sync_api import expect
from viewer_cases import case_maps, case_of, left_lesion, oblique_grid

from xrano.report.case_page import case_page

HOSTILE = "O'<script>alert(1)</script>\"&é"
SCORES = pd.DataFrame(
    {"Method": ["Saliency"], "Relevance mass": ["9.4 %"], "Lift, log2": ["+4.42"]}
)


@pytest.fixture(scope="module")
def case():
    return left_lesion(oblique_grid())


@pytest.fixture(scope="module")
def content(case):
    links = {"cohort_href": "../index.html", "earlier_href": "a%201.html", "later_href": "b.html"}
    return case_of(case, case_maps(case), scores=SCORES, notes=("A note.",), **links)


def written(content, folder):
    path = folder / "case.html"
    path.write_text(case_page(content), encoding="utf-8")
    return path


def ready(page):
    page.wait_for_selector("#viewer[data-state=ready]")
    return page


@pytest.mark.parametrize("viewport", [{"width": 1280, "height": 900}, PHONE])
def test_page_is_accessible_and_fits_its_window(content, open_page, tmp_path, viewport):
    page = ready(open_page(written(content, tmp_path), viewport=viewport))
    page.locator("#viewer-scan").select_option("both")
    expect(page.locator("[data-scan=prior] .where").first).to_contain_text("mm")
    assert accessibility_faults(page) == []
    assert not scrolls_sideways(page)


def test_page_says_what_was_predicted_and_links_to_the_others(content):
    text = case_page(content)
    assert "Predicted PD, true response PD" in text
    assert re.search(r'class="class">PD</span>.*?class="share">0\.70', text, re.DOTALL)
    for href in ("../index.html", "a%201.html", "b.html"):
        assert f'href="{href}"' in text
    assert "not a medical device" in text
    assert "A note." in text
    assert "+4.42" in text
    assert "Redistributions in binary form" in text
    assert text.count("data:image/png;base64,") == 1


def test_a_page_refers_to_nothing_outside(content):
    text = case_page(content)
    assert re.findall(r'(?:src|href)="(?!data:|#|\.\./index\.html|a%201\.html|b\.html)', text) == []
    assert "@import" not in text


def test_hostile_names_are_text_everywhere(case, open_page, tmp_path):
    named = dataclasses.replace(case, pair_id=HOSTILE, patient_id=HOSTILE, region=HOSTILE)
    maps = case_maps(named)
    for one in maps:
        one.meta["method"] = HOSTILE
        one.meta["target_name"] = HOSTILE
    scores = pd.DataFrame({HOSTILE: [HOSTILE]})
    content = case_of(named, maps[:1], scores=scores, notes=(HOSTILE,), panel_alt=HOSTILE)
    content = dataclasses.replace(
        content, response=HOSTILE, predicted=HOSTILE, probabilities={HOSTILE: 1.0}
    )
    assert "<script>alert" not in case_page(content)
    page = open_page(written(content, tmp_path))
    page.on("dialog", lambda dialog: pytest.fail(dialog.message))
    ready(page)
    assert HOSTILE in page.locator("h1").inner_text()
    assert page.locator("#viewer-method option").inner_text() == HOSTILE
    assert HOSTILE in page.locator("#viewer-reading").inner_text()
    assert page.locator("img").first.get_attribute("alt") == HOSTILE


def test_without_webgl_the_page_says_so_and_keeps_the_panel(content, open_page, tmp_path):
    hidden = """
        const whole = HTMLCanvasElement.prototype.getContext;
        HTMLCanvasElement.prototype.getContext = function (kind, ...rest) {
            return kind === "webgl2" ? null : whole.call(this, kind, ...rest);
        };"""
    page = open_page(written(content, tmp_path), before=hidden)
    page.wait_for_selector("#viewer[data-state=failed]")
    assert "WebGL2" in page.locator("#viewer-state").inner_text()
    assert not page.locator("#viewer-scan").is_visible()
    assert page.locator("img").first.is_visible()


def test_without_maps_scans_and_outlines_are_shown(case, open_page, tmp_path):
    page = ready(open_page(written(case_of(case, []), tmp_path)))
    assert page.locator("#viewer-method").is_disabled()
    assert page.locator("#viewer-threshold").is_disabled()
    assert not page.locator("#viewer-to-peak").is_visible()
    text = page.locator("#viewer-reading").inner_text()
    assert "inside the core of the current scan" in text
    assert "scale" not in text
    assert accessibility_faults(page) == []


def test_signed_maps_have_two_ends(case, open_page, tmp_path):
    content = case_of(case, case_maps(case)[:4], rectification="none")
    page = ready(open_page(written(content, tmp_path)))
    assert page.locator("#viewer-bar-low").inner_text().startswith("≤ −")
    # The two channels of the current scan cancel out.
    page.locator("#viewer-timepoint").select_option("current")
    expect(page.locator("#viewer-reading")).to_contain_text("current scan: 0 (0 %")


def test_a_page_without_viewer_panel_and_scores_is_whole(content, open_page, tmp_path):
    bare = dataclasses.replace(
        content,
        viewer=None,
        panel=None,
        scores=SCORES[:0],
        probabilities={},
        predicted="",
        response="",
    )
    page = open_page(written(bare, tmp_path))
    assert "No prediction, unrated" in page.locator("h2").first.inner_text()
    assert "xrano score" in page.locator("main").inner_text()
    assert page.locator("img, #viewer, script").count() == 0
    assert accessibility_faults(page) == []


def test_equal_content_gives_equal_bytes(case):
    first, second = (case_page(case_of(case, case_maps(case))) for _ in range(2))
    assert first == second
