from __future__ import annotations

import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from xrano.cli.main import main
from xrano.data.store import Store, open_store
from xrano.errors import (
    CheckpointError,
    ConfigError,
    ManifestError,
    SplitError,
    UnknownNameError,
)
from xrano.experiments.evaluated_run import evaluate_run
from xrano.models.factory import create_model
from xrano.rano import RESPONSES
from xrano.training.config import ModelConfig, RunConfig, TrainingConfig
from xrano.training.config_file import dump_config, load_config
from xrano.training.run import Run, open_run
from xrano.training.schedule import cosine_rate as learning_rate
from xrano.training.train_run import train_run

RESULTS = ("model.safetensors", "metrics.jsonl", "fold.json")


def quiet(*_: object) -> None:
    pass


def settings(config: RunConfig, **changes: object) -> RunConfig:
    return replace(config, training=replace(config.training, **changes))


def results(root: Path, folds: tuple[int, ...]) -> dict[str, bytes]:
    """The files that an interruption must not change."""
    found = {name: (root / name).read_bytes() for name in ("predictions.csv", "splits.json")}
    for fold in folds:
        found |= {f"{fold}/{name}": (root / f"fold-{fold}" / name).read_bytes() for name in RESULTS}
    return found


def lines(run: Run, fold: int = 0) -> list[dict[str, float]]:
    text = (run.root / f"fold-{fold}" / "metrics.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


class Interrupted(Exception):
    pass


# --- what a run leaves


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


# --- interrupted


@pytest.fixture(scope="module")
def longer(tiny_config: RunConfig) -> RunConfig:
    """One fold for four epochs, with augmentation and a sampler."""
    config = settings(tiny_config, epochs=4, balancing="both", affine=0.5)
    return replace(config, folds=(0,))


@pytest.fixture(scope="module")
def undisturbed(longer: RunConfig, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return train_run(longer, tmp_path_factory.mktemp("undisturbed") / "run", report=quiet)


@pytest.mark.parametrize("epoch", [0, 2, 3])
def test_a_training_that_was_interrupted_ends_with_the_same_bytes(
    longer: RunConfig, undisturbed: Run, tmp_path: Path, epoch: int
):
    seen = []

    def interrupt(_fold: int, line: dict[str, float], _epochs: int) -> None:
        seen.append(line["epoch"])
        if line["epoch"] == epoch:
            raise Interrupted

    with pytest.raises(Interrupted):
        train_run(longer, tmp_path / "run", report=interrupt)
    assert not (tmp_path / "run" / "fold-0" / "fold.json").exists()
    assert not (tmp_path / "run" / "predictions.csv").exists()
    with pytest.raises(CheckpointError, match="no finished fold"):
        open_run(tmp_path / "run").fold_of({"patient_id": "Patient-001"})
    train_run(longer, tmp_path / "run", report=lambda _f, line, _e: seen.append(line["epoch"]))
    assert seen == [0, 1, 2, 3]
    assert results(tmp_path / "run", (0,)) == results(undisturbed.root, (0,))


def test_a_crash_between_the_files_of_an_epoch_changes_nothing(
    longer: RunConfig, undisturbed: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Metrics and weights of epoch 2 are written, the state that says so is not."""
    import xrano.training.loop as loop

    save, count = loop.save_resume, []

    def fail(path: Path, state: dict[str, object]) -> None:
        count.append(path)
        if len(count) == 3:
            raise Interrupted
        save(path, state)

    monkeypatch.setattr(loop, "save_resume", fail)
    with pytest.raises(Interrupted):
        train_run(longer, tmp_path / "run", report=quiet)
    train_run(longer, tmp_path / "run", report=quiet)
    assert results(tmp_path / "run", (0,)) == results(undisturbed.root, (0,))


def test_a_finished_run_is_not_trained_again(tiny_run: Run, tiny_config: RunConfig):
    before = {path: path.stat().st_mtime_ns for path in tiny_run.root.glob("fold-*/*")}
    seen = []
    train_run(tiny_config, tiny_run.root, report=lambda *line: seen.append(line))
    assert not seen
    assert {path: path.stat().st_mtime_ns for path in tiny_run.root.glob("fold-*/*")} == before


def test_the_same_run_gives_the_same_bytes(longer: RunConfig, undisturbed: Run, tmp_path: Path):
    torch.rand(3)  # the state of the global generator must not matter
    train_run(longer, tmp_path / "run", report=quiet)
    assert results(tmp_path / "run", (0,)) == results(undisturbed.root, (0,))


def test_a_state_of_another_network_is_refused(longer: RunConfig, tmp_path: Path):
    def interrupt(*_: object) -> None:
        raise Interrupted

    with pytest.raises(Interrupted):
        train_run(longer, tmp_path / "run", report=interrupt)
    path = tmp_path / "run" / "fold-0" / "resume.pt"
    state = torch.load(path, weights_only=True)
    state["network"].pop("backbone.features.conv0.weight")
    torch.save(state, path)
    with pytest.raises(CheckpointError, match=r"resume\.pt is of another architecture"):
        train_run(longer, tmp_path / "run", report=quiet)


def wait_for(path: Path, process: subprocess.Popen[bytes], seconds: float = 120.0) -> None:
    end = time.monotonic() + seconds
    while not path.exists():
        assert process.poll() is None, process.stderr.read().decode()
        assert time.monotonic() < end, f"{path} did not appear"
        time.sleep(0.005)


def test_a_training_that_was_killed_ends_with_the_same_bytes(
    undisturbed: Run, longer: RunConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    out = tmp_path / "run"
    arguments = ["train", longer.store, "--out", str(out), "--n_folds", "3", "--folds", "0"]
    arguments += ["--model.name", "densenet_small", "--model.sequences", "CT1", "FLAIR"]
    for name in ("epochs", "batch_size", "learning_rate", "balancing", "affine", "accelerator"):
        arguments += [f"--training.{name}", str(getattr(longer.training, name))]
    process = subprocess.Popen(
        [sys.executable, "-m", "xrano.cli.main", *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())},
    )
    wait_for(out / "fold-0" / "metrics.jsonl", process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert process.returncode == -signal.SIGKILL
    assert not (out / "predictions.csv").exists()
    assert main(arguments) == 0
    assert "xrano evaluate" in capsys.readouterr().out
    assert load_config(out / "config.yaml") == longer
    assert results(out, (0,)) == results(undisturbed.root, (0,))


# --- how it is trained


def test_training_stops_after_patience_and_keeps_the_best_epoch(
    tiny_config: RunConfig, tmp_path: Path
):
    config = replace(settings(tiny_config, epochs=30, patience=2, learning_rate=0.02), folds=(0,))
    weights: list[bytes] = []
    path = tmp_path / "run" / "fold-0" / "model.safetensors"
    run = train_run(config, tmp_path / "run", report=lambda *_: weights.append(path.read_bytes()))
    losses = [line["val_loss"] for line in lines(run)]
    best, stop = 0, None
    for epoch, loss in enumerate(losses):
        if loss < losses[best]:
            best = epoch
        if epoch - best == 2:
            stop = epoch
            break
    assert stop == len(losses) - 1 < 29
    said = json.loads((run.root / "fold-0" / "fold.json").read_text())
    assert said == {"best_epoch": best, "epochs": len(losses)}
    assert path.read_bytes() == weights[best] == weights[-1]
    if best:
        assert weights[best] != weights[best - 1]
    # Stopped and finished is not the same as interrupted: nothing goes on.
    train_run(config, tmp_path / "run", report=lambda *_: pytest.fail("went on"))


def test_patience_starts_anew_with_every_better_epoch(
    tiny_config: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Validation as if the right class were ahead by these logits: 0 and 1 and 3 are the best."""
    import xrano.training.loop as loop

    ahead = iter([0.0, 1.0, 0.5, 2.0, 1.0, 1.5, 9.0, 9.0])

    def as_if(
        _model: object, _loader: object, _clinical: object
    ) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.tensor([[next(ahead), 0.0, 0.0, 0.0]] * 3), torch.zeros(3, dtype=torch.long)

    monkeypatch.setattr(loop, "predict_all", as_if)
    config = replace(settings(tiny_config, epochs=8, patience=2), folds=(0,))
    run = train_run(config, tmp_path / "run", report=quiet)
    said = json.loads((run.root / "fold-0" / "fold.json").read_text())
    assert said == {"best_epoch": 3, "epochs": 6}
    losses = [line["val_loss"] for line in lines(run)]
    expected = [math.log(1 + 3 * math.exp(-a)) for a in (0.0, 1.0, 0.5, 2.0, 1.0, 1.5)]
    assert losses == pytest.approx(expected, rel=1e-5)


def test_order_and_random_changes_are_new_in_every_epoch(
    longer: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Before and after an interruption."""
    from xrano.data.dataset import PairDataset
    from xrano.training.sampling import EpochBatches

    told: dict[str, list[int]] = {"order": [], "changes": []}
    for kind, name in ((EpochBatches, "order"), (PairDataset, "changes")):
        original = kind.set_epoch

        def note(self, epoch: int, original=original, name=name) -> None:
            told[name].append(epoch)
            original(self, epoch)

        monkeypatch.setattr(kind, "set_epoch", note)

    def interrupt(_fold: int, line: dict[str, float], _epochs: int) -> None:
        if line["epoch"] == 1:
            raise Interrupted

    with pytest.raises(Interrupted):
        train_run(longer, tmp_path / "run", report=interrupt)
    train_run(longer, tmp_path / "run", report=quiet)
    assert told == {"order": [0, 1, 2, 3], "changes": [0, 1, 2, 3]}


def test_the_learning_rate_rises_and_falls_along_its_formula(tiny_run: Run):
    config = TrainingConfig(epochs=10, learning_rate=0.5, warmup_epochs=2)
    rates = [learning_rate(config, epoch / 8) for epoch in range(81)]
    peak = int(np.argmax(rates))
    assert rates[peak] == pytest.approx(0.5)
    assert peak == 16
    assert 0 < rates[0] < 0.05
    assert np.all(np.diff(rates[: peak + 1]) > 0)
    assert np.all(np.diff(rates[peak:]) < 0)
    assert rates[-1] == pytest.approx(0.0, abs=1e-12)
    assert learning_rate(config, 6.0) == pytest.approx(0.5 * 0.5 * (1 + math.cos(math.pi / 2)))
    # In a run of fewer epochs than its warm-up the rate just rises.
    assert learning_rate(TrainingConfig(epochs=1, learning_rate=1.0), 0.9) < 1.0
    steps = math.ceil(len(tiny_run.training_pairs(0)) / 4)
    assert lines(tiny_run)[-1]["learning_rate"] > 0
    assert steps > 1


def test_the_network_learns_what_can_be_learned(phantom_store: Store, tmp_path: Path):
    """Without augmentation a few pairs are learned by heart: the loss falls far below chance."""
    config = RunConfig(
        store=str(phantom_store.root),
        model=ModelConfig("densenet_small", ("CT1", "FLAIR")),
        training=TrainingConfig(
            epochs=12, batch_size=4, learning_rate=1e-2, balancing="none", patience=50,
            flip=0.0, scale=0.0, noise=0.0, affine=0.0, shift=0, accelerator="cpu",
        ),
        n_folds=3,
        folds=(1,),
    )  # fmt: skip
    run = train_run(config, tmp_path / "run", report=quiet)
    losses = [line["train_loss"] for line in lines(run, 1)]
    assert losses[0] > 1.2
    assert np.mean(losses[-3:]) < 0.9


def test_class_weights_enter_the_loss(tiny_config: RunConfig, tmp_path: Path):
    found = {}
    for balancing in ("none", "weights"):
        config = replace(settings(tiny_config, epochs=1, balancing=balancing), folds=(0,))
        found[balancing] = lines(train_run(config, tmp_path / balancing, report=quiet))[0]
    assert found["none"]["val_loss"] != found["weights"]["val_loss"]


def test_validation_patients_are_training_patients_that_do_not_train(
    tiny_config: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    import xrano.training.one_fold as run_module

    seen = []
    original = run_module.train_fold

    def spy(config, data, folder, **options):
        seen.append(data)
        original(config, data, folder, **options)

    monkeypatch.setattr(run_module, "train_fold", spy)
    run = train_run(settings(tiny_config, epochs=1), tmp_path / "run", report=quiet)
    for fold, data in enumerate(seen):
        training, validation = (
            set(part.pairs["patient_id"]) for part in (data.training, data.validation)
        )
        test = set(run.splits["folds"][fold]["test"])
        assert training
        assert validation
        assert not training & validation
        assert not (training | validation) & test
        assert training | validation | test == set(run.pairs()["patient_id"])
        assert data.training.augmentation is not None
        assert data.validation.augmentation is None


def test_a_training_that_diverges_says_so(tiny_config: RunConfig, tmp_path: Path):
    config = replace(settings(tiny_config, epochs=2, learning_rate=1e30), folds=(0,))
    with pytest.raises(ConfigError, match="never a finite number.*lower learning_rate"):
        train_run(config, tmp_path / "run", report=quiet)
    assert not (tmp_path / "run" / "predictions.csv").exists()
    assert not (tmp_path / "run" / "fold-0" / "fold.json").exists()


@pytest.mark.parametrize("accelerator", ["cuda", "abacus"])
def test_an_accelerator_that_is_not_there(
    tiny_config: RunConfig, tmp_path: Path, accelerator: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(ConfigError, match=f"accelerator {accelerator}.*cpu"):
        train_run(settings(tiny_config, accelerator=accelerator), tmp_path / "run", report=quiet)


# --- untrained


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


# --- refusals


def copy_store(store: Store, root: Path, keep) -> Store:
    """A store of some of the pairs only."""
    shutil.copytree(store.root, root)
    pairs = pd.read_csv(root / "pairs.csv", dtype=str, keep_default_na=False)
    pairs[[keep(row) for row in pairs.to_dict("records")]].to_csv(root / "pairs.csv", index=False)
    return open_store(root)


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


# --- a class that is absent


def test_a_class_that_nobody_has_is_reported_and_no_number_is_nan(
    tiny_config: RunConfig, phantom_store: Store, tmp_path: Path, recwarn: pytest.WarningsRecorder
):
    store = copy_store(phantom_store, tmp_path / "store", lambda row: row["response"] != "CR")
    config = replace(settings(tiny_config, epochs=1, balancing="both"), store=str(store.root))
    run = train_run(config, tmp_path / "run", report=quiet)
    for fold in (0, 1):
        assert all(np.isfinite(list(line.values())).all() for line in lines(run, fold))
    found = evaluate_run(run, n_resamples=50).found
    assert found["network"]["absent"] == ["CR"]
    assert set(found["network"]["recall"]) == {"PR", "SD", "PD"}
    text = (run.root / "evaluation.json").read_text()
    assert "NaN" not in text
    assert not [w for w in recwarn if "classes" in str(w.message) or "mean" in str(w.message)]


def test_a_class_of_one_patient_is_absent_where_that_patient_is_tested(
    tiny_config: RunConfig, phantom_store: Store, tmp_path: Path
):
    """Its weight in the loss is zero there, and no loss is NaN."""
    carrier = phantom_store.pairs.query("response == 'PR'")["patient_id"].iloc[0]
    store = copy_store(
        phantom_store,
        tmp_path / "store",
        lambda row: row["response"] != "PR" or row["patient_id"] == carrier,
    )
    config = replace(settings(tiny_config, epochs=1), store=str(store.root), folds=())
    run = train_run(config, tmp_path / "run", report=quiet)
    fold = next(n for n, part in enumerate(run.splits["folds"]) if carrier in part["test"])
    assert "PR" not in set(run.training_pairs(fold)["response"])
    assert all(np.isfinite(list(line.values())).all() for line in lines(run, fold))
    logits = run.predictions[[f"logit_{response}" for response in RESPONSES]].to_numpy()
    assert np.isfinite(logits).all()
