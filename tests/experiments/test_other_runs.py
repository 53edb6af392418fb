"""Runs with clinical data and runs of two classes go the whole way: explained, scored, judged."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from xrano.attribution.methods import AttributionSettings
from xrano.cli.main import main
from xrano.data.pair_volumes import load_pair
from xrano.errors import ConfigError
from xrano.experiments.cohort import CohortSettings, score_cohort
from xrano.experiments.evaluated_run import evaluate_run
from xrano.experiments.explained_pairs import clinical_of, explain_pairs
from xrano.explain import Explainer
from xrano.training.run import Run
from xrano.training.train_run import train_run

METHODS = ("saliency", "gradcam", "ig:prior")
SETTINGS = AttributionSettings(n_steps=2)


def quiet(*_: object) -> None:
    pass


def one_epoch(config, **changes):
    training = replace(config.training, epochs=1)
    return replace(config, training=training, folds=(0,), **changes)


@pytest.fixture(scope="module")
def clinical_run(tiny_config, tmp_path_factory) -> Run:
    model = replace(tiny_config.model, clinical=True)
    out = tmp_path_factory.mktemp("clinical") / "run"
    return train_run(one_epoch(tiny_config, model=model), out, report=quiet)


@pytest.fixture(scope="module")
def progression_run(tiny_config, tmp_path_factory) -> Run:
    out = tmp_path_factory.mktemp("progression") / "run"
    return train_run(one_epoch(tiny_config, task="progression"), out, report=quiet)


def test_clinical_scales_come_from_training_patients_and_stay_with_the_fold(clinical_run: Run):
    encoder = clinical_run.encoder(0)
    assert encoder is not None
    assert clinical_run.model(0).clinical == encoder.names
    seen = set(clinical_run.training_pairs(0)["patient_id"])
    sessions = clinical_run.store.sessions
    ages = sessions[sessions["patient_id"].isin(seen)].groupby("patient_id")["age"].first()
    scale = encoder.scales["age"]
    # Inner validation patients are among those seen, so the mean is of some of these.
    assert ages.min() <= scale.mean <= ages.max()
    assert scale.n_known < len(ages)


def test_predictions_are_those_of_the_network_with_the_pairs_own_vector(clinical_run: Run):
    row = clinical_run.predictions.iloc[0]
    record = clinical_run.pair(row["pair_id"])
    pair = load_pair(clinical_run.store, record, clinical_run.layout)
    encoder = clinical_run.encoder(0)
    assert encoder is not None
    vector = encoder.encode(pd.DataFrame([record]), clinical_run.store.sessions)
    with torch.no_grad():
        logits = clinical_run.model(0)(
            torch.from_numpy(pair.inputs)[None], torch.from_numpy(vector)
        )
    expected = row[[f"logit_{name}" for name in ("CR", "PR", "SD", "PD")]].to_numpy(float)
    np.testing.assert_allclose(logits[0].numpy(), expected, atol=1e-4)
    explainer = Explainer(
        clinical_run.model(0), METHODS, settings=SETTINGS, clinical=clinical_of(clinical_run, 0)
    )
    explained = explainer.explain(pair)
    np.testing.assert_allclose(list(explained.logits.values()), expected, atol=1e-4)
    assert len(explained.maps) == len(METHODS)


def test_a_clinical_run_is_scored_beside_random_copies_and_its_shares_are_told(
    clinical_run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    run = str(clinical_run.root)
    options = ["--methods", "saliency", "gradcam", "--copies", "1", "--n-steps", "2"]
    assert main(["score", run, "--out", str(tmp_path), *options, "--n-resamples", "20"]) == 0
    said = capsys.readouterr().out
    assert "relevance of images and clinical data" in said
    shares = pd.read_csv(tmp_path / "clinical_shares.csv", keep_default_na=False)
    assert set(shares["variable"]) >= {"image", "age", "idh", "mgmt", "sex"}
    tested = set(clinical_run.tested_pairs()["pair_id"])
    assert set(shares["pair_id"]) == tested
    sums = shares.groupby(["pair_id", "target"])["share"].apply(lambda s: s.astype(float).sum())
    np.testing.assert_allclose(sums, 1, atol=1e-6)


def test_a_clinical_network_explains_no_strangers(clinical_run: Run, tmp_path: Path):
    from xrano.experiments.outside_pair import explain_outside

    folder = Path(clinical_run.store.sessions["CT1"].iloc[0]).parents[3]
    with pytest.raises(ConfigError, match="needs clinical data"):
        explain_outside(clinical_run, folder, folder, METHODS, tmp_path, settings=SETTINGS)


def test_clinical_data_need_training(tiny_config, tmp_path):
    model = replace(tiny_config.model, clinical=True)
    training = replace(tiny_config.training, epochs=0)
    with pytest.raises(ConfigError, match="standardised on training patients"):
        train_run(
            replace(tiny_config, model=model, training=training, folds=()),
            tmp_path / "run",
            report=quiet,
        )


def test_a_run_of_two_classes_is_judged_explained_and_scored(progression_run: Run, tmp_path: Path):
    found = evaluate_run(progression_run, n_resamples=20).found
    assert found["network"]["classes"] == ["rest", "PD"]
    rule = next(name for name in found if name.startswith("volumetric rule, prior scan"))
    assert found[rule]["balanced_accuracy"][0] == 1.0
    pair_id = progression_run.predictions["pair_id"].iloc[0]
    (panel,) = explain_pairs(
        progression_run, [pair_id], METHODS, tmp_path / "e", target="PD", settings=SETTINGS
    )
    assert panel.is_file()
    table = score_cohort(
        progression_run,
        tmp_path / "scores",
        CohortSettings(methods=("saliency",), copies=1, attribution=SETTINGS),
    )
    assert set(table["target"]) <= {"rest", "PD", ""}
    assert set(table["predicted"]) <= {"rest", "PD"}
    assert set(table["response"]) <= {"CR", "PR", "SD", "PD", ""}


def test_a_class_that_the_network_does_not_know_is_no_target(progression_run: Run, tmp_path: Path):
    pair_id = progression_run.predictions["pair_id"].iloc[0]
    with pytest.raises(ConfigError, match="classes rest, PD; target SD is none"):
        explain_pairs(progression_run, [pair_id], METHODS, tmp_path, target="SD", settings=SETTINGS)
