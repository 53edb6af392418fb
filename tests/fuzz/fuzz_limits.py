"""Reading under bounds: a reader that takes too much memory or time fails, whatever it raises."""

from __future__ import annotations

import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MEMORY = 512 << 20
"""Bytes of memory that one reading may fill."""

ADDRESSES = 8 << 30
"""Bytes of address space that it may add: Arrow's pools alone reserve gigabytes and fill none."""

SECONDS = 20
"""Wall time of one reading: machines are shared, and most take milliseconds."""


@contextmanager
def bounded(memory: int = MEMORY, seconds: int = SECONDS) -> Iterator[None]:
    """Let a block take so much memory and time and no more.

    Raises:
        MemoryError: by whatever asks for more addresses, or at the end.
        TimeoutError: when the time is over.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    # From here on the peak is that of the block (proc(5)).
    Path("/proc/self/clear_refs").write_text("5")
    filled = _kilobytes("VmRSS")

    def stop(*_: object) -> None:
        raise TimeoutError(f"not read within {seconds} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    resource.setrlimit(resource.RLIMIT_AS, (1024 * _kilobytes("VmSize") + ADDRESSES, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
        taken = _kilobytes("VmHWM") - filled
        if 1024 * taken > memory:
            raise MemoryError(f"reading filled {taken / 1024:.0f} MB")


def _kilobytes(name: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1])
    raise LookupError(name)
