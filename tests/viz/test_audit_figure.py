from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from xrano.errors import ManifestError
from xrano.viz.audit_figure import AuditMark, audit_figure, sorted_scores

NAN = float("nan")
PANELS = {"all": "all lesions\n8 honest, 16 cheats", "small": "core < 6.0 ml\n8 honest, 16 cheats"}
MARKS = [
    AuditMark("all", "pointing game", "saliency", 0.6, 0.45, 0.75),
    AuditMark("all", "relevance mass, gain", "saliency", 0.95, 0.9, 1.0, True, True),
    AuditMark("all", "relevance mass, gain", "gradcam", 0.4, 0.3, 0.5),
    AuditMark("small", "relevance mass, gain", "saliency", 0.8, 0.7, 0.9, True, True),
    AuditMark("small", "pointing game", "gradcam", NAN, NAN, NAN),
    AuditMark("small", "pointing game", "saliency", 0.5, NAN, NAN),
]


def lines(ax, label):
    return [line for line in ax.lines if line.get_label() == label]


def test_every_value_and_interval_is_where_the_marks_say():
    figure = audit_figure(MARKS, panels=PANELS)
    assert [ax.get_label() for ax in figure.axes] == ["all", "small"]
    for mark in MARKS:
        (ax,) = (ax for ax in figure.axes if ax.get_label() == mark.panel)
        name = f"{mark.method} {mark.score}"
        values, bars = lines(ax, f"value {name}"), lines(ax, f"interval {name}")
        assert len(values) == (0 if np.isnan(mark.value) else 1)
        assert len(bars) == (0 if np.isnan(mark.low) else 1)
        if values:
            assert values[0].get_xdata()[0] == mark.value
        if bars:
            assert list(bars[0].get_xdata()) == [mark.low, mark.high]
            assert bars[0].get_ydata()[0] == values[0].get_ydata()[0]


def test_scores_are_sorted_by_the_best_method_of_the_first_panel():
    assert sorted_scores(MARKS, "all") == ["relevance mass, gain", "pointing game"]
    worse = [replace(mark, value=0.1) if mark.headline else mark for mark in MARKS]
    assert sorted_scores(worse, "all") == ["pointing game", "relevance mass, gain"]
    ax = audit_figure(MARKS, panels=PANELS).axes[0]
    first, second = (
        lines(ax, f"value saliency {score}")[0].get_ydata()[0]
        for score in ("relevance mass, gain", "pointing game")
    )
    # The axis points down.
    assert ax.yaxis_inverted()
    assert first < second


def test_methods_of_one_score_lie_beside_each_other_in_their_own_colour_and_shape():
    ax = audit_figure(MARKS, panels=PANELS).axes[0]
    (one,) = lines(ax, "value saliency relevance mass, gain")
    (two,) = lines(ax, "value gradcam relevance mass, gain")
    assert one.get_ydata()[0] != two.get_ydata()[0]
    assert one.get_marker() != two.get_marker()
    assert one.get_markeredgecolor() != two.get_markeredgecolor()


def test_trusted_marks_are_filled_and_the_headline_is_ringed_and_bold():
    ax = audit_figure(MARKS, panels=PANELS).axes[0]
    (trusted,) = lines(ax, "value saliency relevance mass, gain")
    (other,) = lines(ax, "value saliency pointing game")
    assert trusted.get_markerfacecolor() != "white"
    assert other.get_markerfacecolor() == "white"
    assert len(lines(ax, "headline saliency relevance mass, gain")) == 1
    assert not lines(ax, "headline saliency pointing game")
    weights = {text.get_text(): text.get_fontweight() for text in ax.texts}
    assert weights == {"relevance mass, gain": "bold", "pointing game": "normal"}


def test_chance_is_drawn_in_every_panel_and_the_note_below():
    figure = audit_figure(MARKS, panels=PANELS, note="Quick form.")
    for ax in figure.axes:
        (chance,) = lines(ax, "chance")
        assert list(chance.get_xdata()) == [0.5, 0.5]
    assert "Quick form." in " ".join(text.get_text() for text in figure.texts)
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["Saliency", "Grad-CAM"]


@pytest.mark.parametrize("count", [1, 2, 6, 7])
def test_no_words_are_cut_or_meet_whatever_the_number_of_panels(count):
    panels = {f"kind {n}": f"texture\n8 honest, {n} cheats" for n in range(count)}
    marks = [replace(mark, panel=name) for name in panels for mark in MARKS]
    figure = audit_figure(marks, panels=panels, note="Quick form: a sign, no finding.")
    renderer = FigureCanvasAgg(figure).get_renderer()
    frame = figure.bbox
    boxes = [text.get_window_extent(renderer) for ax in figure.axes for text in ax.texts]
    boxes += [text.get_window_extent(renderer) for text in figure.texts]
    titles = [ax._left_title.get_window_extent(renderer) for ax in figure.axes]
    for box in [*boxes, *titles]:
        assert box.x0 >= frame.x0
        assert box.x1 <= frame.x1 + 1
        assert box.y0 >= frame.y0
    for left, right in pairwise(titles):
        assert left.x1 <= right.x0


def test_marks_that_cannot_be_drawn_are_refused():
    with pytest.raises(ManifestError, match="at least one score"):
        audit_figure([], panels=PANELS)
    with pytest.raises(ManifestError, match="panel 'large'"):
        audit_figure([replace(MARKS[0], panel="large")], panels=PANELS)
    with pytest.raises(ManifestError, match="from 0 to 1"):
        audit_figure([replace(MARKS[0], value=1.2)], panels=PANELS)
