"""Processes whose coverage is not measured, for tests that coverage itself would break."""

from __future__ import annotations

import os


def unmeasured(**more: str) -> dict[str, str]:
    """This process's environment without what tells coverage to measure another process.

    coverage's file does not fit where the size of files is limited, and its tracer holds a lock now
    and then that an exception out of a signal leaves locked.
    """
    kept = {name: of for name, of in os.environ.items() if not name.startswith("COVERAGE_PROCESS")}
    return {**kept, **more}
