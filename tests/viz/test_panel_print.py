"""Widths of a journal's columns, and files that can be searched, set and made again."""

from __future__ import annotations

import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from panel_cases import GRIDS, NAMES, cam, make_case, texts, voxel_map
from PIL import Image

from xrano.errors import ConfigError, UnknownNameError
from xrano.viz.comparison_figure import comparison_figure
from xrano.viz.figure_files import SMALLEST_TEXT, save_figure, width_inches
from xrano.viz.panel import case_panel

CLASSES = ("CR", "PR", "SD", "PD")
WIDTHS = {"single": 89, "middle": 120, "double": 183}


def panel(kind, width):
    grid = GRIDS["LAS"]
    case = make_case(grid)
    if kind == "grid":
        maps = [voxel_map(grid, "ig", baseline="prior", target_name=t) for t in CLASSES]
        maps += [cam(target_name=t, weights="untrained") for t in CLASSES]
        return case_panel(case, maps, width=width)
    maps = [voxel_map(grid), cam(), voxel_map(grid, "ig", baseline="prior")]
    if kind == "comparison":
        return comparison_figure([(case, maps), (case, maps)], width=width)
    if kind == "mosaic":
        return case_panel(case, maps, slice_by="mosaic", slices=4, width=width)
    if kind == "planes":
        return case_panel(case, maps, planes=("axial", "coronal", "sagittal"), width=width)
    return case_panel(case, maps, width=width)


KINDS = ("flow", "grid", "planes", "mosaic", "comparison")


@pytest.mark.parametrize(
    ("kind", "width"),
    # Six pictures in a row are refused in a single column.
    [
        *((kind, "single") for kind in KINDS if kind != "planes"),
        *((kind, None) for kind in KINDS),
        ("planes", "double"),
        ("grid", "double"),
    ],
)
def test_text_is_legible_and_lies_on_nothing(kind, width):
    figure = panel(kind, width)
    if width is not None:
        assert figure.get_figwidth() * 25.4 == pytest.approx(WIDTHS[width], abs=0.1)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    shown = [text for text in figure.findobj(Text) if text.get_text() and text.get_visible()]
    assert min(text.get_fontsize() for text in shown) >= 5.5
    page = figure.bbox
    point = figure.dpi / 72
    boxes = {}
    for ax in figure.axes:
        if not ax.texts:
            boxes[f"{ax.get_label()}"] = ax.get_tightbbox().padded(-point)
            continue
        boxes[f"{ax.get_label()}"] = ax.get_window_extent().padded(-point)
        inside = [text for text in ax.texts if len(text.get_text()) > 1]
        letters = [text for text in ax.texts if len(text.get_text()) == 1]
        for text in inside:
            box = text.get_window_extent()
            assert box.x0 >= ax.bbox.x0 - point, text.get_text()
            assert box.x1 <= ax.bbox.x1 + point, text.get_text()
            others = [other for other in letters if other.get_text() in "PI"]
            assert not any(box.overlaps(other.get_window_extent()) for other in others)
    for number, text in enumerate(figure.texts):
        boxes[f"{number}: {text.get_text()}"] = text.get_window_extent().padded(-0.3 * point)
    names = list(boxes)
    for number, name in enumerate(names):
        box = boxes[name]
        assert box.x0 >= -1, name
        assert box.y0 >= -1, name
        assert box.x1 <= page.width + 1, name
        assert box.y1 <= page.height + 1, name
        overlapping = [other for other in names[:number] if box.overlaps(boxes[other])]
        assert not overlapping, (name, overlapping)


def test_pictures_fill_the_width_and_are_printed_at_300_pixels_an_inch(tmp_path):
    figure = panel("flow", "single")
    edges = [ax.get_position() for ax in figure.axes if "axial" in str(ax.get_label())]
    assert max(box.x1 for box in edges) - min(box.x0 for box in edges) > 0.9
    save_figure(figure, tmp_path / "panel.png")
    with Image.open(tmp_path / "panel.png") as image:
        assert image.width == pytest.approx(89 / 25.4 * 300, abs=2)


@pytest.mark.parametrize(
    ("width", "error", "words"),
    [
        ("wide", UnknownNameError, "double, middle, single"),
        (3.5, ConfigError, "40 to 1000 mm wide, got 3.5"),
        (float("nan"), ConfigError, "40 to 1000 mm"),
    ],
)
def test_widths_that_are_none(width, error, words, tmp_path):
    with pytest.raises(error, match=words):
        panel("flow", width)
    with pytest.raises(error, match=words):
        save_figure(Figure(), tmp_path / "one.png", width=width)


def test_too_many_columns_for_a_width_are_refused():
    grid = GRIDS["LAS"]
    maps = [voxel_map(grid, target_name=f"class {n}") for n in range(9)]
    with pytest.raises(ConfigError, match="9 pictures in a row do not fit into 89 mm"):
        case_panel(make_case(grid), maps, width="single")
    with pytest.raises(ConfigError, match="6 pictures in a row do not fit into 89 mm"):
        panel("planes", "single")


class TestAnyFigure:
    def make(self) -> Figure:
        figure = Figure(figsize=(12, 5))
        ax = figure.add_subplot()
        ax.plot([0, 1], [2, 5], linewidth=4)
        ax.set_title("large", fontsize=20)
        ax.text(0.5, 3, "small", fontsize=7)
        return figure

    def test_is_printed_at_the_width_of_a_column_and_left_as_it_was(self, tmp_path):
        figure = self.make()
        before = [(text, text.get_fontsize()) for text in figure.findobj(Text)]
        seen = {}

        class Spy(Figure):
            pass

        save = figure.savefig

        def spy(*args, **kwargs):
            ax = figure.axes[0]
            seen.update(title=ax.title.get_fontsize(), small=ax.texts[0].get_fontsize())
            seen.update(line=ax.lines[0].get_linewidth())
            return save(*args, **kwargs)

        figure.savefig = spy
        save_figure(figure, tmp_path / "one.png", width="single")
        with Image.open(tmp_path / "one.png") as image:
            assert image.width == pytest.approx(89 / 25.4 * 300, abs=2)
            assert image.height / image.width == pytest.approx(5 / 12, rel=0.01)
        factor = width_inches("single") / 12
        assert seen["title"] == pytest.approx(20 * factor)
        assert seen["small"] == SMALLEST_TEXT
        assert seen["line"] == pytest.approx(4 * factor)
        assert tuple(figure.get_size_inches()) == (12, 5)
        assert [(text, text.get_fontsize()) for text in figure.findobj(Text)] == before
        assert figure.axes[0].lines[0].get_linewidth() == 4

    def test_is_left_as_it_was_where_it_cannot_be_written(self, tmp_path):
        figure = self.make()
        (tmp_path / "file").write_text("")
        with pytest.raises(OSError, match="file"):
            save_figure(figure, tmp_path / "file" / "one.png", width="single")
        assert tuple(figure.get_size_inches()) == (12, 5)
        assert figure.axes[0].title.get_fontsize() == 20

    def test_on_the_screen_as_before(self, tmp_path):
        save_figure(self.make(), tmp_path / "one.png")
        with Image.open(tmp_path / "one.png") as image:
            assert image.size == (1800, 750)


class TestText:
    def test_svg_holds_every_word_as_text(self, tmp_path):
        pair = "Patient <7> & $x_1$_week-0"
        figure = case_panel(make_case(GRIDS["LAS"], pair_id=pair), [voxel_map(GRIDS["LAS"])])
        save_figure(figure, tmp_path / "panel.svg")
        found = [
            "".join(one.itertext()).strip()
            for one in ET.parse(tmp_path / "panel.svg").iter("{http://www.w3.org/2000/svg}text")
        ]
        for line in texts(figure).split("\n"):
            assert any(line.strip() in one for one in found), line
        assert pair in found
        assert found.count("L") == found.count("R") == 4

    def test_pdf_holds_fonts_that_can_be_edited_and_no_date(self, tmp_path):
        save_figure(panel("flow", "single"), tmp_path / "panel.pdf")
        data = (tmp_path / "panel.pdf").read_bytes()
        assert b"/CIDFontType2" in data
        assert b"/Type3" not in data
        assert b"CreationDate" not in data


SCRIPT = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from panel_cases import GRIDS, cam, make_case, voxel_map
from xrano.viz.figure_files import save_figure
from xrano.viz.panel import case_panel
grid = GRIDS["LAS"]
figure = case_panel(make_case(grid, pair_id="Żółw 患"), [voxel_map(grid), cam()], width="single")
for suffix in ("png", "svg", "pdf"):
    save_figure(figure, Path(sys.argv[2]) / f"panel.{suffix}")
assert "matplotlib.pyplot" not in sys.modules
"""


def test_another_process_without_a_display_makes_the_same_bytes(tmp_path):
    """Whatever the hash seed, the backend asked for and the time that the system claims."""
    for seed in ("1", "2"):
        (tmp_path / seed).mkdir()
        environment = {name: value for name, value in os.environ.items() if name != "DISPLAY"}
        environment |= {
            "PYTHONHASHSEED": seed,
            "MPLBACKEND": "TkAgg",
            "PYTHONWARNINGS": "error::UserWarning",
        }
        environment |= {"SOURCE_DATE_EPOCH": str(86400 * int(seed))}
        here = str(Path(__file__).parent)
        subprocess.run(
            [sys.executable, "-c", SCRIPT, here, str(tmp_path / seed)],
            env=environment,
            check=True,
            timeout=200,
        )
    for suffix in ("png", "svg", "pdf"):
        one, two = ((tmp_path / seed / f"panel.{suffix}").read_bytes() for seed in ("1", "2"))
        assert one == two, suffix
        assert len(one) > 10_000


def test_names_are_those_of_the_case():
    assert NAMES["pair_id"] in texts(panel("flow", "middle"))
    assert np.isclose(width_inches("middle") * 25.4, 120)
