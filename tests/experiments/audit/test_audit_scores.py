"""From a scoring folder to a model's numbers, held to the primary analysis and to pandas."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from xrano.data.label_schemes import region_mask
from xrano.data.pair_volumes import load_pair
from xrano.errors import ManifestError
from xrano.experiments.audit.score_table import (
    AUDIT_SCORES,
    PAIR_COLUMNS,
    model_scores,
    pair_values,
    read_pair_values,
)
from xrano.experiments.cohort import CohortSettings, score_cohort
from xrano.scoring.rows import PRIMARY_REGION
from xrano.scoring.summary import primary_analysis
from xrano.scoring.table_files import write_frame
from xrano.scoring.tables import read_table, table_of, write_table
from xrano.training.run import Run


@dataclass
class Scored:
    run: Run
    folder: Path
    table: pd.DataFrame
    pairs: pd.DataFrame


@pytest.fixture(scope="module")
def scored(tiny_run: Run, tmp_path_factory: pytest.TempPathFactory) -> Scored:
    folder = tmp_path_factory.mktemp("audit-scores")
    table = score_cohort(
        tiny_run, folder, CohortSettings(methods=("saliency", "gradcam"), copies=2)
    )
    return Scored(tiny_run, folder, table, pair_values(folder))


def overall(scored: Scored) -> pd.DataFrame:
    found = model_scores(scored.pairs, median_ml=5.0)
    return found[found["stratum"] == "all"].set_index(["method", "score"])


def test_lift_and_gain_are_those_of_the_primary_analysis(scored: Scored):
    summary = primary_analysis(scored.table, n_resamples=1)
    summary = summary[summary["response"] == "all"].set_index("method")
    found = overall(scored)
    for method in ("saliency", "gradcam"):
        for score in ("lift", "gain"):
            assert found.loc[(method, score), "value"] == pytest.approx(
                summary.loc[method, score], rel=1e-12
            )
        assert found.loc[(method, "lift"), "n_pairs"] == summary.loc[method, "n_pairs"]
        assert found.loc[(method, "lift"), "n_patients"] == summary.loc[method, "n_patients"]


def trained(scored: Scored, metric: str, weights: str = "trained") -> pd.DataFrame:
    rows = scored.table
    keep = (
        (rows["metric"] == metric)
        & rows["weights"].str.startswith(weights)
        & rows["region"].isin([PRIMARY_REGION, ""])
        & (rows["lesion"] == "all")
        & (rows["response"] != "")
        & ~rows["spans_surgery"]
    )
    return rows[keep]


@pytest.mark.parametrize(
    ("score", "metric"),
    [
        ("pointing", "pointing_game"),
        ("pointing_10mm", "pointing_game_10mm"),
        ("ap", "normalised_average_precision"),
        ("auroc", "auroc"),
        ("top_dice", "top_fraction_dice"),
        ("peak_distance", "peak_distance_mm"),
        ("entropy", "entropy"),
        ("gini", "gini"),
        ("outside", "outside_brain_mass"),
    ],
)
def test_a_mean_is_over_the_pairs_of_a_patient_and_then_over_patients(scored, score, metric):
    rows = trained(scored, metric)
    for method in ("saliency", "gradcam"):
        own = rows[rows["method"] == method]
        expected = own.groupby("patient_id")["value"].mean().mean()
        assert overall(scored).loc[(method, score), "value"] == pytest.approx(expected)


def test_a_difference_is_the_mean_less_that_of_the_copies(scored: Scored):
    own = trained(scored, "auroc").query("method == 'saliency'")
    copies = trained(scored, "auroc", "random").query("method == 'saliency'")
    assert copies["weights"].nunique() == 2
    expected = (
        own.groupby("patient_id")["value"].mean().mean()
        - copies.groupby("patient_id")["value"].mean().mean()
    )
    assert overall(scored).loc[("saliency", "auroc_gain"), "value"] == pytest.approx(expected)


def test_percentiles_and_shares_come_from_the_tables_beside(scored: Scored):
    kept = set(scored.pairs["pair_id"])
    nulls = read_table("nulls", scored.folder)
    nulls = nulls[
        (nulls["null"] == "placement")
        & (nulls["metric"] == "relevance_mass_accuracy")
        & (nulls["method"] == "gradcam")
        & (nulls["weights"] == "trained")
        & nulls["pair_id"].isin(kept)
    ]
    assert overall(scored).loc[("gradcam", "placement_percentile"), "value"] == pytest.approx(
        nulls.groupby("patient_id")["percentile"].mean().mean()
    )
    shares = read_table("shares", scored.folder)
    prior = shares[
        (shares["timepoint"] == "prior") & (shares["sequence"] == "all")
        & (shares["weights"] == "trained") & (shares["method"] == "saliency")
        & shares["pair_id"].isin(kept)
    ]  # fmt: skip
    assert overall(scored).loc[("saliency", "prior_share"), "value"] == pytest.approx(
        prior.groupby("patient_id")["share"].mean().mean()
    )
    assert ("gradcam", "prior_share") not in overall(scored).index


def test_volumes_are_those_of_the_scan_with_more_core(scored: Scored):
    assert tuple(scored.pairs.columns) == PAIR_COLUMNS
    volumes = scored.pairs.drop_duplicates("pair_id").set_index("pair_id")["volume_ml"]
    for pair_id, volume in volumes.items():
        pair = load_pair(scored.run.store, scored.run.pair(pair_id), scored.run.layout)
        prior, current, scheme = pair.segmentations["deepbratumia"]
        ml = [
            (region_mask(labels, scheme, "core") & pair.brain).sum() * pair.grid.voxel_ml
            for labels in (prior, current)
        ]
        assert volume == pytest.approx(max(ml))


def test_small_and_large_lesions_part_the_pairs_at_the_volume(scored: Scored):
    volumes = scored.pairs.drop_duplicates("pair_id")["volume_ml"]
    median = float(volumes.median())
    found = (
        model_scores(scored.pairs, median_ml=median)
        .set_index(["method", "score", "stratum"])
        .sort_index()
    )
    counts = found["n_pairs"].loc[("saliency", "lift")]
    assert counts["small"] == (volumes < median).sum() > 0
    assert counts["large"] == (volumes >= median).sum() > 0
    assert counts["small"] + counts["large"] == counts["all"]
    small = scored.pairs[
        (scored.pairs["volume_ml"] < median)
        & (scored.pairs["method"] == "saliency")
        & (scored.pairs["measure"] == "relevance_mass_accuracy")
    ]
    means = small.groupby("patient_id")[["value", "chance"]].mean().mean()
    assert found.loc[("saliency", "lift", "small"), "value"] == pytest.approx(
        np.log2(means["value"] / means["chance"])
    )


def test_a_mean_of_exactly_zero_is_a_lift_of_minus_infinity_and_no_pair_is_undefined():
    rows = [
        ("saliency", "relevance_mass_accuracy", "a", "P", 1.0, 0.0, 0.01, np.nan),
        ("saliency", "auroc", "a", "P", 1.0, np.nan, 0.5, np.nan),
    ]
    pairs = pd.DataFrame(rows, columns=list(PAIR_COLUMNS))
    found = model_scores(pairs, median_ml=0.5).set_index(["score", "stratum"])
    assert found.loc[("lift", "all"), "value"] == -np.inf
    assert np.isnan(found.loc[("gain", "all"), "value"])
    assert np.isnan(found.loc[("auroc", "large"), "value"])
    assert found.loc[("auroc", "large"), "n_pairs"] == 0
    assert "small" not in set(found.reset_index()["stratum"])


def test_every_score_has_a_measure_that_the_tables_hold(scored: Scored):
    there = set(scored.pairs["measure"])
    # The whole accounting of a map is a table of its own, where it is written.
    missing = {name for name, score in AUDIT_SCORES.items() if score.measure not in there}
    assert missing <= {"edge_share"}


def test_the_share_at_the_edge_is_read_where_a_map_is_accounted_for(scored: Scored, tmp_path: Path):
    for name in ("scores", "nulls", "shares", "lesions"):
        write_table(name, read_table(name, scored.folder), tmp_path)
    own = scored.pairs[(scored.pairs["method"] == "gradcam") & (scored.pairs["measure"] == "auroc")]
    rows = [
        {
            "weights": weights,
            "pair_id": pair_id,
            "patient_id": patient,
            "predicted": "PD",
            "target": "PD",
            "target_choice": "predicted",
            "method": "gradcam",
            "layer": "last",
            "baseline": "",
            "segmentation_source": "deepbratumia",
            "part": part,
            "share": share,
            "expected": 0.1,
            "status": "ok",
        }
        for pair_id, patient in zip(own["pair_id"], own["patient_id"], strict=True)
        for weights, part, share in (
            *(("trained", "brain_edge", 0.25), ("trained", "oedema", 0.5)),
            ("random-0", "brain_edge", 0.75),
        )
    ]
    write_frame(pd.DataFrame(rows), tmp_path / "accounting.csv")
    found = model_scores(pair_values(tmp_path), median_ml=1.0)
    edge = found[(found["score"] == "edge_share") & (found["stratum"] == "all")]
    assert edge["value"].tolist() == [0.25]
    assert edge["n_pairs"].tolist() == [own["pair_id"].nunique()]


def test_values_come_back_from_their_file(scored: Scored, tmp_path: Path):
    write_frame(scored.pairs, tmp_path / "pair_values.csv")
    back = read_pair_values(tmp_path / "pair_values.csv")
    pd.testing.assert_frame_equal(back, scored.pairs, check_dtype=False, rtol=1e-12)


def test_a_folder_without_a_pair_that_counts_is_refused(scored: Scored, tmp_path: Path):
    for name in ("nulls", "shares", "lesions"):
        write_table(name, read_table(name, scored.folder), tmp_path)
    unrated = scored.table.assign(response="")
    write_table("scores", unrated, tmp_path)
    with pytest.raises(ManifestError, match="no pair with a response"):
        pair_values(tmp_path)
    write_table("scores", table_of("scores", []), tmp_path)
    with pytest.raises(ManifestError):
        pair_values(tmp_path)
