"""What the tests do without a mutant: how long each takes, and which lines it runs."""

from __future__ import annotations

import contextlib
import importlib
import itertools
import json
import os
import sys
import sysconfig
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import coverage
import pytest

from benchmarks.forked_pytest import ROOT, file_of, fork, run_pytest
from benchmarks.mutants import Mutant

MOST_SECONDS = 15.0
"""Processor time for the tests of one mutant; what is not noticed by then has survived."""


@dataclass(frozen=True)
class Baseline:
    """The tests without a mutant.

    Attributes:
        seconds: processor time of each test.
        runs: file to line to the tests that run it; a file of tests stands for all of them (what
            it prepares is shared), an empty name for the import.
        modules: libraries that were imported, in order.
    """

    seconds: dict[str, float]
    runs: dict[str, dict[int, list[str]]]
    modules: list[str]

    def tests_of(self, mutant: Mutant) -> list[str]:
        """The tests that run a mutant's lines, the quickest first, for :data:`MOST_SECONDS`.

        Empty if none does.
        """
        runs = self.runs[mutant.path]
        first, last = mutant.lines
        names = {name for line in range(first, last + 1) for name in runs.get(line, ())}
        chosen = [test for test in self.seconds if "" in names or {test, file_of(test)} & names]
        chosen.sort(key=lambda test: (self.seconds[test], test))
        spent = itertools.accumulate(self.seconds[test] for test in chosen)
        within = [test for test, sum_ in zip(chosen, spent, strict=True) if sum_ <= MOST_SECONDS]
        return within or chosen[:1]


class _Recorder:
    """Tells coverage which test runs, and takes its time."""

    def __init__(self, cover: coverage.Coverage) -> None:
        self.cover, self.seconds = cover, dict[str, float]()

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        self.cover.switch_context(file_of(item.nodeid))

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_call(self, item: pytest.Item) -> None:
        self.cover.switch_context(item.nodeid)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        start = time.process_time()
        yield
        self.seconds[item.nodeid] = time.process_time() - start


def measure(tests: Sequence[str], paths: Sequence[str], folder: Path) -> Baseline:
    """Run all tests once, in a process of their own.

    Args:
        tests: files and folders of tests.
        paths: the files whose lines count.
        folder: for what is written.

    Raises:
        RuntimeError: if a test fails.
    """
    found = folder / "baseline.json"

    def run() -> int:
        cover = coverage.Coverage(
            data_file=None, config_file=False, include=[str(ROOT / path) for path in paths]
        )
        recorder = _Recorder(cover)
        cover.start()
        status = run_pytest([*tests, *paths], folder / "baseline", recorder)
        cover.stop()
        data = cover.get_data()
        runs = {path: data.contexts_by_lineno(str(ROOT / path)) for path in paths}
        content = {"seconds": recorder.seconds, "runs": runs, "modules": _libraries()}
        found.write_text(json.dumps(content), encoding="utf-8")
        return status

    _, status = os.waitpid(fork(run, quiet=False), 0)
    if status:
        raise RuntimeError("the tests must pass before any mutant is made")
    read = json.loads(found.read_text(encoding="utf-8"))
    runs = {
        path: {int(line): names for line, names in lines.items()}
        for path, lines in read["runs"].items()
    }
    return Baseline(read["seconds"], runs, read["modules"])


def _libraries() -> list[str]:
    places = tuple(sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib"))
    return [
        name
        for name, module in list(sys.modules.items())
        if (getattr(module, "__file__", None) or "").startswith(places) and name != "__main__"
    ]


def preload(baseline: Baseline) -> None:
    """Import the libraries once for all children."""
    for name in baseline.modules:
        with contextlib.suppress(Exception):
            importlib.import_module(name)
