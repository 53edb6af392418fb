"""Noisy linear imputation against dense algebra, and ROAD of a linear network."""

from __future__ import annotations

import itertools
import math
from functools import cache

import numpy as np
import pytest
import torch
from linear_pair import (
    BRAIN,
    SCANS,
    SHAPE,
    WEIGHT,
    N,
    Recording,
    logit,
    nothing_else_changed,
    predict,
    relevance,
)

from xrano.errors import ConfigError, VolumeError
from xrano.faithfulness.imputation import impute, neighbour_weights
from xrano.faithfulness.road import road

INSIDE = BRAIN.numpy()
PLACES = np.argwhere(INSIDE)


@cache
def dense_weights():
    weights = np.zeros((N, N))
    for a, b in itertools.product(range(N), repeat=2):
        step = np.abs(PLACES[a] - PLACES[b])
        if step.max() == 1:
            weights[a, b] = {1: 1 / 12, 2: 1 / 24, 3: 0.0}[int(step.sum())]
    return weights


def dense_imputation(values, hidden):
    weights = dense_weights()
    system = np.diag(weights.sum(axis=1)) - weights
    known = ~hidden
    right = weights[np.ix_(hidden, known)] @ values[:, known].T
    filled = values.copy()
    filled[:, hidden] = np.linalg.solve(system[np.ix_(hidden, hidden)], right).T
    return filled


def hide(share, seed=0):
    return np.random.default_rng(seed).random(N) < share


def values():
    return SCANS[:, BRAIN].numpy()


def test_weights_are_those_of_faces_and_edges_in_the_brain():
    found = neighbour_weights(INSIDE)
    assert np.array_equal(found.toarray(), dense_weights())
    full = neighbour_weights(np.ones((3, 3, 3), dtype=bool)).toarray()
    assert full[13].sum() == pytest.approx(1.0), "the middle voxel has all its neighbours"
    assert np.count_nonzero(full[13]) == 18


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_imputation_solves_the_dense_system(share):
    hidden = hide(share)
    found = impute(values(), hidden, neighbour_weights(INSIDE))
    assert found == pytest.approx(dense_imputation(values(), hidden), abs=1e-5)
    assert np.array_equal(found[:, ~hidden], values()[:, ~hidden])


def test_hidden_values_are_not_looked_at():
    hidden = hide(0.5)
    weights = neighbour_weights(INSIDE)
    other = np.where(hidden, np.nan, values())
    assert np.array_equal(impute(other, hidden, weights), impute(values(), hidden, weights))


def test_a_linear_scan_is_imputed_exactly_inside():
    inside = np.ones((5, 6, 7), dtype=bool)
    i, j, k = np.indices(inside.shape)
    ramp = (2.0 * i - j + 0.5 * k)[inside][None]
    hidden = np.zeros(inside.shape, dtype=bool)
    hidden[1:4, 2:4, 2:5] = True
    found = impute(ramp, hidden[inside], neighbour_weights(inside))
    assert found == pytest.approx(ramp, abs=1e-4)


def test_islands_without_anything_left_get_the_mean():
    inside = np.zeros((1, 2, 7), dtype=bool)
    inside[0, 0, :4], inside[0, 0, 6] = True, True
    hidden = np.array([False, True, True, False, True])
    found = impute(np.array([[3.0, 0, 0, 6.0, 99.0]]), hidden, neighbour_weights(inside))
    assert found == pytest.approx(np.array([[3.0, 4.0, 5.0, 6.0, 4.5]]))
    with pytest.raises(ConfigError, match="all of the brain"):
        impute(np.ones((1, 5)), np.ones(5, dtype=bool), neighbour_weights(inside))


def scores(relevant, *, network=predict, **options):
    options = {"percentages": (5, 20, 50), **options}
    return road(network, SCANS, relevant, 1, BRAIN, **options)


def test_curves_of_a_linear_network_without_noise():
    relevant = relevance()
    found = scores(relevant, noise=0, draws=0, output="logit")
    falling = np.argsort(-relevant[BRAIN].numpy())
    counts = [math.ceil(N * share / 100) for share in (5, 20, 50)]
    assert found.own.fractions == pytest.approx(np.array(counts) / N)
    for order, curve in (
        (falling, found.own.most_relevant_first),
        (falling[::-1], found.own.least_relevant_first),
    ):
        for count, value in zip(counts, curve, strict=True):
            hidden = np.isin(np.arange(N), order[:count])
            scans = SCANS.clone()
            scans[:, BRAIN] = torch.from_numpy(dense_imputation(values(), hidden))
            assert value == pytest.approx(logit(scans), abs=1e-4)
    most, least, gap = found.rows()
    assert most["value"] == pytest.approx(found.own.most_relevant_first.mean())
    assert gap["value"] == pytest.approx(least["value"] - most["value"])
    assert gap["chance"] == 0
    assert math.isnan(most["reference"])


def test_noise_has_the_channels_spread_and_is_seen_in_hidden_voxels_alone():
    seen = []

    def record(batch):
        seen.append(batch.clone())
        return predict(batch)

    scale = torch.tensor([1.0, 5.0, 0.1, 2.0], dtype=torch.float64).view(4, 1, 1, 1)
    loud = SCANS * scale
    options = {"percentages": (50,), "draws": 0}
    road(record, loud, relevance(), 1, BRAIN, noise=0.5, **options)
    road(record, loud, relevance(), 1, BRAIN, noise=0, **options)
    noise = torch.cat(seen[:1] + seen[1:2]) - torch.cat(seen[2:])
    assert not noise[0][:, ~BRAIN].any()
    changed = noise[0].abs().sum(dim=0) > 0
    assert int(changed.sum()) == math.ceil(N / 2)
    spread = loud[:, BRAIN].std(dim=1, unbiased=False)
    ratio = (
        torch.cat([noise[0][:, changed], noise[1][:, BRAIN & ~changed]], dim=1).std(dim=1) / spread
    )
    assert ratio.numpy() == pytest.approx(np.full(4, 0.5), rel=0.25)


def test_the_map_of_what_matters_beats_chance_and_reference():
    weights = torch.zeros_like(WEIGHT)
    weights[1, :, 3:5, 1:3, 1:3] = 1 / 60
    bright = SCANS.clone()
    bright[:, 3:5, 1:3, 1:3] += 4
    relevant = weights[1].sum(dim=0)

    def region(batch):
        return torch.einsum("ncijk,bcijk->nb", batch, weights)

    found = road(region, bright, relevant, 1, BRAIN, percentages=(5, 10, 20), draws=5)
    most, least, gap = found.rows()
    for name in ("chance", "reference"):
        assert most["value"] < most[name] - 0.05
        assert least["value"] > least[name]
        assert gap["value"] > gap[name] + 0.05


def test_a_zero_map_is_undefined_and_costs_no_pass():
    network = Recording()
    rows = scores(torch.zeros(SHAPE), network=network).rows()
    assert network.batches == []
    assert [row["status"] for row in rows] == ["zero_map"] * 3
    assert all(math.isnan(row["value"]) for row in rows)


def test_passes_chunks_seeds_and_random_state():
    network = Recording()
    relevant = relevance()
    first = nothing_else_changed(lambda: scores(relevant, network=network, draws=2, batch=2))
    assert sum(network.batches) == 3 * (2 + 2 + 2 * 2)
    assert max(network.batches) == 2
    again = scores(relevant, draws=2, batch=99)
    for a, b in zip(first.rows(), again.rows(), strict=True):
        assert a["value"] == pytest.approx(b["value"])
        assert a["reference"] == pytest.approx(b["reference"])
    other = scores(relevant, draws=2, seed=1)
    assert other.rows()[0]["value"] != first.rows()[0]["value"], "noise follows the seed"
    assert torch.equal(relevant, relevance())


def test_a_uniform_map_has_a_gap_about_zero():
    gaps = [scores(torch.ones(SHAPE), seed=s, draws=0).rows()[2]["value"] for s in range(12)]
    assert abs(np.mean(gaps)) < 3 * np.std(gaps) / math.sqrt(12)
    assert np.std(gaps) > 0


def test_bad_input_is_refused():
    for bad in ((), (0,), (100,), (5, -1)):
        with pytest.raises(ConfigError, match="between 0 and 100"):
            scores(relevance(), percentages=bad)
    for bad in ({"noise": -0.1}, {"draws": -1}):
        with pytest.raises(ConfigError, match="0 or more"):
            scores(relevance(), **bad)
    with pytest.raises(VolumeError, match="rectify"):
        scores(-relevance())
