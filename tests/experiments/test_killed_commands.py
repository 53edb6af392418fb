"""Commands that are killed and started again: the bounded form of ``python -m benchmarks.faults``.

Training and explaining are killed in tests/training/test_interrupted_training.py and
tests/experiments/test_explained_cohort.py, a study in tests/nightly/test_fault_harness.py.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from benchmarks.fault_comparison import digests, half_written
from benchmarks.fault_kills import kill_again_and_again
from benchmarks.fault_processes import Command
from xrano.cli.main import main
from xrano.training.run import Run

METHODS = ("--methods", "saliency", "gradcam", "--copies", "1", "--n-resamples", "20")


def killed_twice(words: tuple[str, ...], out: Path, kept: tuple[str, ...]) -> None:
    """Compare what a command leaves in the end with what it leaves if nobody kills it."""
    line = [*words, "--out", str(out)]
    assert main(line) == 0
    expected = digests(out)
    assert half_written(out) == []
    shutil.rmtree(out)
    found = kill_again_and_again(
        lambda: Command(line, fresh=True), out, expected, kills=2, seed=1, seconds=6.0, kept=kept
    )
    assert len(found.moments) == 2
    assert found.faults == []


@pytest.mark.slow
def test_preparing(phantom_index: Path, tmp_path: Path):
    killed_twice(("prepare", str(phantom_index)), tmp_path / "store", ("sessions/*.json",))


@pytest.mark.slow
def test_scoring(tiny_run: Run, tmp_path: Path):
    killed_twice(("score", str(tiny_run.root), *METHODS), tmp_path / "scores", ("parts/*",))


@pytest.mark.slow
def test_reporting(tiny_run: Run, tmp_path: Path):
    killed_twice(("report", str(tiny_run.root), "--cases", "4"), tmp_path / "report", ())
