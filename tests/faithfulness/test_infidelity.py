"""Infidelity against Captum, and of a linear network in closed form."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from captum.metrics import infidelity as captum_infidelity
from linear_pair import (
    BRAIN,
    GONE,
    SCANS,
    SHAPE,
    WEIGHT,
    Recording,
    draw,
    nothing_else_changed,
    predict,
    worth,
)

from xrano.errors import ConfigError, GridMismatchError, VolumeError
from xrano.faithfulness.catalogue import FAITHFULNESS
from xrano.faithfulness.infidelity import infidelity


def curved(batch):
    return torch.tanh(predict(batch) / 20) * 5 + predict(batch).roll(1, dims=1) / 9


def scores(attribution, *, network=curved, infilled=GONE, **options):
    options = {"perturbations": 40, "edge": 2, "draws": 2, **options}
    return infidelity(network, SCANS, attribution, 1, infilled, BRAIN, **options)


def captum_value(attribution, local, normalize=True):
    """Captum's metric with the very blocks that xrano draws, seen through a recording network."""
    copies = []

    def record(batch):
        copies.extend(batch.clone())
        return curved(batch)

    found = scores(attribution, network=record, local=local, draws=0)
    hidden = torch.stack([(copy != SCANS).any(dim=0).expand_as(SCANS) for copy in copies[1:]])
    perturbed = torch.stack(copies[1:])
    assert all(torch.equal(h[:1], h[:1] & BRAIN) for h in hidden)

    def perturb(inputs):
        assert len(inputs) == len(perturbed)
        moved = (inputs - perturbed) if local else hidden.double()
        return moved, perturbed

    value = captum_infidelity(
        curved,
        perturb,
        SCANS[None],
        attribution[None],
        target=1,
        n_perturb_samples=len(perturbed),
        normalize=normalize,
    )
    return found, float(value)


@pytest.mark.parametrize("local", [True, False])
@pytest.mark.parametrize("seed", range(3))
def test_equal_to_captums_with_the_same_perturbations(local, seed):
    found, expected = captum_value(draw(seed, 4, *SHAPE), local)
    assert found.own.infidelity == pytest.approx(expected, rel=1e-9)
    assert found.own.infidelity > 0.1
    assert found.own.relative_infidelity == pytest.approx(expected / np.mean(found.falls**2))


def test_the_scale_of_a_map_is_an_accident():
    attribution = draw(0, 4, *SHAPE)
    first, second = scores(attribution), scores(attribution * 1e-5)
    assert first.own.infidelity == pytest.approx(second.own.infidelity)
    assert first.own.scale == pytest.approx(second.own.scale * 1e-5)
    # Without its best scale a map explains no more than with it.
    unscaled = np.mean((first.predicted - first.falls) ** 2)
    assert first.own.infidelity < unscaled
    assert first.own.infidelity <= np.mean(first.falls**2)


def test_the_true_maps_of_a_linear_network_have_none():
    shared = scores(worth(), network=predict)
    assert shared.own.infidelity == pytest.approx(0, abs=1e-18)
    assert shared.own.scale == pytest.approx(1)
    assert shared.own.correlation == pytest.approx(1)
    assert shared.predicted == pytest.approx(shared.falls)
    by_channel = scores(WEIGHT[1] * (SCANS - GONE), network=predict)
    assert by_channel.own.infidelity == pytest.approx(0, abs=1e-18)
    gradient = scores(WEIGHT[1], network=predict, local=True)
    assert gradient.own.infidelity == pytest.approx(0, abs=1e-18)
    for row in shared.rows():
        better = 1 if row["higher_is_better"] else -1
        assert better * (row["value"] - row["reference"]) > 0.1
        assert better * (row["value"] - row["chance"]) > 0.1


def test_a_map_of_the_wrong_sign_is_seen_by_the_correlation_alone():
    found = scores(-worth(), network=predict).own
    assert found.infidelity == pytest.approx(0, abs=1e-18)
    assert found.scale == pytest.approx(-1)
    assert found.correlation == pytest.approx(-1)


def test_rows_keep_to_their_ranges():
    for row in scores(draw(4, 4, *SHAPE)).rows():
        metric = FAITHFULNESS[row["metric"]]
        assert metric.higher_is_better == row["higher_is_better"]
        for name in ("value", "chance", "reference"):
            assert metric.lowest <= row[name] <= metric.highest
        assert row["status"] == "ok"


def test_a_map_without_relevance_or_a_network_without_an_opinion():
    outside = torch.where(BRAIN, 0.0, 7.0)
    network = Recording()
    rows = scores(outside, network=network).rows()
    assert network.batches == []
    assert {row["status"] for row in rows} == {"zero_map"}
    rows = scores(worth(), infilled=SCANS).rows()
    assert {row["status"] for row in rows} == {"no_change"}
    assert all(math.isnan(row["value"]) for row in rows)
    assert rows[0]["chance"] == pytest.approx(0, abs=1e-20)


def test_a_map_that_is_zero_in_every_block_explains_nothing():
    one = torch.zeros(SHAPE, dtype=torch.float64)
    one[6, 3, 3] = 1.0
    found = scores(one, perturbations=1, draws=0).own
    assert found.scale == 0
    assert found.relative_infidelity == 1
    assert math.isnan(found.correlation)


def test_passes_are_chunked_and_random_state_and_inputs_stay():
    network = Recording()
    attribution = draw(3, 4, *SHAPE)
    first = nothing_else_changed(
        lambda: scores(attribution, network=network, batch=7, seed=5, perturbations=20)
    )
    assert network.batches == [7, 7, 7]
    assert torch.equal(attribution, draw(3, 4, *SHAPE))
    again = scores(attribution, network=predict, batch=100, seed=5, perturbations=20)
    assert again.falls == pytest.approx(first.falls)
    other = scores(attribution, network=predict, seed=6, perturbations=20)
    assert not np.allclose(other.falls, first.falls)


def test_bad_input_is_refused():
    with pytest.raises(ConfigError, match="channel by channel"):
        scores(worth(), local=True)
    for bad in ({"perturbations": 0}, {"edge": 0}, {"draws": -1}):
        with pytest.raises(ConfigError, match="needed"):
            scores(worth(), **bad)
    with pytest.raises(GridMismatchError):
        scores(worth()[1:])
    with pytest.raises(VolumeError, match="NaN"):
        scores(worth() * torch.nan)
