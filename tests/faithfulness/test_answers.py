"""What an intervention did, by hand, and what the rating rule allows afterwards."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest

from xrano.errors import ConfigError, UnknownNameError
from xrano.faithfulness.answers import AFTER_SWAP, UNCHANGED, Intervention
from xrano.faithfulness.catalogue import FaithfulnessStatus
from xrano.rano import BIDIMENSIONAL, VOLUMETRIC, rate
from xrano.tasks import RESPONSE, TASKS

CLASSES = RESPONSE.classes


def told(before, after, *, metric="lesion_erase", controls=(), **options):
    shape = np.array(controls, dtype=float).reshape(-1, 4)
    return Intervention(
        metric, np.array(before, dtype=float), np.array(after, dtype=float), shape, **options
    )


def saying(answer):
    return [5.0 if name == answer else 0.0 for name in CLASSES]


def test_changes_are_by_hand():
    found = told([0, 0, 0, math.log(5)], [0, 0, 1, 0])
    assert found.predicted_before == 3
    assert found.predicted_after == 2
    assert found.change("logit_change", 3) == pytest.approx(-math.log(5))
    assert found.change("logit_change", 2) == 1
    assert found.change("probability_change", 3) == pytest.approx(1 / (3 + math.e) - 5 / 8)
    assert found.change("answer_changed", 3) == 1
    assert told([0, 0, 0, 2], [0, 0, 1, 2]).change("answer_changed", 3) == 0


def test_rows_hold_the_mean_over_controls():
    controls = [[0, 0, 0, 3], [0, 0, 4, 3], [0, 0, 0, 6]]
    rows = told([0, 0, 0, 4], [0, 0, 1, 0], controls=controls).rows(3, CLASSES)
    by = {row["quantity"]: row for row in rows}
    assert list(by) == ["logit_change", "probability_change", "answer_changed"]
    assert by["logit_change"]["value"] == -4
    assert by["logit_change"]["reference"] == pytest.approx((-1 - 1 + 2) / 3)
    assert by["answer_changed"]["reference"] == pytest.approx(1 / 3)
    assert all(row["status"] == "ok" and row["metric"] == "lesion_erase" for row in rows)


def test_nothing_to_change_is_undefined_and_no_zero():
    nothing = told(
        [0, 0, 0, 1], [math.nan] * 4, infill="prior", status=FaithfulnessStatus.EMPTY_MASK
    )
    assert nothing.predicted_after is None
    assert math.isnan(nothing.as_ruled(CLASSES))
    rows = nothing.rows(3, CLASSES)
    assert [row["status"] for row in rows] == ["empty_mask"] * 3
    assert all(math.isnan(row["value"]) and math.isnan(row["reference"]) for row in rows)


@pytest.mark.parametrize("thresholds", [VOLUMETRIC, BIDIMENSIONAL])
def test_after_a_swap_the_rule_says_only_what_the_table_allows_and_all_of_it(thresholds):
    unit = thresholds.measurable
    burdens = [0.0, *(unit * factor for factor in (0.1, 0.5, 1, 1.2, 1.3, 1.5, 2, 3, 5, 10, 40))]
    seen: dict[str, set[str]] = {name: set() for name in AFTER_SWAP}
    for prior, current in product(burdens, repeat=2):
        before = str(rate(current, rano_baseline=prior, thresholds=thresholds))
        after = str(rate(prior, rano_baseline=current, thresholds=thresholds))
        seen[before].add(after)
        assert str(rate(prior, rano_baseline=prior, thresholds=thresholds)) in UNCHANGED
    for before, allowed in AFTER_SWAP.items():
        # Raters call no tumour, then and now, CR; the rule's table calls it SD.
        more = {"rest"} | ({"CR"} if before == "CR" else set())
        assert seen[before] <= allowed
        assert allowed - more <= seen[before]


@pytest.mark.parametrize("answer", CLASSES)
def test_a_network_that_always_says_the_same_fails_where_it_can(answer):
    swap = told(saying(answer), saying(answer), metric="visit_swap")
    twice = told(saying(answer), saying(answer), metric="duplicated_visit")
    assert swap.as_ruled(CLASSES) == (answer in ("CR", "SD"))
    assert twice.as_ruled(CLASSES) == (answer in ("CR", "SD"))


def test_the_rule_speaks_of_an_erased_lesion_only_if_it_looks_as_before():
    assert told(saying("PD"), saying("SD"), infill="prior").as_ruled(CLASSES) == 1
    assert told(saying("PD"), saying("PD"), infill="prior").as_ruled(CLASSES) == 0
    assert math.isnan(told(saying("PD"), saying("SD"), infill="blurred").as_ruled(CLASSES))
    only = told(saying("PD"), saying("SD"), infill="prior", metric="lesion_only")
    assert math.isnan(only.as_ruled(CLASSES))
    assert len(only.rows(3, CLASSES)) == 3


def test_of_two_classes_the_rule_speaks_where_it_can():
    classes = TASKS["progression"].classes
    none = np.empty((0, 2))
    rest, progression = np.array([1.0, 0.0]), np.array([0.0, 1.0])
    assert Intervention("visit_swap", progression, rest, none).as_ruled(classes) == 1
    assert Intervention("visit_swap", progression, progression, none).as_ruled(classes) == 0
    assert math.isnan(Intervention("visit_swap", rest, rest, none).as_ruled(classes))
    assert Intervention("duplicated_visit", rest, rest, none).as_ruled(classes) == 1


def test_what_does_not_exist_is_refused():
    found = told([0, 0, 0, 1], [0, 0, 0, 2])
    with pytest.raises(UnknownNameError, match="logit_change"):
        found.change("logits", 0)
    with pytest.raises(ConfigError, match="target 4"):
        found.change("logit_change", 4)
