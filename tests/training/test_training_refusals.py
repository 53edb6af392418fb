"""Settings, splits, stores and folders with which no training begins, and what is said of them."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from short_trainings import copy_store, quiet, settings

from xrano.data.store import Store
from xrano.errors import ConfigError, ManifestError, SplitError, UnknownNameError
from xrano.training.config import ModelConfig, RunConfig
from xrano.training.config_file import dump_config, load_config
from xrano.training.run import Run, open_run
from xrano.training.train_run import train_run


def test_a_folder_of_a_run_with_other_settings_is_refused(tiny_run: Run, tiny_config: RunConfig):
    before = (tiny_run.root / "config.yaml").read_bytes()
    for other in (replace(tiny_config, seed=1), settings(tiny_config, epochs=3)):
        with pytest.raises(ConfigError, match=r"already holds a run.*another --out") as caught:
            train_run(other, tiny_run.root, report=quiet)
        assert str(tiny_run.root) in str(caught.value)
    assert (tiny_run.root / "config.yaml").read_bytes() == before


def test_fewer_patients_than_folds(tiny_config: RunConfig, tmp_path: Path):
    config = replace(tiny_config, n_folds=40, folds=())
    with pytest.raises(SplitError, match="40 folds need at least as many patients.*9"):
        train_run(config, tmp_path / "run", report=quiet)


def test_a_run_that_is_refused_leaves_nothing_behind(tiny_config: RunConfig, tmp_path: Path):
    """The same folder must do for the same command with fewer folds."""
    with pytest.raises(SplitError):
        train_run(replace(tiny_config, n_folds=40, folds=()), tmp_path / "run", report=quiet)
    assert not (tmp_path / "run").exists()


def test_too_few_pairs_for_a_batch(tiny_config: RunConfig, phantom_store: Store, tmp_path: Path):
    """Three patients with one pair each: one is tested, one chooses the epoch, one is left."""
    first = phantom_store.pairs.drop_duplicates("patient_id")["pair_id"].head(3).tolist()
    store = copy_store(phantom_store, tmp_path / "store", lambda row: row["pair_id"] in first)
    config = replace(tiny_config, store=str(store.root))
    with pytest.raises(SplitError, match="1 training pairs give no batch"):
        train_run(config, tmp_path / "run", report=quiet)


def test_further_folds_can_be_trained_in_the_same_run(tiny_config: RunConfig, tmp_path: Path):
    """As the error about a patient of an untrained fold advises."""
    one_epoch = settings(tiny_config, epochs=1)
    train_run(replace(one_epoch, folds=(0,)), tmp_path / "run", report=quiet)
    run = train_run(replace(one_epoch, folds=(2,)), tmp_path / "run", report=quiet)
    assert run.trained_folds == (0, 2)
    assert set(run.predictions["fold"]) == {0, 2}


def test_a_splits_file_is_used_and_one_with_strangers_refused(
    tiny_config: RunConfig, tiny_run: Run, tmp_path: Path
):
    splits = json.loads((tiny_run.root / "splits.json").read_text())
    splits["folds"] = splits["folds"][::-1]
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(splits))
    config = replace(settings(tiny_config, epochs=1), folds=(0,), splits=str(path))
    run = train_run(config, tmp_path / "run", report=quiet)
    assert run.splits["folds"] == splits["folds"]
    assert set(run.predictions["patient_id"]) == set(splits["folds"][0]["test"])
    splits["folds"][1]["test"].append("Patient-777")
    path.write_text(json.dumps(splits))
    with pytest.raises(SplitError, match="without any pair: Patient-777") as caught:
        train_run(config, tmp_path / "other", report=quiet)
    assert str(path) in str(caught.value)
    (run.root / "splits.json").write_text(json.dumps(splits))
    with pytest.raises(SplitError, match="Patient-777"):
        open_run(run.root)


def test_unknown_names_list_the_choices(tiny_config: RunConfig, tmp_path: Path):
    for config, words in (
        (replace(tiny_config, model=ModelConfig("resnet50", ("T1",))), "densenet121, densenet169"),
        (replace(tiny_config, model=ModelConfig("densenet121", ("ADC",))), "CT1, FLAIR, T1, T2"),
    ):
        with pytest.raises(UnknownNameError, match=words):
            train_run(config, tmp_path / "run", report=quiet)
    with pytest.raises(UnknownNameError, match="both, none, paper, sampler, weights"):
        settings(tiny_config, balancing="smote")
    with pytest.raises(UnknownNameError, match="bf16-mixed"):
        settings(tiny_config, precision="8-bit")
    assert not (tmp_path / "run").exists()


def test_settings_that_make_no_sense(tiny_config: RunConfig):
    for changes in ({"epochs": -1}, {"batch_size": 0}, {"patience": 0}):
        with pytest.raises(ConfigError, match="must be ≥"):
            settings(tiny_config, **changes)
    with pytest.raises(ConfigError, match="fold 3 is not one of the 3 folds"):
        replace(tiny_config, folds=(0, 3))
    with pytest.raises(ConfigError, match="validation_fraction"):
        replace(tiny_config, validation_fraction=1.0)


def test_a_folder_that_is_no_run_and_a_store_that_has_moved(
    tiny_run: Run, phantom_store: Store, tmp_path: Path
):
    with pytest.raises(ConfigError, match=r"no config\.yaml"):
        open_run(tmp_path)
    copy = tmp_path / "run"
    shutil.copytree(tiny_run.root, copy)
    config = load_config(copy / "config.yaml")
    (copy / "config.yaml").write_text(dump_config(replace(config, store="/nowhere/store")))
    with pytest.raises(ManifestError, match="/nowhere/store"):
        open_run(copy)
    assert open_run(copy, store=phantom_store.root).trained_folds == (0, 1)


def test_a_config_of_another_shape_is_refused(tmp_path: Path):
    path = tmp_path / "config.yaml"
    for text, words in (
        ("model: [", "is not YAML"),
        ("- 1", "must hold a mapping"),
        ("store: a\ncolour: red", "colour"),
        ("training:\n  epoch: 3", "did you mean 'epochs'"),
    ):
        path.write_text(text)
        with pytest.raises((ConfigError, UnknownNameError), match=words):
            load_config(path)


@pytest.mark.parametrize("accelerator", ["cuda", "abacus"])
def test_an_accelerator_that_is_not_there(
    tiny_config: RunConfig, tmp_path: Path, accelerator: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(ConfigError, match=f"accelerator {accelerator}.*cpu"):
        train_run(settings(tiny_config, accelerator=accelerator), tmp_path / "run", report=quiet)
