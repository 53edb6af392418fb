"""Single faults: a command is run into one, must say so in one line, and must mend it afterwards.

Each trial starts from a folder that is empty, half finished or finished, brings a fault about, runs
the command, looks at what it said, takes the fault away and runs it to the end.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.fault_cases import Case
from benchmarks.fault_comparison import differences, half_written
from benchmarks.fault_processes import Said

SAYS = "xrano: error: "


@dataclass
class Trials:
    """How many faults of a kind were tried, how they ended, and what went wrong.

    ``refused``: with the one line that is needed; ``mended``: the same content in the end without
    a word of the user; ``wrong``: all else, in words.
    """

    tried: int = 0
    refused: int = 0
    mended: int = 0
    wrong: list[str] = field(default_factory=list)


def fault_of(said: Said, words: Sequence[str]) -> str:
    """What is wrong with a refusal that must hold some words; empty if nothing is."""
    if "Traceback" in said.errors + said.output:
        return f"a traceback: {said.errors[-300:]}"
    if said.status != 1:
        return f"exit status {said.status}: {said.errors[-300:]}"
    complaints = [line for line in said.errors.splitlines() if line.startswith(SAYS)]
    if len(complaints) != 1:
        return f"{len(complaints)} lines of complaint: {said.errors[-300:]}"
    missing = [word for word in words if word not in complaints[0]]
    return f"not said: {', '.join(missing)}: {complaints[0]}" if missing else ""


def judge(case: Case, said: Said, words: Sequence[str], trials: Trials, what: str) -> None:
    """Note how a command took a fault: refused it well, mended it, or neither."""
    trials.tried += 1
    if said.status == 0:
        different = differences(case.out, case.expected)
        # A report of what is there says what is missing.
        if different and all(word in said.output for word in words):
            trials.refused += 1
        elif different:
            trials.wrong.append(f"{what}: no complaint, and {different[0]} differs")
        else:
            trials.mended += 1
        return
    fault = fault_of(said, words)
    # What was damaged stays so: it was refused by name.
    half = [
        one
        for one in (half_written(case.out) if case.out.is_dir() else [])
        if not any(word in one for word in words)
    ]
    if fault or half:
        trials.wrong.append(f"{what}: {fault or f'{half[0]} is not whole'}")
    else:
        trials.refused += 1


def end_alike(case: Case, trials: Trials, what: str) -> None:
    """Run the command once more, the fault gone: all must be as if it had never been."""
    said = case.start().wait()
    if said.status:
        trials.wrong.append(f"{what}: the rerun ends with {said.status}: {said.errors[-300:]}")
    elif different := differences(case.out, case.expected):
        trials.wrong.append(f"{what}: after the rerun {different[0]} differs")


def remove_tree(path: Path) -> None:
    """Remove what is there, file or folder."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
