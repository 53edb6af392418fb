"""What a cohort is scored for when asked: surrogates, tuned Dice, the report, an estimate."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from xrano.attribution.methods import AttributionSettings
from xrano.data.pair_volumes import load_pair
from xrano.data.store import open_store, read_prepared, write_prepared
from xrano.errors import ConfigError, ManifestError
from xrano.experiments import tuned_thresholds as tuning
from xrano.experiments.cohort import CohortSettings, masks_of, score_cohort
from xrano.experiments.explained_pairs import explainers_by_fold
from xrano.experiments.score_plan import describe_scoring
from xrano.experiments.summary_files import write_report, write_summary
from xrano.experiments.tuned_thresholds import tuned_thresholds
from xrano.metrics.thresholds import threshold_dice, tune_threshold
from xrano.scoring.rows import default_rectification, relevance_on, see_map
from xrano.scoring.tables import TABLES, read_table
from xrano.scoring.tuned_dice import DICE_TUNED
from xrano.training.run import Run
from xrano.training.train_run import train_run

METHODS = ("saliency", "gradcam")
SETTINGS = CohortSettings(
    methods=METHODS,
    copies=1,
    surrogates=20,
    tuned_dice=True,
    attribution=AttributionSettings(n_steps=2),
)


@pytest.fixture(scope="module")
def asked(small_run: Run, tmp_path_factory: pytest.TempPathFactory):
    out = tmp_path_factory.mktemp("asked")
    table = score_cohort(small_run, out, SETTINGS)
    write_summary(table, out, n_resamples=20)
    return out, table


# --- surrogates


def test_surrogates_are_rows_of_the_networks_own_maps(asked):
    out, table = asked
    nulls = read_table("nulls", out)
    drawn = nulls[nulls["null"] == "surrogate"]
    assert set(drawn["weights"]) == {"trained"}
    assert set(drawn["method"]) == set(METHODS)
    assert set(drawn["region"]) == {"core/union"}
    assert set(drawn["pair_id"]) == set(table["pair_id"])
    fine = drawn[drawn["status"] == "ok"]
    assert set(fine["B"]) <= {20, 0}
    assert (fine["p"].dropna() >= 1 / 21).all()
    assert fine["p_bh"].notna().sum() == fine["p"].notna().sum() > 0
    copies = nulls[nulls["null"] == "random_weights"]
    assert set(copies["B"]) == {1}
    assert copies["p"].isna().all()
    assert copies["p_bh"].isna().all()


def test_nothing_of_it_is_there_unless_asked_for(small_run: Run, asked, tmp_path: Path):
    """And what is there then is the same to the last byte."""
    out, _ = asked
    plain = replace(SETTINGS, surrogates=0, tuned_dice=False)
    score_cohort(small_run, tmp_path, plain)
    assert not (tmp_path / "thresholds").exists()
    with_it, without = (read_table("scores", folder) for folder in (out, tmp_path))
    assert "threshold" not in without
    kept = with_it[with_it["metric"] != DICE_TUNED].drop(columns="threshold")
    pd.testing.assert_frame_equal(kept.reset_index(drop=True), without, check_exact=True)
    assert set(read_table("nulls", tmp_path)["null"]) == {"placement", "random_weights"}


# --- tuned Dice


def test_tuned_dice_is_dice_at_the_threshold_of_training_maps(asked, small_run: Run):
    out, table = asked
    rows = table[table["metric"] == DICE_TUNED]
    assert set(rows["weights"]) == {"trained"}
    assert set(rows["region"]) == {"core/union"}
    assert rows.groupby(["method", "layer"])["threshold"].nunique().tolist() == [1, 1]
    kept = json.loads((out / "thresholds" / "fold-1.json").read_text())
    training = small_run.training_pairs(1)
    assert set(kept["pairs"]) <= set(training["pair_id"])
    assert not set(kept["pairs"]) & set(table["pair_id"])
    explainer = explainer_of(small_run)
    for method in METHODS:
        expected = tune_threshold(
            inside(small_run, explainer, pair_id, method)[0] for pair_id in kept["pairs"]
        )
        own = rows[rows["method"] == method]
        assert set(own["threshold"]) == {expected}
        row = own[own["status"] == "ok"].iloc[0]
        _, relevance, mask, brain = inside(small_run, explainer, row["pair_id"], method)
        value = threshold_dice(relevance, mask, domain=brain, threshold=expected)
        assert row["value"] == pytest.approx(value.value, rel=1e-6)
        assert row["chance"] == pytest.approx(value.chance, rel=1e-6)


def explainer_of(run: Run):
    pair = run.tested_pairs().to_dict("records")[0]
    return explainers_by_fold(run, [pair], METHODS, SETTINGS.attribution)[run.fold_of(pair)]


def inside(run: Run, explainer, pair_id: str, method: str):
    pair = load_pair(run.store, run.pair(pair_id), run.layout)
    masks = masks_of(pair)
    (item,) = (one for one in explainer.explain(pair).maps if one.meta["method"] == method)
    named = default_rectification(item)
    seen = see_map(item, masks, rectification=named, reduction="sum")
    cell = ("deepbratumia", "core", "union")
    relevance = relevance_on(item, pair.grid, named, "sum")
    seen_mask = seen.ranked.within(masks.positions[(*cell, "all")])
    return seen_mask, relevance, masks.masks[cell], pair.brain


def changed(run: Run, patient_id: str, to: Path) -> Run:
    """The run on a copy of its store in which one patient's scans and tumours are others."""
    shutil.copytree(run.store.root, to)
    for path in (to / "sessions" / patient_id).glob("*.safetensors"):
        session = read_prepared(path)
        turned = replace(
            session,
            sequences={name: np.roll(data, 3, axis=0) for name, data in session.sequences.items()},
            segmentations={
                source: (np.roll(labels, 2, axis=1), scheme)
                for source, (labels, scheme) in session.segmentations.items()
            },
        )
        write_prepared(path, turned, run.store.grid)
    return type(run)(run.root, run.config, open_store(to), run.splits)


def test_a_held_out_pair_has_no_say_in_the_threshold_and_a_training_pair_has(
    small_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def tuned(run: Run, name: str):
        found = tuned_thresholds(run, 1, explainer_of(run), tmp_path / name)
        return found, (tmp_path / name / "thresholds" / "fold-1.json").read_bytes()

    curves = []
    original = tuning.ThresholdTuning.found

    def noted(self):
        curves.append([np.mean(own, axis=0) for own in self._curves.values()])
        return original(self)

    monkeypatch.setattr(tuning.ThresholdTuning, "found", noted)
    before = tuned(small_run, "before")
    held_out = str(small_run.tested_pairs()["patient_id"].iloc[0])
    assert tuned(changed(small_run, held_out, tmp_path / "a"), "held-out") == before
    seen = json.loads(before[1])["pairs"]
    trained = str(small_run.pair(seen[0])["patient_id"])
    other = tuned(changed(small_run, trained, tmp_path / "b"), "training")
    assert other[1] != before[1]
    np.testing.assert_array_equal(curves[0], curves[1])
    assert not np.allclose(curves[0], curves[2])


def test_thresholds_are_found_once_and_again_only_for_other_things(
    small_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    explainer = explainer_of(small_run)
    first = tuned_thresholds(small_run, 1, explainer, tmp_path)
    kept = (tmp_path / "thresholds" / "fold-1.json").read_text()
    made = []
    monkeypatch.setattr(
        tuning.ThresholdTuning, "add", lambda _self, seen, _masks: made.append(seen)
    )
    monkeypatch.setattr(tuning.ThresholdTuning, "found", lambda _self: first)
    assert tuned_thresholds(small_run, 1, explainer, tmp_path) == first
    assert not made
    tuned_thresholds(small_run, 1, explainer, tmp_path, reduction="max")
    assert made
    (tmp_path / "thresholds" / "fold-1.json").write_text(kept[:-30])
    made.clear()
    tuned_thresholds(small_run, 1, explainer, tmp_path)
    assert made


def test_no_more_training_pairs_than_said_are_explained(
    small_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(tuning, "TUNING_PAIRS", 3)
    tuned_thresholds(small_run, 1, explainer_of(small_run), tmp_path)
    kept = json.loads((tmp_path / "thresholds" / "fold-1.json").read_text())
    assert len(kept["pairs"]) == 3
    pairs = small_run.pairs().set_index("pair_id")
    assert not pairs.loc[kept["pairs"], "spans_surgery"].any()


def test_an_untrained_run_has_nothing_to_tune_on(untrained_config, tmp_path: Path):
    run = train_run(untrained_config, tmp_path / "run", report=lambda *_: None)
    settings = CohortSettings(methods=("saliency",), copies=0, tuned_dice=True)
    with pytest.raises(ManifestError, match="no.*training pair|training pairs.*none"):
        score_cohort(run, tmp_path / "scores", settings)


def test_a_number_of_surrogates_that_is_none():
    with pytest.raises(ConfigError, match="surrogates ≥ 0"):
        CohortSettings(surrogates=-1)


# --- the report


def test_the_report_says_what_the_tables_say(asked, small_run: Run):
    out, table = asked
    report = json.loads((out / "report.json").read_text())
    assert report["counts"]["pairs"] == table["pair_id"].nunique()
    assert report["run"]["name"] == small_run.root.name
    assert report["run"]["trained_folds"] == [1]
    assert report["settings"]["surrogates"] == 20
    assert report["settings"]["tuning_pairs"] == tuning.TUNING_PAIRS
    assert report["versions"]["xrano"]
    assert sum(report["statuses"].values()) == len(table)
    for name in TABLES:
        read = read_table(name, out)
        assert report["tables"][name]["rows"] == len(read)
        if TABLES[name].in_report:
            assert [row[read.columns[0]] for row in report[name]] == list(read.iloc[:, 0])
    assert {item["threshold"] for item in report["thresholds"]} == set(table["threshold"].dropna())
    assert any("saliency hits more often" in note for note in report["notes"])
    text = (out / "report.json").read_text() + (out / "settings.json").read_text()
    assert str(small_run.root.parent) not in text


def test_the_report_follows_the_tables_on_disk(asked, tmp_path: Path):
    out, _ = asked
    copy = tmp_path / "scores"
    shutil.copytree(out, copy)
    before = (copy / "report.json").read_bytes()
    write_report(copy)
    assert (copy / "report.json").read_bytes() == before
    lines = (copy / "lesions.csv").read_text().splitlines()
    (copy / "lesions.csv").write_text("\n".join(lines[:-1]) + "\n")
    report = write_report(copy)
    assert report["tables"]["lesions"]["rows"] == len(lines) - 2
    assert (copy / "report.json").read_bytes() != before
    (copy / "settings.json").write_text("{")
    with pytest.raises(ManifestError, match=r"settings\.json.*score again"):
        write_report(copy)


def test_the_same_scores_give_the_same_report(asked, small_run: Run):
    out, _ = asked
    before = {path.name: path.read_bytes() for path in out.iterdir() if path.is_file()}
    write_summary(score_cohort(small_run, out, SETTINGS), out, n_resamples=20)
    after = {path.name: path.read_bytes() for path in out.iterdir() if path.is_file()}
    assert after == before


# --- the estimate


def test_the_estimate_names_pairs_methods_time_and_disk(small_run: Run, asked, tmp_path: Path):
    out, table = asked
    said = describe_scoring(small_run, tmp_path, SETTINGS)
    pairs = table["pair_id"].nunique()
    for words in (f"{pairs} pairs", "saliency, gradcam", "1 random-weight copies", "about",
                  "MB in", str(tmp_path)):  # fmt: skip
        assert words in said
    assert "part there" not in said
    assert not list(tmp_path.iterdir())
    assert f"{pairs} pairs have a part there" in describe_scoring(small_run, out, SETTINGS)
    half = describe_scoring(small_run, tmp_path, SETTINGS, shard=(1, 2))
    assert half.startswith(f"{-(-pairs // 2)} pairs")


def test_the_disk_said_is_about_the_disk_taken(small_run: Run, tmp_path: Path):
    settings = CohortSettings(methods=("saliency",), copies=1)
    said = describe_scoring(small_run, tmp_path, settings)
    score_cohort(small_run, tmp_path, settings)
    taken = sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file()) / 1e6
    megabytes = float(said.split(" MB in ")[0].split()[-1])
    assert 0.5 * taken - 1 <= megabytes <= 2 * taken + 1
