"""A faithfulness run on held-out pairs: which pairs, which networks, which parts."""

from __future__ import annotations

import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml

from xrano.attribution.methods import AttributionSettings
from xrano.data.label_schemes import region_mask
from xrano.data.pair_volumes import load_pair
from xrano.errors import ConfigError, UnknownNameError
from xrano.experiments import faithfulness_run
from xrano.experiments.explained_cohort import held_out
from xrano.experiments.explained_pairs import clinical_of
from xrano.experiments.faithfulness_files import ROW_COLUMNS
from xrano.experiments.faithfulness_networks import FoldNetworks, seed_runs
from xrano.experiments.faithfulness_plan import describe_faithfulness
from xrano.experiments.faithfulness_run import measure_faithfulness
from xrano.experiments.faithfulness_settings import (
    TESTS,
    FaithfulnessSettings,
    chosen_pairs,
    told,
)
from xrano.explain import Explainer
from xrano.faithfulness.agreement import map_agreement, relevance_in_brain
from xrano.faithfulness.catalogue import FAITHFULNESS
from xrano.geometry import dilate_mm
from xrano.models.classifier import ResponseClassifier
from xrano.training.config import RunConfig
from xrano.training.run import Run, open_run
from xrano.training.train_run import train_run

LIGHT = FaithfulnessSettings(
    methods=("saliency", "gradcam"),
    pairs=2,
    steps=2,
    blocks=4,
    noisy=1,
    controls=1,
    directions=1,
    attribution=AttributionSettings(n_steps=2),
)


@pytest.fixture(scope="module")
def seeded(tiny_run: Run, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The tiny run beside a run with another seed, whose weights are the same."""
    root = tmp_path_factory.mktemp("arm")
    for seed in (0, 1):
        folder = root / f"seed-{seed}"
        shutil.copytree(tiny_run.root, folder)
        config = yaml.safe_load((folder / "config.yaml").read_text())
        (folder / "config.yaml").write_text(yaml.safe_dump({**config, "seed": seed}))
    return open_run(root / "seed-0")


@pytest.fixture(scope="module")
def measured(seeded: Run, tmp_path_factory: pytest.TempPathFactory):
    out = tmp_path_factory.mktemp("faithful")
    return out, measure_faithfulness(seeded, out, LIGHT)


def rows_of(measured, **wanted) -> pd.DataFrame:
    rows = measured[1].rows
    for name, value in wanted.items():
        rows = rows[rows[name] == value]
    assert len(rows)
    return rows


# --- the pairs


def test_pairs_are_spread_over_responses_and_more_only_add(tiny_run: Run):
    every = chosen_pairs(tiny_run, 1000, 0)
    usable = [row for row in held_out(tiny_run) if row["response"] and not row["spans_surgery"]]
    assert {row["pair_id"] for row in every} == {row["pair_id"] for row in usable}
    there = Counter(row["response"] for row in usable)
    for count in range(1, len(every)):
        few = chosen_pairs(tiny_run, count, 0)
        assert few == every[:count]
        have = Counter(row["response"] for row in few)
        for name in there:
            # No response is behind another by more than one unless it has no more pairs.
            assert have[name] >= min(there[name], max(have.values()) - 1)
    again = chosen_pairs(tiny_run, 4, 0)
    assert again == every[:4]
    drawn = {tuple(row["pair_id"] for row in chosen_pairs(tiny_run, 4, seed)) for seed in range(6)}
    assert len(drawn) > 1


def test_pairs_are_told_with_their_responses(tiny_run: Run):
    pairs = chosen_pairs(tiny_run, 3, 0)
    said = told(pairs)
    assert said.startswith("3 pairs (")
    for name, count in Counter(row["response"] for row in pairs).items():
        assert f"{count} {name}" in said


# --- what is measured


def test_every_metric_is_there_for_every_pair_and_method(measured, seeded: Run):
    rows = measured[1].rows
    assert tuple(rows.columns) == ROW_COLUMNS
    assert set(rows["metric"]) == set(FAITHFULNESS)
    pairs = [row["pair_id"] for row in chosen_pairs(seeded, LIGHT.pairs, LIGHT.seed)]
    assert list(dict.fromkeys(rows["pair_id"])) == pairs
    of_network = {"lesion_erase", "lesion_only", "visit_swap", "duplicated_visit"}
    for metric, own in rows.groupby("metric"):
        methods = set(own["method"])
        if metric == "misalignment":
            assert methods == {"", "saliency", "gradcam"}
        else:
            assert methods == ({""} if metric in of_network else {"saliency", "gradcam"})
    key = ["pair_id", "method", "metric", "infill", "setting", "quantity"]
    assert not rows.duplicated(key).any()
    ok = rows[rows["status"] == "ok"]
    bounds = ok[~ok["metric"].isin(of_network) & (ok["quantity"] != "absolute_logit_change")]
    for row in bounds.dropna(subset="value").itertuples():
        metric = FAITHFULNESS[str(row.metric)]
        assert metric.lowest - 1e-9 <= float(row.value) <= metric.highest + 1e-9


def test_each_pair_is_asked_of_the_network_that_never_saw_it(measured, seeded: Run):
    predicted = seeded.predictions.set_index("pair_id")["predicted"]
    one = measured[1].rows.drop_duplicates("pair_id").set_index("pair_id")["predicted"]
    assert (one == predicted[one.index]).all()


def test_erasing_the_lesion_is_by_hand(measured, seeded: Run):
    record = measured[1].pairs[0]
    pair = load_pair(seeded.store, record, seeded.layout)
    prior, current, scheme = pair.segmentations["deepbratumia"]
    lesion = region_mask(prior, scheme, "whole") | region_mask(current, scheme, "whole")
    grown = dilate_mm(lesion & pair.brain, pair.grid.spacing, LIGHT.dilation_mm) & pair.brain
    half = len(seeded.layout) // 2
    changed = pair.inputs.copy()
    changed[half:, grown] = pair.inputs[:half, grown]
    model = seeded.model(seeded.fold_of(record))
    with torch.no_grad():
        before, after = model(torch.from_numpy(np.stack([pair.inputs, changed]))).double().numpy()
    row = rows_of(
        measured,
        pair_id=record["pair_id"],
        metric="lesion_erase",
        infill="prior",
        quantity="logit_change",
    )
    target = int(before.argmax())
    assert row["value"].item() == pytest.approx(after[target] - before[target], abs=1e-5)
    told_of = measured[1].answers
    found = told_of[
        (told_of["pair_id"] == record["pair_id"])
        & (told_of["metric"] == "lesion_erase")
        & (told_of["infill"] == "prior")
    ].iloc[0]
    names = seeded.task.classes
    assert [found[f"logit_after_{name}"] for name in names] == pytest.approx(after, abs=1e-5)
    assert found["predicted_after"] == names[int(after.argmax())]


def test_a_run_of_the_same_weights_agrees_with_itself_and_another_fold_does_not(measured):
    seeds = rows_of(measured, metric="seed_agreement")
    assert seeds["value"].to_numpy() == pytest.approx(1)
    folds = rows_of(measured, metric="fold_agreement", quantity="rank_correlation")
    assert (folds["value"] < 0.999).all()
    assert folds["reference"].notna().all()


def test_randomisation_is_by_hand_for_one_block(measured, seeded: Run):
    record = measured[1].pairs[0]
    pair = load_pair(seeded.store, record, seeded.layout)
    fold = seeded.fold_of(record)
    networks = FoldNetworks(seeded, fold, replace(LIGHT, methods=("saliency",)))
    same = networks.randomised[2]
    block = same[0][0].block
    target = seeded.predictions.set_index("pair_id").loc[record["pair_id"], "predicted"]

    def ranked(model):
        found = Explainer(model, ["saliency"]).explain(pair, target).maps[0]
        return relevance_in_brain(found, pair.grid, pair.brain)

    own = ranked(seeded.model(fold))
    drawn = [ranked(one.network) for one, _ in same]
    row = rows_of(
        measured,
        pair_id=record["pair_id"],
        metric="cascading_randomisation",
        method="saliency",
        setting=block,
        quantity="rank_correlation",
    )
    values = [map_agreement(own, one).rank_correlation for one in drawn]
    assert row["value"].item() == pytest.approx(np.mean(values))
    assert row["reference"].item() == pytest.approx(map_agreement(*drawn).rank_correlation)
    trained: ResponseClassifier = seeded.model(fold)
    for one, _ in same:
        weights = dict(one.network.named_parameters())
        kept = [
            name for name, value in trained.named_parameters() if torch.equal(weights[name], value)
        ]
        assert kept
        assert all("conv0" in n or "norm0" in n or "denseblock1" in n or "bias" in n for n in kept)


def test_clinical_data_and_all_global_states_stay_as_they_are(
    tiny_config: RunConfig, tmp_path: Path
):
    config = replace(
        tiny_config,
        model=replace(tiny_config.model, clinical=True),
        training=replace(tiny_config.training, epochs=1),
        folds=(0,),
    )
    run = train_run(config, tmp_path / "run", report=lambda *_: None)
    settings = replace(LIGHT, methods=("saliency",), pairs=1)
    settings = replace(settings, tests=("interventions", "randomisation", "agreement"))
    torch.manual_seed(3)
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    found = measure_faithfulness(run, tmp_path / "f", settings)
    assert torch.equal(torch.get_rng_state(), before[0])
    np.testing.assert_array_equal(np.random.get_state()[1], before[1])  # noqa: NPY002
    pair = load_pair(run.store, found.pairs[0], run.layout)
    half = len(run.layout) // 2
    swapped = np.concatenate([pair.inputs[half:], pair.inputs[:half]])
    vector = clinical_of(run, 0)(pair)
    with torch.no_grad():
        logits = run.model(0)(torch.from_numpy(swapped)[None], vector[None])[0].double().numpy()
    row = found.answers[found.answers["metric"] == "visit_swap"].iloc[0]
    names = run.task.classes
    assert [row[f"logit_after_{name}"] for name in names] == pytest.approx(logits, abs=1e-5)
    # One fold alone is trained, and no other seed is at hand.
    assert not set(found.rows["metric"]) & {"fold_agreement", "seed_agreement"}
    assert "cascading_randomisation" in set(found.rows["metric"])


# --- parts


def test_parts_are_kept_and_only_what_is_missing_is_made(
    measured, seeded: Run, tmp_path, monkeypatch
):
    out, first = measured
    again = tmp_path / "again"
    shutil.copytree(out, again)
    asked: list[tuple[str, str]] = []
    plain = faithfulness_run.run_test

    def noting(name, case):
        asked.append((case.pair.pair_id, name))
        return plain(name, case)

    monkeypatch.setattr(faithfulness_run, "run_test", noting)
    kept = measure_faithfulness(seeded, again, LIGHT)
    assert asked == []
    pd.testing.assert_frame_equal(kept.rows, first.rows)
    pd.testing.assert_frame_equal(kept.answers, first.answers)
    ids = [record["pair_id"] for record in first.pairs]
    part = again / "parts" / ids[1] / "interventions.json"
    bytes_before = part.read_bytes()
    part.write_text(part.read_text()[:100])
    remade = measure_faithfulness(seeded, again, LIGHT)
    assert asked == [(ids[1], "interventions")]
    assert part.read_bytes() == bytes_before
    pd.testing.assert_frame_equal(remade.rows, first.rows)
    asked.clear()
    more = replace(LIGHT, tests=("interventions",), pairs=3, dilation_mm=LIGHT.dilation_mm)
    assert len(measure_faithfulness(seeded, again, more).pairs) == 3
    assert len(asked) == 1
    asked.clear()
    measure_faithfulness(seeded, again, replace(more, dilation_mm=8.0))
    assert len(asked) == 3


# --- other seeds, the plan, bad input


def test_seeds_are_found_beside_the_run_or_named(seeded: Run, tiny_run: Run):
    beside = [run.config.seed for run in seed_runs(seeded)]
    assert beside == [1]
    assert seed_runs(tiny_run) == []
    named = seed_runs(tiny_run, [seeded.root.parent / "seed-1"])
    assert [run.config.seed for run in named] == [1]
    with pytest.raises(ConfigError, match="with another seed"):
        seed_runs(tiny_run, [seeded.root])


def test_the_plan_says_pairs_tests_and_time(seeded: Run, measured):
    said = describe_faithfulness(seeded, measured[0], LIGHT)
    assert said.startswith(told(measured[1].pairs))
    assert "explanations" in said
    assert f"{LIGHT.pairs * len(TESTS)} parts are there" in said


def test_bad_settings_are_refused():
    with pytest.raises(UnknownNameError, match="interventions"):
        FaithfulnessSettings(tests=("intervention",))
    with pytest.raises(UnknownNameError, match="saliency"):
        FaithfulnessSettings(methods=("salience",))
    with pytest.raises(ConfigError, match="pairs ≥ 1"):
        FaithfulnessSettings(pairs=0)
    with pytest.raises(ConfigError, match="at least one method"):
        FaithfulnessSettings(methods=())
