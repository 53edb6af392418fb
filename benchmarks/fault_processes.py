"""xrano's commands as processes of their own, which start in no time and can be killed.

Importing torch takes longer than a command on so small a cohort. So everything is imported once,
and each process is a fork of that: from there on it is a process like any other. All of it runs in
one thread, which is also what makes a fork safe.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import os
import pkgutil
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import xrano

_LAZY = ("captum.attr", "matplotlib.figure", "nilearn.datasets", "sklearn.ensemble", "pyarrow")
"""What commands import on their way."""


@dataclass(frozen=True)
class Said:
    """How a command ended: its exit status (negative for a signal) and its words."""

    status: int
    output: str
    errors: str


class Command:
    """A command that is running in a session of its own.

    Args:
        words: of the command line, without ``xrano``.
        plain: without the right of root to write where nobody may.
        largest_file: bytes that no file may exceed.
        fresh: start Python anew, as a shell does: where this process has several threads.
    """

    def __init__(
        self,
        words: Sequence[str],
        *,
        plain: bool = False,
        largest_file: int | None = None,
        fresh: bool = False,
    ) -> None:
        self._said = Path(tempfile.mkdtemp(prefix="said-"))
        for name in ("output", "errors"):
            # It may be killed before it has opened them.
            (self._said / name).touch()
        self._status: int | None = None
        sys.stdout.flush()
        self.pid = os.fork()
        if self.pid == 0:
            status = 70
            try:
                self._become(plain=plain, largest=largest_file)
                if fresh:
                    os.execv(sys.executable, [sys.executable, "-m", "xrano.cli.main", *words])
                status = _obey(words)
            finally:
                with contextlib.suppress(Exception):
                    sys.stdout.flush()
                    sys.stderr.flush()
                os._exit(status)

    def _become(self, *, plain: bool, largest: int | None) -> None:
        os.setsid()
        for number, name in ((1, "output"), (2, "errors")):
            file = os.open(self._said / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
            os.dup2(file, number)
        # The parent's own may be objects of a test runner.
        sys.stdout = os.fdopen(1, "w", buffering=1, closefd=False)
        sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False)
        if largest is not None:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))
        if plain and os.geteuid() == 0:
            _drop_capabilities()

    def poll(self) -> int | None:
        """The exit status, negative for a signal; ``None`` while it runs."""
        if self._status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self._status = os.waitstatus_to_exitcode(status) if pid else None
        return self._status

    def wait(self) -> Said:
        """Wait for its end; its words are gone afterwards."""
        if self._status is None:
            self._status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        output, errors = (
            (self._said / name).read_text(encoding="utf-8", errors="replace")
            for name in ("output", "errors")
        )
        shutil.rmtree(self._said)
        return Said(self._status, output, errors)

    def kill(self, *, workers: bool) -> None:
        """Kill it by SIGKILL, its workers too or left alone, and wait until all are gone."""
        with contextlib.suppress(ProcessLookupError):
            if self.poll() is None:
                (os.killpg if workers else os.kill)(self.pid, signal.SIGKILL)
        while self.poll() is None:
            time.sleep(0.002)
        # Workers that are left see that they are alone, and have a while for it.
        deadline = time.monotonic() + 20
        while self._group_lives() and time.monotonic() < deadline:
            time.sleep(0.02)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)

    def _group_lives(self) -> bool:
        try:
            os.killpg(self.pid, 0)
        except ProcessLookupError:
            return False
        return True


def import_everything() -> None:
    """Import xrano and what it needs, for one thread, into this process."""
    os.environ["OMP_NUM_THREADS"] = "1"
    os.environ["MPLBACKEND"] = "Agg"
    import torch

    torch.set_num_threads(1)
    for module in pkgutil.walk_packages(xrano.__path__, "xrano."):
        # What an extra brings is not needed here.
        with contextlib.suppress(ImportError):
            importlib.import_module(module.name)
    for name in _LAZY:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)


def _drop_capabilities() -> None:
    """Let the rights of files and folders hold for root too."""
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION, 0)
    if ctypes.CDLL(None, use_errno=True).capset(header, (ctypes.c_uint32 * 6)()):
        raise OSError(ctypes.get_errno(), "capset")


_CAPABILITY_VERSION = 0x20080522
"""The third, of linux/capability.h."""


def _obey(words: Sequence[str]) -> int:
    from xrano.cli.main import main

    try:
        return main(words)
    except SystemExit as error:
        return int(error.code or 0)
