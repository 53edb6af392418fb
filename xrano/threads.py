"""How many threads work that is our own may use at once."""

from __future__ import annotations

import os


def usable_threads() -> int:
    """The cores that this process may run on, or fewer where ``OMP_NUM_THREADS`` says so.

    One variable then limits everything: a process that is one of several on a machine is started
    with ``OMP_NUM_THREADS=1``, which torch and BLAS read too.

    Example:
        >>> usable_threads() >= 1
        True
    """
    cores = usable_cores()
    asked = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    return min(cores, int(asked)) if asked.isdigit() and int(asked) > 0 else cores


def usable_cores() -> int:
    """The cores that this process may run on; at least 1.

    Example:
        >>> usable_cores() >= 1
        True
    """
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
