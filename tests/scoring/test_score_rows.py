"""One map against the masks of its pair: the rows, the regions, and what is missing."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from xrano.errors import (
    ConfigError,
    GridMismatchError,
    ManifestError,
    UnknownNameError,
    VolumeError,
)
from xrano.geometry import Grid
from xrano.maps import AttributionMap
from xrano.metrics.catalogue import MAP_METRICS, MASK_METRICS
from xrano.metrics.overlap import score_overlap
from xrano.scoring.pair_masks import MEASURABLE_ML, PairMasks, pair_masks
from xrano.scoring.reference_maps import change_map
from xrano.scoring.rows import default_rectification, score_map
from xrano.scoring.score_table import SCORE_COLUMNS, read_scores, score_table, write_scores

SHAPE = (6, 5, 4)
AFFINE = np.array(
    [[3.0, 0.4, 0.0, -9.0], [-0.4, 4.0, 0.3, 5.0], [0.0, -0.3, 5.0, 2.0], [0, 0, 0, 1]]
)
GRID = Grid(SHAPE, AFFINE)
META = {
    "run": "demo",
    "fold": 1,
    "pair_id": "Patient-042_week-010_week-022",
    "patient_id": "Patient-042",
    "prior": "week-010",
    "current": "week-022",
    "response": "PD",
    "predicted": "SD",
    "target": 2,
    "target_name": "SD",
    "target_choice": "predicted",
    "method": "ig",
    "layer": "",
    "baseline": "prior",
    "spans_surgery": False,
}


def signed_map(seed=0, grid=GRID, channels=("prior_T1", "current_T1"), **meta):
    data = np.random.default_rng(seed).normal(size=(len(channels), *grid.shape))
    return AttributionMap(data.astype(np.float32), grid, channels, {**META, **meta})


def cam(data, grid):
    return AttributionMap(
        np.asarray(data, dtype=np.float32)[None], grid, ("all",), {**META, "layer": "features"}
    )


def labels(seed):
    return np.random.default_rng(seed).integers(0, 4, size=SHAPE)


def domain():
    brain = np.ones(SHAPE, dtype=bool)
    brain[0] = False
    return brain


def case(**options):
    prior, current = labels(1), labels(2)
    segmentations = {"deepbratumia": (prior, current, "lumiere-deepbratumia")}
    return pair_masks(GRID, domain(), segmentations, measurable_ml=0.0, **options)


def scored(attribution=None, masks=None, **options):
    options = {"rectification": "absolute", "reduction": "sum", **options}
    return score_table(score_map(attribution or signed_map(), masks or case(), **options))


# -- rows ----------------------------------------------------------------------------------------


def test_a_row_for_every_region_scope_and_metric_in_the_columns_order():
    table = scored()
    assert tuple(table.columns) == SCORE_COLUMNS
    of_voxels = ("prior", "current", "union", "grown", "shrunk")
    expected = {
        *(f"{r}/{s}" for r in ("enhancing", "core", "whole", "oedema") for s in of_voxels),
        *(f"{r}/{s}" for r in ("enhancing", "core", "whole") for s in ("vanished", "new")),
    }
    assert set(table["region"]) == {*expected, ""}
    assert len(table) == len(expected) * len(MASK_METRICS) + len(MAP_METRICS)
    assert not table.duplicated(["region", "metric"]).any()
    alone = table[table["region"] == ""]
    assert list(alone["metric"]) == list(MAP_METRICS)
    assert set(alone["segmentation_source"]) == {""}


def test_a_row_says_what_the_map_says():
    row = scored(metrics=["pointing_game"]).iloc[0]
    expected = {
        "run": "demo",
        "weights": "trained",
        "fold": 1,
        "pair_id": META["pair_id"],
        "patient_id": "Patient-042",
        "response": "PD",
        "predicted": "SD",
        "target": "SD",
        "target_choice": "predicted",
        "method": "ig",
        "layer": "",
        "baseline": "prior",
        "reduction": "sum",
        "rectification": "absolute",
        "segmentation_source": "deepbratumia",
        "lesion": "all",
        "metric": "pointing_game",
        "status": "ok",
    }
    assert {key: row[key] for key in expected} == expected
    assert not row["spans_surgery"]


def test_the_caller_may_name_run_and_fold():
    row = scored(run="other", fold=0).iloc[0]
    assert (row["run"], row["fold"]) == ("other", 0)
    bare = {key: value for key, value in META.items() if key not in ("run", "fold")}
    row = scored(AttributionMap(signed_map().data, GRID, ("a", "b"), bare)).iloc[0]
    assert (row["run"], row["fold"]) == ("", "")


def test_weights_and_surgery_come_from_the_sidecar():
    row = scored(signed_map(weights="random-1", spans_surgery=True)).iloc[0]
    assert row["weights"] == "random-1"
    assert row["spans_surgery"]


@pytest.mark.parametrize("rectification", ["absolute", "positive", "negative"])
@pytest.mark.parametrize("reduction", ["sum", "max"])
def test_values_equal_the_metric_on_the_rectified_volume(rectification, reduction):
    table = scored(rectification=rectification, reduction=reduction).set_index(["region", "metric"])
    data = signed_map().data
    rectified = {"absolute": abs(data), "positive": data.clip(0), "negative": (-data).clip(0)}
    volume = getattr(rectified[rectification], reduction)(axis=0)
    core_prior, core_current = (np.isin(labels(seed), (1, 2)) for seed in (1, 2))
    for scope, mask in {
        "prior": core_prior,
        "current": core_current,
        "union": core_prior | core_current,
        "grown": core_current & ~core_prior,
        "shrunk": core_prior & ~core_current,
    }.items():
        for name, score in score_overlap(volume, mask, domain=domain(), grid=GRID).items():
            row = table.loc[(f"core/{scope}", name)]
            assert row["value"] == pytest.approx(score.value, rel=1e-6)
            assert row["chance"] == pytest.approx(score.chance, rel=1e-12)


def test_chosen_metrics_only():
    table = scored(metrics=["relevance_mass_accuracy"])
    assert set(table["metric"]) == {"relevance_mass_accuracy"}


# -- grids ---------------------------------------------------------------------------------------


def test_a_lesion_is_found_where_it_lies_whatever_way_the_map_runs():
    # The map is stored flipped in i and shifted by whole voxels; in the world it is on the lesion.
    lesion = np.zeros(SHAPE, dtype=np.int64)
    lesion[4, 1, 2] = 1
    masks = pair_masks(
        GRID, np.ones(SHAPE, bool), {"s": (lesion, lesion, "binary")}, measurable_ml=0.0
    )
    to_voxel = np.diag([-1.0, 1.0, 1.0, 1.0])
    to_voxel[:3, 3] = (7, -1, 0)
    flipped = Grid((9, 7, 4), AFFINE @ to_voxel)
    data = np.zeros((1, 9, 7, 4), dtype=np.float32)
    data[0, 7 - 4, 1 + 1, 2] = -2.0
    attribution = AttributionMap(data, flipped, ("prior_T1",), META)
    table = scored(attribution, masks, metrics=["relevance_mass_accuracy", "pointing_game"])
    union = table[table["region"] == "whole/union"]
    assert union["value"].tolist() == [1.0, 1.0]


def test_a_coarse_map_is_rectified_on_its_own_grid():
    # Cells of 3 voxels along i: halfway between +1 and −1 stands 0.5 of the positive cell, not 0.
    to_voxel = np.diag([3.0, 5.0, 4.0, 1.0])
    to_voxel[:3, 3] = (1, 2, 1.5)
    coarse = Grid((2, 1, 1), AFFINE @ to_voxel)
    lesion = np.zeros(SHAPE, dtype=np.int64)
    lesion[2:4] = 1
    masks = pair_masks(
        GRID, np.ones(SHAPE, bool), {"s": (lesion, lesion, "binary")}, measurable_ml=0.0
    )
    attribution = cam(np.array([1.0, -1.0]).reshape(2, 1, 1), coarse)
    table = scored(
        attribution, masks, rectification="positive", metrics=["relevance_mass_accuracy"]
    )
    value = table.set_index("region").loc["whole/union", "value"]
    # Along i: 1, 1 (beyond and at the first centre), 2/3, 1/3, 0, 0.
    assert value == pytest.approx(1 / 3, rel=1e-6)


@pytest.mark.parametrize(("layer", "expected"), [("", 0.5), ("features", 2 / 6)])
def test_beyond_its_field_only_a_coarse_map_goes_on(layer, expected):
    # A map of the last two planes along i; a coarse one speaks for the four before them as well.
    part = GRID.crop((4, 0, 0), (2, 5, 4))
    attribution = AttributionMap(
        np.ones((1, 2, 5, 4), np.float32), part, ("all",), {**META, "layer": layer}
    )
    lesion = np.zeros(SHAPE, dtype=np.int64)
    lesion[3:5] = 1
    masks = pair_masks(
        GRID, np.ones(SHAPE, bool), {"s": (lesion, lesion, "binary")}, measurable_ml=0.0
    )
    table = scored(attribution, masks, metrics=["relevance_mass_accuracy"])
    assert table.set_index("region").loc["whole/union", "value"] == pytest.approx(expected)


def test_the_default_rectification_follows_the_kind_of_map():
    assert default_rectification(signed_map()) == "absolute"
    assert default_rectification(cam(np.ones(SHAPE), GRID)) == "positive"
    flat = AttributionMap(np.ones((1, *SHAPE), np.float32), GRID, ("all",), META)
    assert default_rectification(flat) == "absolute"


# -- undefined -----------------------------------------------------------------------------------


def test_a_region_that_the_scheme_lacks_is_there_with_its_reason():
    hdglio = {"hdglio": (labels(1) % 3, labels(2) % 3, "lumiere-hdglio")}
    table = scored(masks=pair_masks(GRID, domain(), hdglio, measurable_ml=0.0))
    core = table[table["region"].str.startswith("core/")]
    assert len(core) == 7 * len(MASK_METRICS)
    assert "oedema/union" in set(table["region"])
    assert not table["region"].str.startswith("cavity/").any()
    assert set(core["status"]) == {"region_not_labelled"}
    assert core[["value", "chance"]].isna().all(axis=None)
    rest = table[
        ~table["region"].str.startswith("core/")
        & ~table["region"].str.endswith(("/vanished", "/new"))
    ]
    assert set(rest["status"]) == {"ok"}


@pytest.mark.parametrize(("missing", "there"), [(0, "current"), (1, "prior")])
def test_a_missing_segmentation_is_told(missing, there):
    pair = [labels(1), labels(2)]
    pair[missing] = None
    masks = pair_masks(GRID, domain(), {"s": (*pair, "lumiere-deepbratumia")}, measurable_ml=0.0)
    table = scored(masks=masks)
    told = table[table["region"] != ""].groupby("region")["status"].agg(set)
    for region, statuses in told.items():
        assert statuses == ({"ok"} if region.endswith(there) else {"no_segmentation"}), region
    assert len(told) == 3 * 7 + 5


def test_no_tumour_left_is_undefined_not_a_hit():
    segmentations = {"s": (labels(1), np.zeros(SHAPE, int), "lumiere-deepbratumia")}
    masks = pair_masks(GRID, domain(), segmentations, measurable_ml=0.0)
    table = scored(masks=masks).set_index(["region", "metric"])
    for region in ("core/current", "core/grown"):
        row = table.loc[(region, "pointing_game")]
        assert row["status"] == "empty_mask"
        assert math.isnan(row["value"])
        assert math.isnan(row["chance"])
    assert table.loc[("core/shrunk", "pointing_game"), "status"] == "ok"


def test_masks_below_the_measurable_volume_are_undefined_with_their_chance():
    # Voxels of about 0.06 ml: one is below 0.1 ml, two are not; what lies outside the brain is not
    # counted.
    small, enough = np.zeros(SHAPE, int), np.zeros(SHAPE, int)
    small[0, 2, 1] = small[3, 2, 1] = 1
    enough[3, 2, 1:3] = 1
    assert GRID.voxel_ml < MEASURABLE_ML < 2 * GRID.voxel_ml
    masks = pair_masks(GRID, domain(), {"s": (small, enough, "binary")})
    assert masks.least_voxels == 2
    table = scored(masks=masks).set_index(["region", "metric"])
    row = table.loc[("whole/prior", "relevance_mass_accuracy")]
    assert row["status"] == "below_measurable"
    assert math.isnan(row["value"])
    assert row["chance"] == 1 / domain().sum()
    assert table.loc[("whole/current", "relevance_mass_accuracy"), "status"] == "ok"


def test_a_map_of_zeros_is_undefined():
    table = scored(cam(-np.ones(SHAPE), GRID), rectification="positive")
    there = table[~table["region"].str.endswith(("/vanished", "/new"))]
    assert set(there["status"]) == {"zero_map"}
    assert table["value"].isna().all()
    assert there["chance"].notna().all()


def test_relevance_outside_the_brain_does_not_count():
    data = signed_map().data.copy()
    data[:, 0] = 1e6
    outside = AttributionMap(data, GRID, ("prior_T1", "current_T1"), META)
    mass = scored(outside).set_index("metric").loc["outside_brain_mass"]
    assert mass["value"] == pytest.approx(1, abs=1e-4)
    assert mass["chance"] == pytest.approx(1 / 6)
    table, same = (
        one[one["metric"] != "outside_brain_mass"] for one in (scored(outside), scored())
    )
    pd.testing.assert_frame_equal(table, same)


# -- refusals ------------------------------------------------------------------------------------


def test_signed_values_are_refused():
    with pytest.raises(ConfigError, match="absolute"):
        scored(rectification="none")


@pytest.mark.parametrize(
    "options", [{"rectification": "abs"}, {"reduction": "avg"}, {"metrics": ["dice"]}]
)
def test_unknown_names(options):
    with pytest.raises(UnknownNameError, match="choose from"):
        scored(**options)


def test_unknown_regions_and_scopes():
    with pytest.raises(UnknownNameError, match="core"):
        case(regions=["cor"])
    with pytest.raises(UnknownNameError, match="union"):
        case(scopes=["both"])


def test_a_map_of_another_pair():
    with pytest.raises(GridMismatchError, match="Patient-042"):
        scored(masks=case(pair_id="Patient-001_week-000_week-004"))
    assert len(scored(masks=case(pair_id=META["pair_id"])))


def test_a_sidecar_without_what_a_row_needs():
    bare = AttributionMap(signed_map().data, GRID, ("a", "b"), {"pair_id": "p", "method": "ig"})
    with pytest.raises(ManifestError, match="patient_id, response, predicted, target_name"):
        scored(bare)


def test_masks_off_the_grid():
    with pytest.raises(GridMismatchError, match="brain mask"):
        PairMasks(GRID, domain()[1:], {})
    with pytest.raises(GridMismatchError, match="core"):
        PairMasks(GRID, domain(), {("s", "core", "prior"): domain()[1:]})
    with pytest.raises(VolumeError, match="boolean"):
        PairMasks(GRID, domain(), {("s", "core", "prior"): domain().astype(int)})
    with pytest.raises(VolumeError, match="empty"):
        scored(masks=pair_masks(GRID, ~np.ones(SHAPE, bool), {}))


# -- reference map and table ---------------------------------------------------------------------


def test_the_change_map():
    rng = np.random.default_rng(0)
    prior, current = rng.normal(size=(2, 3, *SHAPE)).astype(np.float32)
    change = change_map(prior, current, GRID, META)
    np.testing.assert_allclose(change.data[0], abs(current - prior).sum(axis=0), rtol=1e-6)
    assert not change.coarse
    row = scored(change).iloc[0]
    assert (row["method"], row["weights"], row["target"], row["target_choice"]) == (
        "change",
        "none",
        "",
        "",
    )
    assert (row["pair_id"], row["layer"], row["baseline"]) == (META["pair_id"], "", "")
    with pytest.raises(GridMismatchError):
        change_map(prior[:2], current, GRID, META)


def test_a_table_comes_back_from_disk_as_it_was(tmp_path):
    hdglio = {"hdglio": (labels(1) % 3, labels(2) % 3, "lumiere-hdglio")}
    table = scored(signed_map(spans_surgery=True, fold="1"), pair_masks(GRID, domain(), hdglio))
    path = tmp_path / "deep" / "scores.csv"
    write_scores(table, path)
    pd.testing.assert_frame_equal(read_scores(path), table, check_exact=True, check_dtype=False)


def test_a_file_that_is_no_score_table(tmp_path):
    path = tmp_path / "scores.csv"
    with pytest.raises(ManifestError, match=r"scores\.csv"):
        read_scores(path)
    path.write_text("pair_id,value\np,1\n")
    with pytest.raises(ManifestError, match="lacks the columns run, weights"):
        read_scores(path)
    table = scored().astype({"value": object})
    table.loc[0, "value"] = "much"
    table.to_csv(path, index=False)
    with pytest.raises(ManifestError, match="much"):
        read_scores(path)
    with pytest.raises(ManifestError, match="lacks"):
        write_scores(table.drop(columns="status"), path)
