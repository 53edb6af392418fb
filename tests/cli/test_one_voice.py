"""Of several processes that train together one tells of an error."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch.distributed as distributed

from xrano.cli.one_voice import is_told_elsewhere
from xrano.errors import ConfigError, OtherProcessError


@pytest.fixture
def board() -> Iterator[distributed.Store]:
    """What the processes of a job share, in a job of this process alone."""
    store = distributed.HashStore()
    distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
    yield distributed.distributed_c10d._get_default_store()
    distributed.destroy_process_group()


def test_a_process_alone_tells_everything():
    assert not is_told_elsewhere(ConfigError("x"))
    assert not is_told_elsewhere(OtherProcessError("x"))


def test_the_first_that_meets_an_error_tells_it(board: distributed.Store):
    assert not is_told_elsewhere(ConfigError("x"))
    assert board.get("xrano/told-by") == b"0"


def test_the_others_are_silent(board: distributed.Store):
    board.set("xrano/told-by", "1")
    assert is_told_elsewhere(ConfigError("x"))


def test_who_only_hears_that_another_failed_is_silent(board: distributed.Store):
    assert is_told_elsewhere(OtherProcessError("x"))
    # It does not take the word from the one that knows.
    assert not is_told_elsewhere(ConfigError("x"))


def test_without_an_answer_the_other_is_taken_to_have_spoken(board, monkeypatch):
    def gone() -> None:
        raise distributed.DistNetworkError("Connection reset by peer")

    monkeypatch.setattr(distributed.distributed_c10d, "_get_default_store", gone)
    assert is_told_elsewhere(ConfigError("x"))
