"""A cohort of LUMIERE's size on a laptop: pairs a minute, memory, disk, and what the whole takes.

    python -m benchmarks.load [--parts size memory full] [--keep DIR]

* ``size``: 114 phantom patients (about 640 sessions) at 8 mm: ``index``, ``prepare``, an
  untrained network, ``score`` of every pair by one cheap method.
* ``memory``: the peak of ``score`` over about 100 and about 500 small pairs. It should be that of
  one pair, so their ratio is near 1.
* ``full``: 40 sessions at 1 mm through ``prepare`` (store only), ``explain --all`` and ``score`` by
  saliency, and what that makes for LUMIERE's 638 sessions and 360 pairs.

Every step is a process of its own, as a user would start it; peak memory is the system's count of
its largest process.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

SESSIONS, PAIRS = 638, 360
"""LUMIERE's, about."""


@dataclass(frozen=True)
class Step:
    """What one command took."""

    seconds: float
    peak_gb: float

    def __str__(self) -> str:
        return f"{self.seconds:.0f} s, {self.peak_gb:.2f} GB at most"


def run(*words: str | Path) -> Step:
    """One xrano command; ends the benchmark if it fails."""
    start = time.monotonic()
    command = [sys.executable, "-m", "xrano.cli.main", *map(str, words)]
    job = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    said = job.stderr.read() if job.stderr else ""
    _, status, usage = os.wait4(job.pid, 0)
    if status != 0:
        raise SystemExit(f"{' '.join(command)} failed:\n{said[-2000:]}")
    return Step(time.monotonic() - start, usage.ru_maxrss / 2**20)


def gigabytes(folder: Path) -> float:
    """Size of all files of a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e9


@dataclass(frozen=True)
class Cohort:
    """A phantom cohort in a folder, ready to be scored by an untrained network."""

    root: Path
    patients: int
    spacing_mm: float

    def make(self) -> dict[str, Step]:
        """Write, index and prepare it, and make the run; how long each took."""
        self.root.mkdir(parents=True, exist_ok=True)
        tree, index, store = self.root / "phantom", self.root / "index", self.root / "store"
        spacing = str(self.spacing_mm)
        return {
            "phantom": run(
                *("phantom", "--out", tree, "--patients", str(self.patients)),
                *("--spacing_mm", spacing, "--jobs", "0"),
            ),
            "index": run("index", tree, "--out", index),
            "prepare": run("prepare", index, "--out", store),
            "train": run(
                *("train", store, "--out", self.root / "run", "--preset", "demo"),
                *("--training.epochs", "0", "--training.accelerator", "cpu"),
            ),
        }

    def score(self) -> Step:
        """Saliency of every pair, scored."""
        return run(
            *("score", self.root / "run", "--methods", "saliency", "--copies", "0"),
            *("--nulls", "primary", "--out", self.root / "scores"),
        )

    def explain(self) -> Step:
        """Saliency of every pair, saved as the sum of its channels."""
        return run(
            *("explain", self.root / "run", "--all", "--methods", "saliency"),
            *("--maps", "reduced", "--out", self.root / "explained"),
        )

    @property
    def sessions(self) -> int:
        """Sessions that were indexed."""
        return len(pd.read_csv(self.root / "index" / "sessions.csv"))

    @property
    def pairs(self) -> int:
        """Pairs that were scored."""
        scores = pd.read_csv(self.root / "scores" / "scores.csv", usecols=["pair_id"])
        return int(scores["pair_id"].nunique())


def size(root: Path) -> None:
    """Everything of LUMIERE's size, but its voxels."""
    cohort = Cohort(root / "size", patients=114, spacing_mm=8.0)
    for name, step in cohort.make().items():
        print(f"  {name}: {step}", flush=True)
    step = cohort.score()
    print(
        f"  score: {step}; {cohort.sessions} sessions, {cohort.pairs} pairs, "
        f"{60 * cohort.pairs / step.seconds:.0f} pairs a minute"
    )


def memory(root: Path) -> None:
    """Does the peak of scoring grow with the patients?"""
    found = []
    for patients in (24, 120):
        cohort = Cohort(root / f"memory-{patients}", patients=patients, spacing_mm=8.0)
        cohort.make()
        step = cohort.score()
        found.append((cohort.pairs, step.peak_gb))
        print(f"  {cohort.pairs} pairs: {step}", flush=True)
    (few, small), (many, large) = found
    print(f"  peak of {many} pairs is {large / small:.2f}x that of {few}")


def full(root: Path) -> None:
    """Some sessions at 1 mm, and what that makes for all."""
    cohort = Cohort(root / "full", patients=8, spacing_mm=1.0)
    steps = cohort.make()
    steps["explain"], steps["score"] = cohort.explain(), cohort.score()
    sessions, pairs = cohort.sessions, cohort.pairs
    for name, step in steps.items():
        print(f"  {name}: {step}", flush=True)
    store, maps = gigabytes(cohort.root / "store"), gigabytes(cohort.root / "explained")
    print(f"  {sessions} sessions, {pairs} pairs; store {store:.2f} GB, maps {maps:.2f} GB")
    hours = {
        "prepare": steps["prepare"].seconds / sessions * SESSIONS / 3600,
        "explain": steps["explain"].seconds / pairs * PAIRS / 3600,
        "score": steps["score"].seconds / pairs * PAIRS / 3600,
    }
    words = ", ".join(f"{name} {value:.1f} h" for name, value in hours.items())
    print(
        f"  extrapolated to {SESSIONS} sessions and {PAIRS} pairs: {words}; "
        f"store {store / sessions * SESSIONS:.0f} GB, maps {maps / pairs * PAIRS:.0f} GB"
    )


PARTS = {"size": size, "memory": memory, "full": full}


def main() -> None:
    """Measure the parts asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--keep", type=Path, default=None, help="folder to leave everything in")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = arguments.keep or Path(folder)
        for name in arguments.parts:
            print(f"{name}:", flush=True)
            PARTS[name](root)


if __name__ == "__main__":
    main()
