"""``xrano prepare`` and ``xrano train``: options, presets, config files, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
import yaml
from command_lines import Capture, exit_code, refused, train

from xrano.cli.main import build_parser, main
from xrano.data.store import Store, open_store
from xrano.training.config_file import load_config
from xrano.training.run import Run

# --- prepare


def test_prepare_says_what_it_made(phantom_index: Path, tmp_path: Path, capsys: Capture):
    out = tmp_path / "store"
    assert main(["prepare", str(phantom_index), "--out", str(out), "--spacing_mm", "12"]) == 0
    said = capsys.readouterr().out
    assert "12×12×12 mm" in said
    assert f"xrano train {out}" in said
    pairs = pd.read_csv(phantom_index / "pairs.csv")
    assert said.startswith(f"{len(pairs)} pairs on ")


def test_options_may_be_bare_and_hyphenated(phantom_index: Path, tmp_path: Path, capsys: Capture):
    """``--unrated`` alone means true; ``--spacing-mm`` is ``--spacing_mm``."""
    out = tmp_path / "store"
    assert (
        main(["prepare", str(phantom_index), "--unrated", "--spacing-mm=12", "--out", str(out)])
        == 0
    )
    store = open_store(out)
    assert store.grid.spacing == (12.0, 12.0, 12.0)
    assert (store.pairs["response"] == "").any()
    assert main(["prepare", str(phantom_index), "--spacing-mm", "12", "--out", str(out)]) == 0
    assert (open_store(out).pairs["response"] != "").all()


def test_prepare_refusals(phantom_index: Path, tmp_path: Path, capsys: Capture):
    out = tmp_path / "store"
    refused(capsys, "prepare", tmp_path, "--out", out, words=(str(tmp_path), "sessions.csv"))
    refused(
        capsys, "prepare", phantom_index, "--out", out, "--normalisation", "zscore",
        words=("zscore", "brain, healthy, paper, wm-peak"),
    )  # fmt: skip
    refused(capsys, "prepare", phantom_index, "--out", out, "--spacing_mm", "-1", words=("negat",))
    assert not out.exists()


# --- train: presets, config files, names


def test_an_untrained_run_and_a_list_with_blanks(
    phantom_store: Store, tmp_path: Path, capsys: Capture
):
    out = tmp_path / "run"
    options = ("--model.name", "densenet_small", "--model.sequences", "FLAIR", "T1")
    assert main(train(phantom_store, out, *options, "--training.epochs", 0)) == 0
    said = capsys.readouterr().out
    assert "untrained densenet_small" in said
    config = load_config(out / "config.yaml")
    assert config.model.sequences == ("FLAIR", "T1")
    assert config.store == str(phantom_store.root.resolve())


@pytest.mark.parametrize("epochs_first", [True, False])
def test_a_preset_is_the_ground_and_options_change_it(
    phantom_store: Store, tmp_path: Path, epochs_first: bool
):
    """Whichever comes first on the line."""
    out = tmp_path / "run"
    parts = [["--training.epochs", "0"], ["--preset", "demo"]]
    more = [word for part in (parts if epochs_first else parts[::-1]) for word in part]
    assert main(train(phantom_store, out, *more)) == 0
    config = load_config(out / "config.yaml")
    assert config.training.epochs == 0
    assert config.model.name == "densenet_small"
    preset = yaml.safe_load((Path(__file__).parents[2] / "xrano/presets/demo.yaml").read_text())
    assert config.training.batch_size == preset["training"]["batch_size"]
    assert config.n_folds == preset["n_folds"]


@pytest.mark.parametrize("name", ["demo", "laptop", "paper"])
def test_every_preset_is_a_config(name: str, phantom_store: Store, tmp_path: Path):
    parser = build_parser()
    path = Path(__file__).parents[2] / "xrano" / "presets" / f"{name}.yaml"
    parsed = parser.parse_args(
        ["train", str(phantom_store.root), "--out", str(tmp_path), "--config", str(path)]
    )
    values = parser.instantiate(parsed)["train"]
    stored = yaml.safe_load(path.read_text())
    assert values["model"].name == stored["model"]["name"]
    for key, value in stored["training"].items():
        assert getattr(values["training"], key) == value


def test_an_unknown_preset_lists_them(phantom_store: Store, tmp_path: Path, capsys: Capture):
    refused(
        capsys, *train(phantom_store, tmp_path / "r", "--preset", "laptob"),
        words=("laptob", "did you mean 'laptop'", "demo, laptop, paper"),
    )  # fmt: skip
    refused(
        capsys, *train(phantom_store, tmp_path / "r"), "--preset", words=("demo, laptop, paper",)
    )


def test_a_config_file_does_what_the_options_do(phantom_store: Store, tmp_path: Path):
    content = {
        "out": str(tmp_path / "from-file"),
        "model": {"name": "densenet_small", "sequences": ["T2", "CT1"]},
        "training": {"epochs": 0, "accelerator": "cpu"},
        "n_folds": 3,
        "seed": 8,
    }
    path = tmp_path / "run.yaml"
    path.write_text(yaml.safe_dump(content))
    assert main(["train", str(phantom_store.root), "--config", str(path)]) == 0
    options = ["--model.name", "densenet_small", "--model.sequences", "T2", "CT1"]
    options += ["--training.epochs", "0", "--n_folds", "3", "--seed", "8"]
    assert main(train(phantom_store, tmp_path / "from-options", *options)) == 0
    one, two = (tmp_path / name / "fold-0" for name in ("from-file", "from-options"))
    weights = "model.safetensors"
    assert (one / weights).read_bytes() == (two / weights).read_bytes()
    assert load_config(one.parent / "config.yaml") == load_config(two.parent / "config.yaml")


def test_a_config_file_that_is_wrong(phantom_store: Store, tmp_path: Path, capsys: Capture):
    path = tmp_path / "run.yaml"
    path.write_text("training:\n  epoch: 3\n")
    assert exit_code(*train(phantom_store, tmp_path / "r", "--config", path)) == 2
    said = capsys.readouterr().err
    assert "epoch" in said
    assert "Traceback" not in said


def test_training_refusals(phantom_store: Store, tmp_path: Path, capsys: Capture):
    out = tmp_path / "run"
    small = ("--model.name", "densenet_small", "--training.epochs", "1")
    n_patients = phantom_store.pairs["patient_id"].nunique()
    for more, words in (
        (("--model.name", "resnet"), ("resnet", "densenet121, densenet169, densenet264")),
        ((*small, "--model.sequences", "T1", "ADC"), ("'ADC'", "CT1, FLAIR, T1, T2")),
        ((*small, "--n_folds", "50"), ("50 folds", str(n_patients))),
        (("--training.balancing", "smote"), ("both, none, paper, sampler, weights",)),
        (("--training.epochs", "-1"), ("training.epochs must be ≥ 0",)),
        (("--folds", "0", "7"), ("fold 7",)),
    ):
        refused(capsys, *train(phantom_store, out, *more), words=words)
    refused(capsys, "train", tmp_path, "--out", out, words=(str(tmp_path), "store.json", "prepare"))


def test_a_splits_file_with_strangers_is_refused(
    phantom_store: Store, tiny_run: Run, tmp_path: Path, capsys: Capture
):
    splits = json.loads((tiny_run.root / "splits.json").read_text())
    splits["folds"][0]["test"].append("Patient-777")
    path = tmp_path / "splits.json"
    path.write_text(json.dumps(splits))
    more = ("--model.name", "densenet_small", "--splits", path, "--n_folds", 3)
    refused(
        capsys, *train(phantom_store, tmp_path / "run", *more), words=(str(path), "Patient-777")
    )
