import matplotlib
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from xrano.viz.words import panel_style, printable, width_points, wrapped

TEXTS = (
    "Integrated gradients",
    "Patient-0000000000000000000000000000000000042_week-000-1_week-012",
    "x" * 300,
    "p = 1.00, predicted, true response",
    "one\ntwo lines",
    "Grad-CAM, cells 34 × 34 × 39 mm",
)


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("width", [40.0, 77.0, 300.0])
def test_lines_fit_and_nothing_is_lost(text, width):
    lines = wrapped(text, width, 6.0)
    assert "".join(lines).replace(" ", "") == text.replace("\n", "").replace(" ", "")
    assert all(width_points(line, 6.0) <= width for line in lines)
    assert all(line == line.strip() and line for line in lines)
    # No line could have taken the first letter of the next and its word with it.
    assert len(lines) <= 2 + 2.5 * width_points(text.replace("\n", ""), 6.0) / width


def test_a_number_stays_with_its_unit():
    lines = wrapped("Grad-CAM, cells 32 mm", width_points("Grad-CAM, cells 32 m", 9), 9)
    assert lines == ["Grad-CAM, cells", "32 mm"]


def test_an_empty_text_is_one_empty_line():
    assert wrapped("", 50, 9) == [""]


@pytest.mark.parametrize("weight", ["normal", "bold"])
def test_widths_are_those_that_are_drawn(weight):
    figure = Figure(dpi=300)
    with panel_style():
        drawn = figure.text(0, 0, "Patient_7 <$x$>", fontsize=9, fontweight=weight)
    expected = drawn.get_window_extent(FigureCanvasAgg(figure).get_renderer()).width * 72 / 300
    assert width_points("Patient_7 <$x$>", 9, weight) == pytest.approx(expected, rel=0.03)


def test_what_the_font_lacks_is_written_out():
    assert printable("<b>$x_1$ & Жé№") == "<b>$x_1$ & Жé№"
    assert printable("患者") == r"\u60a3\u8005"
    assert printable("a\tb\x00") == r"a\tb\x00"


def test_a_users_settings_stay_as_they_are():
    with matplotlib.rc_context({"font.size": 31, "text.parse_math": True}):
        with panel_style():
            assert matplotlib.rcParams["text.parse_math"] is False
            assert matplotlib.rcParams["font.size"] == 10
        assert matplotlib.rcParams["font.size"] == 31
        assert matplotlib.rcParams["text.parse_math"] is True
