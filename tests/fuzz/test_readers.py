"""No file makes a reader do anything but give a value or complain in xrano's own words."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from fuzz_limits import bounded
from fuzz_targets import CORPUS, TARGETS, attempt, corpus
from hypothesis import HealthCheck, given, settings

EXAMPLES = 40
"""Inputs of each reader; ``python -m benchmarks.fuzz`` tries as many as its time allows."""

KEPT = [path for name in TARGETS for path in corpus(name)]


@pytest.mark.parametrize("name", TARGETS)
def test_a_reader_gives_a_value_or_complains(name: str):
    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(content=TARGETS[name].inputs())
    def read(content: bytes) -> None:
        attempt(name, content)

    read()


@pytest.mark.parametrize("path", KEPT, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_what_once_broke_a_reader_does_so_no_more(path: Path):
    attempt(path.parent.name, path.read_bytes())


def test_every_kept_input_belongs_to_a_reader():
    assert {path.name for path in CORPUS.iterdir()} <= set(TARGETS)
    assert len(KEPT) > 20


@pytest.mark.parametrize("name", TARGETS)
def test_some_inputs_are_accepted_so_that_readers_are_reached(name: str):
    # A harness that every reader refuses at the door would find nothing.
    taken = []

    @settings(max_examples=30, derandomize=True, database=None, deadline=None)
    @given(content=TARGETS[name].inputs())
    def read(content: bytes) -> None:
        taken.append(attempt(name, content))

    read()
    assert any(taken) or name in ("audit", "model")


def test_the_bounds_hold():
    with bounded(), pytest.raises(MemoryError):
        bytearray(9 << 30)
    with pytest.raises(MemoryError, match="reading filled"), bounded(memory=20 << 20):
        bytearray(b"x") * (64 << 20)
    with bounded(seconds=1), pytest.raises(TimeoutError, match="within 1 s"):
        time.sleep(5)
