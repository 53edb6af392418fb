"""Shares of exclusive parts against adding up voxel by voxel, on an uneven volume."""

from __future__ import annotations

import math

import numpy as np
import pytest

from xrano.errors import ConfigError, GridMismatchError, VolumeError
from xrano.geometry import Grid
from xrano.metrics.accounting import (
    EDGE,
    EDGE_MM,
    OTHER,
    OUTSIDE,
    account,
    account_ranked,
    brain_edge,
    divide,
)
from xrano.metrics.catalogue import score_map_alone
from xrano.metrics.overlap import relevance_mass_accuracy
from xrano.metrics.ranked import rank_map

SHAPE = (11, 9, 7)
SPACING = (2.0, 3.0, 1.5)


def case(seed=0):
    """A brain with a ragged rim, two masks that overlap and leave it, and two priors."""
    rng = np.random.default_rng(seed)
    domain = np.zeros(SHAPE, dtype=bool)
    domain[1:10, 1:8, 1:6] = True
    domain[1, 1, 1] = domain[9, 7, 5] = domain[5, 4, 3] = False
    first, second = np.zeros(SHAPE, dtype=bool), np.zeros(SHAPE, dtype=bool)
    first[2:5, 2:5, 2:4] = True
    second[0:7, 3:6, 1:4] = True
    grey, white = rng.random((2, *SHAPE)).astype(np.float32) * 0.8
    return domain, {"first": first, "second": second}, {"grey": grey, "white": white}


def relevance(seed=1):
    return np.random.default_rng(seed).gamma(0.5, size=SHAPE)


def brute_part(voxel, domain, masks, tissues):
    if not domain[voxel]:
        return OUTSIDE
    for name, mask in masks.items():
        if mask[voxel]:
            return name
    best = max(tissues, key=lambda name: tissues[name][voxel])
    left_over = 1 - sum(prior[voxel] for prior in tissues.values())
    return best if tissues[best][voxel] >= left_over else OTHER


def test_shares_are_what_adding_up_voxel_by_voxel_gives():
    domain, masks, tissues = case()
    values, mass, voxels = relevance(), {}, {}
    for voxel in np.ndindex(*SHAPE):
        part = brute_part(voxel, domain, masks, tissues)
        mass[part] = mass.get(part, 0.0) + values[voxel]
        voxels[part] = voxels.get(part, 0) + 1
    parts = divide(domain, masks, tissues)
    assert parts.names == ("first", "second", "grey", "white", OTHER, OUTSIDE)
    assert set(voxels) == set(parts.names)
    assert parts.voxels == voxels
    for name, share in account(values, parts).items():
        assert share.value == pytest.approx(mass[name] / values.sum(), rel=1e-12)
        assert share.chance == voxels[name] / values.size
        assert share.status == "ok"


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("seed", range(3))
def test_shares_add_up_to_one(seed, dtype):
    domain, masks, tissues = case(seed)
    shares = account(relevance(seed).astype(dtype), divide(domain, masks, tissues)).values()
    assert math.fsum(share.value for share in shares) == pytest.approx(1, abs=1e-14)
    assert math.fsum(share.chance for share in shares) == pytest.approx(1, abs=1e-14)


def test_a_uniform_map_gets_what_is_expected():
    domain, masks, tissues = case()
    shares = account(np.full(SHAPE, 0.3), divide(domain, masks, tissues))
    for share in shares.values():
        assert share.value == pytest.approx(share.chance, rel=1e-12)


def test_an_earlier_mask_takes_a_voxel_and_masks_go_before_tissues():
    domain, masks, tissues = case()
    swapped = {"second": masks["second"], "first": masks["first"]}
    both = (masks["first"] & masks["second"] & domain).sum()
    ours, theirs = divide(domain, masks).voxels, divide(domain, swapped).voxels
    assert both > 0
    assert ours["first"] - theirs["first"] == theirs["second"] - ours["second"] == both
    assert divide(domain, masks, tissues).voxels["first"] == ours["first"]


def test_the_words_of_the_parts():
    assert (EDGE, OTHER, OUTSIDE) == ("brain_edge", "other_brain", "outside_brain")


def test_priors_may_be_none_all_and_one_rounding_error_more():
    domain = np.ones((3, 1, 1), dtype=bool)
    grey = np.array([0.0, 1.0, 1 + 5e-6], dtype=np.float32).reshape(3, 1, 1)
    assert divide(domain, {}, {"grey": grey}).voxels == {"grey": 2, OTHER: 1, OUTSIDE: 0}


@pytest.mark.parametrize("wrong", [-0.1, 1.1, np.nan])
def test_one_impossible_prior_is_enough(wrong):
    domain, _, tissues = case()
    tissues["white"][5, 4, 2] = wrong
    with pytest.raises(VolumeError, match="priors of grey, white must lie within 0 to 1"):
        divide(domain, {}, tissues)


@pytest.mark.parametrize("factor", [1e-9, 1e6])
def test_the_scale_of_a_map_changes_no_share(factor):
    domain, masks, tissues = case()
    parts = divide(domain, masks, tissues)
    one, other = account(relevance(), parts), account(relevance() * factor, parts)
    for name, share in one.items():
        assert other[name].value == pytest.approx(share.value, rel=1e-12)
        assert other[name].status == "ok"


def test_equal_priors_go_to_the_first_tissue_and_nothing_goes_to_none():
    domain = np.ones((3, 1, 1), dtype=bool)
    grey = np.array([0.5, 1 / 3, 0.2]).reshape(3, 1, 1)
    white = np.array([0.5, 1 / 3, 0.2]).reshape(3, 1, 1)
    found = divide(domain, {}, {"grey": grey.astype(np.float32), "white": white})
    assert found.voxels == {"grey": 2, "white": 0, OTHER: 1, OUTSIDE: 0}


def test_shares_inside_the_brain_are_the_mass_accuracy_and_outside_is_the_metric_of_that_name():
    domain, masks, tissues = case()
    values = relevance()
    shares = account(values, divide(domain, masks, tissues))
    inside = 1 - shares[OUTSIDE].value
    one = relevance_mass_accuracy(values, masks["first"], domain=domain)
    both = relevance_mass_accuracy(values, masks["first"] | masks["second"], domain=domain)
    assert shares["first"].value / inside == pytest.approx(one, rel=1e-12)
    total = shares["first"].value + shares["second"].value
    assert total / inside == pytest.approx(both, rel=1e-12)
    alone = score_map_alone(rank_map(values, domain))["outside_brain_mass"]
    assert shares[OUTSIDE].value == pytest.approx(alone.value, rel=1e-12)
    assert shares[OUTSIDE].chance == pytest.approx(alone.chance, rel=1e-12)


def test_all_relevance_outside_is_a_share_and_none_at_all_is_not():
    domain, masks, tissues = case()
    parts = divide(domain, masks, tissues)
    shares = account((~domain).astype(float), parts)
    assert {name: share.value for name, share in shares.items()} == {
        **dict.fromkeys(parts.names[:-1], 0.0),
        OUTSIDE: 1.0,
    }
    nothing = account(np.zeros(SHAPE), parts)
    assert all(math.isnan(share.value) for share in nothing.values())
    assert {str(share.status) for share in nothing.values()} == {"zero_map"}
    assert math.fsum(share.chance for share in nothing.values()) == pytest.approx(1)


def test_a_brain_that_fills_the_grid_has_nothing_outside():
    full = np.ones(SHAPE, dtype=bool)
    shares = account(relevance(), divide(full, {}))
    assert shares[OUTSIDE].value == shares[OUTSIDE].chance == 0
    assert shares[OTHER].value == 1


def test_one_division_serves_many_maps_and_changes_nothing():
    domain, masks, tissues = case()
    before = [array.copy() for array in (domain, *masks.values(), *tissues.values())]
    parts = divide(domain, masks, tissues)
    values = relevance()
    kept = values.copy()
    assert account(values, parts) == account_ranked(rank_map(values, domain), parts)
    np.testing.assert_array_equal(values, kept)
    for array, old in zip((domain, *masks.values(), *tissues.values()), before, strict=True):
        np.testing.assert_array_equal(array, old)


@pytest.mark.parametrize("edge_mm", [0.5, 2.0, EDGE_MM, 6.5])
def test_the_edge_is_near_to_a_voxel_outside(edge_mm):
    domain, _, _ = case()
    outside = np.argwhere(np.pad(~domain, 1, constant_values=True)) - 1
    expected = np.zeros(SHAPE, dtype=bool)
    for voxel in np.argwhere(domain):
        away = np.linalg.norm((outside - voxel) * SPACING, axis=1).min()
        # Never less than the outermost voxel, 3 mm along the second axis.
        expected[tuple(voxel)] = away <= max(edge_mm, 3.0) + 1e-9
    np.testing.assert_array_equal(brain_edge(domain, SPACING, edge_mm), expected)
    assert 0 < expected.sum() <= domain.sum()


def test_the_edge_is_one_voxel_at_four_millimetres_and_at_larger_ones():
    full = np.ones((9, 8, 7), dtype=bool)
    inner = np.zeros_like(full)
    inner[1:-1, 1:-1, 1:-1] = True
    for spacing in ((4.0, 4.0, 4.0), (6.0, 6.0, 6.0)):
        np.testing.assert_array_equal(brain_edge(full, spacing), ~inner)


def test_what_cannot_be_divided_is_refused():
    domain, masks, tissues = case()
    with pytest.raises(VolumeError, match="empty"):
        divide(np.zeros(SHAPE, dtype=bool), masks)
    with pytest.raises(VolumeError, match="boolean"):
        divide(domain, {"labels": masks["first"].astype(int)})
    with pytest.raises(GridMismatchError, match="mask first"):
        divide(domain, {"first": masks["first"][1:]})
    with pytest.raises(GridMismatchError, match="prior of grey"):
        divide(domain, {}, {"grey": tissues["grey"][1:]})
    with pytest.raises(ConfigError, match=OTHER):
        divide(domain, {OTHER: masks["first"]})
    for wrong in (np.nan, -0.1, 1.1):
        prior = np.full(SHAPE, wrong, dtype=np.float32)
        with pytest.raises(VolumeError, match="0 to 1"):
            divide(domain, {}, {"grey": prior})
    for labels in (domain.astype(int), domain.astype(float)):
        with pytest.raises(VolumeError, match="^the brain mask must be boolean"):
            divide(labels, {})
        with pytest.raises(VolumeError, match="^the brain mask must be boolean"):
            brain_edge(labels, SPACING)
    for depth in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(ConfigError, match="depth"):
            brain_edge(domain, SPACING, depth)
    parts = divide(domain, {EDGE: brain_edge(domain, Grid(SHAPE, np.eye(4)).spacing)})
    other = domain.copy()
    other[5, 4, 3] = True
    with pytest.raises(GridMismatchError, match="one brain mask"):
        account_ranked(rank_map(relevance(), other), parts)
    for values in (-relevance(), np.full(SHAPE, np.nan)):
        with pytest.raises(VolumeError):
            account(values, parts)
