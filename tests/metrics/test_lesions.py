"""Lesions matched between visits: tags, merges, splits, tolerance, and grids of their own."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from xrano.errors import ConfigError, GridMismatchError, VolumeError
from xrano.geometry import Grid
from xrano.metrics.lesions import LesionTag, lesion_tag, match_lesions
from xrano.resampling import resample

SHAPE = (40, 12, 10)
AFFINE = np.array([[3.0, 0.6, 0, -9], [-0.5, 4.0, 0.4, 5], [0, -0.5, 5.0, 2], [0, 0, 0, 1]])
GRID = Grid(SHAPE, AFFINE)
ML = GRID.voxel_ml


def masks():
    return np.zeros(SHAPE, dtype=bool), np.zeros(SHAPE, dtype=bool)


def block(mask, start, size):
    mask[tuple(slice(a, a + s) for a, s in zip(start, size, strict=True))] = True


def match(prior, current, **options):
    return match_lesions(prior, current, GRID, **{"least_ml": 0.0, "tolerance_mm": 0.0, **options})


def test_every_tag_and_the_numbers_by_size():
    prior, current = masks()
    block(prior, (0, 0, 0), (4, 5, 5))  # 100 voxels, 6 ml, then 60: stable
    block(current, (0, 0, 0), (4, 5, 3))
    block(prior, (8, 0, 0), (4, 5, 4))  # 80 to 20: shrunk
    block(current, (8, 0, 0), (4, 5, 1))
    block(prior, (16, 0, 0), (2, 5, 4))  # 40 to 60: grown
    block(current, (16, 0, 0), (3, 5, 4))
    block(prior, (24, 0, 0), (3, 3, 3))  # 27: vanished
    block(current, (32, 0, 0), (2, 3, 4))  # 24: new
    found = match(prior, current)
    tags = [(one.lesion, str(one.tag)) for one in found.lesions]
    assert tags == [(1, "stable"), (2, "shrunk"), (3, "grown"), (4, "vanished"), (5, "new")]
    for one in found.lesions:
        assert one.prior_ml == pytest.approx((found.prior_labels == one.lesion).sum() * ML)
        assert one.current_ml == pytest.approx((found.current_labels == one.lesion).sum() * ML)
        assert one.measurable
    np.testing.assert_array_equal(found.prior_labels == 0, ~prior)
    np.testing.assert_array_equal(found.current_labels == 0, ~current)
    assert np.isnan([[one.prior_product, one.current_product] for one in found.lesions]).all()
    assert found.prior_labels[0, 0, 0] == found.current_labels[0, 0, 0] == 1


@pytest.mark.parametrize(
    ("prior", "current", "tag"),
    [
        (10.0, 14.0, "grown"),
        (10.0, 13.99, "stable"),
        (10.0, 3.5, "shrunk"),
        (10.0, 3.51, "stable"),
        (0.0, 0.01, "new"),
        (0.01, 0.0, "vanished"),
        (0.1, 0.51, "stable"),  # grew fivefold and is still not measurable
        (0.1, 0.52, "grown"),
        (0.51, 0.1, "stable"),  # was never measurable
    ],
)
def test_tags_at_the_thresholds(prior, current, tag):
    assert lesion_tag(prior, current) == LesionTag(tag)


def test_merges_and_splits_stay_one_lesion():
    prior, current = masks()
    block(prior, (0, 0, 0), (3, 3, 3))
    block(prior, (6, 0, 0), (3, 3, 3))
    block(current, (0, 0, 0), (9, 3, 3))  # two became one
    block(prior, (15, 0, 0), (9, 3, 3))
    block(current, (15, 0, 0), (3, 3, 3))
    block(current, (21, 0, 0), (3, 3, 3))  # one became two
    block(prior, (28, 0, 0), (3, 3, 3))  # a chain: A-b, b-C, C-d
    block(current, (30, 0, 0), (4, 2, 2))
    block(prior, (33, 0, 0), (3, 2, 2))
    block(current, (35, 0, 0), (3, 2, 2))
    found = match(prior, current)
    assert sorted((one.n_prior, one.n_current) for one in found.lesions) == [
        (1, 2),
        (2, 1),
        (2, 2),
    ]


def test_the_tolerance_itself_belongs_whatever_the_last_bit():
    # Three steps of 1.1 mm are 3.3000000000000003.
    grid = Grid((9, 2, 2), np.diag([1.1, 2.0, 2.0, 1.0]))
    for steps, tolerance, linked in ((3, 3.3, True), (3, 3.29, False), (1, 1.0, False)):
        prior, current = np.zeros((2, *grid.shape), dtype=bool)
        prior[0, 0, 0] = current[steps, 0, 0] = prior[8, 1, 1] = True
        for one, other in ((prior, current), (current, prior)):
            found = match_lesions(one, other, grid, tolerance_mm=tolerance, least_ml=0.0)
            assert len(found.lesions) == (2 if linked else 3)
    unit = Grid((3, 1, 1), np.eye(4))
    prior, current = np.zeros((2, *unit.shape), dtype=bool)
    prior[0] = current[1] = True
    assert len(match_lesions(prior, current, unit, tolerance_mm=1.0, least_ml=0.0).lesions) == 1


def test_what_lies_beside_the_middle_of_a_long_lesion_is_near_it():
    # 40 voxels of 1 mm by 2 mm of tolerance: its ends are far from what lies at its middle.
    grid = Grid((40, 5, 5), np.diag([1.0, 1.0, 1.0, 1.0]))
    prior, current = np.zeros((2, *grid.shape), dtype=bool)
    prior[:, 0, 0] = current[20, 2, 0] = True
    for one, other in ((prior, current), (current, prior)):
        assert len(match_lesions(one, other, grid, tolerance_mm=2.0, least_ml=0.0).lesions) == 1
        assert len(match_lesions(one, other, grid, tolerance_mm=1.9, least_ml=0.0).lesions) == 2


def test_a_lesion_of_the_least_volume_counts_whatever_the_last_bit():
    # Three voxels of 0.32 ml are 0.9599999999999999.
    grid = Grid((4, 1, 1), np.diag([4.0, 8.0, 10.0, 1.0]))
    mask = np.zeros(grid.shape, dtype=bool)
    mask[:3] = True
    assert 3 * grid.voxel_ml < 0.96
    for least, kept in ((0.96, 1), (0.9601, 0)):
        assert len(match_lesions(mask, mask, grid, least_ml=least).lesions) == kept


def test_two_millimetres_and_a_tenth_of_a_millilitre_unless_told():
    # Voxels of 0.05 ml, 2 mm and 2.1 mm apart.
    for step, linked in ((2.0, True), (2.1, False)):
        grid = Grid((2, 1, 1), np.diag([step, 50 / step, 1.0, 1.0]))
        prior, current = np.zeros((2, *grid.shape), dtype=bool)
        prior[0] = current[1] = True
        found = match_lesions(prior, current, grid, least_ml=0.0)
        assert len(found.lesions) == (1 if linked else 2)
    for ml, kept in ((0.1, 1), (0.0999, 0)):
        grid = Grid((1, 1, 1), np.diag([ml * 1000, 1.0, 1.0, 1.0]))
        mask = np.ones(grid.shape, dtype=bool)
        assert len(match_lesions(mask, mask, grid).lesions) == kept


def test_a_centre_on_the_border_of_two_voxels_belongs_to_the_later_and_beyond_the_grid_to_none():
    # Wide voxels, each about the centre of an odd one of the grid: even ones lie on their borders.
    to_wide = np.array([[2.0, 0, 0, 1], *np.eye(4)[1:]])
    wide = Grid((SHAPE[0] // 2, *SHAPE[1:]), GRID.affine @ to_wide)
    for place in range(2, SHAPE[0], 2):
        for other, linked in ((place // 2, True), (place // 2 - 1, False)):
            prior, current = np.zeros(GRID.shape, dtype=bool), np.zeros(wide.shape, dtype=bool)
            prior[place, 3, 3] = current[other, 3, 3] = True
            for pair in ((prior, current, GRID, wide), (current, prior, wide, GRID)):
                found = match_lesions(*pair, tolerance_mm=0.0, least_ml=0.0)
                assert len(found.lesions) == (1 if linked else 2), (place, other)
    grid = Grid((4, 1, 1), np.diag([3.0, 5.0, 7.0, 1.0]))
    # Off the other grid by one voxel at either end, where its far end has something.
    for shift in (-1.0, 1.0):
        off = Grid((4, 1, 1), grid.affine @ np.array([[1, 0, 0, shift], *np.eye(4)[1:]]))
        prior, current = np.zeros((2, *grid.shape), dtype=bool)
        prior[[0, -1]] = True
        current[0 if shift < 0 else -1] = True
        found = match_lesions(prior, current, grid, off, tolerance_mm=0.0, least_ml=0.0)
        assert sorted(str(one.tag) for one in found.lesions) == ["new", "vanished", "vanished"]


def test_corners_touch():
    prior, current = masks()
    prior[0, 0, 0] = prior[1, 1, 1] = prior[3, 1, 1] = True
    assert [one.n_prior for one in match(prior, current).lesions] == [1, 1]
    assert [round(one.prior_ml / ML) for one in match(prior, current).lesions] == [2, 1]


@pytest.mark.parametrize("axis", range(3))
@pytest.mark.parametrize("gap", [1, 2])
def test_the_tolerance_is_a_distance_in_world_millimetres(axis, gap):
    prior, current = masks()
    prior[5, 5, 5] = True
    index = [5, 5, 5]
    index[axis] += gap
    current[tuple(index)] = True
    distance = np.linalg.norm(AFFINE[:3, axis]) * gap
    together = match(prior, current, tolerance_mm=distance + 1e-3)
    apart = match(prior, current, tolerance_mm=distance - 1e-3)
    assert [str(one.tag) for one in together.lesions] == ["stable"]
    assert sorted(str(one.tag) for one in apart.lesions) == ["new", "vanished"]


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("tolerance", [0.0, 4.2])
def test_groups_equal_a_search_over_all_pairs_of_voxels(seed, tolerance):
    rng = np.random.default_rng(seed)
    prior, current = (rng.random(SHAPE) < 0.004 for _ in range(2))
    found = match(prior, current, tolerance_mm=tolerance)
    nodes = [("p", tuple(v)) for v in np.argwhere(prior)]
    nodes += [("c", tuple(v)) for v in np.argwhere(current)]
    group = {node: {node} for node in nodes}
    for a, b in itertools.combinations(nodes, 2):
        step = np.array(a[1]) - b[1]
        if a[0] == b[0]:
            linked = np.abs(step).max() <= 1
        else:
            linked = np.linalg.norm(AFFINE[:3, :3] @ step) <= tolerance
        if linked and group[a] is not group[b]:
            group[a] |= group[b]
            for node in group[b]:
                group[node] = group[a]
    expected = {frozenset(one) for one in map(frozenset, group.values())}
    labels = {"p": found.prior_labels, "c": found.current_labels}
    got = {}
    for visit, voxel in nodes:
        got.setdefault(int(labels[visit][voxel]), set()).add((visit, voxel))
    assert {frozenset(one) for one in got.values()} == expected


def test_small_lesions_are_dropped_after_matching_so_that_none_vanishes_by_getting_small():
    prior, current = masks()
    block(prior, (0, 0, 0), (4, 4, 4))
    current[0, 0, 0] = True  # far below the least volume, but what is left of a large lesion
    prior[20, 5, 5] = current[30, 5, 5] = current[31, 5, 5] = True
    found = match(prior, current, least_ml=5 * ML)
    assert [str(one.tag) for one in found.lesions] == ["shrunk"]
    assert found.current_labels[0, 0, 0] == 1
    assert found.prior_labels[20, 5, 5] == found.current_labels[30, 5, 5] == 0
    assert found.prior_dropped_ml == pytest.approx(ML)
    assert found.current_dropped_ml == pytest.approx(2 * ML)
    assert len(match(prior, current, least_ml=2 * ML).lesions) == 2


def test_visits_on_their_own_grids_are_matched_in_the_world():
    prior, current = masks()
    block(prior, (4, 2, 2), (5, 4, 4))
    block(prior, (20, 2, 2), (5, 4, 4))
    block(current, (5, 2, 2), (5, 4, 4))
    block(current, (32, 2, 2), (5, 4, 4))
    flip = np.diag([-1.0, 1, 1, 1])
    flip[0, 3] = SHAPE[0] - 1
    fine = np.diag([0.5, 0.5, 0.5, 1.0])
    other = Grid((80, 24, 20), AFFINE @ flip @ fine)
    moved = resample(current, GRID, other, order=0)
    found = match_lesions(prior, moved, GRID, other, least_ml=0.0, tolerance_mm=0.0)
    assert sorted(str(one.tag) for one in found.lesions) == ["new", "stable", "vanished"]
    stable = next(one for one in found.lesions if one.tag == "stable")
    assert stable.prior_ml == pytest.approx(80 * ML)
    assert found.current_labels.shape == other.shape
    assert stable.current_ml == pytest.approx(
        (found.current_labels == stable.lesion).sum() * ML / 8
    )
    total = sum(one.current_ml for one in found.lesions)
    assert total == pytest.approx(moved.sum() * ML / 8)


def test_exchanging_the_visits_exchanges_the_tags():
    rng = np.random.default_rng(9)
    prior, current = (rng.random(SHAPE) < 0.01 for _ in range(2))
    forth, back = match(prior, current), match(current, prior)
    turned = {"new": "vanished", "vanished": "new"}
    one = sorted((str(a.tag), a.n_prior, a.n_current) for a in forth.lesions)
    other = sorted(
        (turned.get(str(a.tag), str(a.tag)), a.n_current, a.n_prior) for a in back.lesions
    )
    assert [x for x in one if x[0] in turned] == [x for x in other if x[0] in turned]


def test_empty_masks_have_no_lesions():
    prior, current = masks()
    assert match(prior, current).lesions == ()
    current[3, 3, 3] = True
    only = match(prior, current).lesions
    assert [(str(one.tag), one.n_prior, one.n_current) for one in only] == [("new", 0, 1)]
    assert not only[0].measurable


def test_a_measure_is_asked_of_each_visit_that_has_the_lesion():
    prior, current = masks()
    block(prior, (0, 0, 0), (3, 3, 3))
    block(current, (0, 0, 0), (4, 3, 3))
    block(current, (20, 0, 0), (2, 2, 2))
    seen = []

    def measure(mask, grid):
        seen.append(grid)
        return float(mask.sum())

    found = match(prior, current, measure=measure)
    assert (found.lesions[0].prior_product, found.lesions[0].current_product) == (27.0, 36.0)
    assert math.isnan(found.lesions[1].prior_product)
    assert found.lesions[1].current_product == 8.0
    assert seen == [GRID] * 3


def test_what_cannot_be_matched_is_refused():
    prior, current = masks()
    with pytest.raises(GridMismatchError, match="prior mask"):
        match(prior[:4], current)
    with pytest.raises(VolumeError, match="boolean"):
        match(prior, current.astype(np.uint8))
    for name in ("tolerance_mm", "least_ml"):
        for wrong in (-0.5, math.nan, math.inf):
            with pytest.raises(ConfigError, match=f"^{name} is a finite number of 0 or more"):
                match(prior, current, **{name: wrong})
    with pytest.raises(ConfigError, match="0 ml on both"):
        lesion_tag(0.0, 0.0)
