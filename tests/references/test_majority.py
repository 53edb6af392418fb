from __future__ import annotations

import pandas as pd

from xrano.references.majority import majority_predictions
from xrano.tasks import TASKS


def rated(*responses: str) -> pd.DataFrame:
    return pd.DataFrame(
        {"pair_id": [f"t{i}" for i in range(len(responses))], "response": responses}
    )


TEST = pd.DataFrame(
    {
        "pair_id": list("abcd"),
        "patient_id": list("ABCD"),
        "fold": [1, 0, 1, 0],
        "response": ["SD", "PD", "CR", "PR"],
        "rating_source": ["rule", "expert", "expert", "expert"],
    }
)


def test_each_fold_has_its_own_majority():
    found = majority_predictions(TEST, {0: rated("PD", "SD", "PD"), 1: rated("SD", "SD", "PD")})
    assert list(found["predicted"]) == ["SD", "PD", "SD", "PD"]
    assert list(found["response"]) == list(TEST["response"])
    assert list(found["rating_source"]) == list(TEST["rating_source"])
    assert not [column for column in found if column.startswith("logit_")]


def test_a_tie_goes_to_the_class_first_in_the_task():
    for tied in (("PD", "PR", "PR", "PD"), ("PR", "PD", "PD", "PR")):
        found = majority_predictions(TEST.head(1), {1: rated(*tied)})
        assert found["predicted"].item() == "PR"


def test_unrated_pairs_do_not_count():
    found = majority_predictions(TEST.head(1), {1: rated("", "", "SD")})
    assert found["predicted"].item() == "SD"


def test_progression_is_counted_after_the_responses_are_joined():
    # PD is the commonest response, and rest the commonest class.
    training = {0: rated("PD", "PD", "SD", "CR", "PR"), 1: rated("PD", "PD", "SD")}
    found = majority_predictions(TEST, training, TASKS["progression"])
    assert list(found["predicted"]) == ["PD", "rest", "PD", "rest"]
    assert list(found["response"]) == ["rest", "PD", "rest", "rest"]
