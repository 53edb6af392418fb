"""Maps against the masks of others: every mass by hand, who sees whom, and what goes to files."""

from __future__ import annotations

import json

import numpy as np
import pytest
from made_cohorts import SHAPE, made_cohort
from made_scores import META

from xrano.metrics.ranked import rank_map
from xrano.metrics.shuffle import reachable_masks
from xrano.scoring.crossed_masks import (
    COHORT_COLUMNS,
    CROSSED_COLUMNS,
    MasksInBrain,
    crossed_row,
    crossed_table,
    is_tested,
)
from xrano.scoring.rows import SeenMap

EVERYWHERE = np.ones(SHAPE, bool)


def test_mass_in_every_mask_within_the_brain():
    masks = made_cohort()
    rng = np.random.default_rng(1)
    volume, brain = rng.random(SHAPE).astype(np.float32), rng.random(SHAPE) < 0.7
    brain.ravel()[masks.voxels[3]] = False
    seen = MasksInBrain(masks.pair_ids, masks.voxels, brain)
    mass = seen.mass(rank_map(volume, brain))
    for index, voxels in enumerate(masks.voxels):
        mask = np.zeros(SHAPE, bool)
        mask.ravel()[voxels] = True
        if index == 3:
            assert np.isnan([mass[index], seen.chance[index]]).all()
            continue
        expected = volume[mask & brain].sum(dtype=float) / volume[brain].sum(dtype=float)
        assert mass[index] == pytest.approx(expected)
        assert seen.chance[index] == pytest.approx((mask & brain).sum() / brain.sum())
    assert np.isnan(seen.mass(rank_map(np.zeros(SHAPE), brain))).all()
    # What a uniform map puts into a mask is the mask's chance, whatever the brain.
    uniform = seen.mass(rank_map(np.ones(SHAPE), brain))
    np.testing.assert_allclose(uniform, seen.chance, rtol=1e-14)


def test_a_pair_sees_the_masks_that_a_permutation_may_hand_it():
    masks = made_cohort(30)
    sizes = [voxels.size for voxels in masks.voxels]
    reach = reachable_masks(masks.patient_ids, sizes)
    for index, pair_id in enumerate(masks.pair_ids):
        seen = masks.seen_from(pair_id, EVERYWHERE)
        assert seen.pair_ids == tuple(np.array(masks.pair_ids)[reach[index]])
        assert pair_id in seen.pair_ids
        assert len(seen.pair_ids) < len(masks)
    assert masks.seen_from("p99_a_b", EVERYWHERE) is None
    assert made_cohort(4).seen_from("p0_a_b", EVERYWHERE) is None


def test_rows_become_a_line_a_map_and_mask():
    masks = made_cohort(7)
    rows = []
    for pair_id in masks.pair_ids[:2]:
        facts = {**META, "pair_id": pair_id, "target": "PD", "weights": "trained", "layer": ""}
        seen = SeenMap({**facts, "baseline": ""}, rank_map(np.ones(SHAPE), EVERYWHERE))
        rows.append(crossed_row(seen, masks.seen_from(pair_id, EVERYWHERE)))
    assert json.loads(json.dumps(rows)) == rows
    rows[1]["mass"][2] = None
    table = crossed_table(rows)
    assert tuple(table.columns) == CROSSED_COLUMNS
    assert len(table) == 2 * 7
    assert list(table.loc[table["mass"].isna(), "mask_pair_id"]) == [masks.pair_ids[2]]
    assert table["chance"].dtype == float
    assert tuple(crossed_table([]).columns) == CROSSED_COLUMNS
    assert crossed_row(seen, None) is None
    sizes = masks.table()
    assert tuple(sizes.columns) == COHORT_COLUMNS
    assert list(sizes["voxels"]) == [voxels.size for voxels in masks.voxels]


@pytest.mark.parametrize(
    ("change", "tested"),
    [
        ({}, True),
        ({"weights": "untrained"}, True),
        # A copy explains what the trained network predicted.
        ({"weights": "random-1"}, True),
        ({"weights": "random-1", "target": "CR"}, False),
        # A map of no network explains nothing.
        ({"weights": "none", "target": "", "target_choice": ""}, True),
        ({"target_choice": "all"}, True),
        ({"target_choice": "all", "target": "CR"}, False),
        ({"target_choice": "named"}, False),
    ],
)
def test_the_predicted_class_and_maps_of_no_network_are_tested(change, tested):
    facts = {"weights": "trained", "target_choice": "predicted", "target": "PD", "predicted": "PD"}
    assert is_tested({**facts, **change}) is tested
