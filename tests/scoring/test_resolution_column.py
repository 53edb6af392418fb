"""The mask's own score at a map's resolution: beside every value, and in the summary."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from made_scores import META, row

from xrano.geometry import Grid
from xrano.maps import AttributionMap
from xrano.metrics.overlap import score_overlap
from xrano.metrics.resolution import mask_to_cells, resolution_reference
from xrano.resampling import resample
from xrano.scoring.pair_masks import pair_masks
from xrano.scoring.rows import score_map, score_seen, see_map
from xrano.scoring.score_table import score_table
from xrano.scoring.summary import primary_analysis

SHAPE = (6, 5, 4)
AFFINE = np.array(
    [[3.0, 0.4, 0.0, -9.0], [-0.4, 4.0, 0.3, 5.0], [0.0, -0.3, 5.0, 2.0], [0, 0, 0, 1]]
)
GRID = Grid(SHAPE, AFFINE)


def domain():
    brain = np.ones(SHAPE, dtype=bool)
    brain[0] = False
    return brain


def case():
    prior, current = (np.random.default_rng(seed).integers(0, 4, size=SHAPE) for seed in (1, 2))
    segmentations = {"deepbratumia": (prior, current, "lumiere-deepbratumia")}
    return pair_masks(GRID, domain(), segmentations, measurable_ml=0.0)


def scored(attribution, masks=None, **options):
    options = {"rectification": "absolute", "reduction": "sum", **options}
    return score_table(score_map(attribution, masks or case(), **options))


# -- beside every value --------------------------------------------------------------------------


def on_cells(data=None, **meta):
    """A class activation map on cells of 3 × 2 × 2 voxels, the first centred at 1, 0.5, 0.5."""
    to_voxel = np.diag([3.0, 2.0, 2.0, 1.0])
    to_voxel[:3, 3] = (1, 0.5, 0.5)
    grid = Grid((2, 3, 2), AFFINE @ to_voxel)
    if data is None:
        data = np.random.default_rng(3).random(grid.shape)
    known = {**META, "layer": "features", "feature_grid": {"shape": list(grid.shape)}, **meta}
    return AttributionMap(np.asarray(data, np.float32)[None], grid, ("all",), known)


def test_every_value_of_a_coarse_map_stands_beside_what_the_mask_scores_on_its_cells():
    coarse, masks = on_cells(), case()
    table = scored(coarse, masks).set_index(["region", "metric"])
    for (source, region, scope), mask in masks.masks.items():
        assert source == "deepbratumia"
        shares = mask_to_cells(mask & domain(), coarse.grid, GRID).astype(np.float32)
        seen = resample(shares, coarse.grid, GRID, outside="edge")
        for name, score in score_overlap(seen, mask, domain=domain(), grid=GRID).items():
            row = table.loc[(f"{region}/{scope}", name)]
            assert row["reference"] == pytest.approx(score.value, rel=1e-6, nan_ok=True), name
    alone = table.index.get_level_values("region") == ""
    assert table["reference"][~alone].notna().any()
    assert table["reference"][alone].isna().all()


def test_one_cell_for_everything_has_chance_as_its_reference():
    everything = Grid((1, 1, 1), AFFINE @ np.diag([6.0, 5.0, 4.0, 1.0]))
    known = {**META, "layer": "features", "feature_grid": {"shape": [1, 1, 1]}}
    one = AttributionMap(np.ones((1, 1, 1, 1), np.float32), everything, ("all",), known)
    table = scored(one, metrics=["relevance_mass_accuracy", "auroc"])
    told = table[table["value"].notna()]
    assert len(told) > 10
    np.testing.assert_allclose(told["reference"], told["chance"], rtol=1e-6)


def test_a_silent_coarse_map_has_its_reference_all_the_same():
    table = scored(on_cells(np.zeros((2, 3, 2))), rectification="positive")
    union = table[table["region"] == "core/union"]
    assert set(union["status"]) == {"zero_map"}
    assert union["reference"].notna().all()


def test_maps_of_voxels_and_of_unknown_cells_have_no_reference():
    cells = on_cells().grid
    carried = on_cells().resample_to(GRID)
    assert carried.coarse
    rng = np.random.default_rng(0)
    data = rng.normal(size=(2, *SHAPE)).astype(np.float32)
    voxels = AttributionMap(data, GRID, ("prior_T1", "current_T1"), META)
    alike = AttributionMap(np.ones((1, *cells.shape), np.float32), cells, ("all",),
                           {**META, "layer": "features"})  # fmt: skip
    for other in (voxels, alike, carried):
        table = scored(other, metrics=["relevance_mass_accuracy"])
        assert table["value"].notna().any()
        assert table["reference"].isna().all()


def test_masks_below_what_is_measurable_have_no_reference():
    small = np.zeros(SHAPE, int)
    small[3, 2, 1] = 1
    masks = pair_masks(GRID, domain(), {"s": (small, small, "binary")})
    table = scored(on_cells(), masks, metrics=["relevance_mass_accuracy"])
    assert set(table["status"]) == {"below_measurable", "empty_mask", "region_not_labelled"}
    assert table["reference"].isna().all()


def test_single_lesions_have_references_too():
    masks = case()
    seen = see_map(on_cells(), masks, rectification="absolute", reduction="sum")
    table = score_table(score_seen(seen, masks))
    single = table[table["lesion"] != "all"]
    assert len(single)
    assert single["reference"].notna().all()
    for one in single[single["metric"] == "relevance_mass_accuracy"].to_dict("records"):
        mask = masks.cells[one["segmentation_source"], "core", "union", one["lesion"]]
        expected = resolution_reference(mask, domain(), on_cells().grid, GRID)
        assert one["reference"] == pytest.approx(expected[one["metric"]].value, rel=1e-6)


# -- in the summary ------------------------------------------------------------------------------

HAND = [
    row("A", 1, 0.4),
    row("A", 2, 0.2),
    row("B", 1, 0.1, chance=0.2),
    row("A", 1, 0.1, weights="random-0"),
]


def test_what_a_coarse_map_reaches_of_the_mask_at_its_own_cells_by_hand():
    cells = {"method": "gradcam", "layer": "features", "rectification": "positive"}
    rows = [
        *HAND,
        row("A", 1, 0.4, reference=0.8, **cells),
        row("A", 2, 0.2, reference=0.4, **cells),
        row("B", 1, 0.1, chance=0.2, reference=0.7, **cells),
        row("C", 1, math.nan, reference=0.9, **cells),  # silent: not averaged
        row("D", 1, 0.9, **cells),  # carried over: no reference
    ]
    frame = primary_analysis(score_table(rows), n_resamples=20).set_index(["response", "method"])
    cam = frame.loc[("PD", "gradcam")]
    assert cam["mean_reference"] == pytest.approx((0.6 + 0.7) / 2)
    assert cam["of_reference"] == pytest.approx((0.3 + 0.1) / (0.6 + 0.7))
    assert cam["mean_value"] == pytest.approx((0.3 + 0.1 + 0.9) / 3)
    assert frame.loc[("PD", "saliency"), ["mean_reference", "of_reference"]].isna().all()


def test_a_table_of_before_references_gives_the_same_without_them():
    table = score_table([*HAND])
    before, after = (
        primary_analysis(t, n_resamples=20) for t in (table.drop(columns="reference"), table)
    )
    pd.testing.assert_frame_equal(before, after)
    assert after["mean_reference"].isna().all()
