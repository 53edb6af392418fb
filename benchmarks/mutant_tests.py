"""Tests against mutants: whether one of those that run the changed lines fails.

Every mutant is tested in a process of its own, forked from one that has imported the libraries but
nothing of xrano; there the changed syntax tree is imported in the place of the file. Nothing is
written into the source. The quickest test comes first, and the first failure ends it. What runs at
import (constants, defaults) is tested by all.
"""

from __future__ import annotations

import ast
import os
import resource
import shutil
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import spec_from_file_location
from pathlib import Path
from types import CodeType

import pytest

from benchmarks.forked_pytest import RAISED, ROOT, file_of, fork, run_pytest
from benchmarks.mutant_baseline import Baseline
from benchmarks.mutants import Mutant, mutated_tree

MEMORY = 4 << 30
"""Bytes that a mutant may ask for beyond what is there."""
PATIENCE = 10.0
"""A test that takes this many times its processor time, and as many seconds, has hung."""


class _Chooser:
    """Keeps the chosen tests, in their order, and those that only a mutant has; ends what hangs."""

    def __init__(self, chosen: Sequence[str], seconds: dict[str, float]) -> None:
        self.rank = {test: place for place, test in enumerate(chosen)}
        self.seconds = seconds

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        last = len(self.rank)
        items[:] = sorted(
            (i for i in items if i.nodeid in self.rank or i.nodeid not in self.seconds),
            key=lambda item: self.rank.get(item.nodeid, last),
        )

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        _limit_time(self.seconds.get(nodeid, 1.0))


def _limit_time(usual: float) -> None:
    # Processor time, so that a busy machine kills no mutant.
    signal.setitimer(signal.ITIMER_PROF, PATIENCE + PATIENCE * usual)


class _Trees(MetaPathFinder):
    """Imports files from syntax trees that are given instead."""

    def __init__(self, trees: Mapping[str, ast.Module]) -> None:
        self.trees = {
            path.removesuffix(".py").removesuffix("/__init__").replace("/", "."): (path, tree)
            for path, tree in trees.items()
        }

    def find_spec(self, name: str, *_: object) -> ModuleSpec | None:
        if name not in self.trees:
            return None
        path, tree = self.trees[name]
        return spec_from_file_location(name, ROOT / path, loader=_Loader(name, path, tree))


class _Loader(SourceFileLoader):
    def __init__(self, name: str, path: str, tree: ast.Module) -> None:
        super().__init__(name, str(ROOT / path))
        self.tree = tree

    def get_code(self, _: str) -> CodeType:
        return self.source_to_code(self.tree, self.path)


def check_unchanged(paths: Sequence[str], baseline: Baseline, folder: Path) -> None:
    """See that all tests still pass as mutants are tested, where nothing was changed.

    Raises:
        RuntimeError: if one fails.
    """
    trees = {path: ast.parse(_source(path)) for path in paths}
    pid = fork(lambda: _test(trees, list(baseline.seconds), baseline, folder / "unchanged"))
    if os.waitpid(pid, 0)[1]:
        raise RuntimeError("tests fail in a process of their own though nothing was changed")


def outcomes(
    mutants: Sequence[Mutant], baseline: Baseline, folder: Path, jobs: int
) -> Iterator[tuple[Mutant, str]]:
    """Test every mutant: ``killed``, ``timed out``, ``survived`` or ``not covered``.

    Args:
        mutants: of any files.
        baseline: of their tests.
        folder: for what the tests write.
        jobs: how many at a time.

    Yields:
        A mutant and what became of it, in the order in which they end.
    """
    running: dict[int, Mutant] = {}
    for mutant in mutants:
        chosen = baseline.tests_of(mutant)
        if not chosen:
            yield mutant, "not covered"
            continue
        if len(running) == jobs:
            yield _next(running, folder)

        def run(mutant: Mutant = mutant, chosen: Sequence[str] = chosen) -> int:
            tree = mutated_tree(_source(mutant.path), mutant.number)
            return _test({mutant.path: tree}, chosen, baseline, folder / _label(mutant))

        running[fork(run)] = mutant
    while running:
        yield _next(running, folder)


def _next(running: dict[int, Mutant], folder: Path) -> tuple[Mutant, str]:
    pid, status = os.waitpid(-1, 0)
    mutant = running.pop(pid)
    shutil.rmtree(folder / _label(mutant), ignore_errors=True)
    code = os.waitstatus_to_exitcode(status)
    if code in (pytest.ExitCode.USAGE_ERROR, RAISED):
        raise RuntimeError(f"the tests of {mutant.name} could not be started")
    ends = {
        pytest.ExitCode.OK: "survived",
        pytest.ExitCode.NO_TESTS_COLLECTED: "survived",
        -signal.SIGPROF: "timed out",
    }
    return mutant, ends.get(code, "killed")


def _test(
    trees: Mapping[str, ast.Module], chosen: Sequence[str], baseline: Baseline, folder: Path
) -> int:
    virtual = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (virtual + MEMORY,) * 2)
    sys.meta_path.insert(0, _Trees(trees))
    _limit_time(PATIENCE)
    files = sorted({file_of(test) for test in chosen})
    return run_pytest(files, folder, _Chooser(chosen, baseline.seconds))


def _source(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


def _label(mutant: Mutant) -> str:
    return f"{Path(mutant.path).stem}-{mutant.number}"
