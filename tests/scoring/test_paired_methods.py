"""Differences between methods: the same pairs, masks and draws on both sides."""

from __future__ import annotations

import math

import numpy as np
import pytest
from made_scores import cohort, own, row

from xrano.scoring.pair_values import pair_values
from xrano.scoring.paired_methods import paired_analysis
from xrano.scoring.score_table import score_table
from xrano.scoring.summary import primary_analysis

CAM = {"method": "gradcam", "layer": "features", "rectification": "positive"}
CHANGE = {"method": "change", "weights": "none", "target": "", "target_choice": ""}


def analysed(rows, **options):
    table = rows if hasattr(rows, "columns") else score_table(rows)
    return paired_analysis(pair_values(table), **{"n_resamples": 50, **options})


def test_by_hand():
    rows = [
        *(row("A", n, value) for n, value in enumerate((0.4, 0.2))),
        *(row("A", n, value, **CAM) for n, value in enumerate((0.1, 0.1))),
        row("B", 1, 0.1, chance=0.2),
        row("B", 1, 0.3, chance=0.2, **CAM),
    ]
    cell = own(analysed(rows), response="PD").iloc[0]
    assert (cell["method"], cell["against"]) == ("saliency", "gradcam")
    assert cell["estimate"] == pytest.approx(math.log2((0.3 + 0.1) / (0.1 + 0.3)))
    assert (cell["mean_value"], cell["mean_against"]) == pytest.approx((0.2, 0.2))
    # A twice or B twice.
    assert cell["high"] == pytest.approx(math.log2(0.3 / 0.1))
    assert cell["low"] == pytest.approx(math.log2(0.1 / 0.3))


def test_only_pairs_with_both_values_count_and_the_reason_is_kept():
    rows = [
        row("A", 1, 0.4),
        row("A", 1, 0.1, **CAM),
        row("B", 1, 0.9),
        row("B", 1, math.nan, status="zero_map", **CAM),
        row("C", 1, math.nan, status="empty_mask"),
        row("C", 1, math.nan, status="empty_mask", **CAM),
        row("D", 1, 0.9),
    ]
    cell = own(analysed(rows), response="PD").iloc[0]
    assert cell["estimate"] == pytest.approx(2.0)
    counts = ["n_pairs", "n_undefined", "n_zero_map", "n_empty_mask"]
    assert cell[counts].tolist() == [1, 2, 1, 1]


def test_a_method_against_its_random_copies_is_the_gain_of_the_primary_analysis():
    table = cohort()
    summary = primary_analysis(table, n_resamples=300, seed=4)
    found = own(
        analysed(table, n_resamples=300, seed=4),
        region="core/union",
        metric="relevance_mass_accuracy",
        segmentation_source="first",
        stratum="all",
    )
    found = found[found["against"] == found["method"] + " (random weights)"]
    both = summary.merge(found, on=["response", "method"], suffixes=("_primary", ""))
    assert len(both) == 2 * 6
    for primary, here in (("gain", "estimate"), ("gain_low", "low"), ("gain_high", "high")):
        np.testing.assert_allclose(both[primary], both[here].astype(float), rtol=1e-10)
    np.testing.assert_array_equal(both["n_gain_pairs"], both["n_pairs"])


def test_gains_of_right_and_wrong_ratings_by_hand():
    rows = [
        row("A", 1, 0.4),
        row("A", 1, 0.1, weights="random-0"),
        row("A", 2, 0.2, predicted="SD"),
        row("A", 2, 0.1, predicted="SD", weights="random-0"),
        row("B", 1, 0.1, predicted="SD"),
        row("B", 1, 0.2, predicted="SD", weights="random-0"),
    ]
    found = own(analysed(rows), response="PD").set_index("stratum")
    assert set(found["against"]) == {"saliency (random weights)"}
    assert found["estimate"].to_dict() == pytest.approx(
        {"all": math.log2(0.4 / 0.3), "right": 2.0, "wrong": math.log2(0.3 / 0.3)}
    )
    assert found["n_pairs"].to_dict() == {"all": 3, "right": 1, "wrong": 2}


def test_gains_alone_are_parted_by_ratings_and_no_pair_is_lost():
    found = analysed(cohort())
    of_copies = found["against"].str.endswith("(random weights)")
    assert set(found.loc[~of_copies, "stratum"]) == {"all"}
    keys = ["response", "method", "segmentation_source", "region", "metric"]
    counts = found[of_copies].pivot(index=keys, columns="stratum", values="n_pairs")
    rated = counts.drop(index="unrated", level="response").fillna(0)
    np.testing.assert_array_equal(rated["right"] + rated["wrong"], rated["all"])
    assert (rated.loc["all"][["right", "wrong"]] > 0).all(axis=None)


def test_methods_are_set_against_every_map_without_a_network_that_is_their_own():
    maps = [
        {"method": "ig", "baseline": "zero"},
        {"method": "ig", "baseline": "prior"},
        CAM,
        {"method": "gradcam", "layer": "deeper", "rectification": "positive"},
    ]
    nothing = {"weights": "none", "target": "", "target_choice": ""}
    plain = [
        *({"method": name} for name in ("change", "enhancement", "training_mask", "uniform")),
        {"method": "input_difference", "baseline": "zero"},
        *({**one, "method": "mask"} for one in maps[2:]),
    ]
    rows = [row("A", 1, 0.4, **one) for one in maps]
    rows += [row("A", 1, 0.1, **one, **nothing) for one in plain]
    found = own(analysed(rows), response="PD")
    cams = {"gradcam@features", "gradcam@deeper"}
    everyone = {"ig:zero", "ig:prior", *cams}
    sides = {name: set(of["method"]) for name, of in found.groupby("against")}
    for name in ("change", "enhancement", "training_mask"):
        assert sides.pop(name) == everyone
    assert sides.pop("input_difference:zero") == {"ig:zero"}
    for layer in ("features", "deeper"):
        assert sides.pop(f"mask@{layer}") == {f"gradcam@{layer}"}
    assert set(sides) <= everyone
    assert (found.loc[~found["against"].isin(everyone), "estimate"] == 2.0).all()


def test_each_two_methods_once_and_change_for_every_target_choice():
    found = analysed(cohort(target="all"))
    named = found[~found["against"].str.endswith("weights)")]
    sides = set(zip(named["method"], named["against"], strict=True))
    assert sides == {("saliency", "gradcam"), ("saliency", "change"), ("gradcam", "change")}
    for _, of_sides in named.groupby(["method", "against"]):
        choices = set(of_sides["target_choice"])
        assert choices == {"predicted", "response", "CR", "PR", "SD", "PD"}
    assert "change" not in set(analysed(cohort(), references=())["against"])


def test_a_method_against_change_by_hand():
    rows = [
        row("A", 1, 0.4),
        row("A", 1, 0.1, **CHANGE),
        row("B", 1, 0.2),
        row("B", 1, 0.1, **CHANGE),
    ]
    cell = own(analysed(rows), response="PD").iloc[0]
    assert cell["estimate"] == pytest.approx(math.log2(0.3 / 0.1))
    assert (cell["low"], cell["high"]) == pytest.approx((1.0, 2.0))


def test_one_map_under_two_names_does_not_differ():
    rows = cohort(patients=12)
    rows = rows[(rows["method"] == "saliency") & (rows["weights"] == "trained")]
    twin = rows.assign(method="twin")
    found = analysed(score_table([*rows.to_dict("records"), *twin.to_dict("records")]))
    # The one unrated pair may have nothing inside: 0 over 0.
    valued = found[found["n_pairs"] > 1]
    assert (valued[["estimate", "low", "high"]] == 0).all(axis=None)
    assert (valued["p"].dropna() == 1).all()
    assert valued["p"].notna().any()


def test_sides_turned_round_turn_the_sign():
    table = cohort(patients=12)
    order = {"saliency": 1, "gradcam": 0}
    turned = table.sort_values("method", key=lambda names: names.map(order), kind="stable")
    keys = ["response", "segmentation_source", "region", "metric"]
    one, other = (
        own(analysed(t), method=a, against=b).set_index(keys).sort_index()
        for t, a, b in ((table, "saliency", "gradcam"), (turned, "gradcam", "saliency"))
    )
    assert len(one) == len(other) > 0
    np.testing.assert_allclose(one["estimate"], -other["estimate"], atol=1e-12)
    np.testing.assert_allclose(one["low"], -other["high"], atol=1e-12)
    np.testing.assert_allclose(one["p"], other["p"])


def test_one_method_has_nothing_to_be_set_against():
    assert analysed([row("A", 1, 0.4)]).empty
