"""A cohort of LUMIERE's size on two cores: pairs a minute, memory, disk, and what the whole takes.

    python -m benchmarks.load [--parts size full] [--keep DIR]

* ``size``: at least 638 sessions at 6 mm through ``index``, ``prepare``, ``explain --all`` and
  ``score`` by saliency of an untrained network. Of the last two a fifth of the pairs comes first;
  the peak of all, at least 500, may be at most 1.1 times that. The tables that all pairs make
  together come last: their peak, which grows with their rows, is told.
* ``full``: at least 40 sessions at 1 mm through ``prepare`` (store only), ``explain --all`` and
  ``score`` by the same, in two processes, and what that makes for LUMIERE's 638 sessions and 397
  rated pairs.

Every step is a process of its own, as a user would start it, on one thread, and all of it keeps to
two cores. The exit status is 1 if anything of this is missed.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.load_cohort import Cohort, Step, gigabytes, side_by_side, together

SESSIONS, PAIRS = 638, 397
"""LUMIERE's sessions and rated pairs."""

CORES = 2
FLAT = 1.1
"""How much more memory all pairs may take than a fifth of them."""

NEEDED = {"sessions indexed": SESSIONS, "sessions at 1 mm": 40, "pairs scored": 500}


def size(root: Path, patients: int | None = None) -> list[str]:
    """Everything of LUMIERE's size, but its voxels; what was missed, in words."""
    cohort = Cohort(root / "size", patients=patients or 116, spacing_mm=6.0)
    cohort.make()
    few = dict(zip(_NAMES, side_by_side(cohort.explain("1/5"), cohort.score("1/5")), strict=True))
    first = cohort.parts
    # What is there is kept: each goes on with the other four fifths.
    many = dict(zip(_NAMES, side_by_side(cohort.explain("1/1"), cohort.score("1/1")), strict=True))
    (tables,) = side_by_side(cohort.score())
    missed = []
    for name in _NAMES:
        print(f"  {name}, one process: {many[name]}, {_rate(cohort.pairs - first, many[name])}")
        ratio = many[name].peak_gb / few[name].peak_gb
        print(
            f"  {name}: peak of {cohort.pairs} pairs is {ratio:.2f}x that of {first} "
            f"(needed: <= {FLAT})"
        )
        if ratio > FLAT:
            missed.append(f"the memory of {name} grows with the pairs: {ratio:.2f}x")
    print(f"  tables of score: {tables}, {tables.peak_gb / few['score'].peak_gb:.2f}x")
    missed += enough({"sessions indexed": cohort.indexed, "pairs scored": cohort.pairs})
    return missed


def full(root: Path, patients: int | None = None, spacing_mm: float = 1.0) -> list[str]:
    """Some sessions at 1 mm, and what that makes for all; what was missed, in words."""
    cohort = Cohort(root / "full", patients or 25, spacing_mm, visits=(1, 1))
    steps = cohort.make()
    parts = [f"{one}/{CORES}" for one in range(1, CORES + 1)]
    steps["explain"] = together(side_by_side(*map(cohort.explain, parts)))
    steps["score"] = together(side_by_side(*map(cohort.score, parts)))
    (steps["join"],) = side_by_side(cohort.score())
    sessions, pairs = cohort.prepared, cohort.pairs
    for name in ("explain", "score"):
        print(f"  {name}, {CORES} processes: {steps[name]}, {_rate(pairs, steps[name])}")
    print(f"  tables of score: {steps['join']}")
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
        f"store {store / sessions * SESSIONS:.0f} GB, maps {maps / pairs * PAIRS:.1f} GB"
    )
    return enough({"sessions at 1 mm": sessions})


_NAMES = ("explain", "score")


def enough(found: dict[str, int]) -> list[str]:
    """Counts that are smaller than they must be, in words."""
    return [
        f"{count} {what}, {NEEDED[what]} are needed"
        for what, count in found.items()
        if count < NEEDED[what]
    ]


def _rate(pairs: int, step: Step) -> str:
    return f"{60 * pairs / step.seconds:.0f} pairs a minute"


PARTS = {"size": size, "full": full}


def main(words: Sequence[str] | None = None) -> int:
    """Measure the parts asked for; the exit status is 1 if anything was missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--patients", type=int, help="fewer, to see whether it works")
    parser.add_argument("--keep", type=Path, help="folder to leave everything in")
    arguments = parser.parse_args(words)
    cores = sorted(os.sched_getaffinity(0))[:CORES]
    os.sched_setaffinity(0, cores)
    print(f"{len(cores)} cores, load {os.getloadavg()[0]:.1f}")
    missed = []
    with tempfile.TemporaryDirectory() as folder:
        root = arguments.keep or Path(folder)
        for name in arguments.parts:
            print(f"{name}:", flush=True)
            missed += PARTS[name](root, arguments.patients)
    print(*(f"MISSED: {one}" for one in missed), sep="\n")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
