"""Being told to stop: what Ctrl-C does for people, SIGTERM does for clusters.

SLURM sends SIGTERM before it takes a job's machine away (preemption, time limit, ``scancel``).
Whatever is finished by then is on disk, and the same command goes on from there: an epoch, a pair,
a session, a fold.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType


class Terminated(KeyboardInterrupt):
    """SIGTERM has come; every clean-up that Ctrl-C sets off is set off."""


@dataclass
class StopRequest:
    """Whether SIGTERM has come."""

    asked: bool = False


@contextmanager
def sigterm_stops() -> Iterator[StopRequest]:
    """Within, SIGTERM raises :class:`Terminated` in this process; afterwards it is as before.

    Only a process's main thread may say what signals do; in another one nothing changes.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    owner = os.getpid()

    def stop(number: int, _frame: FrameType | None) -> None:
        if os.getpid() != owner:
            # A worker that was forked: it ends quietly, its parent says why.
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
            return
        request.asked = True
        raise Terminated

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield request
    finally:
        signal.signal(signal.SIGTERM, before if before is not None else signal.SIG_DFL)
