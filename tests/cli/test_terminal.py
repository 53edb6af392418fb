"""Progress: a bar on a terminal, silence or a line now and then in a log file."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator

import pytest

from xrano.cli import terminal
from xrano.cli.terminal import EpochBar, Log, bar, table_text

LINE = {"epoch": 0, "train_loss": 1.0, "val_loss": 2.0, "val_balanced_accuracy": 0.5}


class Clock:
    """Seconds that pass when they are told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(terminal.time, "monotonic", found)
    return found


def every(seconds: float, count: int, clock: Clock) -> Iterator[int]:
    """Numbers that take some seconds each: used up between one and the next."""
    for number in bar(list(range(count)), "scoring"):
        clock.now += seconds
        yield number


def test_quick_work_in_a_log_file_says_nothing(capsys, clock: Clock):
    assert list(every(0.9, 60, clock)) == list(range(60))
    assert capsys.readouterr().err == ""


def test_long_work_tells_about_each_tenth():
    clock = Clock()
    said: list[str] = []
    log = Log("scoring", 50, clock=clock, say=said.append)
    for done in range(1, 51):
        clock.now += 30.0
        log.update(done)
    assert [line.split(",")[0] for line in said] == [f"scoring: {n} of 50" for n in range(5, 51, 5)]
    assert said[0] == "scoring: 5 of 50, 2 min, 22 min left"
    assert said[-1].endswith("25 min, 0 s left")


def test_very_long_work_tells_every_ten_minutes():
    clock = Clock()
    said: list[str] = []
    log = Log("scoring", 1000, clock=clock, say=said.append)
    for done in range(1, 21):
        clock.now += 300.0
        log.update(done)
    assert len(said) == 10


def test_work_of_unknown_length_tells_every_ten_minutes_without_what_is_left():
    clock = Clock()
    said: list[str] = []
    log = Log("reading", None, clock=clock, say=said.append)
    for done in range(1, 5):
        clock.now += 400.0
        log.update(done)
    assert said == ["reading: 2, 13 min", "reading: 4, 27 min"]


def test_what_was_there_before_does_not_count_as_quick():
    clock = Clock()
    said: list[str] = []
    log = Log("epochs", 10, done=5, clock=clock, say=said.append)
    clock.now += 100.0
    log.update(6)
    assert said == ["epochs: 6 of 10, 2 min, 7 min left"]


def test_an_iterable_without_length_goes_through(capsys):
    assert list(bar(iter("abc"), "reading")) == ["a", "b", "c"]
    assert capsys.readouterr().err == ""


def test_epochs_in_a_log_file(capsys, clock: Clock):
    epochs = EpochBar()
    for fold in (0, 1):
        for epoch in range(4):
            clock.now += 200.0
            epochs(fold, {**LINE, "epoch": epoch}, 4)
    epochs.close()
    said = capsys.readouterr().err.splitlines()
    # The first of a fold only starts its clock.
    assert [line.split(",")[1] for line in said] == [f" epochs: {n} of 4" for n in (2, 3, 4)] * 2
    assert said[0].startswith("fold 0, epochs: 2 of 4, 3 min, 7 min left; train 1.000")
    assert "balanced accuracy 0.50" in said[0]


def test_on_a_terminal_a_bar_is_drawn(monkeypatch):
    screen = io.StringIO()
    monkeypatch.setattr(screen, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stderr", screen)
    assert list(bar([1, 2], "scoring")) == [1, 2]
    epochs = EpochBar()
    epochs(0, LINE, 1)
    epochs.close()
    drawn = screen.getvalue()
    assert "scoring: 100%" in drawn
    assert "2/2" in drawn
    assert "fold 0: 100%" in drawn


def test_a_table_has_aligned_columns():
    assert table_text([["a", "bb"], ["ccc", "d"]]) == "a    bb\nccc  d"
