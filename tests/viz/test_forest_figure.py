from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from xrano.errors import ManifestError
from xrano.viz.forest_figure import forest_figure
from xrano.viz.forest_rows import ForestRow, value_limits

NAN = float("nan")
ROWS = [
    ForestRow(
        "majority class of each fold", "references", 0.25, 0.25, 0.25, 214, is_reference=True
    ),
    ForestRow(
        "gradient boosting, volumes and clinical data",
        "references",
        0.48,
        0.4,
        0.56,
        214,
        folds=(0.35, 0.41, 0.44, 0.5, 0.6),
        verdict="not resolved",
        is_reference=True,
    ),
    ForestRow("subtract", "1 subtraction", 0.41, 0.33, 0.49, 214, (0.4, 0.42), verdict="worse"),
    ForestRow("CT1", "2 sequences", 0.62, 0.54, 0.7, 221, (0.6, 0.64), (0.5, 0.7), "better"),
    ForestRow("vit", "3 architectures", NAN, NAN, NAN, 0, verdict="not comparable"),
    ForestRow("one patient", "3 architectures", 0.9, NAN, NAN, 7),
]


def lines(figure, label):
    return [line for line in figure.axes[0].lines if line.get_label() == label]


def words(figure) -> list[str]:
    return [text.get_text() for text in (*figure.texts, *figure.axes[0].texts)]


def test_values_intervals_seeds_and_folds_are_where_the_rows_say():
    figure = forest_figure(ROWS)
    (mark,) = lines(figure, "value CT1")
    (bar,) = lines(figure, "interval CT1")
    (seeds,) = lines(figure, "seeds CT1")
    (folds,) = lines(figure, "folds CT1")
    assert mark.get_xdata()[0] == 0.62
    assert list(bar.get_xdata()) == [0.54, 0.7]
    assert list(seeds.get_xdata()) == [0.6, 0.64]
    assert list(folds.get_xdata()) == [0.5, 0.7]
    # The axis points down: seeds above the mark, folds below it.
    assert seeds.get_ydata()[0] < mark.get_ydata()[0] < folds.get_ydata()[0]
    assert figure.axes[0].yaxis_inverted()


def test_rows_follow_each_other_from_the_top():
    figure = forest_figure(ROWS)
    places = [
        lines(figure, f"value {row.name}")[0].get_ydata()[0]
        for row in ROWS
        if not np.isnan(row.value)
    ]
    assert places == sorted(places)
    assert len(set(places)) == len(places)


def test_undefined_values_and_intervals_are_left_out():
    figure = forest_figure(ROWS)
    assert lines(figure, "value vit") == lines(figure, "interval vit") == []
    assert lines(figure, "interval one patient") == []
    assert len(lines(figure, "value one patient")) == 1
    said = words(figure)
    assert "–" in said
    assert "0.90 [–]" in said
    assert "nan" not in " ".join(said)


def test_chance_and_the_paper_are_named_lines():
    figure = forest_figure(ROWS)
    (chance,) = lines(figure, "chance")
    assert list(chance.get_xdata()) == [0.25, 0.25]
    (paper,) = [line for line in figure.axes[0].lines if str(line.get_label()).startswith("paper")]
    assert list(paper.get_xdata()) == [0.5096, 0.5096]
    said = " ".join(words(figure)).replace("\n", " ")
    assert "chance 0.25" in said
    assert "timepoint folds, checkpoint chosen on the test fold" in said


def test_of_two_classes_chance_is_a_half_and_the_paper_is_silent():
    figure = forest_figure(ROWS, n_classes=2, paper_line=False)
    assert lines(figure, "chance")[0].get_xdata()[0] == 0.5
    assert not any("paper" in text for text in words(figure))


def test_verdicts_are_words_and_references_squares():
    figure = forest_figure(ROWS)
    said = words(figure)
    for verdict in ("better", "worse", "not resolved", "not comparable"):
        assert said.count(verdict) == 1
    (square,) = lines(figure, "value majority class of each fold")
    (dot,) = lines(figure, "value subtract")
    assert (square.get_marker(), dot.get_marker()) == ("s", "o")
    assert square.get_color() != dot.get_color()


def test_nothing_overlaps_and_nothing_is_cut():
    long = replace(
        ROWS[3], name="a network whose name is far too long to stand on one or two lines"
    )
    figure = forest_figure([*ROWS[:3], long, *ROWS[4:]])
    FigureCanvasAgg(figure).draw()
    boxes = [text.get_window_extent() for text in (*figure.texts, *figure.axes[0].texts)]
    boxes.append(figure.axes[0].get_window_extent().padded(-2))
    for number, box in enumerate(boxes):
        assert box.x0 >= 0
        assert box.y0 >= 0
        assert box.x1 <= figure.bbox.width
        assert box.y1 <= figure.bbox.height
        assert not any(box.overlaps(other) for other in boxes[:number])


def test_it_is_two_columns_of_a_journal_wide():
    assert forest_figure(ROWS).get_figwidth() == pytest.approx(180 / 25.4, abs=0.01)
    assert forest_figure(ROWS).get_figheight() > forest_figure(ROWS[:2]).get_figheight()


def test_limits_hold_everything_within_reason():
    low, high = value_limits(ROWS, [0.25, 0.5096])
    assert 0.15 < low < 0.25
    assert 0.9 < high < 1
    low, high = value_limits([replace(ROWS[0], value=0.0, folds=(1.0,))], [0.25])
    assert (low, high) == (-0.02, 1.02)


def test_rows_without_an_approach_have_no_heading():
    plain = [replace(row, approach="") for row in ROWS[:2]]
    assert "references" not in words(forest_figure(plain))
    assert "references" in words(forest_figure(ROWS[:2]))


def test_nothing_to_draw_and_percentages_are_refused():
    with pytest.raises(ManifestError, match="at least one arm"):
        forest_figure([])
    with pytest.raises(ManifestError, match="subtract has 41"):
        forest_figure([replace(ROWS[2], value=41.0)])
