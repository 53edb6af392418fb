"""Dice at a threshold that other pairs chose."""

from __future__ import annotations

import math

import numpy as np
import pytest

from xrano.geometry import Grid
from xrano.maps import AttributionMap
from xrano.metrics.thresholds import THRESHOLDS, threshold_dice, tune_threshold
from xrano.scoring.pair_masks import pair_masks
from xrano.scoring.rows import see_map
from xrano.scoring.score_table import score_table
from xrano.scoring.tuned_dice import ThresholdTuning, TunedThresholds, tuned_dice_rows

GRID = Grid((9, 8, 7), np.diag([5.0, 4.0, 6.0, 1.0]))
BRAIN = np.ones(GRID.shape, bool)


def case(seed: int, scheme: str = "lumiere-deepbratumia", *, empty: bool = False):
    rng = np.random.default_rng(seed)
    labels = np.zeros(GRID.shape, int)
    at = rng.integers(1, 4, size=3)
    if not empty:
        labels[tuple(slice(a, a + 3) for a in at)] = 1
    pair_id = f"P{seed}_a_b"
    return pair_masks(GRID, BRAIN, {"s": (labels, labels, scheme)}, pair_id=pair_id)


def seen(masks, seed: int, method: str = "saliency", sharp: float = 2.0, **meta):
    rng = np.random.default_rng(100 + seed)
    inside = masks.masks.get(("s", "core", "union"), np.zeros(GRID.shape, bool))
    data = (rng.random(GRID.shape) + inside) ** sharp
    facts = {
        "pair_id": masks.pair_id, "patient_id": "P", "response": "PD", "predicted": "PD",
        "target_name": "PD", "target_choice": "predicted", "method": method, "fold": 0, **meta,
    }  # fmt: skip
    item = AttributionMap(data.astype(np.float32)[None], GRID, ("all",), facts)
    return see_map(item, masks, rectification="absolute", reduction="sum")


def tuned(seeds, **of_map) -> TunedThresholds:
    tuning = ThresholdTuning()
    for seed in seeds:
        masks = case(seed)
        tuning.add(seen(masks, seed, **of_map), masks)
    return tuning.found()


def test_the_threshold_is_that_of_the_metric_s_own_tuning():
    chosen = set()
    for sharp in (0.5, 2.0, 6.0):
        found = tuned(range(6), sharp=sharp).found
        assert len(found) == 1
        cases = [case(seed) for seed in range(6)]
        training = [
            seen(masks, seed, sharp=sharp).ranked.within(
                masks.positions["s", "core", "union", "all"]
            )
            for seed, masks in enumerate(cases)
        ]
        assert found[0].threshold == tune_threshold(training)
        assert (found[0].n_pairs, found[0].status) == (6, "ok")
        chosen.add(found[0].threshold)
    assert len(chosen) == 3, "one threshold for all: this test proves little"


def test_methods_layers_and_segmentations_have_their_own():
    tuning = ThresholdTuning()
    for seed in range(4):
        masks = case(seed)
        tuning.add(seen(masks, seed, sharp=6.0), masks)
        tuning.add(seen(masks, seed, "gradcam", sharp=0.5, layer="features"), masks)
    found = tuning.found()
    facts = {"method": "saliency", "baseline": "", "layer": ""}
    one = found.of(facts, "s")
    other = found.of({**facts, "method": "gradcam", "layer": "features"}, "s")
    assert one.threshold != other.threshold
    for unknown, source in ((facts, "t"), ({**facts, "layer": "x"}, "s")):
        assert found.of(unknown, source).threshold is None
    assert TunedThresholds.of_json(found.to_json()) == found


def test_a_row_has_the_dice_at_that_threshold_and_the_threshold():
    thresholds = tuned(range(6))
    masks = case(7)
    table = score_table(tuned_dice_rows(seen(masks, 7), masks, thresholds))
    assert table[["metric", "region", "lesion"]].to_numpy().tolist() == [
        ["dice_tuned", "core/union", "all"]
    ]
    value = thresholds.found[0].threshold
    assert value in THRESHOLDS
    volume = np.zeros(GRID.shape)
    volume[BRAIN] = seen(masks, 7).ranked.values
    mask = masks.masks["s", "core", "union"]
    expected = threshold_dice(volume, mask, domain=BRAIN, threshold=value)
    assert table["value"].item() == pytest.approx(expected.value)
    assert table["chance"].item() == pytest.approx(expected.chance)
    assert table["threshold"].item() == value


def test_without_a_dice_in_training_the_reason_is_told():
    tuning = ThresholdTuning()
    for seed in range(3):
        masks = case(seed, empty=seed < 2)
        tuning.add(seen(masks, seed, sharp=0.0) if seed < 2 else silent(masks, seed), masks)
    found = tuning.found()
    assert (found.found[0].threshold, found.found[0].n_pairs) == (None, 0)
    masks = case(7)
    (row,) = tuned_dice_rows(seen(masks, 7), masks, found)
    assert row["status"] == "empty_mask"
    assert math.isnan(row["value"])
    assert math.isnan(row["threshold"])


def silent(masks, seed: int):
    facts = dict(seen(masks, seed).facts)
    item = AttributionMap(
        np.zeros((1, *GRID.shape), np.float32), GRID, ("all",),
        {**facts, "target_name": facts["target"]},
    )  # fmt: skip
    return see_map(item, masks, rectification="absolute", reduction="sum")


def test_held_out_pairs_without_a_value_keep_their_own_status():
    thresholds = tuned(range(4))
    for masks, status in (
        (case(8, empty=True), "empty_mask"),
        (case(8, "binary"), "region_not_labelled"),
    ):
        (row,) = tuned_dice_rows(seen(masks, 8), masks, thresholds)
        assert row["status"] == status
        assert math.isnan(row["value"])
        assert row["threshold"] == thresholds.found[0].threshold
