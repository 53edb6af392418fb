"""Kill a command at random moments, start it again, and compare what it leaves in the end."""

from __future__ import annotations

import hashlib
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

EARLY = 0.2
"""Share of kills at any moment from the start; the others come once something was written."""

PATIENCE_S = 300.0


def digests(out: Path) -> dict[str, str]:
    """SHA-256 of every finished file; hidden ones are temporary."""
    return {
        path.relative_to(out).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(out.rglob("*"))
        if path.is_file() and not path.name.startswith(".")
    }


@dataclass
class Outcome:
    """What killing found.

    ``moments``: seconds from the start of a process to its kill; ``rounds``: how often the work was
    finished between two kills, and begun anew; ``different``: files that were not those of an
    undisturbed run, whenever the work was finished.
    """

    moments: list[float] = field(default_factory=list)
    rounds: int = 0
    different: list[str] = field(default_factory=list)
    leftovers: int = 0


def kill_again_and_again(
    command: Sequence[str], out: Path, expected: dict[str, str], *, kills: int, seed: int
) -> Outcome:
    """Kill a command that writes into a folder, and let the last process finish.

    Args:
        command: what to run; each time the same.
        out: the folder; a run that finished in spite of everything is compared and removed.
        expected: :func:`digests` of an undisturbed run.
        kills: how many processes are killed (SIGKILL).
        seed: of the moments.
    """
    draw, found = random.Random(seed), Outcome()
    while len(found.moments) < kills:
        moment = _kill(command, out, draw)
        if moment is not None:
            found.moments.append(moment)
            continue
        found.rounds += 1
        found.different += _differences(out, expected)
        shutil.rmtree(out)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    found.different += _differences(out, expected)
    found.leftovers = sum(path.name[0] == "." and path.name[1].isdigit() for path in _files(out))
    return found


def _kill(command: Sequence[str], out: Path, draw: random.Random) -> float | None:
    """Seconds after which a process was killed; ``None`` if it had finished."""
    before, start = set(_files(out)), time.monotonic()
    early, wait = draw.random() < EARLY, draw.random()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    while not early and process.poll() is None and set(_files(out)) == before:
        if time.monotonic() - start > PATIENCE_S:
            process.kill()
            process.wait()
            raise TimeoutError(f"nothing new in {out} after {PATIENCE_S:.0f} s")
        time.sleep(0.01)
    time.sleep(4 * wait if early else wait)
    if process.poll() is None:
        process.send_signal(signal.SIGKILL)
    if process.wait() == -signal.SIGKILL:
        return time.monotonic() - start
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} failed by itself with {process.returncode}")
    return None


def _files(out: Path) -> list[Path]:
    # Files may go while they are listed, and the lock is there from the start.
    return [path for path in out.rglob("*.*") if not path.name.startswith(".lock")]


def _differences(out: Path, expected: dict[str, str]) -> list[str]:
    found = digests(out)
    names = sorted(found.keys() | expected.keys())
    return [name for name in names if found.get(name) != expected.get(name)]
