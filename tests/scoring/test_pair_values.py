"""A score table as arrays: what qualifies, what each row counts as, and what is refused."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from made_scores import cohort, own, row

from xrano.errors import ManifestError, UnknownNameError
from xrano.scoring.pair_values import NO_ROW, OK, STATUSES, pair_values
from xrano.scoring.score_table import score_table


def values_of(*rows, **options):
    return pair_values(score_table(rows), **options)


def cell(values, **words):
    found = own(values.cells, **words)
    assert len(found) == 1, found
    return int(found.index[0])


def test_every_qualifying_row_stands_where_its_words_say():
    table = cohort()
    values = pair_values(table)
    pair_at = {name: at for at, name in enumerate(values.pairs["pair_id"])}
    kept = table[
        (table["lesion"] == "all")
        & (table["segmentation_source"] != "")
        & (table["rectification"] != "negative")
        & ~table["spans_surgery"]
        & ~table["weights"].str.startswith("random")
    ]
    assert (values.status[values.cells["kind"] != "copies"] != NO_ROW).sum() == len(kept)
    for _, one in kept.sample(150, random_state=0).iterrows():
        at = cell(
            values,
            method=one["method"],
            target_choice=one["target_choice"] or "none",
            segmentation_source=one["segmentation_source"],
            region=one["region"],
            metric=one["metric"],
        )
        pair = pair_at[one["pair_id"]]
        assert STATUSES[values.status[at, pair]] == one["status"]
        np.testing.assert_equal(values.value[at, pair], one["value"])
        np.testing.assert_equal(values.chance[at, pair], one["chance"])


def test_what_does_not_count():
    values = values_of(
        row("A", 1, 0.4),
        row("B", 1, 0.4, spans_surgery=True),
        row("C", 1, 0.4, lesion="2"),
        row("D", 1, 0.4, rectification="positive"),
        row("E", 1, 0.4, method="gradcam", layer="features"),
        row("F", 1, 0.4, metric="auroc"),
        row("G", 1, 0.4, segmentation_source="", region="", metric="entropy"),
    )
    assert values.pairs["pair_id"].tolist() == ["A_1"]
    assert values.value.tolist() == [[0.4]]


def test_other_metrics_when_asked_for():
    rows = [row("A", 1, 0.4), row("A", 1, 0.7, metric="auroc")]
    values = values_of(*rows, metrics=("auroc",))
    assert values.cells["metric"].tolist() == ["auroc"]
    with pytest.raises(UnknownNameError, match="entropy"):
        values_of(*rows, metrics=("entropy",))


def test_all_targets_count_as_predicted_response_and_by_name():
    rows = [
        row("A", 1, value, target=name, target_choice="all", response="CR", predicted="SD")
        for name, value in (("CR", 0.1), ("PR", 0.2), ("SD", 0.3), ("PD", 0.4))
    ]
    values = values_of(*rows)
    found = {
        name: values.value[cell(values, target_choice=name), 0]
        for name in values.cells["target_choice"]
    }
    assert found == {
        "predicted": 0.3,
        "response": 0.1,
        "CR": 0.1,
        "PR": 0.2,
        "SD": 0.3,
        "PD": 0.4,
    }


def test_an_unrated_pair_has_no_target_that_is_its_response():
    rows = [
        row("A", 1, 0.1, target=name, target_choice="all", response="") for name in ("CR", "PD")
    ]
    values = values_of(*rows)
    assert "response" not in set(values.cells["target_choice"])
    assert list(values.responses) == ["unrated"]


def test_copies_are_one_method_averaged_within_the_pair():
    values = values_of(
        row("A", 1, 0.4),
        row("A", 1, 0.1, weights="random-0"),
        row("A", 1, 0.3, weights="random-1"),
        row("B", 1, 0.4),
        row("B", 1, math.nan, weights="random-0", status="zero_map"),
        row("B", 1, 0.2, weights="random-1"),
        row("C", 1, 0.4),
        row("C", 1, math.nan, weights="random-0", status="zero_map"),
        row("C", 1, math.nan, weights="random-1", status="zero_map"),
    )
    at = cell(values, kind="copies")
    assert values.cells.loc[at, "method"] == "saliency (random weights)"
    assert values.cells.loc[at, "base"] == "saliency"
    np.testing.assert_allclose(values.value[at], [0.2, 0.2, np.nan])
    assert [STATUSES[code] for code in values.status[at]] == ["ok", "ok", "zero_map"]


def test_reference_maps_explain_no_class():
    nothing = {"weights": "none", "method": "change", "target": "", "target_choice": ""}
    values = values_of(row("A", 1, 0.4), row("A", 1, 0.2, **nothing))
    assert values.cells["kind"].tolist() == ["trained", "reference"]
    assert values.cells["target_choice"].tolist() == ["predicted", "none"]


def test_layers_and_baselines_are_told_apart():
    cam = {"method": "gradcam", "rectification": "positive"}
    values = values_of(
        row("A", 1, 0.4, method="ig", baseline="zero"),
        row("A", 1, 0.3, method="ig", baseline="prior"),
        row("A", 1, 0.2, layer="one", **cam),
        row("A", 1, 0.1, layer="two", **cam),
    )
    assert values.cells["method"].tolist() == ["ig:zero", "ig:prior", "gradcam@one", "gradcam@two"]


def test_a_status_that_is_not_ok_has_no_value_whatever_stands_there():
    values = values_of(row("A", 1, 0.9, status="below_measurable"))
    assert np.isnan(values.value).all()
    assert STATUSES[values.status[0, 0]] == "below_measurable"


def test_pairs_that_a_cell_lacks_are_neither_values_nor_undefined():
    values = values_of(row("A", 1, 0.4), row("B", 1, 0.3, region="whole/union"))
    assert values.status.tolist() == [[OK, NO_ROW], [NO_ROW, OK]]


def test_responses_come_in_order_with_all_rated_last():
    values = pair_values(cohort())
    assert list(values.responses) == ["CR", "PR", "SD", "PD", "unrated", "all"]
    everyone = values.responses["all"] | values.responses["unrated"]
    assert everyone.all()
    assert values.responses["unrated"].sum() == 1
    expected = (values.pairs["predicted"] == values.pairs["response"]).to_numpy()
    np.testing.assert_array_equal(values.right, expected)
    assert 0 < values.right.sum() < values.right.size


def test_a_map_scored_twice_is_refused():
    with pytest.raises(ManifestError, match=r"saliency map of A_1 .*more than one.*'other'"):
        values_of(row("A", 1, 0.4), row("A", 1, 0.3, run="other"))


def test_a_class_asked_for_by_name_and_with_all_is_scored_twice():
    with pytest.raises(ManifestError, match=r"target PD"):
        values_of(row("A", 1, 0.4, target_choice="PD"), row("A", 1, 0.4, target_choice="all"))


def test_an_older_table_and_an_unknown_status_are_refused():
    with pytest.raises(ManifestError, match="rating_source"):
        pair_values(cohort(patients=1).drop(columns="rating_source"))
    with pytest.raises(UnknownNameError, match="fine"):
        values_of(row("A", 1, 0.4, status="fine"))


def test_no_row_gives_no_cell_and_no_pair():
    values = pair_values(score_table([]))
    assert (len(values.cells), len(values.pairs), values.value.shape) == (0, 0, (0, 0))
    assert values.responses == {}


def test_the_table_is_left_as_it_was():
    table = cohort(patients=3, target="predicted")
    before = table.copy(deep=True)
    pair_values(table)
    pd.testing.assert_frame_equal(table, before)
