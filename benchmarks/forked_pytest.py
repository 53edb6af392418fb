"""Pytest in forked processes, the same way every time."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import hypothesis
import pytest

ROOT = Path(__file__).parent.parent

_OPTIONS = (
    *("-o", "addopts=", "--noconftest", "--doctest-modules", "-x", "-q", "--tb=no"),
    *("--assert=plain", "-p", "no:cacheprovider"),
)


RAISED = 70
"""The exit status of a child whose own function raised; pytest's are smaller."""


def prepare() -> None:
    """Make the tests of this process and of its children alike, and end them at the first failure.

    Hypothesis tries the same examples every time and does not look for smaller ones; plugins, which
    every child would load anew, are left out.
    """
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    hypothesis.settings.register_profile(
        "mutation",
        derandomize=True,
        database=None,
        deadline=None,
        phases=(hypothesis.Phase.explicit, hypothesis.Phase.generate),
    )
    hypothesis.settings.load_profile("mutation")


def run_pytest(paths: Sequence[str], folder: Path, plugin: object) -> int:
    """Pytest's exit status for some files, until the first failure; ``folder`` is its own."""
    return int(pytest.main([*_OPTIONS, "--basetemp", str(folder), *paths], plugins=[plugin]))


def fork(run: Callable[[], int], *, quiet: bool = True) -> int:
    """Start a child that ends with what a function returns; its process id.

    If the function raises, the child ends with :data:`RAISED`.
    """
    sys.stdout.flush()
    pid = os.fork()
    if pid:
        return pid
    status = RAISED
    try:
        if quiet:
            silence = os.open(os.devnull, os.O_WRONLY)
            os.dup2(silence, 1)
            os.dup2(silence, 2)
        status = run()
    finally:
        sys.stdout.flush()
        os._exit(status)


def file_of(test: str) -> str:
    """The file of a test's name."""
    return test.partition("::")[0]
