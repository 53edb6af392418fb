from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Sequence

import pytest

from xrano.data.preparation.jobs import attempt, collected_remarks, run_jobs, worker_count
from xrano.errors import ConfigError, UnknownNameError, VolumeError, XranoWarning


def work(item: int) -> tuple[int, int]:
    """Ten times the item and who did it; odd ones are remarked, those that 5 divides fail."""
    if item % 2:
        warnings.warn(f"{item} is odd", XranoWarning, stacklevel=1)
        warnings.warn(f"{item} is odd", XranoWarning, stacklevel=1)
        warnings.warn("and said twice", XranoWarning, stacklevel=1)
    if item % 5 == 0:
        raise VolumeError(f"{item} is broken")
    if item < 0:
        raise UnknownNameError("number", str(item), ["one", "two"])
    return 10 * item, os.getpid()


def no_fault_of_the_input(item: int) -> int:
    if item == 2:
        raise ZeroDivisionError("a bug")
    return item


@pytest.mark.parametrize("jobs", [1, 2])
def test_outcomes_come_in_the_order_of_the_items_with_errors_and_remarks(jobs: int):
    items = [4, 5, 3, -1, 2, 1, 8]
    outcomes = run_jobs(work, items, jobs=jobs)
    values = [outcome.value and outcome.value[0] for outcome in outcomes]
    assert values == [40, None, 30, None, 20, 10, 80]
    errors = [type(outcome.error) for outcome in outcomes]
    none = type(None)
    assert errors == [none, VolumeError, none, UnknownNameError, none, none, none]
    assert str(outcomes[1].error) == "5 is broken"
    assert outcomes[3].error.choices == ("one", "two")
    assert [outcome.remarks for outcome in outcomes] == [
        () if item % 2 == 0 else (f"{item} is odd", "and said twice") for item in items
    ]
    workers = {outcome.value[1] for outcome in outcomes if outcome.value}
    assert (os.getpid() in workers) == (jobs == 1)


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_bug_goes_on_as_it_is(jobs: int):
    with pytest.raises(ZeroDivisionError, match="a bug"):
        run_jobs(no_fault_of_the_input, [1, 2, 3], jobs=jobs)


@pytest.mark.parametrize("jobs", [1, 2])
def test_progress_sees_every_item(jobs: int):
    seen: list[tuple[str, int]] = []

    def progress(items: Sequence[int], what: str) -> Iterator[int]:
        for item in items:
            yield item
            seen.append((what, item))

    run_jobs(work, [2, 4, 5, 6], jobs=jobs, progress=progress, what="counting")
    assert seen == [("counting", 2), ("counting", 4), ("counting", 5), ("counting", 6)]


def test_nothing_to_do_and_how_many_at_once():
    assert run_jobs(work, [], jobs=2) == []
    assert worker_count(0) == len(os.sched_getaffinity(0))
    assert worker_count(3) == 3
    with pytest.raises(ConfigError, match="got -1"):
        run_jobs(work, [], jobs=-1)


# --- warnings


def test_what_others_warn_of_goes_on():
    def function(item: int) -> int:
        warnings.warn("from elsewhere", DeprecationWarning, stacklevel=1)
        warnings.warn("ours", XranoWarning, stacklevel=1)
        return item

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        outcome = attempt(function, 3)
    assert (outcome.value, outcome.remarks) == (3, ("ours",))
    assert [(one.category, str(one.message)) for one in caught] == [
        (DeprecationWarning, "from elsewhere")
    ]


def test_a_warning_said_before_is_said_again():
    """Python's own filter shows a place's warning once; here every session has its own."""
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        assert [attempt(work, 1).remarks for _ in range(3)] == [("1 is odd", "and said twice")] * 3


def test_remarks_of_work_that_failed_reach_whoever_keeps_its_error():
    def inner(item: int) -> None:
        with collected_remarks() as unreachable:
            work(item)
        unreachable.append("never")

    outcome = attempt(inner, 15)
    assert str(outcome.error) == "15 is broken"
    assert outcome.remarks == ("15 is odd", "and said twice")


def test_remarks_collected_inside_are_not_said_outside():
    def inner(item: int) -> list[str]:
        with collected_remarks() as remarks:
            work(item)
        return remarks

    outcome = attempt(inner, 3)
    assert outcome.value == ["3 is odd", "and said twice"]
    assert outcome.remarks == ()
