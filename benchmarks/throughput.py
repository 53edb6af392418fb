"""Explain a cohort with one process and with several: the same files, and how much sooner?

    python -m benchmarks.throughput RUN [--methods saliency gradcam ig:prior] [--processes 2]

``xrano explain RUN --all`` (``xrano demo`` leaves a run) three times in folders of their own: one
process of one thread, one process of as many threads as there are processes in the third, and
several processes of one thread, each a shard. The files of the first and the third must be equal
byte for byte; a process of more threads adds up in another order, and its sidecars say so.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.fault_comparison import digests


def seconds(commands: list[list[str]], threads: int) -> float:
    """Until all commands, started together, have ended well."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    start = time.monotonic()
    running = [
        subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
        for command in commands
    ]
    failed = [job.args for job in running if job.wait() != 0]
    if failed:
        raise SystemExit(f"failed: {failed[0]}")
    return time.monotonic() - start


def main() -> int:
    """Run all three and compare; the exit status is 1 if a file differs."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path)
    parser.add_argument("--methods", nargs="+", default=["saliency", "gradcam", "ig:prior"])
    parser.add_argument("--processes", type=int, default=2)
    arguments = parser.parse_args()
    n = arguments.processes
    with tempfile.TemporaryDirectory() as folder:

        def explain(out: str, *more: str) -> list[str]:
            return [
                *(sys.executable, "-m", "xrano.cli.main", "explain", str(arguments.run), "--all"),
                *("--methods", *arguments.methods, "--out", str(Path(folder, out)), *more),
            ]

        times = {
            "one process of one thread": seconds([explain("one")], 1),
            f"one process of {n} threads": seconds([explain("threads")], n),
            f"{n} processes of one thread": seconds(
                [explain("several", "--shard", f"{i + 1}/{n}") for i in range(n)], 1
            ),
        }
        one, several = digests(Path(folder, "one")), digests(Path(folder, "several"))
    first = times["one process of one thread"]
    for what, took in times.items():
        print(f"{what}: {took:.0f} s, {first / took:.2f}x")
    different = sorted(
        name for name in one.keys() | several.keys() if one.get(name) != several.get(name)
    )
    print(f"{len(one)} files, {len(different)} differ between one process and {n}")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
