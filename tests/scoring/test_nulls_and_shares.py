"""Nulls beside scores, single lesions, shares of channels, and reference maps."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from made_scores import META

from xrano.channels import ChannelLayout
from xrano.geometry import Grid
from xrano.maps import AttributionMap
from xrano.metrics.catalogue import MASK_METRICS
from xrano.metrics.overlap import relevance_mass_accuracy
from xrano.scoring import reference_maps
from xrano.scoring.lesion_table import LESION_COLUMNS, lesion_rows
from xrano.scoring.null_table import (
    NULL_COLUMNS,
    null_table,
    placement_rows,
    random_weights_rows,
)
from xrano.scoring.pair_masks import pair_masks
from xrano.scoring.rows import all_lesions, reference_cell, score_seen, see_map
from xrano.scoring.score_table import score_table
from xrano.scoring.shares import one_visit_note, share_rows

GRID = Grid((9, 8, 7), np.diag([5.0, 4.0, 6.0, 1.0]))
LAYOUT = ChannelLayout(("T1", "CT1"))


def case():
    """One lesion that stays and grows, one that vanishes, one that comes."""
    prior, current = np.zeros(GRID.shape, int), np.zeros(GRID.shape, int)
    prior[2:4, 2:4, 2:4] = 1
    current[2:5, 2:5, 2:4] = 1
    prior[7, 1, 1] = 1
    current[7, 6, 5] = current[7, 5, 5] = 1
    segmentations = {"s": (prior, current, "lumiere-deepbratumia")}
    return pair_masks(GRID, np.ones(GRID.shape, bool), segmentations, pair_id="P_a_b")


def voxel_map(seed=0, **meta):
    data = np.random.default_rng(seed).random((4, *GRID.shape)).astype(np.float32)
    return AttributionMap(data, GRID, tuple(LAYOUT.names), {**META, **meta})


def seen(masks, **meta):
    return see_map(voxel_map(**meta), masks, rectification="absolute", reduction="sum")


def test_lesions_are_tagged_measured_and_scored_one_by_one():
    masks = case()
    table = pd.DataFrame(lesion_rows(masks, "P"))
    assert tuple(table.columns) == LESION_COLUMNS
    assert list(table["tag"]) == ["grown", "new", "vanished"]
    assert list(table["lesion"]) == ["1", "2", "3"]
    np.testing.assert_allclose(table["prior_ml"], [8 * 0.12, 0, 0.12])
    np.testing.assert_allclose(table["current_ml"], [18 * 0.12, 2 * 0.12, 0])
    assert list(table["prior_product_mm2"].isna()) == [False, True, False]
    scores = score_table(score_seen(seen(masks), masks))
    one = scores[(scores["lesion"] == "2") & (scores["metric"] == "relevance_mass_accuracy")]
    mask = np.zeros(GRID.shape, bool)
    mask[7, 5:7, 5] = True
    volume = voxel_map().data.sum(axis=0)
    expected = relevance_mass_accuracy(volume, mask, domain=masks.domain)
    assert one["value"].item() == pytest.approx(expected, rel=1e-6)
    assert set(scores.loc[scores["lesion"] != "all", "region"]) == {"core/union"}


def test_vanished_and_new_are_whole_lesions():
    masks = case().masks
    assert np.argwhere(masks["s", "core", "vanished"]).tolist() == [[7, 1, 1]]
    assert np.argwhere(masks["s", "core", "new"]).tolist() == [[7, 5, 5], [7, 6, 5]]
    assert masks["s", "core", "grown"].sum() == 10 + 2


def test_masks_of_the_same_voxels_are_scored_once_and_alike(monkeypatch):
    masks = case()
    # Without necrosis the core is the enhancing tumour, and the whole without oedema as well.
    assert masks.same_as["s", "core", "union", "all"] == ("s", "enhancing", "union", "all")
    table = score_table(score_seen(seen(masks), masks))
    table = table[table["lesion"] == "all"].set_index(["region", "metric"])["value"]
    pd.testing.assert_series_equal(table["core/union"], table["enhancing/union"])
    assert masks.place(("s", "core", "union", "all")) is masks.place(("s", "whole", "union", "all"))


def test_the_placement_null_of_the_primary_region_is_brute_force_over_translations():
    masks = case()
    rows = null_table(placement_rows(seen(masks), masks))
    assert tuple(rows.columns) == NULL_COLUMNS
    assert set(rows["region"]) == {"core/union"}
    row = rows[rows["metric"] == "relevance_mass_accuracy"].iloc[0]
    mask = masks.masks["s", "core", "union"]
    volume = voxel_map().data.sum(axis=0)
    at = np.argwhere(mask)
    values = []
    low, high = at.min(axis=0), np.array(GRID.shape) - at.max(axis=0)
    for shift in np.ndindex(*(low + high)):
        moved = np.zeros_like(mask)
        moved[tuple((at - low + shift).T)] = True
        values.append(volume[moved].sum() / volume.sum())
    assert row["B"] == len(values)
    assert row["mean"] == pytest.approx(np.mean(values), rel=1e-5)
    assert row["observed"] == pytest.approx(volume[mask].sum() / volume.sum(), rel=1e-5)
    assert row["p"] == pytest.approx(np.mean(np.array(values) >= row["observed"] * (1 - 1e-6)))


def test_placements_are_the_same_whatever_the_threads(monkeypatch):
    rows = []
    for threads in (1, 4):
        monkeypatch.setattr("xrano.scoring.null_table.usable_threads", lambda n=threads: n)
        masks = case()
        rows.append(placement_rows(seen(masks), masks, chosen=all_lesions))
    assert len(rows[0]) > 100
    pd.testing.assert_frame_equal(pd.DataFrame(rows[0]), pd.DataFrame(rows[1]), check_exact=True)


def test_copies_are_a_null_with_a_z_and_without_a_p():
    masks = case()
    rows = [
        row
        for seed, weights in enumerate(("trained", "random-0", "random-1", "none"))
        for row in score_seen(
            see_map(
                voxel_map(seed, weights=weights),
                masks,
                rectification="absolute",
                reduction="sum",
            ),
            masks,
        )
    ]
    table = score_table(rows)
    nulls = null_table(random_weights_rows(table))
    assert set(nulls["null"]) == {"random_weights"}
    assert set(nulls["weights"]) == {"trained"}
    assert set(nulls["B"]) == {2}
    assert nulls["p"].isna().all()
    key = ["region", "lesion", "metric"]
    own = table[(table["weights"] == "trained") & table["value"].notna()]
    assert len(nulls) == len(own)
    copies = table[table["weights"].str.startswith("random")].groupby(key)["value"].mean()
    joined = nulls.join(copies.rename("expected"), on=key)
    np.testing.assert_allclose(joined["mean"], joined["expected"])
    distance = nulls[(nulls["metric"] == "peak_distance_mm") & (nulls["sd"] > 0)].iloc[0]
    # Nearer is better: percentile counts the copies that are farther.
    values = table[
        table["weights"].str.startswith("random")
        & (table["metric"] == "peak_distance_mm")
        & (table["region"] == distance["region"])
        & (table["lesion"] == distance["lesion"])
    ]["value"]
    expected = (values > distance["observed"]).mean() + (values == distance["observed"]).mean() / 2
    assert distance["percentile"] == pytest.approx(100 * expected)


def shares(data, stem="concat", **meta):
    item = AttributionMap(np.asarray(data, np.float32), GRID, tuple(LAYOUT.names), {**META, **meta})
    brain = np.zeros(GRID.shape, bool)
    brain[1:] = True
    return pd.DataFrame(share_rows(item, brain, LAYOUT, stem=stem)).set_index(
        ["timepoint", "sequence"]
    )


def channels(*values):
    data = np.ones((4, *GRID.shape)) * np.array(values).reshape(4, 1, 1, 1)
    data[:, 0] = 1e6  # outside the brain
    return data


def test_shares_are_of_absolute_relevance_in_the_brain():
    order = [LAYOUT.index(time, name) for time in ("prior", "current") for name in ("T1", "CT1")]
    values = np.empty(4)
    values[order] = [1, -2, 3, -4]
    table = shares(channels(*values))
    assert table["share"].to_dict() == pytest.approx(
        {
            ("prior", "all"): 0.3,
            ("prior", "T1"): 0.1,
            ("prior", "CT1"): 0.2,
            ("current", "all"): 0.7,
            ("current", "T1"): 0.3,
            ("current", "CT1"): 0.4,
        }
    )
    assert table.loc[("prior", "all"), "expected"] == 0.5
    assert table.loc[("prior", "T1"), "expected"] == 0.25
    assert not table["one_visit"].any()


def test_what_a_method_fixes_is_no_finding():
    values = np.zeros(4)
    values[[LAYOUT.index("current", "T1"), LAYOUT.index("current", "CT1")]] = 1, 3
    table = shares(channels(*values), baseline="prior", method="ig")
    fixed = [("prior", "all"), ("prior", "T1"), ("prior", "CT1"), ("current", "all")]
    assert set(table.loc[fixed, "status"]) == {"fixed_by_method"}
    assert table.loc[fixed, "share"].isna().all()
    assert table.loc[("current", "CT1"), "share"] == pytest.approx(0.75)
    assert table.loc[("current", "CT1"), "expected"] == 0.5
    assert not table["one_visit"].any()
    # The same values from another baseline are a finding.
    table = shares(channels(*values), baseline="zero", method="ig")
    assert table["one_visit"].all()
    assert "ig:zero puts 100% of its relevance on the current" in one_visit_note(
        table.reset_index()
    )


def test_a_network_of_differences_sees_change():
    table = shares(channels(1, 1, 3, 3), stem="subtract")
    assert set(table.index.get_level_values("timepoint")) == {"change"}
    assert table.loc[("change", "all"), "status"] == "fixed_by_method"
    parts = table.drop(("change", "all"))
    assert parts["share"].sum() == pytest.approx(1)
    assert set(parts["expected"]) == {0.5}
    assert not table["one_visit"].any()


def test_maps_without_channels_have_no_shares():
    merged = AttributionMap(np.ones((1, *GRID.shape), np.float32), GRID, ("all",), META)
    assert share_rows(merged, np.ones(GRID.shape, bool), LAYOUT) == []
    silent = shares(np.zeros((4, *GRID.shape)))
    assert set(silent["status"]) == {"zero_map"}
    assert silent["share"].isna().all()


def test_reference_maps():
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(4, *GRID.shape)).astype(np.float32)
    uniform = reference_maps.uniform_map(GRID, META)
    masks = case()
    rows = score_table(
        score_seen(see_map(uniform, masks, rectification="absolute", reduction="sum"), masks)
    )
    scored = rows[rows["status"] == "ok"]
    np.testing.assert_allclose(scored["value"], scored["chance"], rtol=1e-5, atol=1e-5)
    assert set(rows["weights"]) == {"none"}
    difference = reference_maps.input_difference_map(
        inputs, np.zeros_like(inputs), "zero", GRID, META
    )
    np.testing.assert_allclose(difference.data[0], abs(inputs).sum(axis=0), rtol=1e-6)
    assert (difference.meta["method"], difference.meta["baseline"]) == ("input_difference", "zero")
    enhancement = reference_maps.enhancement_map(inputs[:2], inputs[2:], GRID, META).data[0]
    expected = (inputs[:2] - inputs[2:]).clip(0).sum(axis=0)
    np.testing.assert_allclose(enhancement, expected, rtol=1e-6)
    ramp = np.arange(9, dtype=np.float32).reshape(1, 9, 1, 1) * np.ones((2, *GRID.shape), "f4")
    edges = reference_maps.edges_map(ramp, GRID, META).data[0]
    np.testing.assert_allclose(edges, 2 / 5, rtol=1e-6)
    centre = reference_maps.centre_map(np.ones(GRID.shape, bool), GRID, META).data[0]
    assert np.unravel_index(centre.argmax(), GRID.shape)[::2] == (4, 3)
    sd = math.sqrt((9**2 - 1) / 12) / 2
    assert centre[4 + 2, 3, 3] / centre[4, 3, 3] == pytest.approx(math.exp(-2 / sd**2), rel=1e-5)


def test_the_mask_through_cells_that_are_its_voxels_is_perfect():
    masks = case()
    cam = AttributionMap(
        np.ones((1, *GRID.shape), np.float32), GRID, ("all",), {**META, "layer": "features"}
    )
    table = score_table(reference_maps.resolution_rows(cam, masks, reduction="sum"))
    told = {f"{cell[1]}/{cell[2]}" for cell in filter(reference_cell, masks.cells)}
    assert {"core/union", "core/prior", "whole/union"} <= set(table["region"]) <= told
    assert set(table["method"]) == {"mask"}
    assert set(table["rectification"]) == {"positive"}
    pd.testing.assert_series_equal(table["value"], table["reference"], check_names=False)
    values = {name: set(of["value"].round(6)) for name, of in table.groupby("metric")}
    assert values.keys() == MASK_METRICS.keys()
    for name in ("relevance_mass_accuracy", "relevance_rank_accuracy", "pointing_game", "auroc"):
        assert values[name] == {1.0}
    assert values["peak_distance_mm"] == values["centre_distance_mm"] == {0.0}
