"""Insertion and deletion of a linear network, whose curves are sums of known terms."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from linear_pair import (
    BRAIN,
    GONE,
    SCANS,
    SHAPE,
    N,
    Recording,
    logit,
    nothing_else_changed,
    predict,
    probability,
    relevance,
    worth,
)

from xrano.errors import (
    ConfigError,
    GridMismatchError,
    ModelError,
    UnknownNameError,
    VolumeError,
)
from xrano.faithfulness.catalogue import FAITHFULNESS
from xrano.faithfulness.deletion import insertion_deletion
from xrano.faithfulness.ordering import part_labels
from xrano.faithfulness.prediction import target_values


def curves(values, *, network=predict, infilled=GONE, **options):
    return insertion_deletion(network, SCANS, values, 1, infilled, BRAIN, **options)


def test_the_curve_of_a_linear_network_is_the_sum_of_what_is_left():
    values = relevance()
    found = curves(values, steps=N, draws=0, output="logit").own
    falls = worth()[BRAIN].numpy()[np.argsort(-values[BRAIN].numpy())]
    gone = np.concatenate([[0], np.cumsum(falls)])
    assert found.fractions == pytest.approx(np.arange(N + 1) / N)
    assert found.deletion == pytest.approx(logit(SCANS) - gone)
    empty = logit(torch.where(BRAIN, GONE, SCANS))
    assert found.insertion == pytest.approx(empty + gone)
    area = ((found.deletion[1:] + found.deletion[:-1]) / 2).mean()
    assert found.deletion_auc == pytest.approx(area)


def test_probabilities_against_brute_force():
    values = relevance()
    found = curves(values, steps=5, draws=0).own
    falling = values[BRAIN].sort(descending=True).values
    for fraction, deleted, inserted in zip(
        found.fractions, found.deletion, found.insertion, strict=True
    ):
        count = round(fraction * N)
        first = BRAIN & (values >= (falling[count - 1] if count else math.inf))
        assert int(first.sum()) == count
        assert deleted == pytest.approx(probability(torch.where(first, GONE, SCANS)))
        rest = BRAIN & ~first
        assert inserted == pytest.approx(probability(torch.where(rest, GONE, SCANS)))


@pytest.mark.parametrize("ordering", ["blocks", "supervoxels"])
def test_parts_go_as_a_whole(ordering):
    seen = []

    def record(batch):
        seen.extend(batch)
        return predict(batch)

    found = curves(relevance(), network=record, ordering=ordering, edge=2, steps=4, draws=0).own
    labels = part_labels(SCANS, BRAIN, ordering, edge=2)
    deleted, inserted = seen[2::2], seen[3::2]
    assert len(deleted) == len(inserted) == len(found.fractions) - 2 > 0
    for one, other, fraction in zip(deleted, inserted, found.fractions[1:-1], strict=True):
        away, back = (one != SCANS).any(dim=0), (other == SCANS).all(dim=0) & BRAIN
        assert torch.equal(away, back)
        assert int(away.sum()) == round(fraction * N)
        for part in range(int(labels.max()) + 1):
            assert len(torch.unique(away[labels == part])) == 1


def test_no_order_beats_that_of_the_true_falls():
    true = worth() - worth()[BRAIN].min()
    best = curves(true, steps=N, draws=6, output="logit")
    for other in (*best.random_order, *best.matched):
        assert best.own.deletion_auc < other.deletion_auc
        assert best.own.insertion_auc > other.insertion_auc
    worst = curves(true.max() - true.clamp(min=0), steps=N, draws=0, output="logit").own
    # A linear network loses as much from one end as it keeps at the other.
    assert best.own.deletion_auc + worst.deletion_auc == pytest.approx(
        logit(SCANS) + logit(torch.where(BRAIN, GONE, SCANS))
    )


def test_rows_hold_chance_and_reference():
    found = curves(relevance(), steps=6, draws=3)
    deletion, insertion = found.rows()
    assert deletion["metric"] == "deletion_auc"
    assert not deletion["higher_is_better"]
    assert insertion["higher_is_better"]
    assert deletion["value"] == found.own.deletion_auc
    expected = np.mean([one.deletion_auc for one in found.random_order])
    assert deletion["chance"] == pytest.approx(expected)
    expected = np.mean([one.insertion_auc for one in found.matched])
    assert insertion["reference"] == pytest.approx(expected)
    for row in (deletion, insertion):
        metric = FAITHFULNESS[row["metric"]]
        for name in ("value", "chance", "reference"):
            assert metric.lowest <= row[name] <= metric.highest
        assert row["status"] == "ok"
    assert len({row["chance"] for row in (deletion, insertion)}) == 2


def test_a_uniform_map_scores_as_a_random_order_does():
    found = curves(torch.ones(SHAPE), steps=12, draws=20, output="logit")
    areas = [one.deletion_auc for one in found.random_order]
    assert abs(found.own.deletion_auc - np.mean(areas)) < 4 * np.std(areas)
    straight = (logit(SCANS) + logit(torch.where(BRAIN, GONE, SCANS))) / 2
    assert abs(np.mean(areas) - straight) < 4 * np.std(areas) / math.sqrt(20)


def test_a_zero_map_is_undefined_and_costs_no_pass():
    values = torch.zeros(SHAPE)
    values[~BRAIN] = 3.0
    network = Recording()
    rows = curves(values, network=network).rows()
    assert network.batches == []
    assert {row["status"] for row in rows} == {"zero_map"}
    assert all(math.isnan(row["value"]) for row in rows)


def test_what_lies_outside_the_brain_is_never_asked():
    values, infilled = relevance(), GONE.clone()
    first = curves(values, steps=4, draws=1, infilled=infilled)
    values[~BRAIN], infilled[:, ~BRAIN] = 50.0, 99.0
    again = curves(values, steps=4, draws=1, infilled=infilled)
    assert first.rows() == again.rows()


def test_passes_are_chunked_and_counted_and_chunks_change_nothing():
    network = Recording()
    first = curves(relevance(), network=network, steps=4, draws=2, batch=3)
    assert max(network.batches) == 3
    assert sum(network.batches) == 2 + 2 * 3 * 5
    again = curves(relevance(), steps=4, draws=2, batch=100)
    for a, b in zip(first.rows(), again.rows(), strict=True):
        assert {k: pytest.approx(v) if isinstance(v, float) else v for k, v in a.items()} == b


def test_scans_map_and_random_state_stay_as_they_are():
    values = relevance()
    kept = values.clone()
    first = nothing_else_changed(lambda: curves(values, steps=3, seed=2))
    assert torch.equal(values, kept)
    assert first.rows() == curves(values, steps=3, seed=2).rows()
    assert first.rows()[0]["chance"] != curves(values, steps=3, seed=3).rows()[0]["chance"]


def test_bad_input_is_refused():
    with pytest.raises(VolumeError, match="rectify"):
        curves(-relevance())
    with pytest.raises(VolumeError, match="NaN"):
        curves(relevance() * torch.nan)
    with pytest.raises(GridMismatchError, match="resample"):
        curves(relevance()[1:])
    with pytest.raises(GridMismatchError, match="infill"):
        curves(relevance(), infilled=GONE[:2])
    with pytest.raises(VolumeError, match="infill"):
        curves(relevance(), infilled=GONE * torch.inf)
    for bad in ({"steps": 0}, {"draws": -1}, {"batch": 0}):
        with pytest.raises(ConfigError):
            curves(relevance(), **bad)
    with pytest.raises(UnknownNameError, match="logit"):
        curves(relevance(), output="loss")
    with pytest.raises(UnknownNameError, match="blocks"):
        curves(relevance(), ordering="slabs")


def test_a_network_without_usable_logits_is_refused():
    with pytest.raises(ModelError, match="NaN"):
        target_values(lambda x: predict(x) * torch.nan, [SCANS], 0)
    with pytest.raises(ModelError, match=r"gave \(1,\)"):
        target_values(lambda x: predict(x)[:, 0], [SCANS], 0)
    with pytest.raises(ConfigError, match="target 3 is none of the network's 3 classes"):
        target_values(predict, [SCANS], 3)
    assert target_values(predict, [], 0).shape == (0,)
