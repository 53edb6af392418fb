"""How a network is trained: patience, learning rate, loss, validation, absent classes."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from short_trainings import copy_store, lines, quiet, settings

from xrano.data.store import Store
from xrano.errors import ConfigError
from xrano.experiments.evaluated_run import evaluate_run
from xrano.rano import RESPONSES
from xrano.training.config import ModelConfig, RunConfig, TrainingConfig
from xrano.training.run import Run
from xrano.training.schedule import cosine_rate as learning_rate
from xrano.training.train_run import train_run


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
