"""Fuzz every reader of files from others for a bounded time, and count what they did.

    python -m benchmarks.fuzz [--seconds 120] [--readers nifti sessions ...] [--seed 0] [--keep]

Inputs are good files changed here and there, and noise (``tests/fuzz``). A reader may give a value
or raise an error of xrano's; anything else, more than 512 MB or more than 20 s is a failure, is
printed with its smallest input, and with ``--keep`` becomes a file of the corpus. Where atheris is
installed it also guides noise by the code that is reached, for a third of the time; Hypothesis
takes the rest. The exit status is 1 if anything failed.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, seed, settings

# The tests' own modules, as pytest finds them.
sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "fuzz"))

from fuzz_targets import CORPUS, TARGETS, attempt, corpus

ROOT = Path(__file__).parent.parent
ROUND = 100
"""Inputs between two looks at the clock."""


@dataclass
class Counts:
    """What a reader did with its inputs."""

    accepted: int = 0
    refused: int = 0
    seconds: float = 0.0
    failures: dict[str, bytes] = field(default_factory=dict)

    @property
    def inputs(self) -> int:
        """All of them."""
        return self.accepted + self.refused + len(self.failures)


def fuzz(name: str, seconds: float, start: int) -> Counts:
    """Give a reader what is kept, then as much as the time allows.

    Args:
        name: of the reader.
        seconds: how long.
        start: seed of the first round.
    """
    counts, begun = Counts(), time.monotonic()
    for path in corpus(name):
        _round(counts, partial(_take, counts, name, path.read_bytes()))
    number = start
    while time.monotonic() - begun < seconds:
        _round(counts, _property(counts, name, number, begun + seconds))
        number += 1
    counts.seconds = time.monotonic() - begun
    return counts


def _property(counts: Counts, name: str, number: int, end: float) -> Callable[[], None]:
    @settings(
        max_examples=ROUND,
        database=None,
        deadline=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    @seed(number)
    @given(content=TARGETS[name].inputs())
    def read(content: bytes) -> None:
        if time.monotonic() < end:
            _take(counts, name, content)

    return read


_last: list[bytes] = [b""]


def _take(counts: Counts, name: str, content: bytes) -> None:
    _last[0] = content
    if attempt(name, content):
        counts.accepted += 1
    else:
        counts.refused += 1


def _round(counts: Counts, run: Callable[[], None]) -> None:
    """Run something that may fail; the last input is then the smallest that does."""
    try:
        run()
    except BaseException as error:
        if isinstance(error, (KeyboardInterrupt, SystemExit)):
            raise
        place = _place(error)
        counts.failures.setdefault(f"{type(error).__name__} in {place}: {error}"[:300], _last[0])


def _place(error: BaseException) -> str:
    """Where in xrano an error came up."""
    trace, found = error.__traceback__, "elsewhere"
    while trace is not None:
        file = Path(trace.tb_frame.f_code.co_filename)
        if (
            "xrano" in file.parts
            and "site-packages" not in file.parts
            and "tests" not in file.parts
        ):
            found = f"{file.name}:{trace.tb_lineno}"
        trace = trace.tb_next
    return found


def guided(name: str, seconds: float) -> Counts:
    """Let atheris, in a process of its own, change the corpus guided by the code that is reached.

    Args:
        name: of the reader.
        seconds: how long.
    """
    code = (
        "import sys, atheris\n"
        f"sys.path.insert(0, {str(CORPUS.parent)!r})\n"
        "with atheris.instrument_imports(include=['xrano']):\n"
        "    from fuzz_targets import attempt\n"
        f"atheris.Setup(sys.argv, lambda content: attempt({name!r}, content))\n"
        "atheris.Fuzz()\n"
    )
    counts = Counts()
    with tempfile.TemporaryDirectory() as folder:
        # libFuzzer writes into the first folder whatever reaches something new, and reads them all.
        new, crashes = Path(folder, "new"), Path(folder, "crashes")
        new.mkdir()
        crashes.mkdir()
        command = [sys.executable, "-c", code, f"-max_total_time={max(1, int(seconds))}"]
        command += ["-rss_limit_mb=6000", "-timeout=20", f"-artifact_prefix={crashes}/", str(new)]
        command += [str(CORPUS / name)] if (CORPUS / name).is_dir() else []
        done = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, errors="replace", check=False
        )
        runs = re.findall(r"^(?:Done |#)(\d+)", done.stderr, re.MULTILINE)
        counts.accepted = int(runs[-1]) if runs else 0
        if done.returncode:
            told = re.search(r"Uncaught Python exception: ===\n(.*(?:\n.*){0,12})", done.stderr)
            kept = [path.read_bytes() for path in crashes.iterdir()]
            cause = told.group(1) if told else done.stderr.strip()[-300:]
            counts.failures[f"atheris: {cause}"] = kept[0] if kept else b""
    return counts


def main() -> int:
    """Fuzz, print the counts, and say what failed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--readers", nargs="+", choices=sorted(TARGETS), default=sorted(TARGETS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", action="store_true", help="write failures into the corpus")
    arguments = parser.parse_args()
    has_atheris = find_spec("atheris") is not None
    each = arguments.seconds / len(arguments.readers)
    print(f"Hypothesis{' and atheris' if has_atheris else ' (atheris is not installed)'}")
    print(
        f"{'reader':14}{'inputs':>8}{'accepted':>10}{'refused':>9}{'guided':>8}{'failures':>10}"
        f"{'kept':>6}"
    )
    failed = total = 0
    for name in arguments.readers:
        counts = fuzz(name, each * (2 / 3 if has_atheris else 1), arguments.seed)
        led = guided(name, each / 3) if has_atheris else Counts()
        failures = {**counts.failures, **led.failures}
        total, failed = total + counts.inputs + led.inputs, failed + len(failures)
        print(
            f"{name:14}{counts.inputs:8}{counts.accepted:10}{counts.refused:9}{led.accepted:8}"
            f"{len(failures):10}{len(corpus(name)):6}",
            flush=True,
        )
        for cause, content in failures.items():
            print(f"  {cause}\n    {content[:200]!r}")
            # Without an input it was atheris itself that did not run.
            if arguments.keep and content:
                path = CORPUS / name / f"found-{hashlib.sha256(content).hexdigest()[:10]}.bin"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
    print(f"{total} inputs, {failed} failures")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
