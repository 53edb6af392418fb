"""A disk that is full, and a folder that may not be written."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path

from benchmarks.fault_cases import Case
from benchmarks.fault_processes import Command, Said
from benchmarks.fault_trials import Trials, end_alike, judge, remove_tree

LEVELS = (0.0, 0.3, 0.6, 0.9)
"""How much of what the command writes the disk holds."""

FULL_WORDS = ("no room to write", "free", "run the same command again")

_PAGE = 4096


def may_mount() -> bool:
    """Whether this user may mount a small file system."""
    if os.geteuid() != 0:
        return False
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], capture_output=True
        )
        if done.returncode == 0:
            subprocess.run(["umount", folder], check=True)
        return done.returncode == 0


def fill_disks(case: Case, levels: Sequence[float] = LEVELS) -> Trials:
    """Run a command on disks too small for it, then give it room.

    Args:
        case: the command.
        levels: how much of what it writes each disk holds.
    """
    trials, mounts = Trials(), may_mount()
    for level in levels:
        what = f"a disk of {level:.0%} of the space"
        remove_tree(case.out)
        if mounts:
            _fill_one(case, level, trials, what)
        else:
            judge(case, _limited(case, level), FULL_WORDS, trials, what)
            end_alike(case, trials, what)
    return trials


def _fill_one(case: Case, level: float, trials: Trials, what: str) -> None:
    files = [path for path in case.whole.rglob("*") if path.is_file()]
    pages = sum(-(-path.stat().st_size // _PAGE) for path in files)
    with _small_disk(case.out, max(1, int(level * pages)) * _PAGE):
        judge(case, case.start().wait(), FULL_WORDS, trials, what)
        subprocess.run(["mount", "-o", "remount,size=1g", str(case.out)], check=True)
        end_alike(case, trials, what)


@contextmanager
def _small_disk(place: Path, size: int) -> Iterator[None]:
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", str(place)], check=True)


def _limited(case: Case, level: float) -> Said:
    """A limit on the size of a file stands for a full disk where none can be mounted."""
    largest = max(path.stat().st_size for path in case.whole.rglob("*") if path.is_file())
    limit = int(max(level, 0.05) * largest)
    return Command(case.words, largest_file=limit).wait()


def forbid_folders(case: Case, *, count: int, seed: int) -> Trials:
    """Run a half-finished command where a folder of it may not be written, then where it may.

    The first folder is ``out`` itself, the others are drawn from those below it.
    """
    draw, trials = random.Random(seed), Trials()
    below = [
        path
        for path in sorted(case.whole.rglob("*"))
        if path.is_dir()
        and not any(fnmatch(f"{path.relative_to(case.whole)}/", given) for given in case.given)
    ]
    chosen = [case.whole, *draw.sample(below, min(max(count - 1, 0), len(below)))]
    for folder in chosen[:count]:
        place = case.out / folder.relative_to(case.whole)
        _half_finished(case, folder)
        place.chmod(0o555)
        try:
            said = Command(case.words, plain=True).wait()
        finally:
            place.chmod(0o755)
        judge(case, said, (str(place),), trials, f"{place} is read-only")
        end_alike(case, trials, f"{place} was read-only")
    return trials


def _half_finished(case: Case, folder: Path) -> None:
    """What an undisturbed run left, without the files of one folder and of the top."""
    remove_tree(case.out)
    shutil.copytree(case.whole, case.out)
    for place in (folder, case.whole):
        for path in place.iterdir():
            if path.is_file():
                (case.out / path.relative_to(case.whole)).unlink(missing_ok=True)
