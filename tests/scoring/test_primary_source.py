"""Whose segmentation is the primary one, by one rule for the table and for the shuffle test."""

from __future__ import annotations

import math

import pytest
from made_scores import row

from xrano.scoring.primary_source import most_measured, primary_source
from xrano.scoring.score_table import score_table


def rows(source, n, *, start=0, **changes):
    return [
        row(f"P{pair}", 1, 0.1, segmentation_source=source, **changes)
        for pair in range(start, start + n)
    ]


def chosen(*parts):
    return primary_source(score_table([one for part in parts for one in part]))


def test_most_pairs_with_a_measurable_core_then_the_name():
    assert chosen(rows("first", 3), rows("second", 4)) == "second"
    assert chosen(rows("second", 3), rows("first", 3)) == "first"
    # Metrics, methods and single lesions of one pair are one pair.
    many = [
        one
        for metric in ("relevance_rank_accuracy", "pointing_game")
        for one in rows("first", 3, metric=metric)
    ]
    lesions = rows("first", 9, lesion="1")
    methods = rows("first", 3, method="ig")
    assert chosen(rows("first", 3), many, lesions, methods, rows("second", 4)) == "second"


@pytest.mark.parametrize(
    "changes",
    [
        # A segmenter that tells no core, however many pairs it has.
        {"region": "whole/union"},
        {"status": "region_not_labelled", "value": math.nan},
        {"status": "no_segmentation", "value": math.nan},
        {"status": "empty_mask", "value": math.nan},
        {"status": "below_measurable", "value": math.nan},
        {"response": ""},
        {"spans_surgery": True},
    ],
)
def test_pairs_that_the_primary_analysis_cannot_use_do_not_count(changes):
    others = [{**one, **changes} for one in rows("first", 9)]
    assert chosen(others, rows("second", 2)) == "second"


def test_a_silent_map_does_not_take_a_pair_from_its_segmentation():
    silent = rows("second", 4, status="zero_map", method="gradcam")
    assert chosen(rows("first", 3), rows("second", 4), silent) == "second"


def test_where_no_pair_qualifies_something_is_still_chosen():
    unrated = rows("second", 3, response="")
    assert chosen(rows("first", 2, response=""), unrated) == "second"
    whole = rows("first", 2, region="whole/union")
    untold = rows("second", 9, status="region_not_labelled")
    assert chosen(whole, untold) == "first"
    assert chosen(untold) is None
    assert chosen(rows("agreement", 5), rows("first", 1)) == "first"
    assert chosen(rows("", 5), rows("agreement", 5)) is None
    assert primary_source(score_table([])) is None


def test_of_counts():
    assert most_measured({"b": 2, "a": 2, "c": 1}) == "a"
    assert most_measured({"b": 2, "a": 1}) == "b"
    assert most_measured({}) is None
    assert most_measured({"a": 0}) is None
