"""A file that is gone, and one of which half is there."""

from __future__ import annotations

import random
import shutil
from fnmatch import fnmatch
from pathlib import Path

from benchmarks.fault_cases import Case
from benchmarks.fault_comparison import visible_files
from benchmarks.fault_trials import Trials, end_alike, judge, remove_tree

FAULTS = ("removed", "truncated")


def damage_files(case: Case, keep: Path, *, count: int, seed: int) -> Trials:
    """Damage files that a command wrote, then files that it reads, one at a time.

    Args:
        case: the command.
        keep: folder for the untouched copy of a file that is damaged.
        count: how many files of either kind; half of them are removed, half truncated. Kinds of
            files (by suffix and folder) take turns, so that rare ones are among them.
        seed: of the choice.
    """
    draw, trials = random.Random(seed), Trials()
    own = [
        name for name in case.expected if not any(fnmatch(name, pattern) for pattern in case.unread)
    ]
    for number, path in enumerate(_spread([case.out / name for name in own], count, draw)):
        remove_tree(case.out)
        shutil.copytree(case.whole, case.out)
        _try(case, path, FAULTS[number % 2], keep, trials, own=True)
    inputs = [path for place in case.reads for path in _files(place)]
    for number, path in enumerate(_spread(inputs, count, draw)):
        remove_tree(case.out)
        _try(case, path, FAULTS[number % 2], keep, trials, own=False)
    return trials


def _try(case: Case, path: Path, fault: str, keep: Path, trials: Trials, *, own: bool) -> None:
    what = f"{path} {fault}"
    aside = keep / "aside"
    shutil.copy2(path, aside)
    if fault == "removed":
        path.unlink()
    else:
        content = path.read_bytes()
        path.write_bytes(content[: len(content) // 2])
    judge(case, case.start().wait(), (path.name,), trials, what)
    shutil.copy2(aside, path)
    if not own:
        # Of its own files the command has made again what it could, or has nothing else to do.
        end_alike(case, trials, what)


def _files(place: Path) -> list[Path]:
    return visible_files(place) if place.is_dir() else [place]


def _spread(paths: list[Path], count: int, draw: random.Random) -> list[Path]:
    """Some of the paths: kinds take turns, in an order that is drawn."""
    kinds: dict[tuple[str, str], list[Path]] = {}
    for path in paths:
        # Files of patients are alike, those of the top are each of a kind.
        kinds.setdefault((str(path.parent.parent), path.suffix), []).append(path)
    for own in kinds.values():
        draw.shuffle(own)
    order = list(kinds.values())
    draw.shuffle(order)
    chosen: list[Path] = []
    while len(chosen) < min(count, len(paths)):
        for own in order:
            if own and len(chosen) < count:
                chosen.append(own.pop())
    return chosen
