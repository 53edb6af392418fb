"""Rows of where all relevance goes: parts, statuses, and agreement with the scores beside them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from made_scores import META

from xrano.data.tissue_priors import GREY, WHITE, TissuePriors
from xrano.errors import GridMismatchError, UnknownNameError
from xrano.geometry import Grid
from xrano.maps import AttributionMap
from xrano.metrics.accounting import EDGE, OTHER, OUTSIDE, brain_edge
from xrano.scoring.accounting_table import (
    ACCOUNTING_COLUMNS,
    PARTS,
    accounting_rows,
    accounting_table,
    pair_parts,
    tumour_parts,
)
from xrano.scoring.pair_masks import pair_masks
from xrano.scoring.rows import score_seen, see_map
from xrano.scoring.score_table import score_table

GRID = Grid((13, 11, 10), np.diag([5.0, 4.0, 6.0, 1.0]))
CELLS = Grid((3, 3, 2), np.array([[20, 0, 0, 8.0], [0, 16, 0, 5], [0, 0, 30, 12], [0, 0, 0, 1]]))
SCHEME = "brats2024"  # 1 necrosis, 2 oedema, 3 enhancing, 4 cavity


def brain():
    domain = np.zeros(GRID.shape, dtype=bool)
    domain[1:-1, 1:-1, 1:-1] = True
    return domain


def labels(seed):
    """Blocks of tumour in the brain and a little beyond it, other ones for every seed."""
    rng = np.random.default_rng(seed)
    found = np.zeros(GRID.shape, dtype=np.uint8)
    found[3:9, 0:8, 2:8] = rng.integers(0, 5, (6, 8, 6))
    return found


def priors(grid=GRID):
    rng = np.random.default_rng(5)
    grey, white = (rng.random(grid.shape).astype(np.float32) / 2 for _ in range(2))
    return TissuePriors(grid, {GREY: grey, WHITE: white}, np.ones(grid.shape, dtype=bool))


def case(segmentations=None):
    given = segmentations or {"expert": (labels(1), labels(2), SCHEME)}
    return given, pair_masks(GRID, brain(), given, pair_id="P_a_b")


def seen(masks, *, grid=GRID, **meta):
    data = np.random.default_rng(3).normal(size=(1, *grid.shape)).astype(np.float32)
    one = AttributionMap(data, grid, ("all",), {**META, **meta})
    return see_map(one, masks, rectification="absolute", reduction="sum")


def shares(table):
    return table.set_index("part")["share"]


def test_a_row_a_part_in_order_that_add_up_to_one():
    given, masks = case()
    rows = accounting_rows(seen(masks), pair_parts(GRID, brain(), given, priors()))
    table = accounting_table(rows)
    assert tuple(table.columns) == ACCOUNTING_COLUMNS
    # All but the lesion that has no tissues.
    assert list(table["part"]) == [part for part in PARTS if part != "lesion"]
    assert set(table["status"]) == {"ok"}
    assert math.fsum(table["share"]) == pytest.approx(1, abs=1e-12)
    assert math.fsum(table["expected"]) == pytest.approx(1, abs=1e-12)
    assert (table["share"] > 0).all()
    assert set(table["pair_id"]) == {"P_a_b"}
    assert set(table["weights"]) == {"trained"}
    assert set(table["rectification"]) == {"absolute"}


@pytest.mark.parametrize("grid", [GRID, CELLS])
def test_tumour_parts_are_the_regions_of_the_scores(grid: Grid):
    """Also of a coarse map, which is carried to the grid and reaches beyond the brain."""
    given, masks = case()
    one = seen(masks, grid=grid, layer="features" if grid is CELLS else "")
    found = shares(
        accounting_table(accounting_rows(one, pair_parts(GRID, brain(), given, priors())))
    )
    scores = score_table(score_seen(one, masks))
    mass = scores[scores["metric"] == "relevance_mass_accuracy"].set_index("region")["value"]
    inside = 1 - found[OUTSIDE]
    regions = {
        "enhancing/union": ["enhancing"],
        "core/union": ["enhancing", "necrosis"],
        "whole/union": ["enhancing", "necrosis", "oedema"],
    }
    for region, parts in regions.items():
        assert found[parts].sum() / inside == pytest.approx(mass[region], rel=1e-9), region
    alone = scores[scores["metric"] == "outside_brain_mass"]["value"].item()
    assert found[OUTSIDE] == pytest.approx(alone, rel=1e-12)
    assert found[OUTSIDE] > 0.05


def test_shares_are_what_adding_up_by_hand_gives():
    given, masks = case()
    one, tissue, domain = seen(masks), priors(), brain()
    volume = np.zeros(GRID.shape)
    volume[domain] = one.ranked.values
    prior, current, _ = given["expert"]
    taken = ~domain
    expected = {}
    total = volume.sum() + one.ranked.elsewhere
    order = {"enhancing": 3, "necrosis": 1, "oedema": 2, "cavity": 4}
    for part, label in order.items():
        mask = ((prior == label) | (current == label)) & ~taken
        expected[part], taken = volume[mask].sum() / total, taken | mask
    edge = brain_edge(domain, GRID.spacing) & ~taken
    expected[EDGE], taken = volume[edge].sum() / total, taken | edge
    grey, white = tissue.tissues[GREY], tissue.tissues[WHITE]
    rest = 1 - grey - white
    for part, mask in {
        GREY: (grey >= white) & (grey >= rest),
        WHITE: (white > grey) & (white >= rest),
        OTHER: (rest > grey) & (rest > white),
    }.items():
        expected[part] = volume[mask & ~taken].sum() / total
    found = shares(accounting_table(accounting_rows(one, pair_parts(GRID, domain, given, tissue))))
    for part, share in expected.items():
        assert found[part] == pytest.approx(share, rel=1e-6), part


def test_what_vanished_is_still_the_tissue_it_was():
    prior, current = np.zeros((2, *GRID.shape), dtype=np.uint8)
    prior[4:6, 4:6, 4:6] = 3
    current[4:6, 4:6, 4:6] = 2
    for both in ((prior, current), (current, prior)):
        found = tumour_parts(*both, SCHEME)
        assert found["enhancing"].sum() == 8
        assert not found["oedema"].any()


@pytest.mark.parametrize(
    ("scheme", "highest", "tumour"),
    [
        ("binary", 1, ["lesion"]),
        ("lumiere-hdglio", 2, ["enhancing", "oedema"]),
        ("1=necrosis;3=oedema", 1, ["necrosis", "oedema"]),
        ("brats2023", 3, ["enhancing", "necrosis", "oedema"]),
    ],
)
def test_parts_follow_the_scheme(scheme, highest, tumour):
    both = (np.minimum(labels(seed), highest) for seed in (1, 2))
    given, masks = case({"s": (*both, scheme)})
    table = accounting_table(
        accounting_rows(seen(masks), pair_parts(GRID, brain(), given, priors()))
    )
    assert list(table["part"]) == [*tumour, EDGE, GREY, WHITE, OTHER, OUTSIDE]
    assert table["share"].sum() == pytest.approx(1, abs=1e-12)


def test_without_priors_grey_and_white_matter_are_other_brain():
    given, masks = case()
    one = seen(masks)
    told = accounting_table(accounting_rows(one, pair_parts(GRID, brain(), given, priors())))
    table = accounting_table(accounting_rows(one, pair_parts(GRID, brain(), given, None)))
    assert list(table["part"]) == list(told["part"])
    unknown = table["part"].isin([GREY, WHITE])
    assert set(table.loc[unknown, "status"]) == {"no_priors"}
    assert table.loc[unknown, ["share", "expected"]].isna().all(axis=None)
    assert set(table.loc[~unknown, "status"]) == {"ok"}
    assert table["share"].sum() == pytest.approx(1, abs=1e-12)
    merged = shares(told)[[GREY, WHITE, OTHER]].sum()
    assert shares(table)[OTHER] == pytest.approx(merged, rel=1e-12)


def test_a_silent_map_and_a_missing_segmentation_have_a_status_and_no_share():
    given, masks = case({"one": (labels(1), labels(2), SCHEME), "two": (None, labels(2), SCHEME)})
    parts = pair_parts(GRID, brain(), given, priors())
    table = accounting_table(accounting_rows(seen(masks), parts))
    missing = table[table["segmentation_source"] == "two"]
    assert list(missing["part"]) == [EDGE, GREY, WHITE, OTHER, OUTSIDE]
    assert set(missing["status"]) == {"no_segmentation"}
    assert missing[["share", "expected"]].isna().all(axis=None)
    silent = AttributionMap(np.zeros((1, *GRID.shape), np.float32), GRID, ("all",), META)
    nothing = see_map(silent, masks, rectification="absolute", reduction="sum")
    table = accounting_table(accounting_rows(nothing, parts))
    one = table[table["segmentation_source"] == "one"]
    assert set(one["status"]) == {"zero_map"}
    assert one["share"].isna().all()
    assert one["expected"].sum() == pytest.approx(1)
    unsegmented = pair_parts(GRID, brain(), {}, priors())
    table = accounting_table(accounting_rows(seen(masks), unsegmented))
    assert set(table["status"]) == {"no_segmentation"}
    assert set(table["segmentation_source"]) == {""}


def test_priors_of_another_grid_and_unknown_schemes_are_refused():
    given, masks = case()
    moved = Grid(GRID.shape, np.diag([5.0, 4.0, 6.5, 1.0]))
    with pytest.raises(GridMismatchError, match="tissue priors"):
        pair_parts(GRID, brain(), given, priors(moved))
    with pytest.raises(UnknownNameError, match="label scheme"):
        pair_parts(GRID, brain(), {"s": (labels(1), labels(2), "mine")}, None)
    smaller = brain()
    smaller[1] = False
    with pytest.raises(GridMismatchError, match="one brain mask"):
        accounting_rows(seen(masks), pair_parts(GRID, smaller, given, None))
