"""A phantom cohort that goes through xrano's commands, each measured as a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

METHODS = ("--methods", "saliency")
_SCORED = (*METHODS, "--copies", "0", "--nulls", "primary")

_PHANTOM = """
from pathlib import Path
from xrano.data.phantom import PhantomSettings, write_phantom
settings = PhantomSettings(patients={patients}, visits={visits}, spacing_mm={spacing_mm})
write_phantom(Path({out!r}), settings, jobs=0)
"""
"""The command line leaves the number of visits as it is."""


@dataclass(frozen=True)
class Step:
    """What a command took; of several side by side the time until all had ended, and the largest.

    Peak memory is the system's count of the largest single process, workers included.
    """

    seconds: float
    peak_gb: float

    def __str__(self) -> str:
        return f"{self.seconds:.0f} s, {self.peak_gb:.2f} GB at most"


class _Job:
    """A command on one thread that is running."""

    def __init__(self, words: Sequence[str | Path]) -> None:
        self._line = [sys.executable, *map(str, words)]
        self._said = tempfile.TemporaryFile("w+")  # noqa: SIM115
        self._begun = time.monotonic()
        self.process = subprocess.Popen(
            self._line,
            stdout=subprocess.DEVNULL,
            stderr=self._said,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )

    def ended(self) -> Step | None:
        """What it took, once it has ended well.

        Raises:
            SystemExit: with what it said, if it failed.
        """
        pid, status, usage = os.wait4(self.process.pid, os.WNOHANG)
        if not pid:
            return None
        self.process.returncode = os.waitstatus_to_exitcode(status)
        if status:
            self._said.seek(0)
            raise SystemExit(f"{' '.join(self._line)} failed:\n{self._said.read()[-2000:]}")
        return Step(time.monotonic() - self._begun, usage.ru_maxrss / 2**20)


def side_by_side(*commands: Sequence[str | Path]) -> list[Step]:
    """Run commands of Python at once, each on one thread.

    This process must be small: each counts what the one that it was forked from held.

    Raises:
        SystemExit: if one fails; the others are killed.
    """
    jobs = [_Job(words) for words in commands]
    found: dict[int, Step] = {}
    try:
        while len(found) < len(jobs):
            time.sleep(0.01)
            for number, job in enumerate(jobs):
                step = None if number in found else job.ended()
                if step is not None:
                    found[number] = step
    except BaseException:
        for job in jobs:
            job.process.kill()
        raise
    return [found[number] for number in range(len(jobs))]


def xrano(*words: str | Path) -> tuple[str | Path, ...]:
    """A command of xrano, for :func:`side_by_side`."""
    return ("-m", "xrano.cli.main", *words)


def together(steps: Sequence[Step]) -> Step:
    """What several that ran side by side took."""
    return Step(max(step.seconds for step in steps), max(step.peak_gb for step in steps))


def gigabytes(folder: Path) -> float:
    """Size of all files of a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e9


@dataclass(frozen=True)
class Cohort:
    """A phantom cohort in a folder; an untrained network explains and scores all its pairs.

    ``visits``: least and largest number of rated visits of a patient; scans around operations come
    on top.
    """

    root: Path
    patients: int
    spacing_mm: float
    visits: tuple[int, int] = (4, 5)

    def make(self) -> dict[str, Step]:
        """Write, index and prepare it, and make the run; what each took."""
        self.root.mkdir(parents=True, exist_ok=True)
        tree, index, store = self.root / "phantom", self.root / "index", self.root / "store"
        phantom = _PHANTOM.format(
            patients=self.patients, visits=self.visits, spacing_mm=self.spacing_mm, out=str(tree)
        )
        commands = {
            "phantom": ("-c", phantom),
            "index": xrano("index", tree, "--out", index),
            "prepare": xrano("prepare", index, "--out", store, "--jobs", "0"),
            "train": xrano(
                *("train", store, "--out", self.root / "run", "--preset", "demo"),
                *("--training.epochs", "0", "--training.accelerator", "cpu"),
            ),
        }
        found = {}
        for name, words in commands.items():
            (found[name],) = side_by_side(words)
            print(f"  {name}: {found[name]}", flush=True)
        return found

    def score(self, shard: str = "") -> tuple[str | Path, ...]:
        """Saliency of every pair, scored; of a shard without tables."""
        part = ("--shard", shard) if shard else ()
        return xrano("score", self.root / "run", *_SCORED, *part, "--out", self.root / "scores")

    def explain(self, shard: str) -> tuple[str | Path, ...]:
        """Saliency of every pair, saved as the sum of its channels."""
        return xrano(
            *("explain", self.root / "run", "--all", *METHODS, "--maps", "reduced"),
            *("--storage", "int16", "--shard", shard, "--out", self.root / "explained"),
        )

    @property
    def indexed(self) -> int:
        """Sessions that were indexed."""
        return len(pd.read_csv(self.root / "index" / "sessions.csv"))

    @property
    def prepared(self) -> int:
        """Sessions of the store: those of a pair."""
        return len(pd.read_csv(self.root / "store" / "sessions.csv"))

    @property
    def pairs(self) -> int:
        """Pairs that have scores."""
        scores = pd.read_csv(self.root / "scores" / "scores.csv", usecols=["pair_id"])
        return int(scores["pair_id"].nunique())

    @property
    def parts(self) -> int:
        """Pairs that were scored so far, whether or not their tables were written."""
        return len(list((self.root / "scores" / "parts").glob("*.json")))
