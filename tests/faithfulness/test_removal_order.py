"""Which voxels go first, and random maps that are as smooth as a map."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from linear_pair import BRAIN, SCANS, SHAPE, N, draw, nothing_else_changed, relevance

from xrano.errors import ConfigError, UnknownNameError
from xrano.faithfulness.ordering import ORDERINGS, at_random, by_relevance, part_labels
from xrano.faithfulness.random_maps import blur_matched


def order_of(values, ordering="voxels", seed=0, edge=2):
    return by_relevance(values, part_labels(SCANS, BRAIN, ordering, edge=edge), seed=seed)


def test_voxels_go_by_relevance_inside_the_brain_alone():
    values = relevance()
    values[~BRAIN] = 100
    order = order_of(values)
    assert len(order.sizes) == N
    for count in (0, 1, 9, N):
        first = order.first(count)
        assert int(first.sum()) == count
        assert not (first & ~BRAIN).any()
        kept = values[BRAIN & ~first]
        if 0 < count < N:
            assert values[first].min() >= kept.max()


@pytest.mark.parametrize("ordering", ["blocks", "supervoxels"])
def test_parts_go_as_a_whole_by_their_mean(ordering):
    labels = part_labels(SCANS, BRAIN, ordering, edge=2)
    assert torch.equal(labels >= 0, BRAIN)
    numbers = torch.unique(labels[BRAIN]).tolist()
    assert numbers == list(range(len(numbers)))
    assert 3 < len(numbers) < N
    values = relevance()
    order = by_relevance(values, labels, seed=0)
    means = [float(values[labels == number].mean()) for number in numbers]
    gone = torch.zeros_like(BRAIN)
    for count, number in enumerate(np.argsort(means)[::-1], 1):
        gone |= labels == int(number)
        assert torch.equal(order.first(count), gone)


@pytest.mark.parametrize("ordering", ORDERINGS)
def test_equal_parts_go_in_a_random_order_of_the_seed(ordering):
    flat = torch.full(SHAPE, 0.1)
    first, again, other = (order_of(flat, ordering, seed).position for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    # Neither in the order of the array nor in the reverse of it.
    along = np.corrcoef(first[BRAIN].numpy(), np.arange(N))[0, 1]
    assert abs(along) < 0.6


@pytest.mark.parametrize("ordering", ["blocks", "supervoxels"])
def test_means_of_equal_values_are_equal_whatever_the_parts_size(ordering):
    # 0.1 + 0.1 + 0.1 is not 0.3, so the last bit would sort the parts by their size.
    tenths = order_of(torch.full(SHAPE, 0.1, dtype=torch.float64), ordering)
    ones = order_of(torch.ones(SHAPE), ordering)
    assert torch.equal(tenths.position, ones.position)


def test_ties_never_overtake_what_is_larger():
    values = torch.zeros(SHAPE)
    values[2, 1, 1], values[3, 2, 2] = 2.0, 1.0
    for seed in range(5):
        order = order_of(values, seed=seed)
        assert int(order.position[2, 1, 1]) == 0
        assert int(order.position[3, 2, 2]) == 1


def test_cuts_hold_at_least_the_share_and_reach_both_ends():
    order = order_of(relevance())
    assert order.cuts(N) == list(range(N + 1))
    assert order.cuts(1) == [0, N]
    assert [order.fraction(c) for c in order.cuts(4)] == pytest.approx(
        [0, 0.25, 0.5, 0.75, 1], abs=1 / N
    )
    assert order.cut(1e-9) == 1 or order.cut(1e-3) == 1
    for ordering in ("blocks", "supervoxels"):
        parts = order_of(relevance(), ordering)
        for share in (0.1, 0.5, 0.9):
            count = parts.cut(share)
            assert parts.fraction(count) >= share > parts.fraction(count - 1)


def test_reversed_and_random_orders_hold_every_part_once():
    order = order_of(relevance(), "blocks")
    turned = order.reversed()
    last = int(turned.sizes[0])
    assert int(turned.first(1).sum()) == last
    assert torch.equal(turned.first(1), BRAIN & ~order.first(len(order.sizes) - 1))
    assert torch.equal(turned.reversed().position, order.position)
    labels = part_labels(SCANS, BRAIN)
    drawn = nothing_else_changed(lambda: at_random(labels, seed=4))
    assert sorted(drawn.position[BRAIN].tolist()) == list(range(N))
    assert torch.equal(drawn.position, at_random(labels, seed=4).position)
    assert not torch.equal(drawn.position, at_random(labels, seed=5).position)


def test_bad_orderings_are_refused():
    with pytest.raises(UnknownNameError, match="supervoxels"):
        part_labels(SCANS, BRAIN, "slices")
    with pytest.raises(ConfigError, match="1 voxel wide"):
        part_labels(SCANS, BRAIN, "blocks", edge=0)


def neighbour_correlation(volume):
    inside = BRAIN[1:] & BRAIN[:-1]
    return float(np.corrcoef(volume[1:][inside].numpy(), volume[:-1][inside].numpy())[0, 1])


def test_matched_maps_have_the_maps_values_elsewhere():
    values = draw(8, *SHAPE)
    found = nothing_else_changed(lambda: list(blur_matched(values, BRAIN, draws=2, seed=3)))
    for one in found:
        expected = np.sort(values[BRAIN].numpy())
        assert np.sort(one[BRAIN].numpy()) == pytest.approx(expected, abs=1e-6)
        assert torch.equal(one[~BRAIN], values[~BRAIN])
        assert not torch.allclose(one[BRAIN], values[BRAIN])
    assert not torch.allclose(found[0], found[1])
    again = list(blur_matched(values, BRAIN, draws=2, seed=3))
    assert all(torch.equal(a, b) for a, b in zip(found, again, strict=True))


def test_matched_maps_are_as_smooth_as_the_map():
    brain = torch.ones(16, 12, 10, dtype=torch.bool)
    rough = draw(1, 16, 12, 10)
    kernel = torch.ones(1, 1, 5, 5, 5, dtype=torch.float64)
    smooth = torch.nn.functional.conv3d(rough[None, None], kernel, padding=2)[0, 0]

    def along(volume):
        pairs = torch.stack([volume[1:].flatten(), volume[:-1].flatten()])
        return float(torch.corrcoef(pairs)[0, 1])

    for values, low, high in ((rough, -0.2, 0.2), (smooth, 0.6, 1.0)):
        for one in blur_matched(values, brain, draws=3, seed=0):
            assert low < along(one) < high


def test_channels_are_drawn_apart_and_constant_ones_stay():
    values = torch.stack([relevance(1), torch.full(SHAPE, 2.0, dtype=torch.float64), relevance(1)])
    (one,) = blur_matched(values, BRAIN, draws=1, seed=0)
    assert torch.equal(one[1], values[1])
    assert not torch.allclose(one[0], one[2])
    assert list(blur_matched(values, BRAIN, draws=0, seed=0)) == []
