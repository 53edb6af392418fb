"""What a run leaves: its files, predictions of every pair out of fold, weights without training."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from short_trainings import lines, quiet

from xrano.errors import CheckpointError
from xrano.models.factory import create_model
from xrano.rano import RESPONSES
from xrano.training.config import RunConfig
from xrano.training.config_file import load_config
from xrano.training.run import Run
from xrano.training.train_run import train_run


def test_a_run_holds_what_its_documentation_says(tiny_run: Run, tiny_config: RunConfig):
    names = {path.name for path in tiny_run.root.iterdir()}
    assert {"config.yaml", "splits.json", "exclusions.csv", "predictions.csv"} <= names
    assert tiny_run.trained_folds == (0, 1)
    for fold in (0, 1):
        assert [line["epoch"] for line in lines(tiny_run, fold)] == [0, 1]
        best = min(lines(tiny_run, fold), key=lambda line: line["val_loss"])["epoch"]
        said = json.loads((tiny_run.root / f"fold-{fold}" / "fold.json").read_text())
        assert said == {"best_epoch": best, "epochs": 2}
    assert load_config(tiny_run.root / "config.yaml") == tiny_config
    assert not list(tiny_run.root.rglob(".*"))


def test_predictions_are_out_of_fold_and_of_every_pair_of_the_folds(tiny_run: Run):
    table = tiny_run.predictions
    pairs = tiny_run.pairs()
    for fold in (0, 1):
        test = set(tiny_run.splits["folds"][fold]["test"])
        part = table[table["fold"] == fold]
        expected = pairs[pairs["patient_id"].isin(test)]
        assert sorted(part["pair_id"]) == sorted(expected["pair_id"])
        seen = tiny_run.training_pairs(fold)
        assert not set(part["patient_id"]) & set(seen["patient_id"])
        assert len(part) + len(seen) == len(pairs)
    assert len(table) == table["pair_id"].nunique()
    logits = table[[f"logit_{response}" for response in RESPONSES]].to_numpy()
    assert list(table["predicted"]) == [str(RESPONSES[i]) for i in logits.argmax(axis=1)]
    truth = pairs.set_index("pair_id")["response"]
    assert list(table["response"]) == list(truth[table["pair_id"]])


def test_logits_are_those_of_the_saved_network_for_that_very_pair(tiny_run: Run):
    from xrano.data.dataset import PairDataset

    table = tiny_run.predictions
    for fold in (0, 1):
        row = table[table["fold"] == fold].iloc[-1]
        pairs = tiny_run.pairs()
        data = PairDataset(
            tiny_run.store, pairs[pairs["pair_id"] == row["pair_id"]], tiny_run.layout
        )
        with torch.no_grad():
            logits = tiny_run.model(fold)(data[0][0][None])[0].numpy()
        written = [row[f"logit_{response}"] for response in RESPONSES]
        np.testing.assert_allclose(written, logits, rtol=1e-4, atol=1e-5)


def test_pairs_that_lack_a_sequence_are_excluded_with_a_reason(tiny_run: Run):
    excluded = pd.read_csv(tiny_run.root / "exclusions.csv", keep_default_na=False)
    assert len(excluded) + len(tiny_run.pairs()) == len(tiny_run.store.pairs)
    assert set(excluded["reason"]) <= {"missing_sequence"}


def test_a_run_of_no_epochs_keeps_the_random_weights(untrained_config: RunConfig, tmp_path: Path):
    run = train_run(replace(untrained_config, seed=5), tmp_path / "run", report=quiet)
    expected = create_model("densenet_small", run.layout, 4, seed=5).state_dict()
    found = load_file(run.root / "fold-0" / "model.safetensors")
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    assert run.trained_folds == (0,)
    assert {run.fold_of(pair) for pair in run.pairs().to_dict("records")} == {0}
    with pytest.raises(CheckpointError, match=r"predictions\.csv"):
        _ = run.predictions
    again = train_run(replace(untrained_config, seed=5), tmp_path / "run", report=quiet)
    assert again.splits["protocol"] == "untrained"
