"""The tables beside the scores of a cohort: nulls, other patients' masks, lesions, shares."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest

from xrano.data.common_world import NO_COMMON_WORLD
from xrano.data.label_schemes import region_mask
from xrano.data.pair_volumes import load_pair
from xrano.data.store import Store
from xrano.experiments.cohort import CohortSettings, score_cohort
from xrano.experiments.cohort_masks import TrainingMasks, cohort_masks
from xrano.experiments.scored_run import write_settings
from xrano.experiments.summary_files import write_summary, written_notes
from xrano.metrics.catalogue import MAP_METRICS, MASK_METRICS
from xrano.scoring.primary_source import primary_source
from xrano.scoring.rows import PRIMARY_REGION
from xrano.scoring.score_table import SCORE_COLUMNS
from xrano.scoring.shuffle import shuffle_primary
from xrano.scoring.tables import read_table, table_of, write_table
from xrano.training.run import Run


def core(run: Run, pair_id: str) -> np.ndarray:
    pair = load_pair(run.store, run.pair(pair_id), run.layout)
    prior, current, scheme = pair.segmentations["deepbratumia"]
    return (region_mask(prior, scheme, "core") | region_mask(current, scheme, "core")) & pair.brain


@pytest.fixture(scope="module")
def everywhere(tiny_run: Run, tmp_path_factory: pytest.TempPathFactory):
    out = tmp_path_factory.mktemp("tables")
    table = score_cohort(tiny_run, out, CohortSettings(methods=("saliency", "gradcam"), copies=1))
    return out, table, write_summary(table, out, n_resamples=50)


def test_the_cohorts_masks_are_those_of_its_pairs(tiny_run: Run) -> None:
    records = tiny_run.tested_pairs().to_dict("records")
    unrated = {**records[0], "response": ""}
    operated = {**records[1], "spans_surgery": True}
    masks = cohort_masks(tiny_run.store, [unrated, operated, *records[2:]])
    assert masks.source == "deepbratumia"
    left = {records[0]["pair_id"], records[1]["pair_id"]}
    assert left.isdisjoint(masks.pair_ids)
    for pair_id, voxels in zip(masks.pair_ids, masks.voxels, strict=True):
        np.testing.assert_array_equal(voxels, np.flatnonzero(core(tiny_run, pair_id)))
    fewer = cohort_masks(tiny_run.store, records[3:])
    assert fewer.digest() != masks.digest()
    assert len(cohort_masks(tiny_run.store, [unrated])) == 0


def test_the_mean_training_mask_knows_neither_the_fold_s_patients_nor_this_one(
    tiny_run: Run,
) -> None:
    fold = tiny_run.trained_folds[0]
    training = tiny_run.training_pairs(fold)
    tested = tiny_run.tested_pairs()
    tested = tested[tiny_run.is_tested(tested, fold)]
    masks = TrainingMasks(tiny_run, fold, "deepbratumia")
    everyone = np.mean([core(tiny_run, name) for name in training["pair_id"]], axis=0)
    assert set(tested["patient_id"]).isdisjoint(training["patient_id"])
    np.testing.assert_allclose(masks.mean(tested["patient_id"].iloc[0]), everyone, rtol=1e-6)
    # As where folds are of timepoints: the patient's own pairs are taken out.
    patient = training["patient_id"].iloc[0]
    others = training[training["patient_id"] != patient]["pair_id"]
    expected = np.mean([core(tiny_run, name) for name in others], axis=0)
    assert not np.allclose(expected, everyone)
    np.testing.assert_allclose(masks.mean(patient), expected, rtol=1e-6)
    assert TrainingMasks(tiny_run, fold, "nobody").mean(patient) is None


def apart(run: Run, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The run as if its scans had been registered without a template."""
    monkeypatch.setattr(Store, "sessions", run.store.sessions.assign(space="native"))
    store = dataclasses.replace(run.store, settings={**run.store.settings, "template": "none"})
    return Run(run.root, run.config, store, run.splits)


def test_patients_that_share_no_world_see_nobody_else_s_masks(
    tiny_run: Run, tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = apart(tiny_run, monkeypatch)
    records = alone.tested_pairs().to_dict("records")
    assert len(cohort_masks(tiny_run.store, records)) > 0
    masks = cohort_masks(alone.store, records)
    assert len(masks) == 0
    assert not masks.testable
    fold = alone.trained_folds[0]
    patient = records[0]["patient_id"]
    assert TrainingMasks(tiny_run, fold, "deepbratumia").mean(patient) is not None
    assert TrainingMasks(alone, fold, "deepbratumia").mean(patient) is None
    write_settings(alone, {}, tmp_path)
    for name in ("claims", "shuffle", "shares", "exploratory"):
        write_table(name, table_of(name, []), tmp_path)
    assert NO_COMMON_WORLD in written_notes(tmp_path)


def test_the_shuffle_tests_the_lift_of_the_summary(everywhere) -> None:
    out, table, summary = everywhere
    shuffled = read_table("shuffle", out)
    copies = shuffled["kind"] == "copies"
    both = shuffled[~copies].merge(summary, on=["response", "method"], suffixes=("", "_summary"))
    assert {"saliency", "gradcam", "change", "uniform", "training_mask"} <= set(both["method"])
    assert len(both) == (~copies).sum()
    np.testing.assert_allclose(both["lift"], both["lift_summary"], rtol=1e-6)
    assert (both["n_patients"] == both["n_patients_summary"]).all()
    assert (both["n_pairs"] == both["n_pairs_summary"]).all()
    # Copies by the lift that the gain is taken from.
    both = shuffled[copies].merge(summary, on=["response", "method"], suffixes=("", "_summary"))
    whole = both[both["n_gain_pairs"] == both["n_pairs"]]
    assert len(whole) > 0
    np.testing.assert_allclose(whole["lift"], whole["random_lift"], rtol=1e-6)
    assert set(shuffled["segmentation_source"]) == {primary_source(table)}


def test_the_shuffle_follows_from_the_tables_on_disk(everywhere) -> None:
    out, _, _ = everywhere
    crossed, masks = read_table("crossed", out), read_table("cohort_masks", out)
    again = shuffle_primary(crossed, masks)
    pd.testing.assert_frame_equal(again, read_table("shuffle", out), check_exact=True)
    own = crossed[crossed["pair_id"] == crossed["mask_pair_id"]]
    maps = ["pair_id", "weights", "method", "layer", "baseline"]
    scores = read_table("scores", out)
    primary = scores[
        (scores["region"] == PRIMARY_REGION)
        & (scores["metric"] == "relevance_mass_accuracy")
        & (scores["lesion"] == "all")
    ]
    both = own.merge(primary, on=maps, suffixes=("", "_scored"))
    assert len(both) == len(own) > 0
    np.testing.assert_allclose(both["mass"], both["value"], rtol=1e-6)
    np.testing.assert_allclose(both["chance"], both["chance_scored"], rtol=1e-12)


def test_nulls_name_scores_that_are_there(everywhere) -> None:
    out, table, _ = everywhere
    nulls = pd.read_csv(out / "nulls.csv", keep_default_na=False)
    assert set(nulls["null"]) == {"placement", "random_weights", "shuffle"}
    cohort = nulls["null"] == "shuffle"
    assert cohort.sum() == len(read_table("shuffle", out))
    assert (cohort == (nulls["pair_id"] == "")).all()
    nulls = nulls[~cohort]
    keys = ["pair_id", "method", "weights", "layer", "baseline", "target", "region", "metric"]
    scores = table[table["lesion"] == "all"].set_index(keys)["value"]
    for row in nulls[nulls["status"] == "ok"].to_dict("records"):
        observed = scores[tuple(row[key] for key in keys)]
        assert float(row["observed"]) == pytest.approx(observed, rel=1e-4, abs=1e-6)
    placed = nulls[nulls["null"] == "placement"]
    assert set(placed["region"]) == {PRIMARY_REGION}
    assert not placed["weights"].str.startswith("random").any()


def test_copies_and_maps_without_a_network_are_scored_wherever_cr_is(everywhere) -> None:
    _, table, _ = everywhere
    scopes = ("prior", "current", "union", "grown", "shrunk", "vanished", "new")
    cells = {(f"core/{scope}", name) for scope in scopes for name in MASK_METRICS}
    cells |= {("whole/union", name) for name in MASK_METRICS}
    cells |= {("", name) for name in MAP_METRICS}
    for method, weights in (
        ("saliency", "random-0"),
        ("gradcam", "random-0"),
        ("edges", "none"),
        ("training_mask", "none"),
    ):
        own = table[(table["method"] == method) & (table["weights"] == weights)]
        assert own["pair_id"].nunique() == table["pair_id"].nunique()
        assert set(own["lesion"]) == {"all"}
        for _, of_pair in own.groupby("pair_id"):
            assert set(zip(of_pair["region"], of_pair["metric"], strict=True)) == cells


def test_values_on_cells_stand_beside_the_mask_s_own_and_others_do_not(everywhere) -> None:
    _, table, _ = everywhere
    keys = ["pair_id", "region", "metric"]
    masks = table[table["method"] == "mask"].set_index(keys)
    assert masks["value"].notna().all()
    assert set(masks.index.get_level_values("metric")) == set(MASK_METRICS)
    for weights in ("trained", "random-0"):
        cam = table[(table["method"] == "gradcam") & (table["weights"] == weights)]
        cam = cam[cam["lesion"] == "all"].set_index(keys)
        there = cam.loc[masks.index]
        np.testing.assert_array_equal(there["reference"], masks["value"])
        np.testing.assert_array_equal(there["reference"], masks["reference"])
    others = table[~table["method"].isin(["gradcam", "mask"])]
    assert others["reference"].isna().all()


def test_the_regions_of_cr_have_a_gain_and_maps_to_beat(everywhere) -> None:
    out, table, _ = everywhere
    found = read_table("paired_methods", out)
    found = found[found["metric"] == "relevance_mass_accuracy"]
    against = {
        region: set(of["against"]) for region, of in found[found["n_pairs"] > 0].groupby("region")
    }
    for region in ("core/prior", "core/vanished", "core/grown", "core/union"):
        told = table[(table["region"] == region) & table["value"].notna()]
        assert len(told)
        assert {"saliency (random weights)", "change", "edges", "training_mask"} <= against[
            region
        ], region
    summary = read_table("summary", out)
    held = summary[summary["mean_reference"].notna()]
    assert set(held["method"]) == {"gradcam", "mask"}
    own = summary[summary["method"] == "mask"]
    np.testing.assert_allclose(own["of_reference"], 1)


def test_single_lesions_have_rows_and_a_line_of_their_own(everywhere) -> None:
    out, table, _ = everywhere
    lesions = pd.read_csv(out / "lesions.csv", dtype={"lesion": str})
    single = table[table["lesion"] != "all"]
    named = set(lesions[["pair_id", "lesion"]].itertuples(index=False, name=None))
    assert set(single[["pair_id", "lesion"]].itertuples(index=False, name=None)) == named
    assert tuple(table.columns) == SCORE_COLUMNS


def test_shares_add_up_and_the_notes_say_what_the_tables_hold(everywhere) -> None:
    out, _, _ = everywhere
    shares = pd.read_csv(out / "shares.csv", keep_default_na=False)
    assert set(shares["method"]) == {"saliency"}
    parts = shares[shares["sequence"] != "all"]
    np.testing.assert_allclose(parts.groupby("pair_id")["share"].sum().astype(float), 1, rtol=1e-6)
    notes = "\n".join(written_notes(out))
    claims = pd.read_csv(out / "claims.csv")
    assert "saliency_vs_gradcam" in set(claims["claim"])
    assert "saliency hits more often than Grad-CAM" in notes
    assert ("other patients' masks: saliency" in notes) == bool(
        len(pd.read_csv(out / "shuffle.csv"))
    )


def test_all_relevance_of_every_map_is_accounted_for(everywhere) -> None:
    out, table, _ = everywhere
    found = read_table("accounting", out)
    maps = ["pair_id", "method", "weights", "segmentation_source"]
    whole = found.groupby(maps)[["share", "expected"]].sum()
    np.testing.assert_allclose(whole, 1, atol=1e-9)
    assert set(found["weights"]) == {"trained", "random-0", "none"}
    scored = table[table["metric"] == "outside_brain_mass"]
    outside = found[found["part"] == "outside_brain"].merge(scored, on=maps[:3])
    assert len(outside) == len(scored) > 0
    np.testing.assert_allclose(outside["share"], outside["value"], rtol=1e-9)
    # The phantom lies in the world of the priors.
    assert {"grey_matter", "white_matter"} <= set(found.loc[found["status"] == "ok", "part"])
    summary = read_table("accounting_summary", out)
    means = summary.groupby(["response", "method", "weights"])["share"].sum()
    np.testing.assert_allclose(means, 1, atol=1e-9)
