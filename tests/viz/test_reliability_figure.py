from __future__ import annotations

from dataclasses import asdict, fields

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from xrano.errors import ManifestError
from xrano.evaluation.calibration import Bin, reliability_bins
from xrano.viz.reliability_figure import ReliabilityBin, reliability_figure

BINS = [
    ReliabilityBin(0.2, 0.3, 4, 0.28, 1.0),
    ReliabilityBin(0.5, 0.6, 120, 0.55, 0.5),
    ReliabilityBin(0.9, 1.0, 30, 0.96, 0.7),
]


def axes(figure, name):
    (found,) = (ax for ax in figure.axes if ax.get_label() == name)
    return found


def words(figure) -> str:
    found = [text.get_text() for text in figure.texts]
    return "\n".join(found + [text.get_text() for ax in figure.axes for text in ax.texts])


def test_bins_are_where_they_say():
    figure = reliability_figure(BINS)
    above = axes(figure, "accuracy")
    (line,) = (one for one in above.lines if one.get_label() == "bins")
    np.testing.assert_array_equal(line.get_xydata(), [(0.28, 1.0), (0.55, 0.5), (0.96, 0.7)])
    gaps = [one.get_ydata().tolist() for one in above.lines if one.get_label() == "gap"]
    assert gaps == [[0.28, 1.0], [0.55, 0.5], [0.96, 0.7]]
    bars = axes(figure, "counts").patches
    assert [bar.get_height() for bar in bars] == [4, 120, 30]
    assert [bar.get_x() for bar in bars] == pytest.approx([0.2, 0.5, 0.9])
    assert above.get_xlim() == axes(figure, "counts").get_xlim() == (0, 1)


def test_counts_and_errors_are_written():
    said = words(reliability_figure(BINS, title="siamese", error=0.123, error_if_calibrated=0.04))
    assert "siamese" in said
    assert "ECE 0.12 (0.04 if calibrated)" in said
    assert all(str(count) in said.splitlines() for count in (4, 120, 30))
    assert "ECE" not in words(reliability_figure(BINS))


def test_bins_of_few_are_hollow_and_it_is_said():
    figure = reliability_figure(BINS)
    marks = [one for one in axes(figure, "accuracy").lines if one.get_label() == "bin"]
    fills = [mark.get_markerfacecolor() for mark in marks]
    assert fills[0] == "white"
    assert fills[1] == fills[2] == marks[0].get_markeredgecolor()
    assert "hollow: fewer than 10" in words(figure)
    assert "hollow" not in words(reliability_figure(BINS[1:]))


def test_bins_of_the_evaluation_fit():
    rng = np.random.default_rng(0)
    confidence = rng.uniform(0.25, 1, 90)
    bins = reliability_bins(confidence, rng.random(90) < confidence, binning="mass")
    drawn = [ReliabilityBin(**asdict(item)) for item in bins]
    assert [field.name for field in fields(Bin)] == [field.name for field in fields(ReliabilityBin)]
    assert len(axes(reliability_figure(drawn), "counts").patches) == len(bins)


def test_nothing_is_cut_and_the_words_stay_apart():
    figure = reliability_figure(
        [ReliabilityBin(k / 10, (k + 1) / 10, 1000 + k, k / 10 + 0.05, 0.5) for k in range(10)],
        title="an arm with a name",
        error=0.5,
        error_if_calibrated=0.25,
    )
    FigureCanvasAgg(figure).draw()
    boxes = [text.get_window_extent() for text in figure.texts]
    boxes += [text.get_window_extent() for ax in figure.axes for text in ax.texts]
    boxes += [
        label.get_window_extent()
        for ax in figure.axes
        for label in (ax.xaxis.label, ax.yaxis.label)
        if label.get_text()
    ]
    for number, box in enumerate(boxes):
        assert box.x0 >= 0
        assert box.y0 >= 0
        assert box.x1 <= figure.bbox.width
        assert box.y1 <= figure.bbox.height
        assert not any(box.overlaps(other) for other in boxes[:number])
    assert figure.get_figwidth() == pytest.approx(89 / 25.4, abs=0.01)


def test_bins_without_predictions_are_refused():
    with pytest.raises(ManifestError, match="got 0 bins"):
        reliability_figure([])
    with pytest.raises(ManifestError, match="each hold a prediction"):
        reliability_figure([ReliabilityBin(0, 1, 0, 0.5, 0.5)])
