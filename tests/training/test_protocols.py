"""Folds and selection as the paper had them, and what every result then says."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch

from xrano.data.splits import (
    TIMEPOINT_GROUPED,
    is_tested,
    make_folds,
    read_splits,
    restrict_splits,
    write_splits,
)
from xrano.data.store import Store
from xrano.errors import ConfigError, ManifestError, SplitError
from xrano.training.config import RunConfig
from xrano.training.fold_data import confidences, fold_data
from xrano.training.run import rated, run_pairs
from xrano.training.train_run import train_run


def quiet(*_: object) -> None:
    pass


def short(config: RunConfig, **changes: object) -> RunConfig:
    training = replace(config.training, epochs=1)
    return replace(config, training=training, folds=(0,), **changes)


def cohort_pairs(store: Store) -> pd.DataFrame:
    return rated(store.pairs)


def test_timepoint_folds_divide_pairs_and_put_patients_on_both_sides(phantom_store: Store):
    pairs = cohort_pairs(phantom_store)
    splits = make_folds(pairs, 4, seed=2, grouping="timepoint")
    assert splits["protocol"] == TIMEPOINT_GROUPED
    every = sorted(name for fold in splits["folds"] for name in fold["test"])
    assert every == sorted(pairs["pair_id"])
    crossing = 0
    for fold in range(4):
        inside = is_tested(pairs, splits, fold)
        crossing += len(set(pairs[inside]["patient_id"]) & set(pairs[~inside]["patient_id"]))
        counts = pairs[inside]["response"].value_counts()
        share = pairs["response"].value_counts() / 4
        assert ((counts - share).abs() <= 1).all()
    assert crossing > 0


def test_splits_may_be_cut_down_to_the_pairs_at_hand(phantom_store: Store, tmp_path: Path):
    pairs = cohort_pairs(phantom_store)
    splits = make_folds(pairs, 3, seed=0)
    fewer = pairs[pairs["patient_id"] != splits["folds"][0]["test"][0]]
    cut = restrict_splits(splits, fewer)
    assert cut["folds"][0]["test"] == splits["folds"][0]["test"][1:]
    assert cut["folds"][1:] == splits["folds"][1:]
    write_splits(tmp_path / "splits.json", cut)
    assert read_splits(tmp_path / "splits.json", fewer) == cut
    with pytest.raises(SplitError, match="lack"):
        restrict_splits(cut, pairs)
    without = pairs[~pairs["patient_id"].isin(splits["folds"][1]["test"])]
    with pytest.raises(SplitError, match="fold 1 has no pair left"):
        restrict_splits(splits, without)


@pytest.mark.parametrize("grouping", ["patient", "timepoint"])
@pytest.mark.parametrize("selection", ["inner", "test"])
def test_who_trains_and_who_chooses(phantom_store, tiny_config, grouping, selection):
    config = short(tiny_config, grouping=grouping, selection=selection)
    pairs = cohort_pairs(phantom_store)
    splits = make_folds(pairs, 3, 0, grouping=grouping)
    data = fold_data(config, phantom_store, pairs, splits, 0)
    test = set(pairs[is_tested(pairs, splits, 0)]["pair_id"])
    training = set(data.training.pairs["pair_id"])
    validation = set(data.validation.pairs["pair_id"])
    assert not training & test
    assert not training & validation
    assert (validation == test) if selection == "test" else not validation & test
    other = replace(config, selection="inner" if selection == "test" else "test")
    again = fold_data(other, phantom_store, pairs, splits, 0)
    # The 2×2 compares equal training pairs.
    assert set(again.training.pairs["pair_id"]) == training
    if grouping == "patient":
        assert not set(data.training.pairs["patient_id"]) & set(data.validation.pairs["patient_id"])


def test_the_paper_sets_nothing_aside(phantom_store, tiny_config):
    config = short(tiny_config, grouping="timepoint", selection="test", validation_fraction=0.0)
    pairs = cohort_pairs(phantom_store)
    splits = make_folds(pairs, 3, 0, grouping="timepoint")
    data = fold_data(config, phantom_store, pairs, splits, 1)
    assert len(data.training) + len(data.validation) == len(pairs)
    with pytest.raises(ConfigError, match="validation_fraction must be > 0 for selection inner"):
        replace(config, selection="inner")


def test_results_of_a_leaking_protocol_say_so(tiny_config, tiny_run, tmp_path):
    config = short(tiny_config, grouping="timepoint", selection="test")
    run = train_run(config, tmp_path / "run", report=quiet)
    assert "patients are on both sides" in run.leak_note
    assert "chosen on the test fold" in run.leak_note
    assert tiny_run.leak_note == ""
    assert set(run.predictions["pair_id"]) == set(run.splits["folds"][0]["test"])
    seen = set(run.training_pairs(0)["pair_id"])
    assert not seen & set(run.predictions["pair_id"])
    assert {run.fold_of(row) for row in run.tested_pairs().to_dict("records")} == {0}


def test_splits_of_another_protocol_are_refused(tiny_config, phantom_store, tmp_path):
    pairs = cohort_pairs(phantom_store)
    path = tmp_path / "splits.json"
    write_splits(path, make_folds(pairs, 3, 0, grouping="timepoint"))
    with pytest.raises(ConfigError, match="grouping patient needs splits of the protocol"):
        train_run(short(tiny_config, splits=str(path)), tmp_path / "run", report=quiet)
    assert not (tmp_path / "run" / "config.yaml").exists()


# --- tasks, cases, labels, confidence


def test_progression_has_two_classes_from_training_to_predictions(tiny_config, tmp_path):
    run = train_run(short(tiny_config, task="progression"), tmp_path / "run", report=quiet)
    table = run.predictions
    assert {"logit_rest", "logit_PD"} <= set(table.columns)
    assert set(table["response"]) <= {"rest", "PD"}
    assert set(table["predicted"]) <= {"rest", "PD"}
    assert run.model(0).num_classes == 2
    truth = dict(zip(run.store.pairs["pair_id"], run.store.pairs["response"], strict=True))
    for row in table.to_dict("records"):
        assert (row["response"] == "PD") == (truth[row["pair_id"]] == "PD")


def test_equal_cases_leave_out_pairs_that_lack_another_sequence(phantom_store, tiny_config):
    alone = replace(tiny_config.model, sequences=("FLAIR",))
    own = replace(tiny_config, model=alone)
    equal = replace(own, cases=("T1", "CT1", "T2", "FLAIR"))
    found, _ = run_pairs(own, phantom_store)
    fewer, excluded = run_pairs(equal, phantom_store)
    assert set(fewer["pair_id"]) < set(found["pair_id"])
    assert len(excluded)


def test_no_pair_at_all_is_told_before_the_folder_is_claimed(
    tiny_config, phantom_store, tmp_path, monkeypatch
):
    monkeypatch.setattr("xrano.training.train_run.rated", lambda pairs: pairs.head(0))
    with pytest.raises(ManifestError, match="no rated pair with CT1, FLAIR in both scans"):
        train_run(tiny_config, tmp_path / "run", report=quiet)
    assert not (tmp_path / "run").exists()


def test_confidences_are_of_the_current_session(phantom_store: Store):
    pairs = cohort_pairs(phantom_store).head(4)
    sessions = phantom_store.sessions.assign(sure="")
    chosen = (sessions["patient_id"] == pairs["patient_id"].iloc[1]) & (
        sessions["session_id"] == pairs["current_session"].iloc[1]
    )
    sessions.loc[chosen, "sure"] = "0.25"
    weights = confidences(pairs, sessions, "sure")
    expected = [1.0, 0.25, 1.0, 1.0]
    # The next pair's prior scan is the same session, which weighs nothing there.
    torch.testing.assert_close(weights, torch.tensor(expected))
    assert torch.equal(confidences(pairs, sessions, ""), torch.ones(4))
    sessions.loc[chosen, "sure"] = "sure"
    with pytest.raises(ConfigError, match="'sure'; a confidence is a number from 0 to 1"):
        confidences(pairs, sessions, "sure")
    with pytest.raises(ConfigError, match="no column 'trust'"):
        confidences(pairs, sessions, "trust")


@pytest.mark.parametrize(
    "changes",
    [
        {"labels": "ordinal"},
        {"focal_gamma": 2.0},
        {"balancing": "paper", "initialisation": "xavier", "schedule": "plateau"},
        {"flip_axes": "all", "contrast": 0.9},
    ],
)
def test_every_way_of_training_trains_and_repeats(tiny_config, tmp_path, changes):
    config = short(tiny_config)
    config = replace(config, training=replace(config.training, **changes))
    first = train_run(config, tmp_path / "first", report=quiet)
    second = train_run(config, tmp_path / "second", report=quiet)
    pd.testing.assert_frame_equal(first.predictions, second.predictions)
    usual = train_run(short(tiny_config), tmp_path / "usual", report=quiet)
    assert not first.predictions["logit_PD"].equals(usual.predictions["logit_PD"])


def test_a_plateau_goes_back_to_the_best_epoch_and_resumes_there(tiny_config, tmp_path):
    training = replace(
        tiny_config.training, epochs=5, schedule="plateau", learning_rate=0.5, patience=3
    )
    config = replace(tiny_config, training=training, folds=(0,))
    whole = train_run(config, tmp_path / "whole", report=quiet)
    text = (whole.root / "fold-0" / "metrics.jsonl").read_text().splitlines()
    lines = [json.loads(line) for line in text]
    best, rate = float("inf"), 0.5
    for line in lines:
        assert line["learning_rate"] == pytest.approx(rate)
        if line["train_loss"] < best:
            best = line["train_loss"]
        else:
            rate *= 0.1
    assert rate < 0.5

    class Stop(Exception):
        pass

    def stop(_fold: int, line: dict[str, float], _epochs: int) -> None:
        if line["epoch"] == 2:
            raise Stop

    with pytest.raises(Stop):
        train_run(config, tmp_path / "halves", report=stop)
    train_run(config, tmp_path / "halves", report=quiet)
    for name in ("model.safetensors", "metrics.jsonl", "predictions.csv"):
        one, two = (tmp_path / where / "fold-0" / name for where in ("whole", "halves"))
        assert one.read_bytes() == two.read_bytes()


def test_predictions_of_a_fold_are_made_again_if_lost(tiny_config, tmp_path):
    run = train_run(short(tiny_config), tmp_path / "run", report=quiet)
    before = (run.root / "predictions.csv").read_bytes()
    weights = (run.root / "fold-0" / "model.safetensors").read_bytes()
    (run.root / "fold-0" / "predictions.csv").unlink()
    train_run(short(tiny_config), tmp_path / "run", report=quiet)
    assert (run.root / "predictions.csv").read_bytes() == before
    assert (run.root / "fold-0" / "model.safetensors").read_bytes() == weights
