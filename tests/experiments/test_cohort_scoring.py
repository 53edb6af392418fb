from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from xrano.attribution.methods import AttributionSettings
from xrano.data.label_schemes import region_mask
from xrano.data.pair_volumes import load_pair
from xrano.errors import CheckpointError, ConfigError, ManifestError, UnknownNameError, VolumeError
from xrano.experiments import cohort
from xrano.experiments.cohort import CohortSettings, score_cohort, score_shard
from xrano.experiments.explained_pairs import explain_pairs
from xrano.experiments.saved_maps import score_saved_maps
from xrano.experiments.summary_files import write_summary
from xrano.explain import Explainer
from xrano.scoring.score_table import SCORE_COLUMNS, read_scores
from xrano.training.random_copies import random_copy
from xrano.training.run import Run
from xrano.training.train_run import train_run

SETTINGS = CohortSettings(
    methods=("saliency", "gradcam"), copies=2, attribution=AttributionSettings(n_steps=2)
)
KEYS = [
    *("pair_id", "method", "baseline", "weights", "target", "layer", "region", "lesion"),
    *("metric", "segmentation_source"),
]
REFERENCES = {"change", "uniform", "centre", "edges", "training_mask", "mask"}


@pytest.fixture(scope="module")
def scored(small_run: Run, tmp_path_factory: pytest.TempPathFactory):
    out = tmp_path_factory.mktemp("scores")
    return out, score_cohort(small_run, out, SETTINGS)


def test_every_test_pair_is_scored_by_every_method_and_copy(scored, small_run: Run):
    _, table = scored
    test = small_run.splits["folds"][1]["test"]
    pairs = small_run.pairs()
    expected = set(pairs[pairs["patient_id"].isin(test)]["pair_id"])
    assert set(table["pair_id"]) == expected
    assert tuple(table.columns) == SCORE_COLUMNS
    made = set(table[["method", "weights"]].itertuples(index=False, name=None))
    weights = ("trained", "random-0", "random-1")
    assert made == {(m, w) for m in SETTINGS.methods for w in weights} | {
        (name, "none") for name in REFERENCES
    }
    assert not table.duplicated(KEYS).any()


def test_copies_explain_the_class_that_the_trained_network_predicts(scored, small_run: Run):
    """Even where the copy itself would say something else."""
    _, table = scored
    predicted = small_run.predictions.set_index("pair_id")["predicted"]
    networks = table[table["weights"] != "none"]
    assert (networks["target"] == list(predicted[networks["pair_id"]])).all()
    assert (networks["predicted"] == networks["target"]).all()
    assert set(networks["target_choice"]) == {"predicted"}
    said = set()
    for draw in range(2):
        explainer = Explainer(random_copy(small_run, 1, draw), ["saliency"])
        for pair_id in sorted(set(table["pair_id"])):
            pair = load_pair(small_run.store, small_run.pair(pair_id), small_run.layout)
            said.add(explainer.explain(pair).predicted == predicted[pair_id])
    assert False in said, "no copy disagrees: this test proves nothing"


def test_a_copy_s_rows_are_those_of_its_own_map(scored, small_run: Run):
    _, table = scored
    pair_id = table["pair_id"].iloc[0]
    pair = load_pair(small_run.store, small_run.pair(pair_id), small_run.layout)
    target = small_run.predictions.set_index("pair_id").loc[pair_id, "predicted"]
    explainer = Explainer(random_copy(small_run, 1, 1), ["saliency"])
    relevance = np.abs(explainer.explain(pair, target).maps[0].data.astype(np.float64)).sum(axis=0)
    prior, current, scheme = pair.segmentations["deepbratumia"]
    before, after = (region_mask(labels, scheme, "core") for labels in (prior, current))
    for region, mask in (("core/union", before | after), ("core/prior", before)):
        row = table[
            (table["pair_id"] == pair_id)
            & (table["weights"] == "random-1")
            & (table["method"] == "saliency")
            & (table["region"] == region)
            & (table["metric"] == "relevance_mass_accuracy")
        ]
        assert len(row) == 1
        assert row["status"].item() == "ok"
        expected = relevance[mask & pair.brain].sum() / relevance[pair.brain].sum()
        assert row["value"].item() == pytest.approx(expected, rel=1e-4)
        assert row["chance"].item() == pytest.approx((mask & pair.brain).sum() / pair.brain.sum())


def test_the_reference_map_is_the_change_of_the_scans(scored, small_run: Run):
    _, table = scored
    pair_id = table["pair_id"].iloc[0]
    pair = load_pair(small_run.store, small_run.pair(pair_id), small_run.layout)
    change = sum(
        np.abs(pair.volume("current", name) - pair.volume("prior", name)).astype(np.float64)
        for name in ("CT1", "FLAIR")
    )
    _, current, scheme = pair.segmentations["deepbratumia"]
    mask = region_mask(current, scheme, "whole") & pair.brain
    row = table[
        (table["pair_id"] == pair_id)
        & (table["method"] == "change")
        & (table["region"] == "whole/current")
        & (table["metric"] == "relevance_mass_accuracy")
    ]
    expected = change[mask].sum() / change[pair.brain].sum()
    assert row["value"].item() == pytest.approx(expected, rel=1e-4)


def test_undefined_scores_say_why(scored):
    _, table = scored
    undefined = table[table["value"].isna()]
    assert len(undefined)
    assert set(undefined["status"]) <= {"empty_mask", "zero_map", "below_measurable"}
    assert set(table[table["value"].notna()]["status"]) == {"ok"}


def test_the_table_on_disk_is_the_table(scored):
    out, table = scored
    read = read_scores(out / "scores.csv")
    assert len(read) == len(table)
    np.testing.assert_allclose(read["value"], table["value"], rtol=1e-12)
    assert list(read["status"]) == list(table["status"])


def test_scoring_goes_on_with_what_is_missing_and_ends_with_the_same_bytes(
    scored, small_run: Run, monkeypatch: pytest.MonkeyPatch
):
    out, _ = scored
    whole = (out / "scores.csv").read_bytes()
    parts = sorted((out / "parts").iterdir())
    assert len(parts) >= 4
    lost, cut, foreign = parts[0], parts[2], parts[3]
    lost.unlink()
    cut.write_text(cut.read_text()[:-40])
    foreign.write_text(json.dumps({"key": "of other weights", "scores": []}))
    (out / "scores.csv").unlink()
    made = []
    original = cohort.score_pair

    def spy(pair, *others):
        made.append(pair.pair_id)
        return original(pair, *others)

    monkeypatch.setattr(cohort, "score_pair", spy)
    score_cohort(small_run, out, SETTINGS)
    assert sorted(made) == sorted(path.stem for path in (lost, cut, foreign))
    assert (out / "scores.csv").read_bytes() == whole


def test_other_settings_are_scored_anew(scored, small_run: Run, tmp_path: Path):
    out, _ = scored
    parts = {path.name: path.read_bytes() for path in (out / "parts").iterdir()}
    (tmp_path / "parts").mkdir()
    for name, data in parts.items():
        (tmp_path / "parts" / name).write_bytes(data)
    table = score_cohort(small_run, tmp_path, replace(SETTINGS, copies=0, reduction="max"))
    assert set(table["weights"]) == {"trained", "none"}
    assert set(table["reduction"]) == {"max"}


def test_a_summary_and_a_figure_follow_from_the_table(scored, tmp_path: Path):
    _, table = scored
    summary = write_summary(table, tmp_path, n_resamples=20)
    assert {"saliency", "gradcam", *REFERENCES} == set(summary["method"])
    assert (tmp_path / "overlap.png").read_bytes().startswith(b"\x89PNG")
    written = pd.read_csv(tmp_path / "summary.csv", keep_default_na=False)
    assert len(written) == len(summary)


# --- maps that were saved


@pytest.fixture(scope="module")
def saved(scored, small_run: Run, tmp_path_factory: pytest.TempPathFactory):
    """Saved maps of all pairs, scored from their files, beside the fused scores."""
    _, table = scored
    out = tmp_path_factory.mktemp("saved")
    explain_pairs(small_run, sorted(set(table["pair_id"])), SETTINGS.methods, out)
    from_files = score_saved_maps(small_run, out / "maps", out / "scores")
    # References too: whatever is not of a copy.
    fused = table[~table["weights"].str.startswith("random")]
    both = fused.merge(from_files, on=KEYS, suffixes=("", "_saved"))
    assert len(both) == len(fused) == len(from_files)
    assert (both["status"] == both["status_saved"]).all()
    assert set(both["method"]) == {*SETTINGS.methods, *REFERENCES}
    assert (out / "scores" / "scores.csv").is_file()
    return out, both


def largest_difference(both: pd.DataFrame, method: str) -> float:
    part = both[(both["method"] == method) & both["value"].notna()]
    assert len(part) > 50
    np.testing.assert_allclose(part["chance_saved"], part["chance"], rtol=1e-12)
    off = (part["value"] - part["value_saved"]).abs()
    # A distance follows a float32 of relevance by way of thousands of voxels; what lies outside
    # the brain depends on the field of view, which is the scan file's for a saved map.
    loose = part["metric"].str.endswith("_mm") | (part["metric"] == "outside_brain_mass")
    assert off[loose].max() < 0.01
    return float(off[~loose].max())


def test_saved_voxel_wise_maps_score_as_in_one_go(saved):
    assert largest_difference(saved[1], "saliency") <= 1e-6


def test_saved_class_activation_maps_score_as_in_one_go(saved):
    assert largest_difference(saved[1], "gradcam") <= 1e-4


@pytest.mark.parametrize("method", sorted(REFERENCES))
def test_reference_maps_beside_saved_maps_are_those_of_the_cohort(saved, method: str):
    _, both = saved
    part = both[both["method"] == method]
    assert len(part)
    for column in ("value", "chance"):
        np.testing.assert_array_equal(part[f"{column}_saved"], part[column])
    for column in ("run", "fold", "predicted", "response", "spans_surgery", "rectification"):
        assert (part[f"{column}_saved"].astype(str) == part[column].astype(str)).all(), column


def test_maps_that_cannot_be_scored(saved, small_run: Run, tmp_path: Path):
    out, _ = saved
    with pytest.raises(ManifestError, match="holds no finished map"):
        score_saved_maps(small_run, tmp_path, tmp_path / "scores")
    path = sorted((out / "maps").rglob("*_statmap.nii.gz"))[0]
    copy = tmp_path / "maps" / path.name
    copy.parent.mkdir()
    copy.write_bytes(path.read_bytes()[:-50])
    sidecar = path.with_name(path.name.replace(".nii.gz", ".json"))
    (copy.parent / sidecar.name).write_text(sidecar.read_text())
    with pytest.raises(VolumeError, match=copy.name):
        score_saved_maps(small_run, tmp_path / "maps", tmp_path / "scores")
    meta = json.loads(sidecar.read_text())
    copy.write_bytes(path.read_bytes())
    (copy.parent / sidecar.name).write_text(json.dumps({**meta, "pair_id": "Patient-900_a_b"}))
    with pytest.raises(UnknownNameError, match="Patient-900_a_b"):
        score_saved_maps(small_run, tmp_path / "maps", tmp_path / "scores")
    assert not (tmp_path / "scores").exists()


# --- refusals


def test_unknown_names_and_counts(small_run: Run, tmp_path: Path):
    with pytest.raises(ConfigError, match="copies ≥ 0"):
        CohortSettings(copies=-1)
    for settings, words in (
        (replace(SETTINGS, methods=("lime",)), "guided_gradcam, hirescam, ig"),
        (replace(SETTINGS, target="XX"), "CR, PD, PR, SD"),
        (replace(SETTINGS, reduction="median"), "max, mean, sum"),
    ):
        with pytest.raises(UnknownNameError, match=words):
            score_cohort(small_run, tmp_path / "out", settings)
        assert not (tmp_path / "out" / "scores.csv").exists()


def test_a_run_without_a_finished_fold_is_refused(tiny_run: Run, tmp_path: Path):
    class Unfinished(Run):
        trained_folds = ()

    run = Unfinished(tiny_run.root, tiny_run.config, tiny_run.store, tiny_run.splits)
    with pytest.raises((ManifestError, CheckpointError), match="train"):
        score_cohort(run, tmp_path, SETTINGS)


def test_an_untrained_run_is_scored_like_any(untrained_config, tmp_path: Path):
    run = train_run(untrained_config, tmp_path / "run", report=lambda *_: None)
    settings = replace(SETTINGS, methods=("saliency",), copies=1)
    table = score_cohort(run, tmp_path / "scores", settings)
    assert set(table["pair_id"]) == set(run.pairs()["pair_id"])
    assert set(table["weights"]) == {"untrained", "random-0", "none"}


def test_shards_score_their_pairs_and_the_table_is_the_same(tiny_run, tmp_path):
    settings = CohortSettings(methods=("saliency",), copies=1)
    whole = score_cohort(tiny_run, tmp_path / "whole", settings)
    for index in (2, 1):
        score_shard(tiny_run, tmp_path / "parts", settings, (index, 2))
        parts = {path.stem for path in (tmp_path / "parts" / "parts").glob("*.json")}
        assert parts < set(whole["pair_id"]) if index == 2 else parts == set(whole["pair_id"])
        assert not (tmp_path / "parts" / "scores.csv").exists()
    score_cohort(tiny_run, tmp_path / "parts", settings)
    one, two = (tmp_path / name / "scores.csv" for name in ("whole", "parts"))
    assert one.read_bytes() == two.read_bytes()
