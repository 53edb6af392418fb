"""What the terminal shows: tables, and progress with the time left.

On a terminal a bar is drawn. Where nobody watches (a log file, a job on a cluster) quick work says
nothing, and long work a plain line now and then.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from typing import Any

from xrano.progress import minutes

FIRST_LINE_S = 60.0
"""Work in a log file that takes less says nothing."""

LEAST_SHARE = 0.1
"""From one line of a log file to the next, but for work so long that :data:`LONGEST_S` pass."""

LONGEST_S = 600.0


class Log:
    """Plain lines about long work, for a log file.

    Args:
        what: the work's name.
        total: how many items there are, if that is known.
        done: how many were there before.
        clock: seconds.
        say: takes a line; standard error if not given.
    """

    def __init__(
        self,
        what: str,
        total: int | None,
        *,
        done: int = 0,
        clock: Callable[[], float] | None = None,
        say: Callable[[str], object] | None = None,
    ) -> None:
        self._what, self._total, self._clock = what, total, clock or time.monotonic
        self._start = self._told_at = self._clock()
        self._before = self._told = done
        self._say = say or _to_stderr

    def update(self, done: int, more: str = "") -> None:
        """Say how far the work is, if it is time to."""
        now = self._clock()
        waited = now - self._told_at
        share = (done - self._told) / self._total if self._total else 0.0
        if waited < FIRST_LINE_S or (share < LEAST_SHARE and waited < LONGEST_S):
            return
        self._told, self._told_at = done, now
        of = f" of {self._total}" if self._total else ""
        self._say(f"{self._what}: {done}{of}, {self._times(done, now)}{more}")

    def _times(self, done: int, now: float) -> str:
        spent = now - self._start
        made = done - self._before
        if not self._total or made <= 0:
            return minutes(spent)
        return f"{minutes(spent)}, {minutes(spent / made * (self._total - done))} left"


def bar(items: Iterable[Any], what: str) -> Iterator[Any]:
    """Progress around an iterable: a bar on a terminal, now and then a line elsewhere."""
    if sys.stderr.isatty():
        from tqdm import tqdm

        yield from tqdm(items, desc=what, dynamic_ncols=True)
        return
    total = len(items) if isinstance(items, Sized) else None
    log = Log(what, total)
    waiting = _said_if_nothing_is_done(what, total)
    try:
        for done, item in enumerate(items, start=1):
            yield item
            waiting.cancel()
            log.update(done)
    finally:
        waiting.cancel()


def _said_if_nothing_is_done(what: str, total: int | None) -> threading.Timer:
    """A line for the log file if the first item takes longer than quick work does."""
    of = f" of {total}" if total else ""
    line = f"{what}: none{of} done yet, {minutes(FIRST_LINE_S)}"
    timer = threading.Timer(FIRST_LINE_S, _to_stderr, [line])
    timer.daemon = True
    timer.start()
    return timer


class EpochBar:
    """Progress over the epochs of each fold."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._log: Log | None = None
        self._fold = -1

    def __call__(self, fold: int, line: dict[str, Any], epochs: int) -> None:
        """Show one finished epoch."""
        if fold != self._fold:
            self.close()
            self._fold = fold
            self._open(fold, line["epoch"], epochs)
        said = (
            f"train {line['train_loss']:.3f}, validation {line['val_loss']:.3f}, "
            f"balanced accuracy {line['val_balanced_accuracy']:.2f}"
        )
        if self._log is not None:
            self._log.update(line["epoch"] + 1, f"; {said}")
        if self._bar is not None:
            self._bar.set_postfix_str(said)
            self._bar.update(1)

    def close(self) -> None:
        """Finish the bar of the last fold."""
        if self._bar is not None:
            self._bar.close()
        self._bar = self._log = None

    def _open(self, fold: int, done: int, epochs: int) -> None:
        if sys.stderr.isatty():
            from tqdm import tqdm

            self._bar = tqdm(total=epochs, initial=done, desc=f"fold {fold}", dynamic_ncols=True)
        else:
            # The first epoch is over when it is told, so it counts as spent on nothing.
            self._log = Log(f"fold {fold}, epochs", epochs, done=done + 1)


def table_text(rows: Sequence[Sequence[str]]) -> str:
    """Rows of cells as aligned columns.

    Example:
        >>> print(table_text([["name", "cell"], ["densenet121", "32"]]))
        name         cell
        densenet121  32
    """
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def _to_stderr(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
