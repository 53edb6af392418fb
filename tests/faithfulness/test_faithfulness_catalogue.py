"""The table of every faithfulness number."""

from __future__ import annotations

import math

import pytest
from linear_pair import BRAIN, GONE, SCANS, predict, relevance

from xrano.errors import UnknownNameError
from xrano.faithfulness.catalogue import (
    FAITHFULNESS,
    INTERVENTION,
    PERTURBATION,
    STABILITY,
    FaithfulnessStatus,
    metric_row,
)
from xrano.faithfulness.deletion import insertion_deletion
from xrano.faithfulness.infidelity import infidelity
from xrano.faithfulness.road import road
from xrano.faithfulness.sensitivity import max_sensitivity


@pytest.mark.parametrize("name", FAITHFULNESS)
def test_every_row_is_complete(name):
    metric = FAITHFULNESS[name]
    assert metric.definition
    assert metric.citation
    assert metric.lowest < metric.highest
    assert (metric.higher_is_better is None) == (name in INTERVENTION)


def test_names_are_used_once_and_those_of_the_whole_package_are_there():
    assert len(FAITHFULNESS) == len(PERTURBATION) + len(INTERVENTION) + len(STABILITY)
    assert {
        "lesion_erase",
        "lesion_only",
        "visit_swap",
        "duplicated_visit",
        "cascading_randomisation",
        "independent_randomisation",
        "seed_agreement",
        "fold_agreement",
        "misalignment",
    } == {*INTERVENTION, *STABILITY}


def test_the_functions_give_every_perturbation_metric_and_what_stands_beside_it():
    rows = [
        *insertion_deletion(predict, SCANS, relevance(), 1, GONE, BRAIN, steps=3).rows(),
        *road(predict, SCANS, relevance(), 1, BRAIN, percentages=(10,)).rows(),
        *infidelity(predict, SCANS, relevance(), 1, GONE, BRAIN, perturbations=9).rows(),
        *max_sensitivity(lambda x: x[0], SCANS, BRAIN, draws=2).rows(),
    ]
    assert [row["metric"] for row in rows] == list(PERTURBATION)
    for row in rows:
        metric = PERTURBATION[row["metric"]]
        assert metric.lowest <= row["value"] <= metric.highest
        assert math.isnan(row["chance"]) == (not metric.chance)
        assert math.isnan(row["reference"]) == (not metric.reference)


def test_rows_say_their_direction_and_status():
    row = metric_row("lesion_erase", math.nan, status=FaithfulnessStatus.EMPTY_MASK)
    assert list(row) == ["metric", "value", "chance", "reference", "higher_is_better", "status"]
    assert row["higher_is_better"] is None
    assert type(row["status"]) is str
    with pytest.raises(UnknownNameError, match="lesion_erase"):
        metric_row("lesion_erased", 1.0)
