"""One segmentation against another: differences, each to its own chance, and rank correlations."""

from __future__ import annotations

import math

import numpy as np
import pytest
from made_scores import cohort, own, row
from scipy.stats import spearmanr

from xrano.metrics.bootstrap import percentile_interval
from xrano.scoring.cell_bootstrap import draw_patients
from xrano.scoring.pair_values import pair_values
from xrano.scoring.score_table import score_table
from xrano.scoring.segmenters import RANK_CORRELATION, rank_correlations, segmenter_analysis

LEVEL = {"metric": "relevance_mass_accuracy", "target_choice": "predicted"}


def analysed(rows, **options):
    table = rows if hasattr(rows, "columns") else score_table(rows)
    return segmenter_analysis(pair_values(table), **{"n_resamples": 50, **options})


def test_the_difference_is_of_lifts_over_each_masks_own_chance():
    rows = [
        row("A", 1, 0.4, chance=0.1),
        row("A", 1, 0.3, chance=0.2, segmentation_source="second"),
        row("B", 1, 0.2, chance=0.1),
        row("B", 1, 0.1, chance=0.1, segmentation_source="second"),
    ]
    cell = own(analysed(rows), response="PD", statistic="log2_lift").iloc[0]
    assert (cell["segmentation_source"], cell["against_source"]) == ("first", "second")
    assert cell["method"] == cell["against"] == "saliency"
    assert cell["estimate"] == pytest.approx(math.log2(0.6 / 0.2) - math.log2(0.4 / 0.3))
    assert (cell["mean_value"], cell["mean_against"]) == pytest.approx((0.3, 0.2))


def test_an_excess_is_compared_with_its_own_chance_too():
    known = {"metric": "pointing_game"}
    rows = [
        row("A", 1, 1.0, chance=0.1, **known),
        row("A", 1, 1.0, chance=0.4, segmentation_source="second", **known),
    ]
    cell = own(analysed(rows), response="PD").iloc[0]
    assert cell["estimate"] == pytest.approx(0.9 - 0.6)


@pytest.mark.parametrize("seed", range(3))
def test_correlations_equal_scipy_on_repeated_rows(seed):
    rng = np.random.default_rng(seed)
    # Ties, infinities and pairs that a draw leaves out.
    first = rng.integers(0, 5, 17).astype(float)
    second = np.where(rng.random(17) < 0.2, -np.inf, first + rng.normal(0, 2, 17))
    weights = rng.integers(0, 4, (25, 17)).astype(float)
    found = rank_correlations(first, second, weights)
    for draw, drawn in enumerate(weights):
        at = np.repeat(np.arange(17), drawn.astype(int))
        assert found[draw] == pytest.approx(spearmanr(first[at], second[at]).statistic)


def test_what_does_not_vary_has_no_correlation():
    weights = np.array([[1.0, 1.0, 1.0], [2.0, 1.0, 0.0], [0.0, 0.0, 0.0], [1.0, 0.0, 1.0]])
    found = rank_correlations(np.array([1.0, 1.0, 2.0]), np.array([3.0, 4.0, 5.0]), weights)
    assert np.isnan(found).tolist() == [False, True, True, False]
    assert found[3] == pytest.approx(1.0)


def test_the_correlation_of_a_cell_and_its_interval():
    table = cohort()
    values = pair_values(table)
    found = segmenter_analysis(values, n_resamples=60, seed=3)
    cell = own(
        found, statistic=RANK_CORRELATION, method="saliency", region="core/union", response="SD"
    ).iloc[0]
    at = [
        own(
            values.cells, method="saliency", region="core/union", segmentation_source=s, **LEVEL
        ).index[0]
        for s in ("first", "second")
    ]
    member = values.responses["SD"]
    sides = values.value[at][:, member] / values.chance[at][:, member]
    assert cell["estimate"] == pytest.approx(spearmanr(*sides).statistic)
    draws = draw_patients(values.pairs, n_resamples=60, seed=3)
    drawn = []
    for weights in draws.weights[1:]:
        rows = np.repeat(np.arange(member.sum()), weights[draws.patient_of[member]].astype(int))
        drawn.append(spearmanr(sides[0][rows], sides[1][rows]).statistic)
    interval = percentile_interval(drawn)
    assert (cell["low"], cell["high"]) == pytest.approx((interval.low, interval.high))
    assert math.isnan(cell["p"])
    assert cell["n_pairs"] == member.sum()


def test_correlations_only_of_the_relevance_mass_and_not_counted_as_tests():
    found = analysed(cohort())
    correlations = own(found, statistic=RANK_CORRELATION)
    assert set(correlations["metric"]) == {"relevance_mass_accuracy"}
    assert correlations["p"].isna().all()
    assert correlations["q"].isna().all()
    assert own(found, statistic="log2_lift")["q"].notna().any()


def test_where_a_source_lacks_the_region_it_is_counted_and_has_no_number():
    missing = {"segmentation_source": "second", "status": "region_not_labelled"}
    rows = [
        *(row(name, 1, 0.4) for name in "AB"),
        *(row(name, 1, math.nan, **missing) for name in "AB"),
    ]
    found = own(analysed(rows), response="PD")
    assert found["statistic"].tolist() == ["log2_lift"]
    assert found["n_region_not_labelled"].tolist() == [2]
    assert found[["estimate", "low", "high", "mean_value"]].isna().all(axis=None)


def test_maps_without_a_network_and_copies_differ_between_sources_too_untested():
    change = {"method": "change", "weights": "none", "target": "", "target_choice": ""}
    second = {"segmentation_source": "second"}
    rows = []
    for name in "ABCDEFGHIJKL":
        for words, values in (({}, (0.4, 0.2)), (change, (0.2, 0.1)),
                              ({"weights": "random-0"}, (0.1, 0.1))):  # fmt: skip
            rows += [row(name, 1, values[0], **words), row(name, 1, values[1], **second, **words)]
    found = own(analysed(rows), response="PD", statistic="log2_lift").set_index("method")
    assert found["estimate"].to_dict() == pytest.approx(
        {"saliency": 1.0, "change": 1.0, "saliency (random weights)": 0.0}
    )
    assert (found["against"] == found.index).all()
    assert found["p"].notna().to_dict() == {
        "saliency": True,
        "change": False,
        "saliency (random weights)": False,
    }


def test_a_table_of_maps_without_a_network_alone_has_no_correlation():
    change = {"method": "change", "weights": "none", "target": "", "target_choice": ""}
    rows = [row("A", 1, 0.2, **change), row("A", 1, 0.1, segmentation_source="second", **change)]
    assert set(analysed(rows)["statistic"]) == {"log2_lift"}


def test_three_sources_are_compared_two_by_two():
    found = analysed(cohort(patients=4, sources=("first", "second", "agreement")))
    sides = set(zip(found["segmentation_source"], found["against_source"], strict=True))
    assert sides == {("first", "second"), ("first", "agreement"), ("second", "agreement")}


def test_one_source_has_nothing_to_be_compared_with():
    assert analysed(cohort(patients=3, sources=("first",))).empty
