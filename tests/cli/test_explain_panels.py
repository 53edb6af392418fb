"""What xrano explain draws: layouts, slices, scales, widths and formats."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from xrano.cli.main import main
from xrano.experiments import explained_pairs, method_comparison
from xrano.training.run import Run


@pytest.fixture
def figures(monkeypatch):
    """The figures that are saved as panels, in their order."""
    seen = []
    save = explained_pairs.save_figure

    def spy(figure, path, *args, **kwargs):
        seen.append(figure)
        return save(figure, path, *args, **kwargs)

    monkeypatch.setattr(explained_pairs, "save_figure", spy)
    return seen


def explain(run: Run, out: Path, *options: str, pairs: int = 1) -> int:
    names = list(run.predictions["pair_id"].iloc[:pairs])
    return main(["explain", str(run.root), "--pair", *names, "--out", str(out), *options])


def maps_of(figure):
    return [ax for ax in figure.axes if str(ax.get_label()).startswith("map")]


def words_of(figure) -> str:
    said = [text.get_text() for ax in figure.axes for text in (*ax.texts, ax.title)]
    return "\n".join([*said, *(text.get_text() for text in figure.texts)])


def test_every_class_of_every_method_in_all_forms_for_a_journals_page(tiny_run, tmp_path, figures):
    options = ["--methods", "saliency", "gradcam", "--target", "all", "--maps", "none"]
    options += ["--format", "png", "svg", "pdf", "--width", "double"]
    assert explain(tiny_run, tmp_path, *options) == 0
    (figure,) = figures
    assert len(maps_of(figure)) == 8
    assert len({round(ax.get_position().y0, 3) for ax in maps_of(figure)}) == 2
    name = tiny_run.predictions["pair_id"].iloc[0]
    found = sorted(path.name for path in (tmp_path / "panels").iterdir())
    assert found == sorted(f"{name}.{form}" for form in ("png", "svg", "pdf"))
    with Image.open(tmp_path / "panels" / f"{name}.png") as image:
        assert image.width == pytest.approx(183 / 25.4 * 300, abs=2)


def test_signed_colours_threshold_percentile_timepoints_and_mosaic(tiny_run, tmp_path, figures):
    options = ["--methods", "saliency", "--maps", "none", "--rectification", "none"]
    options += ["--threshold", "0.35", "--percentile", "98", "--timepoints", "apart"]
    assert explain(tiny_run, tmp_path, *options) == 0
    assert explain(tiny_run, tmp_path, *options, "--slice-by", "mosaic", "--slices", "3") == 0
    apart, mosaic = figures
    assert len(maps_of(apart)) == 2
    for ax in maps_of(apart):
        low, high = next(im for im in ax.images if im.get_label() == "colour").get_clim()
        assert -low == high > 0
    assert "98th percentile" in words_of(apart)
    bar = next(ax for ax in apart.axes if ax.get_label() == "colour bar 2")
    cuts = np.array([line.get_xdata()[0] for line in bar.lines])
    assert cuts == pytest.approx([-0.35 * high, 0.35 * high])
    assert 2 <= len(maps_of(mosaic)) / 2 <= 3
    assert "every" in words_of(mosaic)


def test_methods_are_compared_on_several_pairs(tiny_run, tmp_path, monkeypatch, capsys):
    seen = []
    draw = method_comparison.comparison_figure

    def spy(cases, **options):
        seen.append(draw(cases, **options))
        return seen[-1]

    monkeypatch.setattr(method_comparison, "comparison_figure", spy)
    options = ["--methods", "saliency", "gradcam", "--layout", "comparison", "--format", "svg"]
    assert explain(tiny_run, tmp_path, *options, "--planes", "coronal", pairs=2) == 0
    (figure,) = seen
    assert len(maps_of(figure)) == 4
    assert all("coronal" in str(ax.get_label()) for ax in maps_of(figure))
    for name in tiny_run.predictions["pair_id"].iloc[:2]:
        assert name in words_of(figure)
    names = sorted(path.name for path in (tmp_path / "panels").iterdir())
    assert names == ["comparison.png", "comparison.svg"]
    said = capsys.readouterr().out
    assert str(tmp_path / "panels" / "comparison.svg") in said
    assert list((tmp_path / "maps").rglob("*.nii.gz"))


def test_another_width_makes_the_panel_anew_and_the_same_does_not(tiny_run, tmp_path, figures):
    options = ["--methods", "gradcam", "--maps", "none"]
    for width, made in (("screen", 1), ("screen", 1), ("middle", 2)):
        assert explain(tiny_run, tmp_path, *options, "--width", width) == 0
        assert len(figures) == made
    assert figures[1].get_figwidth() * 25.4 == pytest.approx(120)
    record = json.loads(next((tmp_path / "explanations").iterdir()).read_text(encoding="utf-8"))
    assert record["panel"]["width"] == "middle"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--threshold", "1"], "share of the scale in [0, 1)"),
        (["--percentile", "0"], "the percentile lies in (0, 100]"),
        (["--slice-by", "mosaic", "--planes", "axial", "coronal"], "a mosaic has one plane"),
        (["--slice-by", "mosaic", "--slices", "99"], "1 to 24 slices"),
        (["--layout", "comparison", "--target", "all"], "methods are compared for one target"),
        (["--layout", "comparison", "--planes", "axial", "coronal"], "has one plane"),
        (["--layout", "comparison", "--slice-by", "mosaic"], "not on a mosaic"),
    ],
)
def test_what_cannot_be_drawn_is_told_before_anything_is_explained(
    tiny_run, tmp_path, capsys, monkeypatch, options, words
):
    def never(*_, **__):
        raise AssertionError("explained")

    monkeypatch.setattr("xrano.explain.Explainer.explain", never)
    assert explain(tiny_run, tmp_path, "--methods", "saliency", *options) != 0
    said = capsys.readouterr().err
    assert words in said
    assert not list(tmp_path.rglob("*.png"))


def test_a_comparison_is_of_named_pairs(tiny_run, tmp_path, capsys):
    for given in (["--all"], ["--prior", str(tmp_path), "--current", str(tmp_path)]):
        command = ["explain", str(tiny_run.root), *given, "--out", str(tmp_path / "out")]
        assert main([*command, "--layout", "comparison"]) != 0
        assert "by --pair" in capsys.readouterr().err
