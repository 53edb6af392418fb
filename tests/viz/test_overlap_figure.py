from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from xrano.errors import ManifestError
from xrano.viz.overlap_figure import axis_limits, counts_text, method_colours, primary_figure

METHODS = ("saliency", "gradcam", "ig:zero", "change")


def make_table(**cells) -> pd.DataFrame:
    """Two responses and four methods; ``cells`` overrides columns of the first row."""
    rows = []
    for response, patients in (("CR", 7), ("PD", 21)):
        for number, method in enumerate(METHODS):
            lift = 1.5 + number
            rows.append(
                {
                    "response": response,
                    "method": method,
                    "lift": lift,
                    "lift_low": lift - 0.75,
                    "lift_high": lift + 0.5,
                    "gain": np.nan if method == "change" else lift - 1,
                    "gain_low": np.nan if method == "change" else lift - 1.25,
                    "gain_high": np.nan if method == "change" else lift,
                    "n_patients": patients,
                    "n_pairs": 2 * patients,
                    "n_undefined": 3 if response == "CR" else 0,
                    "descriptive": patients < 10,
                }
            )
    table = pd.DataFrame(rows)
    for name, value in cells.items():
        table.loc[0, name] = value
    return table


def lines(figure, name, label):
    (ax,) = (one for one in figure.axes if one.get_label() == name)
    return [line for line in ax.lines if line.get_label() == label]


def words(figure) -> str:
    found = [text.get_text() for text in figure.texts]
    for ax in figure.axes:
        found += [text.get_text() for text in (*ax.texts, *ax.get_yticklabels())]
    return "\n".join(found)


def test_values_and_intervals_are_where_the_table_says():
    figure = primary_figure(make_table())
    for response in ("CR", "PD"):
        for number, method in enumerate(METHODS):
            (dot,) = lines(figure, f"lift {response}", f"dot {method}")
            assert np.ravel(dot.get_data()).tolist() == [1.5 + number, number]
            (interval,) = lines(figure, f"lift {response}", f"interval {method}")
            assert interval.get_xdata().tolist() == [0.75 + number, 2.0 + number]


def test_a_missing_gain_is_left_out():
    figure = primary_figure(make_table())
    assert lines(figure, "gain PD", "dot change") == []
    assert lines(figure, "gain PD", "interval change") == []
    assert lines(figure, "gain PD", "arrow") == []
    assert len(lines(figure, "gain PD", "dot saliency")) == 1


def test_descriptive_rows_are_hollow():
    figure = primary_figure(make_table())
    (hollow,) = lines(figure, "lift CR", "dot gradcam")
    (full,) = lines(figure, "lift PD", "dot gradcam")
    assert hollow.get_markerfacecolor() == "white"
    assert full.get_markerfacecolor() == full.get_markeredgecolor() == hollow.get_markeredgecolor()


@pytest.mark.parametrize(("value", "edge"), [(-np.inf, 0), (np.inf, 1)])
def test_infinite_values_are_arrows_at_the_edge(value, edge):
    figure = primary_figure(make_table(lift=value, lift_low=np.nan, lift_high=np.nan))
    assert lines(figure, "lift CR", "dot saliency") == []
    (arrow,) = lines(figure, "lift CR", "arrow")
    ax = arrow.axes
    assert arrow.get_xdata()[0] == ax.get_xlim()[edge]
    assert arrow.get_marker() == "<>"[edge]
    FigureCanvasAgg(figure).draw()


def test_an_interval_that_reaches_infinity_ends_in_an_arrow():
    figure = primary_figure(make_table(lift_low=-np.inf))
    (interval,) = lines(figure, "lift CR", "interval saliency")
    (arrow,) = lines(figure, "lift CR", "arrow")
    assert interval.get_xdata()[0] == arrow.get_xdata()[0] == arrow.axes.get_xlim()[0]
    assert interval.get_xdata()[1] == 2.0
    assert len(lines(figure, "lift CR", "dot saliency")) == 1


def test_zero_is_in_every_axis_and_named():
    low, high = axis_limits(make_table(), "lift")
    assert low < 0
    assert high > 5.0
    assert axis_limits(make_table(gain=-9.0), "gain")[0] < -9
    said = words(primary_figure(make_table()))
    assert "chance" in said
    assert "untrained network" in said


def test_people_read_names_and_counts():
    said = words(primary_figure(make_table()))
    assert "Integrated gradients, zero" in said
    assert "|current − prior|" in said
    assert "7 patients, 14 pairs, 3 undefined" in said
    assert "21 patients, 42 pairs\n" in said
    row = {"n_patients": 1.0, "n_pairs": 1, "n_undefined": 0}
    assert counts_text(row) == "1 patient, 1 pair"


def test_references_are_grey_and_networks_differ():
    grey = method_colours(["mask@features", "input_difference:zero", "saliency"])
    assert grey["mask@features"] == grey["input_difference:zero"] == grey["change"]
    assert grey["saliency"] != grey["change"]
    colours = method_colours(["change", "saliency", "gradcam", "saliency"])
    assert len(set(colours.values())) == 3
    assert method_colours(["saliency"])["change"] == colours["change"]


def test_nothing_overlaps():
    table = make_table(lift=-np.inf)
    table = table.replace({"CR": "unrated", "ig:zero": "ig:brain_mean"})
    table["n_undefined"] = 12
    figure = primary_figure(table)
    FigureCanvasAgg(figure).draw()
    boxes = [text.get_window_extent() for text in figure.texts]
    for ax in figure.axes:
        boxes += [text.get_window_extent() for text in (*ax.texts, *ax.get_yticklabels())]
        boxes.append(ax.get_window_extent().padded(-2))
    for number, box in enumerate(boxes):
        assert box.x0 >= 0
        assert box.x1 <= figure.bbox.width
        assert not any(box.overlaps(other) for other in boxes[:number])


def test_all_infinite_or_missing_still_draws():
    table = make_table()
    table[["lift", "lift_low", "lift_high"]] = -np.inf
    known = primary_figure(table)
    table[["gain", "gain_low", "gain_high"]] = np.nan
    figure = primary_figure(table)
    FigureCanvasAgg(figure).draw()
    for drawn, expected in ((known, False), (figure, True)):
        said = " ".join(text.get_text() for text in drawn.texts)
        assert ("not measured" in said) == expected


@pytest.mark.parametrize("table", [make_table().iloc[:0], make_table().drop(columns="lift_low")])
def test_a_table_without_rows_or_columns_is_refused(table):
    with pytest.raises(ManifestError, match="lift_low"):
        primary_figure(table)
