"""Mutation testing: change the code in one place at a time, and see whether a test fails.

    python -m benchmarks.mutation [--share 0.3] [--seed 0] [--only xrano/metrics/ranked.py ...]

Changed are the metrics, grids, the RANO rules and the building of pairs (``TARGETS``); what a
change may be is in ``benchmarks/mutants.py``. Printed are the changes that no test notices, and for
each file how many were noticed. Those that cannot be noticed, because the changed code does the
same, stand in ``benchmarks/equivalent_mutants.toml`` with the reason, and do not count. The exit
status is 1 if less than 90 % of a target's mutants are killed, or that list is out of date.
"""

from __future__ import annotations

import argparse
import math
import os
import random
import resource
import sys
import tempfile
import time
import tomllib
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.forked_pytest import ROOT, prepare
from benchmarks.mutant_baseline import measure, preload
from benchmarks.mutant_tests import check_unchanged, outcomes
from benchmarks.mutants import Mutant, find_mutants

TARGETS = ("xrano/metrics", "xrano/geometry.py", "xrano/rano.py", "xrano/data/pairing")
TESTS = ("tests/metrics", "tests/geometry", "tests/test_rano.py", "tests/data/pairing")
"""Tests of the targets; the examples in their docstrings are run too."""
NEEDED = 0.9
EQUIVALENT = Path(__file__).parent / "equivalent_mutants.toml"

COLUMNS = ("mutants", "killed", "timed out", "survived", "not covered", "equivalent")


def files_of(target: str) -> list[str]:
    """The source files of a target, as they are named from the repository's root."""
    place = ROOT / target
    found = sorted(place.rglob("*.py")) if place.is_dir() else [place]
    return [str(path.relative_to(ROOT)) for path in found]


def equivalents() -> dict[str, dict[str, str]]:
    """File to the names of mutants that do the same as the code, and why."""
    return tomllib.loads(EQUIVALENT.read_text(encoding="utf-8"))


def sample(mutants: Sequence[Mutant], share: float, seed: int) -> list[Mutant]:
    """A share of a file's mutants, the same for the same seed and code."""
    drawn = random.Random(f"{seed} {mutants[0].path}") if mutants else random.Random(seed)
    return drawn.sample(list(mutants), math.ceil(share * len(mutants)))


def row(name: str, counts: Counter[str]) -> str:
    """A line of the table, the share of killed mutants at its end."""
    cells = " | ".join(str(counts[column]) for column in COLUMNS)
    share = killed(counts)
    return f"| {name} | {cells} | {'' if math.isnan(share) else f'{100 * share:.1f} %'} |"


def killed(counts: Counter[str]) -> float:
    """The share of the mutants that could be noticed and were."""
    noticed = counts.get("killed", 0) + counts.get("timed out", 0)
    return (
        noticed / possible if (possible := counts["mutants"] - counts["equivalent"]) else math.nan
    )


def table(results: Mapping[str, Counter[str]]) -> list[str]:
    """The table's lines: every file, and every target with its sum."""
    lines = [f"| file | {' | '.join(COLUMNS)} | killed |", "|---" * (len(COLUMNS) + 2) + "|"]
    for target in TARGETS:
        files = [path for path in files_of(target) if results.get(path, {}).get("mutants")]
        if len(files) > 1:
            lines += [row(f"`{Path(path).name}`", results[path]) for path in files]
        if files:
            total = sum((results[path] for path in files), Counter[str]())
            lines.append(row(f"**`{target}`**", total))
    return lines


def missed(results: Mapping[str, Counter[str]]) -> list[str]:
    """The targets of which too few mutants are killed."""
    totals = {
        target: sum((results.get(path, Counter()) for path in files_of(target)), Counter[str]())
        for target in TARGETS
    }
    return [target for target, counts in totals.items() if killed(counts) < NEEDED]


def draw(
    paths: Sequence[str], share: float, seed: int
) -> tuple[list[Mutant], dict[str, Counter[str]], list[str]]:
    """Mutants to test, what is known of each file's, and names in the list that are no mutant's."""
    same = equivalents()
    chosen, results, stale = [], {}, []
    for path in paths:
        every = find_mutants(path, (ROOT / path).read_text(encoding="utf-8"))
        stale += sorted(set(same.get(path, ())) - {mutant.name for mutant in every})
        drawn = sample(every, share, seed)
        mine = [mutant for mutant in drawn if mutant.name not in same.get(path, ())]
        results[path] = Counter(mutants=len(drawn), equivalent=len(drawn) - len(mine))
        chosen += sorted(mine, key=lambda mutant: mutant.number)
    return chosen, results, stale


def main() -> int:
    """Make mutants, test them, print who survived and the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--share", type=float, default=1.0, help="of each file's mutants")
    parser.add_argument("--seed", type=int, default=0, help="of the share")
    parser.add_argument("--only", nargs="+", metavar="FILE", help="files of the targets")
    parser.add_argument("--jobs", type=int, default=1, help="mutants tested at a time")
    arguments = parser.parse_args()
    if os.environ.get("PYTHONHASHSEED") != "0":
        # A mutant of the order of a set would be killed today and survive tomorrow.
        command = [sys.executable, "-m", "benchmarks.mutation", *sys.argv[1:]]
        os.execve(sys.executable, command, {**os.environ, "PYTHONHASHSEED": "0"})
    paths = [path for target in TARGETS for path in files_of(target)]
    chosen, results, stale = draw(arguments.only or paths, arguments.share, arguments.seed)
    start = time.monotonic()
    prepare()
    with tempfile.TemporaryDirectory() as folder:
        baseline = measure(TESTS, paths, Path(folder))
        preload(baseline)
        check_unchanged(paths, baseline, Path(folder))
        print(f"{len(baseline.seconds)} tests in {time.monotonic() - start:.0f} s", flush=True)
        for mutant, how in outcomes(chosen, baseline, Path(folder), arguments.jobs):
            results[mutant.path][how] += 1
            if how in ("survived", "not covered"):
                print(f"{how}: {mutant.path}:{mutant.lines[0]} {mutant.name}", flush=True)
    print("\n".join(table(results)))
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(
        f"{len(chosen)} mutants tested in {(time.monotonic() - start) / 60:.1f} minutes, "
        f"{(spent.ru_utime + spent.ru_stime) / 60:.1f} of processor time"
    )
    for name in stale:
        print(f"no such mutant, so take it out of {EQUIVALENT.name}: {name}")
    lacking = missed(results)
    if lacking:
        print(f"less than {NEEDED:.0%} killed: {', '.join(lacking)}")
    return 1 if stale or lacking else 0


if __name__ == "__main__":
    sys.exit(main())
