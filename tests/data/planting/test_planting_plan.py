from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from xrano.data.planting.marks import MARKS
from xrano.data.planting.plan import SHORTCUTS, SWAPPED, PlantingPlan, mark_class, stream
from xrano.errors import ConfigError, UnknownNameError
from xrano.rano import RESPONSES, Response

MANY = [
    (f"Patient-{patient:03d}", f"week-{visit:03d}") for patient in range(250) for visit in range(16)
]


def marks(plan: PlantingPlan, response: str = "PD") -> list[Response | None]:
    return [mark_class(plan, *key, response) for key in MANY]


def test_every_shortcut_has_a_mark():
    assert tuple(MARKS) == SHORTCUTS


def test_a_swap_leaves_no_class_where_it_was_and_reaches_every_class():
    assert sorted(SWAPPED.values()) == sorted(RESPONSES)
    assert all(other != response for response, other in SWAPPED.items())


def test_at_full_strength_every_mark_tells_the_response():
    for response in RESPONSES:
        assert set(marks(PlantingPlan("noise"), response)) == {response}


@pytest.mark.parametrize("strength", [0.0, 0.4, 0.8])
def test_strength_is_the_share_that_tells_beyond_an_even_draw(strength):
    plan = PlantingPlan("noise", strength=strength, seed=5)
    for response in RESPONSES:
        count = Counter(marks(plan, response))
        others = (1.0 - strength) / 4
        for found in RESPONSES:
            expected = others + strength * (found == response)
            # Four binomial standard deviations of 4000 draws.
            assert count[found] / len(MANY) == pytest.approx(expected, abs=4 * 0.5 / 4000**0.5)


def test_at_strength_zero_the_response_changes_no_mark():
    plan = PlantingPlan("blur", strength=0.0)
    assert marks(plan, "CR") == marks(plan, "PD") == marks(plan, "")


def test_what_tells_at_one_strength_tells_at_a_larger_one():
    weak, strong = (
        np.array(marks(PlantingPlan("tag", strength=strength)), dtype=str)
        for strength in (0.3, 0.6)
    )
    unplanted = np.array(marks(PlantingPlan("tag", strength=0.0)), dtype=str)
    assert (strong[(weak == "PD") & (unplanted != "PD")] == "PD").all()
    assert (weak[strong != "PD"] == strong[strong != "PD"]).all()


def test_an_unrated_session_has_any_mark_evenly_whatever_the_strength():
    count = Counter(marks(PlantingPlan("edge", strength=1.0), ""))
    assert all(count[found] / len(MANY) == pytest.approx(0.25, abs=0.03) for found in RESPONSES)


def test_a_swap_changes_every_mark_by_the_table_and_nothing_else():
    plan = PlantingPlan("noise", strength=0.5, seed=2)
    before, after = marks(plan, "SD"), marks(replace(plan, swap=True), "SD")
    assert [SWAPPED[one] for one in before if one is not None] == after


def test_marks_differ_from_seed_to_seed_and_from_session_to_session():
    first, second = (marks(PlantingPlan("tag", strength=0.0, seed=seed)) for seed in (0, 1))
    agreement = np.mean([one == other for one, other in zip(first, second, strict=True)])
    assert agreement == pytest.approx(0.25, abs=0.03)
    assert len(set(first[:16])) > 1


def test_without_a_kind_there_is_no_mark():
    assert set(marks(PlantingPlan())) == {None}
    assert PlantingPlan().changes_nothing
    assert not PlantingPlan(tumour="erased").changes_nothing
    assert not PlantingPlan("tag").changes_nothing


def test_a_stream_is_the_same_on_every_machine_and_for_no_other_words():
    drawn = stream(PlantingPlan(seed=7), "Patient-001", "week-016").integers(1000, size=4)
    assert drawn.tolist() == STREAM
    # Words are kept apart: "a", "bc" is not "ab", "c".
    apart = [stream(PlantingPlan(), *words).random() for words in (("a", "bc"), ("ab", "c"))]
    assert apart[0] != apart[1]


# Written down once: the plan's bytes hang on it.
STREAM = [867, 206, 758, 334]


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"kind": "skull"}, UnknownNameError, "choose from"),
        ({"tumour": "hidden"}, UnknownNameError, "erased"),
        ({"strength": 1.5}, ConfigError, "0 to 1"),
        ({"strength": float("nan")}, ConfigError, "0 to 1"),
        ({"amplitude": 0.0}, ConfigError, "above 0"),
        ({"seed": -1}, ConfigError, "≥ 0"),
        ({"kind": "none", "swap": True}, ConfigError, "cannot swap"),
    ],
)
def test_plans_that_make_no_sense_are_refused(changes, error, words):
    with pytest.raises(error, match=words):
        PlantingPlan(**{"kind": "noise", **changes})


def test_an_unknown_response_is_refused():
    with pytest.raises(UnknownNameError, match="response"):
        mark_class(PlantingPlan("tag"), "P", "S", "XX")


def test_the_description_says_all_that_differs_from_the_plain_plan():
    assert PlantingPlan().describe() == "no marks, tumours kept, seed 0"
    plan = PlantingPlan("tag", strength=0.5, swap=True, tumour="erased", seed=4, amplitude=2)
    assert plan.describe() == (
        "tag marks of strength 0.5, amplitude 2, swapped, tumours erased, seed 4"
    )
