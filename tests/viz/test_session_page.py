from __future__ import annotations

from dataclasses import replace
from html.parser import HTMLParser

import matplotlib
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from panel_cases import BRAIN_CENTRE, GRIDS, LESION, distance

from xrano.errors import ConfigError, GridMismatchError, UnknownNameError
from xrano.geometry import Grid
from xrano.viz.figure_files import save_figure
from xrano.viz.panel import DISCLAIMER
from xrano.viz.session_index import IndexRow, session_index
from xrano.viz.session_page import FLAG_COLOUR, PageNumber, SessionPage, session_page


@pytest.fixture(params=GRIDS)
def grid(request) -> Grid:
    return GRIDS[request.param]


def make_page(grid: Grid, **changes) -> SessionPage:
    """A grey brain with a bright lesion on the left; float16, background 0."""
    brain = distance(grid, BRAIN_CENTRE) < 60
    lesion = distance(grid) < 14
    noise = np.random.default_rng(1).normal(0, 0.01, grid.shape)
    scan = np.where(brain, 0.4 + noise + 0.6 * lesion, 0).astype(np.float16)
    page = SessionPage(
        grid=grid,
        sequences={"CT1": scan, "FLAIR": scan},
        brain=brain,
        segmentations={"deepbratumia": lesion},
        title="P-1  week-012",
        flags=("brain volume 700 ml, cohort median 1400 ml (z = −6.0)",),
        numbers=(
            PageNumber("Brain mask", heading=True),
            PageNumber("volume", "700 ml", flagged=True),
            PageNumber("Dice with the first session", "0.981"),
        ),
    )
    return replace(page, **changes)


def axes(figure, name):
    (found,) = (ax for ax in figure.axes if ax.get_label() == name)
    return found


def texts(figure) -> str:
    found = [text.get_text() for text in figure.texts]
    found += [text.get_text() for legend in figure.legends for text in legend.get_texts()]
    for ax in figure.axes:
        found += [text.get_text() for text in ax.texts]
    return "\n".join(found)


def rendered(figure, name) -> np.ndarray:
    """(row, column, rgb) pixels of one picture as they come out."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    pixels = np.asarray(canvas.buffer_rgba())[..., :3].astype(int)
    box = axes(figure, name).get_window_extent()
    height = pixels.shape[0]
    return pixels[height - round(box.y1) : height - round(box.y0), round(box.x0) : round(box.x1)]


def letter_side(ax, letter: str) -> float:
    (found,) = (text for text in ax.texts if text.get_text() == letter)
    return found.get_position()[0]


class TestSides:
    @pytest.mark.parametrize(
        ("convention", "on_the_right"), [("radiological", True), ("neurological", False)]
    )
    @pytest.mark.parametrize("plane", ["axial", "coronal"])
    def test_a_left_lesion_lies_on_the_right_in_the_radiological_convention(
        self, grid, plane, convention, on_the_right
    ):
        page = make_page(grid)
        healthy = {
            name: np.where(distance(grid) < 14, np.float16(0.4), scan)
            for name, scan in page.sequences.items()
        }
        figure = session_page(page, convention=convention)
        without = session_page(replace(page, sequences=healthy), convention=convention)
        name = f"CT1 {plane}"
        # Everything else in the picture is in both, or darker beside the lesion.
        brighter = (rendered(figure, name) - rendered(without, name)).min(axis=2) > 40
        assert brighter.sum() > 50
        side = np.nonzero(brighter)[1].mean() / brighter.shape[1]
        assert side > 0.55 if on_the_right else side < 0.45
        ax = axes(figure, f"CT1 {plane}")
        assert (letter_side(ax, "L") > 0.5) == on_the_right
        assert (letter_side(ax, "R") < 0.5) == on_the_right

    def test_outlines_surround_lesion_and_brain_where_they_lie(self, grid):
        figure = session_page(make_page(grid))
        for name, (columns, rows) in {
            "FLAIR axial": (0, 1),
            "FLAIR coronal": (0, 2),
            "CT1 sagittal": (1, 2),
        }.items():
            for label, centre, least, most in (
                ("deepbratumia", LESION, 4, 21),
                ("brain", BRAIN_CENTRE, 30, 72),
            ):
                collections = axes(figure, name).collections
                (outline,) = (one for one in collections if one.get_label() == f"contour {label}")
                points = np.concatenate([path.vertices for path in outline.get_paths()])
                radius = np.linalg.norm(points - centre[[columns, rows]], axis=1)
                assert least < radius.min() <= radius.max() < most

    def test_slices_run_through_the_tumour_and_say_where(self, grid):
        figure = session_page(make_page(grid))
        for plane, axis, letter in (("axial", 2, "z"), ("coronal", 1, "y"), ("sagittal", 0, "x")):
            (label,) = (
                text.get_text()
                for text in axes(figure, f"CT1 {plane}").texts
                if text.get_text().startswith(f"{letter} = ")
            )
            mm = float(label.removeprefix(f"{letter} = ").removesuffix(" mm").replace("−", "-"))
            assert mm == pytest.approx(LESION[axis], abs=6)

    def test_every_picture_has_the_letters_of_its_four_edges(self, grid):
        figure = session_page(make_page(grid))
        for plane, letters in (("axial", "RLAP"), ("coronal", "RLSI"), ("sagittal", "APSI")):
            shown = {text.get_text() for text in axes(figure, f"FLAIR {plane}").texts}
            assert set(letters) <= shown


class TestWords:
    def test_title_flags_numbers_and_footer(self):
        figure = session_page(make_page(GRIDS["LAS"]))
        said = texts(figure)
        for expected in (
            "P-1  week-012",
            "⚠ brain volume 700 ml, cohort median 1400 ml (z = −6.0)",
            "700 ml",
            "Dice with the first session",
            "0.981",
            "Radiological convention: the patient's left is on the right. "
            "Slices: largest tumour area.",
            DISCLAIMER,
            "deepbratumia",
            "brain",
        ):
            assert expected in said
        colours = {text.get_text(): text.get_color() for text in figure.texts}
        assert colours["volume"] == colours["700 ml"] == FLAG_COLOUR
        assert colours["⚠ brain volume 700 ml, cohort median 1400 ml (z = −6.0)"] == FLAG_COLOUR
        assert colours["0.981"] != FLAG_COLOUR

    def test_without_flags_the_page_says_so_in_another_colour(self):
        figure = session_page(make_page(GRIDS["RAS"], flags=()))
        (text,) = (one for one in figure.texts if one.get_text() == "no flag")
        assert text.get_color() != FLAG_COLOUR

    def test_without_a_tumour_the_centre_of_the_brain(self, grid):
        empty = np.zeros(grid.shape, dtype=bool)
        for segmentations in ({}, {"deepbratumia": empty}):
            said = texts(session_page(make_page(grid, segmentations=segmentations)))
            assert "no tumour mask: centre of the brain" in said

    def test_names_with_signs_of_formulas_are_shown_as_they_are(self, tmp_path):
        page = make_page(GRIDS["RAS"], title="P$1$ \\frac", flags=("$x_", "<b>"))
        save_figure(session_page(page), tmp_path / "page.png", dpi=40)
        assert (tmp_path / "page.png").stat().st_size > 1000

    def test_long_flags_and_tables_stay_on_the_page(self):
        numbers = [PageNumber(f"line {index}", "1") for index in range(70)]
        page = make_page(GRIDS["LAS"], flags=["word " * 60] * 3, numbers=numbers)
        figure = session_page(page)
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        for text in figure.texts:
            box = text.get_window_extent(canvas.get_renderer())
            assert -1 <= box.x0 <= box.x1 <= figure.bbox.width + 1
            assert -1 <= box.y0 <= box.y1 <= figure.bbox.height + 1


class TestPictures:
    def test_background_is_black_whatever_its_value_is_beside_the_brain(self):
        """A scan that was z-scored before has brain below zero and a background of zero."""
        grid = GRIDS["oblique"]
        page = make_page(grid)
        shifted = {
            name: np.where(page.brain, scan.astype(np.float32) - 3, 0).astype(np.float16)
            for name, scan in page.sequences.items()
        }
        pixels = rendered(session_page(replace(page, sequences=shifted)), "CT1 axial")
        corner = pixels[pixels.shape[0] // 10, pixels.shape[1] // 3]
        assert corner.tolist() == [0, 0, 0]
        assert pixels.max() > 200

    def test_a_constant_scan_and_an_empty_brain_are_drawn(self):
        grid = GRIDS["LAS"]
        flat = {"T1": np.zeros(grid.shape, dtype=np.float16)}
        page = make_page(grid, sequences=flat, brain=np.zeros(grid.shape, dtype=bool))
        FigureCanvasAgg(session_page(page)).draw()

    def test_inputs_and_the_users_style_stay_as_they_are(self):
        grid = GRIDS["LAS"]
        page = make_page(grid)
        before = {name: scan.copy() for name, scan in page.sequences.items()}
        with matplotlib.rc_context({"text.color": "red", "axes.facecolor": "green"}):
            session_page(page)
            assert matplotlib.rcParams["text.color"] == "red"
        for name, scan in page.sequences.items():
            np.testing.assert_array_equal(scan, before[name])

    def test_the_same_session_gives_the_same_bytes(self, tmp_path):
        for name in ("a", "b"):
            save_figure(session_page(make_page(GRIDS["LAS"])), tmp_path / f"{name}.png", dpi=40)
        assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


class TestRefusals:
    def test_arrays_must_fit_and_masks_be_boolean(self):
        grid = GRIDS["RAS"]
        page = make_page(grid)
        with pytest.raises(GridMismatchError, match=r"T2 of P-1.*\(2, 3, 4\)"):
            replace(page, sequences={"T2": np.zeros((2, 3, 4), dtype=np.float16)})
        with pytest.raises(ConfigError, match="deepbratumia of P-1.*must be boolean, got uint8"):
            replace(page, segmentations={"deepbratumia": np.zeros(grid.shape, dtype=np.uint8)})
        with pytest.raises(ConfigError, match="no sequence to draw"):
            replace(page, sequences={})

    def test_an_unknown_convention_lists_the_choices(self):
        with pytest.raises(UnknownNameError, match="neurological, radiological"):
            session_page(make_page(GRIDS["RAS"]), convention="surgical")


# --- the list of pages


class Cells(HTMLParser):
    """The text of every cell and the links, as a browser would read them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.rows: list[list[str]] = []
        self.inside = False
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")
            self.inside = True
        elif tag == "a":
            self.links.append(dict(attrs)["href"])

    def handle_data(self, data):
        if self.inside:
            self.rows[-1][-1] += data

    def handle_endtag(self, tag):
        if tag in ("td", "th"):
            self.inside = False


def rows() -> list[IndexRow]:
    return [
        IndexRow("P1", "week-000", "pages/P1/week-000.png", (), ("1400", "")),
        IndexRow("<script>", "a&b", "pages/x é#?.png", ("5 < 6", "second"), ("–", "0.9")),
        IndexRow("P2", "week-003", "", ("broken",), ("", "")),
    ]


def test_flagged_sessions_come_first_and_everything_is_escaped():
    text = session_index("Store <one>", ["note & note"], ("Brain", "Dice"), rows())
    found = Cells(text)
    assert "script" not in found.tags
    assert found.rows[0] == ["Session", "Flags", "Brain", "Dice"]
    assert found.rows[1] == ["<script> a&b", "5 < 6second", "–", "0.9"]
    assert found.rows[2][0] == "P2 week-003"
    assert found.rows[3] == ["P1 week-000", "", "1400", ""]
    assert found.links == ["pages/x%20%C3%A9%23%3F.png", "pages/P1/week-000.png"]
    assert text.count('class="flagged"') == 2
    assert "not a medical device" in text


def test_the_list_loads_nothing_from_elsewhere():
    text = session_index("Store", [], ("Brain", "Dice"), rows())
    assert "http" not in text
    assert not {"script", "link", "img", "iframe"} & set(Cells(text).tags)
