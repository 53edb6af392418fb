from __future__ import annotations

import numpy as np
import pytest

from xrano.attribution.methods import AttributionSettings
from xrano.errors import ConfigError, UnknownNameError
from xrano.jupyter.answers import Answers
from xrano.jupyter.opened_run import OpenRun


@pytest.fixture
def answers(tiny_run) -> Answers:
    return Answers(tiny_run, AttributionSettings())


def test_maps_beyond_the_room_are_made_again_and_right(tiny_run):
    cramped = Answers(tiny_run, AttributionSettings(), room_gb=1e-6)
    pair_id = next(iter(cramped.records))
    every = cramped.explained(pair_id, "saliency", "all").maps
    assert [item.meta["target_name"] for item in every] == list(tiny_run.task.classes)
    for item in every:
        again = cramped.explained(pair_id, "saliency", str(item.meta["target_name"]))
        assert [one.meta["target_name"] for one in again.maps] == [item.meta["target_name"]]
        # Alone and together take other passes.
        largest = np.abs(item.data).max()
        np.testing.assert_allclose(again.maps[0].data, item.data, rtol=0, atol=1e-4 * largest)


def test_answers_do_not_depend_on_what_was_asked_before(answers, tiny_run):
    pair_id = list(answers.records)[1]
    first = answers.explained(pair_id, "saliency", "predicted")
    later = answers.explained(pair_id, "gradcam", "all")
    again = answers.explained(pair_id, "saliency", first.predicted)
    assert again.maps == first.maps
    assert again.probabilities == first.probabilities == later.probabilities
    alone = OpenRun(tiny_run).explain(pair_id, ["saliency"])
    assert alone.predicted == first.predicted
    np.testing.assert_array_equal(alone.maps[0].data, first.maps[0].data)


def test_each_pair_is_explained_by_the_network_that_never_saw_it(answers, tiny_run):
    folds = {}
    for pair_id, record in answers.records.items():
        fold = tiny_run.fold_of(record)
        if fold not in folds:
            folds[fold] = answers.explained(pair_id, "gradcam", "predicted").maps[0].meta["fold"]
    assert folds == {fold: fold for fold in tiny_run.trained_folds}


def test_pairs_of_other_folds_are_unknown(answers, tiny_run):
    others = set(tiny_run.pairs()["pair_id"]) - set(answers.records)
    with pytest.raises(UnknownNameError, match="unknown pair of this run"):
        answers.pair(min(others))


def test_unknown_targets_and_contrasts_with_themselves_are_refused(answers):
    pair_id = next(iter(answers.records))
    for target in ("PX", "PD-PD"):
        with pytest.raises(UnknownNameError, match="unknown target"):
            answers.explained(pair_id, "saliency", target)


def test_an_unrated_pair_has_no_response_to_explain(answers, monkeypatch):
    pair_id = next(iter(answers.records))
    answers.records[pair_id]["response"] = ""
    with pytest.raises(ConfigError, match="unrated"):
        answers.explained(pair_id, "saliency", "response")
