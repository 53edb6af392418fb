"""Scores beside those of surrogate maps, and the correction of p for many tests."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from made_scores import META
from scipy import ndimage
from scipy.stats import false_discovery_control

from xrano.errors import ConfigError
from xrano.geometry import Grid
from xrano.maps import AttributionMap
from xrano.metrics.catalogue import METRICS
from xrano.metrics.null_calibration import ellipsoid_brain
from xrano.metrics.surrogates import surrogate_null
from xrano.scoring.null_table import NULL_COLUMNS, null_table, placement_rows
from xrano.scoring.pair_masks import pair_masks
from xrano.scoring.rows import see_map
from xrano.scoring.surrogate_null import surrogate_rows, surrogate_seed

GRID = Grid((15, 13, 11), np.diag([5.0, 6.0, 4.0, 1.0]))


def case(empty=False):
    labels = np.zeros(GRID.shape, int)
    if not empty:
        labels[5:8, 4:7, 4:7] = 1
    segmentations = {"s": (labels, labels, "lumiere-deepbratumia")}
    return pair_masks(GRID, ellipsoid_brain(GRID.shape), segmentations, pair_id="P_a_b")


def seen(masks, *, data=None, **meta):
    if data is None:
        noise = np.random.default_rng(4).normal(size=GRID.shape)
        data = np.abs(ndimage.gaussian_filter(noise, 1.2))
    item = AttributionMap(np.asarray(data, np.float32)[None], GRID, ("all",), {**META, **meta})
    return see_map(item, masks, rectification="absolute", reduction="sum")


def test_each_score_is_set_beside_the_same_surrogates_as_one_at_a_time():
    masks = case()
    map_seen = seen(masks)
    rows = pd.DataFrame(surrogate_rows(map_seen, masks, n_surrogates=24))
    assert set(rows["null"]) == {"surrogate"}
    assert set(rows["metric"]) == set(METRICS)
    assert set(rows["region"]) == {"core/union"}
    positions = masks.positions["s", "core", "union", "all"]
    for name in ("relevance_mass_accuracy", "auroc", "average_precision"):
        expected = surrogate_null(
            map_seen.ranked.within(positions),
            positions,
            METRICS[name].score,
            n_surrogates=24,
            seed=surrogate_seed(map_seen.facts),
        )
        row = rows[rows["metric"] == name].iloc[0]
        for column in ("observed", "mean", "sd", "z", "percentile", "p"):
            assert row[column] == pytest.approx(getattr(expected, column), rel=1e-5), column
        assert row["B"] == 24
        # A drawn null: p is a whole number of (1 + B)-ths, and never 0.
        assert row["p"] * 25 == pytest.approx(round(row["p"] * 25))
        assert row["p"] >= 1 / 25


def test_a_map_of_the_tumour_stands_out_and_one_of_noise_does_not():
    masks = case()
    tumour = ndimage.gaussian_filter(masks.masks["s", "core", "union"].astype(float), 1.0)
    p = {}
    for name, data in (("tumour", tumour + 1e-3), ("noise", None)):
        rows = pd.DataFrame(surrogate_rows(seen(masks, data=data), masks, n_surrogates=39))
        p[name] = rows.set_index("metric").loc["relevance_mass_accuracy", "p"]
    assert p["tumour"] == 1 / 40
    assert p["noise"] > 0.05


def test_the_seed_is_the_pair_s_and_the_method_s_and_no_global_state_moves():
    facts = seen(case()).facts
    seeds = {
        surrogate_seed({**facts, **change})
        for change in ({}, {"pair_id": "P_b_c"}, {"method": "ig"}, {"baseline": "zero"},
                       {"layer": "features"}, {"target": "SD"})
    }  # fmt: skip
    assert len(seeds) == 6
    assert surrogate_seed(dict(facts)) == surrogate_seed({**facts, "run": "other", "fold": 3})
    masks = case()
    np.random.seed(0)  # noqa: NPY002
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    one, two = (surrogate_rows(seen(masks), masks, n_surrogates=3) for _ in range(2))
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002
    pd.testing.assert_frame_equal(pd.DataFrame(one), pd.DataFrame(two), check_exact=True)
    # More surrogates begin with the same ones.
    assert pd.DataFrame(one)["p"].isna().all()


def test_what_has_no_surrogate_says_so():
    with pytest.raises(ConfigError, match="at least 1 surrogate"):
        surrogate_rows(seen(case()), case(), n_surrogates=0)
    empty = case(empty=True)
    rows = pd.DataFrame(surrogate_rows(seen(empty), empty, n_surrogates=2))
    assert set(rows["status"]) == {"empty_mask"}
    silent = surrogate_rows(seen(case(), data=np.zeros(GRID.shape)), case(), n_surrogates=2)
    assert {row["status"] for row in silent} == {"zero_map"}
    flat = pd.DataFrame(surrogate_rows(seen(case(), data=np.ones(GRID.shape)), case(),
                                       n_surrogates=2))  # fmt: skip
    assert set(flat["status"]) == {"ok"}
    assert set(flat["B"]) == {0}
    assert flat["p"].isna().all()


def test_p_is_corrected_within_each_null_and_where_there_is_one():
    masks = case()
    rows = placement_rows(seen(masks), masks) + placement_rows(seen(masks, method="ig"), masks)
    rows += surrogate_rows(seen(masks), masks, n_surrogates=24)
    few = {**rows[-1], "null": "random_weights", "p": None}
    table = null_table([*rows, few])
    assert tuple(table.columns) == NULL_COLUMNS
    own = table[table["null"] == "surrogate"]
    tested = own["p"].notna()
    assert tested.sum() > 5
    expected = false_discovery_control(own.loc[tested, "p"].astype(float))
    np.testing.assert_allclose(own.loc[tested, "p_bh"], expected)
    assert own.loc[~tested, "p_bh"].isna().all()
    assert np.isnan(table["p_bh"].iloc[-1])
    # The p of placements is descriptive: it is there, and nothing is made of it.
    placed = table[table["null"] == "placement"]
    assert placed["p"].notna().sum() > 5
    assert placed["p_bh"].isna().all()
