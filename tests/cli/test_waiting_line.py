from __future__ import annotations

import threading
import time

import pytest

from xrano.cli import terminal


@pytest.fixture(autouse=True)
def no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: False, raising=False)
    monkeypatch.setattr(terminal, "FIRST_LINE_S", 0.05)


def waited_for(capsys: pytest.CaptureFixture[str]) -> str:
    """What is said; up to ten seconds are waited, for a busy machine."""
    text, until = "", time.monotonic() + 10
    while not text and time.monotonic() < until:
        time.sleep(0.01)
        text = capsys.readouterr().err
    return text


def test_a_first_item_that_takes_long_is_told_of_once(capsys):
    work = terminal.bar([1, 2, 3], "registering")
    next(work)
    assert waited_for(capsys) == "registering: none of 3 done yet, less than a second\n"
    time.sleep(0.2)
    assert capsys.readouterr().err == ""
    work.close()


def test_quick_items_and_work_that_was_given_up_say_nothing(capsys, monkeypatch):
    monkeypatch.setattr(terminal, "FIRST_LINE_S", 5.0)
    assert list(terminal.bar([1, 2], "reading")) == [1, 2]
    left = terminal.bar([1, 2], "reading")
    next(left)
    left.close()
    threads = [one for one in threading.enumerate() if isinstance(one, threading.Timer)]
    for one in threads:
        one.join(timeout=5)
    assert not any(one.is_alive() for one in threads)
    assert capsys.readouterr().err == ""
