"""Kill a command at random moments, start it again, and look at what it leaves."""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path

from benchmarks.fault_comparison import differences, digest, half_written, visible_files
from benchmarks.fault_processes import Command, Said

PATIENCE_S = 900.0


@dataclass
class Killed:
    """What killing found.

    ``moments``: seconds from the start of a process to its kill; ``at_files``: how many of these
    came the moment a file appeared; ``rounds``: how often the work was finished between two kills,
    and begun anew; ``went_on``: how many starts found finished work and kept it; ``different``:
    files that were not those of an undisturbed run when the work was finished; ``lost``: finished
    work that was gone or changed after a later kill; ``half``: files that were not whole.
    """

    moments: list[float] = field(default_factory=list)
    at_files: int = 0
    rounds: int = 0
    went_on: int = 0
    different: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    half: list[str] = field(default_factory=list)

    @property
    def faults(self) -> list[str]:
        """All that was wrong, in words."""
        return (
            [f"differs in the end: {name}" for name in self.different]
            + [f"was finished and is lost: {name}" for name in self.lost]
            + [f"is not whole: {name}" for name in self.half]
        )


def kill_again_and_again(
    start: Callable[[], Command],
    out: Path,
    expected: Mapping[str, str],
    *,
    kills: int,
    seed: int,
    seconds: float,
    kept: Sequence[str] = (),
) -> Killed:
    """Kill a command that writes into a folder, and let the last process finish.

    Half of the kills come at a time drawn between the start and the end of an undisturbed run, half
    the moment a file (temporary ones count) appears; half of either reach the process alone and
    half its workers too.

    Args:
        start: starts the command; each time the same.
        out: the folder; when the work is finished in spite of everything it is compared and
            removed.
        expected: digests of an undisturbed run.
        kills: how many processes are killed (SIGKILL).
        seed: of the moments.
        seconds: what an undisturbed run takes.
        kept: patterns of files that are never made again once they are finished.
    """
    draw, found = random.Random(seed), Killed()
    finished: dict[str, int] = {}
    while len(found.moments) < kills:
        ended = _kill(start, out, draw, len(expected), seconds)
        if ended is None:
            found.rounds += 1
            found.different += differences(out, expected)
            shutil.rmtree(out)
            finished = {}
            continue
        found.moments.append(ended.seconds)
        found.at_files += ended.at_file
        found.half += half_written(out)
        now = _finished(out, expected, kept)
        found.lost += [name for name, made in finished.items() if now.get(name) != made]
        found.went_on += bool(now)
        finished = now
    run_to_the_end(start)
    found.different += differences(out, expected)
    now = _finished(out, expected, kept)
    found.lost += [name for name, made in finished.items() if now.get(name) != made]
    return found


def run_to_the_end(start: Callable[[], Command]) -> float:
    """Run a command that must not fail; how many seconds it took.

    Raises:
        RuntimeError: with what it said, if it fails.
    """
    began = time.monotonic()
    _require_success(start().wait())
    return time.monotonic() - began


def _require_success(said: Said) -> None:
    if said.status:
        raise RuntimeError(
            f"the command failed by itself with {said.status}: {said.errors[-2000:]}"
        )


@dataclass(frozen=True)
class _Ended:
    seconds: float
    at_file: bool


def _kill(
    start: Callable[[], Command], out: Path, draw: random.Random, files: int, seconds: float
) -> _Ended | None:
    """How a process was killed; ``None`` if it had finished."""
    at_file, workers = draw.random() < 0.5, draw.random() < 0.5
    share, before, began = draw.random(), _names(out), time.monotonic()
    missing = max(1, files - sum(not Path(name).name.startswith(".") for name in before))
    # A file appears twice: under its temporary name and under its own.
    after_files = 1 + int(share * 2 * missing)
    process = start()
    appeared: set[str] = set()
    while process.poll() is None:
        passed, looked = time.monotonic() - began, 0.0
        if at_file:
            appeared |= _names(out) - before
            looked = time.monotonic() - began - passed
            if len(appeared) >= after_files:
                break
        elif passed >= share * seconds:
            break
        if passed > PATIENCE_S:
            process.kill(workers=True)
            raise TimeoutError(f"the command did not end in {PATIENCE_S:.0f} s")
        # Looking takes half a core at most, so that the command keeps its own.
        time.sleep(max(0.001, looked))
    passed = time.monotonic() - began
    process.kill(workers=workers)
    said = process.wait()
    if said.status == -signal.SIGKILL:
        return _Ended(passed, at_file)
    _require_success(said)
    return None


def _names(out: Path) -> set[str]:
    """Every file there is; files and folders may go while they are listed."""
    found: set[str] = set()
    for folder, _, names in os.walk(out):
        found.update(f"{folder}/{name}" for name in names if not name.startswith(".lock"))
    return found


def _finished(out: Path, expected: Mapping[str, str], kept: Sequence[str]) -> dict[str, int]:
    """When each finished file that is kept was written, by name."""
    found = {}
    for path in visible_files(out):
        name = path.relative_to(out).as_posix()
        if any(fnmatch(name, pattern) for pattern in kept) and digest(path) == expected.get(name):
            found[name] = path.stat().st_mtime_ns
    return found
