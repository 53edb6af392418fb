"""How long does the report of a cohort take, and how large are its pages?

    python -m benchmarks.report RUN [--maps DIR] [--cases 100] [--jobs 0]

Writes the page of the cohort and pages of cases of a finished run (``xrano demo`` makes one), with
what lies beside it, into a folder that is thrown away. Needed: 100 cases under 2 minutes on
2 cores, every page under 5 MB; the exit status is 1 if that is missed or a page failed. Maps are
read, not made: ``xrano explain RUN --all --maps reduced``.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from xrano.experiments.report.sources import find_sources
from xrano.experiments.report.write_report import write_report
from xrano.training.run import open_run

NEEDED_S_PER_100, NEEDED_BYTES = 120.0, 5_000_000


class _Clock:
    """Seconds of each stage that shows its progress."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def __call__(self, items: Iterable[Any], what: str) -> Iterable[Any]:
        start = time.perf_counter()
        yield from items
        self.seconds[what] = time.perf_counter() - start


def main() -> int:
    """Write one report and say what it took; the exit status is 1 if anything was missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--maps", type=Path)
    parser.add_argument("--cases", default="all")
    parser.add_argument("--jobs", type=int, default=0)
    asked = parser.parse_args()
    run = open_run(asked.run)
    clock = _Clock()
    with tempfile.TemporaryDirectory() as folder:
        start, cpu = time.perf_counter(), time.process_time()
        sources = find_sources(run, maps=asked.maps)
        written = write_report(
            run, Path(folder), sources, cases=asked.cases, jobs=asked.jobs, progress=clock
        )
        seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
        index = written.index.stat().st_size
        sizes = sorted(path.stat().st_size for path in written.cases.values())
    cases = clock.seconds.get("pages of cases, by patient", 0.0)
    with_maps = len(set(written.cases) & set(sources.files))
    print(f"cores {os.cpu_count()}, load {os.getloadavg()[0]:.1f}")
    print(f"cases {len(sizes)}, {with_maps} of them with maps; {len(written.failed)} failed")
    print(f"all {seconds:.1f} s ({cpu:.1f} s of processor), pages of cases {cases:.1f} s")
    held = bool(sizes) and not written.failed
    if sizes:
        hundred = seconds - cases + 100 * cases / len(sizes)
        quick = hundred <= NEEDED_S_PER_100
        held &= quick
        print(f"for 100 cases {hundred:.0f} s, needed {NEEDED_S_PER_100:.0f} s: {_verdict(quick)}")
        print(f"page of a case {sizes[0] / 1e6:.2f} to {sizes[-1] / 1e6:.2f} MB")
    small = max([index, *sizes]) < NEEDED_BYTES
    print(
        f"page of the cohort {index / 1e6:.2f} MB; needed < {NEEDED_BYTES / 1e6:g} MB: "
        f"{_verdict(small)}"
    )
    return 0 if held and small else 1


def _verdict(held: bool) -> str:
    return "met" if held else "MISSED"


if __name__ == "__main__":
    sys.exit(main())
