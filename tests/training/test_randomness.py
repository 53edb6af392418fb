"""Dropout draws from the global random state; a training neither trusts nor moves it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from xrano.training.config import RunConfig
from xrano.training.randomness import own_randomness, seed_epoch
from xrano.training.train_run import train_run

CPU = torch.device("cpu")


def draw(seed: int, epoch: int, rank: int = 0) -> list[float]:
    with own_randomness(CPU):
        seed_epoch(CPU, seed, epoch, rank)
        return torch.rand(3).tolist()


def test_what_is_drawn_follows_from_seed_epoch_and_process():
    assert draw(1, 2) == draw(1, 2)
    drawn = [draw(1, 2), draw(1, 3), draw(2, 2), draw(1, 2, 1), draw(1, 2, 2)]
    assert len({tuple(values) for values in drawn}) == len(drawn)


def test_the_global_state_is_put_back_even_after_an_error():
    before = torch.random.get_rng_state()
    draw(1, 2)
    with pytest.raises(IndexError), own_randomness(CPU):
        torch.rand(3)[3]
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.slow
def test_a_network_with_dropout_that_was_interrupted_ends_with_the_same_bytes(
    tiny_config: RunConfig, tmp_path: Path
):
    config = replace(
        tiny_config,
        model=replace(tiny_config.model, name="alexnet3d", sequences=("CT1",)),
        training=replace(tiny_config.training, batch_size=8),
        folds=(0,),
    )

    class Interrupted(Exception):
        pass

    def interrupt(*_: object) -> None:
        raise Interrupted

    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    train_run(config, tmp_path / "undisturbed", report=lambda *_: None)
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.manual_seed(2)
    with pytest.raises(Interrupted):
        train_run(config, tmp_path / "run", report=interrupt)
    torch.manual_seed(3)
    train_run(config, tmp_path / "run", report=lambda *_: None)
    for name in ("fold-0/model.safetensors", "fold-0/metrics.jsonl", "predictions.csv"):
        assert (tmp_path / "run" / name).read_bytes() == (
            tmp_path / "undisturbed" / name
        ).read_bytes()
