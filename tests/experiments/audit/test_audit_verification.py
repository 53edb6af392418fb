from __future__ import annotations

import math

import pytest

from xrano.errors import ConfigError
from xrano.experiments.audit.verification import (
    FALLS,
    LEAST_ACCURACY,
    Accuracies,
    accuracies_from_json,
    usable,
)

NAN = float("nan")


@pytest.mark.parametrize(
    ("own", "swapped", "erased", "verdict"),
    [
        # Reads the mark alone: astray when it is swapped.
        (1.0, 0.0, 1.0, "cheats"),
        (0.75, 0.25, 0.75, "cheats"),
        # Offered the mark, reads the tumour all the same.
        (0.75, 0.75, 0.25, "honest"),
        # Without a mark there is nothing to swap.
        (0.75, NAN, 0.25, "honest"),
        (0.75, NAN, 0.70, "undecided"),
        # Uses both, or minds neither.
        (0.95, 0.3, 0.4, "undecided"),
        (0.95, 0.9, 0.9, "undecided"),
        # Learnt nothing, whatever it loses.
        (0.3, 0.0, 0.3, "untrained"),
        (0.25, NAN, 0.25, "untrained"),
        (NAN, NAN, NAN, "untrained"),
    ],
)
def test_a_model_is_what_it_loses(own, swapped, erased, verdict):
    assert Accuracies(own, swapped, 0.5, erased).verdict == verdict


def test_the_limits_of_the_rule_belong_to_it():
    # Above chance by 0.5: a loss of 0.25 is half of it.
    at = Accuracies(0.75, 0.5, 0.5, 0.51)
    assert at.loss("swapped") == FALLS
    assert at.verdict == "cheats"
    assert Accuracies(0.75, 0.51, 0.5, 0.51).verdict == "undecided"
    assert Accuracies(0.75, 0.5, 0.5, 0.5).verdict == "undecided"
    assert Accuracies(0.75, 0.51, 0.5, 0.5).verdict == "honest"
    assert Accuracies(LEAST_ACCURACY, 0.0, 0.5, LEAST_ACCURACY).verdict == "cheats"


def test_a_loss_is_a_share_of_what_lies_above_chance():
    told = Accuracies(own=0.85, swapped=0.10, removed=0.25, erased=0.85)
    assert told.loss("removed") == pytest.approx(1.0)
    assert told.loss("swapped") == pytest.approx(1.25)
    assert told.loss("erased") == 0.0
    assert math.isnan(Accuracies(0.2, 0.2, 0.2, 0.2).loss("erased"))


@pytest.mark.parametrize(
    ("assigned", "verdict", "stands"),
    [
        ("honest", "honest", True),
        ("cheat", "cheats", True),
        ("cheat", "honest", False),
        ("cheat", "undecided", False),
        ("honest", "cheats", False),
        ("honest", "untrained", False),
        ("mixed", "cheats", False),
        ("mixed", "honest", False),
    ],
)
def test_only_models_that_do_what_they_were_assigned_to_do_stand_on_a_side(
    assigned, verdict, stands
):
    assert usable(assigned, verdict) is stands


def test_accuracies_come_back_from_json():
    told = Accuracies(0.75, NAN, 0.7, 0.25)
    back = accuracies_from_json(told.to_json())
    assert told.to_json()["swapped"] is None
    assert (back.own, back.removed, back.erased) == (0.75, 0.7, 0.25)
    assert math.isnan(back.swapped)
    with pytest.raises(ConfigError, match="four accuracies"):
        accuracies_from_json({"own": 0.5})
