import io

import numpy as np
import pytest
from browser_pages import DESKTOP, watched_page
from PIL import Image
from playwright.sync_api import expect
from viewer_cases import LESION_MM, case_maps, case_of, left_lesion, oblique_grid

from xrano.report.case_page import case_page

DEFAULTS = {
    "scan": "current",
    "method": "0",
    "target": "3",
    "timepoint": "both",
    "convention": "radiological",
    "threshold": "0.2",
    "opacity": "0.75",
    "masks": False,
}


@pytest.fixture(scope="module")
def shared_page(browser, tmp_path_factory):
    case = left_lesion(oblique_grid())
    path = tmp_path_factory.mktemp("page") / "case.html"
    path.write_text(case_page(case_of(case, case_maps(case))), encoding="utf-8")
    page, faults = watched_page(browser, path)
    page.wait_for_selector("#viewer[data-state=ready]")
    # Letters would count as bright pixels.
    page.add_style_tag(content=".plane span { visibility: hidden }")
    yield page
    page.close()
    assert faults == []


@pytest.fixture
def page(shared_page):
    choose(shared_page, **DEFAULTS)
    shared_page.locator("#viewer-to-start").click()
    settle(shared_page)
    return shared_page


def choose(page, **values):
    """Set controls as a reader would, those that differ, one after the other."""
    for name, value in values.items():
        control = page.locator(f"#viewer-{name}")
        if isinstance(value, bool):
            control.set_checked(value)
        elif control.input_value() != value and control.is_enabled():
            if control.get_attribute("type") == "range":
                control.fill(value)
            else:
                control.select_option(value)
            settle(page)


def settle(page):
    page.evaluate("new Promise(then => setTimeout(() => requestAnimationFrame(then), 30))")


def plane(page, name, scan="current"):
    return page.locator(f"[data-scan={scan}] [data-plane={name}]")


def picture(page, name="axial", scan="current"):
    settle(page)
    shot = plane(page, name, scan).screenshot()
    pixels = np.array(Image.open(io.BytesIO(shot)).convert("RGB")).astype(int)
    # Boxes end between pixels, so that the outermost belong to the white page as well.
    pixels[[0, -1]] = pixels[:, [0, -1]] = 0
    return pixels


def coloured(pixels):
    """Where a map is drawn: scan and crosshair are grey."""
    return pixels.max(axis=2) - pixels.min(axis=2) > 40


def centre(where):
    """Shares of width and height of the middle of the pixels that are true."""
    rows, columns = np.nonzero(where)
    return columns.mean() / where.shape[1], rows.mean() / where.shape[0]


def reading(page):
    return page.locator("#viewer-reading").inner_text()


def millimetres(page):
    """The crosshair's mm with their sign, from the words."""
    words = reading(page).split(" mm")[0].split(", ")
    signs = {"L": -1, "R": 1, "P": -1, "A": 1, "I": -1, "S": 1, "x": 1, "y": 1, "z": 1}
    return np.array([signs[word[0]] * float(word[2:]) for word in words])


def test_all_planes_are_drawn(page):
    choose(page, opacity="0")
    for name in ("axial", "coronal", "sagittal"):
        pixels = picture(page, name)
        assert pixels.std() > 10
        assert 0.2 < (pixels.max(axis=2) > 15).mean() < 0.95


@pytest.mark.parametrize("what", ["scan", "map", "outline"])
@pytest.mark.parametrize(("convention", "right"), [("radiological", 1), ("neurological", 0)])
def test_a_lesion_on_the_patients_left_is_on_the_proper_side(page, what, convention, right):
    choose(page, convention=convention)
    choose(page, opacity="0.75" if what == "map" else "0")
    choose(page, masks=what == "outline")
    pixels = picture(page)
    # The crosshair is no brighter than 200.
    found = pixels.min(axis=2) > 230 if what == "scan" else coloured(pixels)
    assert found.sum() > 50
    column, _ = centre(found)
    assert (column > 0.6) if right else (column < 0.4)
    assert reading(page).startswith("L 3") or reading(page).startswith("L 2")
    letters = [
        plane(page, "axial").locator(f".{side}").text_content() for side in ("left", "right")
    ]
    assert letters == (["R", "L"] if right else ["L", "R"])


@pytest.mark.parametrize(
    ("name", "convention"),
    [
        ("axial", "radiological"),
        ("axial", "neurological"),
        ("coronal", "radiological"),
        ("sagittal", "neurological"),
    ],
)
def test_pressing_on_the_lesion_says_its_millimetres(page, name, convention):
    choose(page, convention=convention)
    choose(page, opacity="0")
    column, row = centre(picture(page, name).min(axis=2) > 230)
    element = plane(page, name)
    box = element.bounding_box()
    element.click(position={"x": 3, "y": 3})
    far = millimetres(page)
    element.click(position={"x": column * box["width"], "y": row * box["height"]})
    normal = {"axial": 2, "coronal": 1, "sagittal": 0}[name]
    others = [axis for axis in range(3) if axis != normal]
    assert np.abs(far - LESION_MM)[others].min() > 20
    # A voxel is 5 mm long, and the picture is cut into pixels.
    np.testing.assert_allclose(millimetres(page), LESION_MM, atol=4)
    assert "inside the core of the current scan" in reading(page)
    assert "outside the core of the prior scan" in reading(page)


def test_the_front_is_on_the_left_of_a_radiological_sagittal_picture(page):
    choose(page, convention="radiological")
    sides = [
        plane(page, "sagittal").locator(f".{side}").text_content() for side in ("left", "right")
    ]
    column, _ = centre(coloured(picture(page, "sagittal")))
    assert sides == ["A", "P"]
    assert column < 0.5
    choose(page, convention="neurological")
    column, _ = centre(coloured(picture(page, "sagittal")))
    assert plane(page, "sagittal").locator(".left").text_content() == "P"
    assert column > 0.5


def test_up_is_up(page):
    choose(page, convention="radiological")
    _, row = centre(coloured(picture(page, "coronal")))
    assert row < 0.45
    assert plane(page, "coronal").locator(".top").text_content() == "S"
    assert plane(page, "axial").locator(".top").text_content() == "A"


def test_a_higher_threshold_hides_weak_relevance(page):
    counts = []
    for share in ("0.1", "0.5", "0.9"):
        choose(page, threshold=share)
        counts.append(int(coloured(picture(page)).sum()))
    assert counts[0] > counts[1] > counts[2] > 0
    assert page.locator("#viewer-threshold-value").inner_text() == "90 %"


def test_opacity_lets_the_scan_through(page):
    strong = picture(page)
    choose(page, opacity="0.3")
    weak = picture(page)
    where = coloured(strong)
    span = [(one.max(axis=2) - one.min(axis=2))[where].mean() for one in (strong, weak)]
    assert span[1] < 0.7 * span[0]


def test_another_class_looks_elsewhere(page):
    page.locator("#viewer-to-peak").click()
    np.testing.assert_allclose(millimetres(page), LESION_MM, atol=4)
    first = picture(page)
    choose(page, target="2")
    assert np.abs(picture(page) - first).max() > 40
    page.locator("#viewer-to-peak").click()
    np.testing.assert_allclose(millimetres(page), (30, -30, -10), atol=4)
    assert "target SD" in reading(page)


def test_another_method_keeps_the_class_and_has_no_timepoints(page):
    choose(page, method="1")
    settle(page)
    assert "Grad-CAM" in reading(page)
    assert page.locator("#viewer-target").locator("option").count() == 2
    assert "target PD" in reading(page)
    assert page.locator("#viewer-timepoint").is_disabled()
    assert coloured(picture(page)).sum() > 1000


def test_channels_of_the_scans_add_up(page):
    values = {}
    for name in ("prior", "current", "both"):
        choose(page, timepoint=name)
        text = reading(page).split("% of the scale")[0]
        values[name] = float(text.rsplit(": ", 1)[1].split(" ")[0])
    assert values["both"] == pytest.approx(values["prior"] + values["current"], rel=0.02)
    assert values["current"] == pytest.approx(3 * values["prior"], rel=0.05)


def test_outlines_can_be_hidden(page):
    choose(page, opacity="0")
    assert coloured(picture(page)).sum() == 0
    choose(page, masks=True)
    found = coloured(picture(page))
    assert found.sum() > 50
    pixels = picture(page)[found]
    # Cyan: the outline of the current scan.
    assert (pixels[:, 2] > pixels[:, 0]).all()


@pytest.mark.parametrize(
    ("name", "key", "axis", "towards"),
    [
        ("axial", "ArrowRight", 0, -1),
        ("axial", "ArrowUp", 1, 1),
        ("axial", "PageUp", 2, 1),
        ("coronal", "ArrowLeft", 0, 1),
        ("coronal", "ArrowDown", 2, -1),
        ("coronal", "PageDown", 1, -1),
        ("sagittal", "ArrowLeft", 1, 1),
        ("sagittal", "PageUp", 0, 1),
    ],
)
def test_keys_move_the_crosshair_in_the_plane_with_the_focus(page, name, key, axis, towards):
    before = millimetres(page)
    plane(page, name).focus()
    page.keyboard.press(key)
    moved = millimetres(page) - before
    assert np.flatnonzero(moved).tolist() == [axis]
    assert np.sign(moved[axis]) == towards
    page.keyboard.press(f"Shift+{key}")
    np.testing.assert_allclose(millimetres(page) - before, 6 * moved, atol=0.3)
    page.keyboard.press("Home")
    np.testing.assert_allclose(millimetres(page), before)


def test_every_control_can_be_reached_by_tab(page):
    page.locator("#viewer-scan").focus()
    seen = set()
    for _ in range(14):
        seen.add(page.evaluate("document.activeElement.id || document.activeElement.dataset.plane"))
        page.keyboard.press("Tab")
    assert {"axial", "coronal", "sagittal"} <= seen
    assert {f"viewer-{name}" for name in ("scan", "method", "target", "threshold", "masks")} <= seen


def test_both_scans_stand_one_above_the_other(page):
    choose(page, scan="both", convention="radiological")
    expect(plane(page, "axial", "prior").locator(".where")).to_contain_text("mm")
    choose(page, opacity="0")
    bright = {
        scan: (picture(page, scan=scan).min(axis=2) > 230).sum() for scan in ("prior", "current")
    }
    assert bright["current"] > 50
    assert bright["prior"] == 0
    assert "prior CT1" in reading(page)
    assert "current CT1" in reading(page)
    choose(page, scan="prior")
    assert not plane(page, "axial", "current").is_visible()
    assert picture(page, scan="prior").std() > 10


def test_a_scan_that_was_hidden_comes_back_with_its_outlines(page):
    choose(page, masks=True, opacity="0")
    before = picture(page)
    choose(page, scan="prior")
    choose(page, scan="current")
    after = picture(page)
    assert coloured(after).sum() > 50
    assert np.abs(after - before).mean() < 1


def test_planes_stand_below_each_other_in_a_narrow_window(page):
    try:
        page.set_viewport_size({"width": 390, "height": 844})
        settle(page)
        settle(page)
        boxes = {
            name: plane(page, name).bounding_box() for name in ("axial", "coronal", "sagittal")
        }
        assert boxes["coronal"]["y"] >= boxes["axial"]["y"] + boxes["axial"]["height"]
        assert boxes["sagittal"]["x"] + boxes["sagittal"]["width"] <= 390
        column, row = centre(coloured(picture(page)))
        assert column > 0.6
        assert row < 0.5
        assert millimetres(page)[0] == pytest.approx(LESION_MM[0], abs=4)
    finally:
        page.set_viewport_size(DESKTOP)
        settle(page)
