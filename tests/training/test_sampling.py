from __future__ import annotations

from collections import Counter
from itertools import chain

import numpy as np
import pytest
import torch

from xrano.training.ranks import Ranks
from xrano.training.sampling import EpochBatches, OwnRows, class_weights, own_batches

RESPONSES = [3] * 30 + [2] * 12 + [0] * 6


def read(sampler: EpochBatches, epoch: int = 0) -> list[list[int]]:
    sampler.set_epoch(epoch)
    return list(sampler)


def test_an_epoch_shows_every_row_once():
    sampler = EpochBatches(RESPONSES, 5, balanced=False, seed=1)
    batches = read(sampler)
    assert sorted(chain(*batches)) == list(range(48))
    assert [len(batch) for batch in batches] == [5] * 9 + [3]
    assert len(sampler) == 10


@pytest.mark.parametrize("balanced", [False, True])
def test_the_order_follows_from_seed_and_epoch_alone(balanced: bool):
    def order(seed: int, epoch: int) -> list[list[int]]:
        return read(EpochBatches(RESPONSES, 4, balanced=balanced, seed=seed), epoch)

    sampler = EpochBatches(RESPONSES, 4, balanced=balanced, seed=2)
    read(sampler, 0)
    np.random.seed(0)  # noqa: NPY002 - global state must not matter
    assert read(sampler, 3) == order(2, 3)
    assert order(2, 3) != order(2, 4)
    assert order(2, 3) != order(3, 3)


@pytest.mark.parametrize("count", range(1, 12))
@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_its_length_is_the_number_of_its_batches(count: int, size: int):
    sampler = EpochBatches([0] * count, size, balanced=False, seed=0)
    batches = read(sampler)
    assert len(sampler) == len(batches)
    # Only a last row alone may be missing, and only where batches are larger.
    left_out = count - sum(map(len, batches))
    assert left_out == (1 if count % size == 1 and size > 1 else 0)


def test_a_balanced_epoch_shows_every_response_equally_often():
    sampler = EpochBatches(RESPONSES, 8, balanced=True, seed=4)
    drawn = Counter(RESPONSES[row] for epoch in range(200) for row in chain(*read(sampler, epoch)))
    total = sum(drawn.values())
    assert total == 200 * 48
    for response in (0, 2, 3):
        # Four standard deviations of a share of 1/3.
        assert drawn[response] / total == pytest.approx(1 / 3, abs=4 * np.sqrt(2 / 9 / total))
    rows = Counter(row for epoch in range(200) for row in chain(*read(sampler, epoch)))
    assert set(rows) == set(range(48))


def test_a_balanced_epoch_without_one_class_is_fine():
    """No response 1 here, and none of the last class at all."""
    sampler = EpochBatches([0, 0, 2, 2, 2], 2, balanced=True, seed=0)
    assert all(0 <= row < 5 for row in chain(*read(sampler)))


def test_weights_are_inverse_to_frequency_and_the_loss_keeps_its_scale():
    weights = class_weights(RESPONSES, 4)
    assert weights[1] == 1.0  # absent in training; such a pair may still be validated
    assert weights[2] / weights[3] == pytest.approx(30 / 12)
    assert weights[0] / weights[3] == pytest.approx(30 / 6)
    assert np.mean([weights[response] for response in RESPONSES]) == pytest.approx(1.0)
    assert class_weights([1, 0, 3, 2], 4) == [1.0] * 4
    # Every class has the same say in a loss over all rows.
    share = Counter()
    for response in RESPONSES:
        share[response] += weights[response]
    assert share[0] == pytest.approx(share[2]) == pytest.approx(share[3])
    assert torch.isfinite(torch.tensor(weights)).all()


# --- several processes


class Fabric:
    """As much of one as tells processes apart."""

    def __init__(self, index: int, count: int) -> None:
        self.global_rank, self.world_size = index, count


def processes(count: int) -> list[Ranks]:
    return [Ranks(Fabric(index, count)) for index in range(count)]


@pytest.mark.parametrize(("count", "size"), [(2, 5), (3, 4), (4, 3), (5, 2)])
def test_processes_share_every_batch_of_one_process(count: int, size: int):
    whole = EpochBatches(RESPONSES, size, balanced=False, seed=1)
    expected = read(whole, 3)
    read_by = [list(OwnRows(whole, ranks)) for ranks in processes(count)]
    for step, batch in enumerate(expected):
        parts = [ranks.part(batch) for ranks in processes(count)]
        assert sorted(chain(*parts)) == sorted(batch)
        assert max(map(len, parts)) - min(map(len, parts)) <= 1
        for own, rows in zip(parts, (rows[step] for rows in read_by), strict=True):
            # Who has none reads one to leave out.
            assert rows == (own or batch[:1])
    assert {len(rows) for rows in read_by} == {len(expected)}


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_processes_take_turns_at_the_batches_of_one(count: int):
    (ranks,) = processes(1)
    whole = own_batches(11, 4, ranks)
    assert whole == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10]]
    turns = [own_batches(11, 4, ranks) for ranks in processes(count)]
    assert sorted(chain(*turns)) == whole
    assert max(map(len, turns)) - min(map(len, turns)) <= 1
