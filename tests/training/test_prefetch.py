from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from xrano.training.prefetch import prefetched


def counted(log: list[int], stop: int = 100, fails_at: int | None = None) -> Iterator[int]:
    """0, 1, 2 … and a note of each that was fetched."""
    for number in range(stop):
        if number == fails_at:
            raise OSError(f"batch {number} cannot be read")
        log.append(number)
        yield number


def settle(log: list[int], at_least: int) -> None:
    end = time.monotonic() + 10
    while len(log) < at_least and time.monotonic() < end:
        time.sleep(0.001)


@pytest.mark.parametrize("batches", [[], [None], [3, 1, 2], [None, 0, False]])
def test_the_same_batches_in_the_same_order(batches: list[object]):
    assert list(prefetched(batches)) == batches
    assert list(prefetched(iter(batches))) == batches


def test_one_batch_is_fetched_ahead_and_no_more():
    log: list[int] = []
    batches = prefetched(counted(log))
    for number in range(4):
        assert next(batches) == number
        settle(log, number + 2)
        time.sleep(0.01)
        assert log == list(range(number + 2))
    batches.close()


def test_fetching_goes_on_while_a_batch_is_used():
    """The second batch is there only if someone fetches it while the first is held."""
    fetched = threading.Event()

    def source() -> Iterator[int]:
        yield 0
        fetched.set()
        yield 1

    batches = prefetched(source())
    assert next(batches) == 0
    assert fetched.wait(10)
    assert list(batches) == [1]


def test_fetching_is_done_by_another_thread_and_one_alone():
    threads: list[int] = []

    def source() -> Iterator[int]:
        for number in range(20):
            threads.append(threading.get_ident())
            yield number

    assert list(prefetched(source())) == list(range(20))
    assert len(set(threads)) == 1
    assert threading.get_ident() not in threads


@pytest.mark.parametrize("fails_at", [0, 1, 3])
def test_an_error_comes_where_its_batch_would_have(fails_at: int):
    log: list[int] = []
    batches = prefetched(counted(log, fails_at=fails_at))
    found = [next(batches) for _ in range(fails_at)]
    with pytest.raises(OSError, match=f"batch {fails_at} cannot be read"):
        next(batches)
    assert found == log == list(range(fails_at))


def test_leaving_early_stops_fetching():
    log: list[int] = []
    before = threading.active_count()
    for number in prefetched(counted(log)):
        if number == 2:
            break
    # The loop's iterator is gone: at most the batch under way was still fetched.
    settle(log, 4)
    time.sleep(0.02)
    assert log in ([0, 1, 2], [0, 1, 2, 3])
    assert threading.active_count() == before


def test_an_error_in_using_a_batch_stops_fetching():
    log: list[int] = []

    def use() -> None:
        for _ in prefetched(counted(log)):
            raise KeyError("used")

    with pytest.raises(KeyError, match="used"):
        use()
    fetched = len(log)
    time.sleep(0.02)
    assert len(log) == fetched <= 2
