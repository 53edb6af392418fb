"""Told to stop by SIGTERM, as SLURM does: what is done is kept, and the same command goes on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import torch
from unmeasured import unmeasured

from xrano.cli import check_command
from xrano.cli.main import main
from xrano.cli.stopping import Terminated, sigterm_stops
from xrano.data.store import Store
from xrano.errors import ManifestError
from xrano.training.run import Run

Capture = pytest.CaptureFixture[str]


def terminate() -> None:
    os.kill(os.getpid(), signal.SIGTERM)
    # A signal is heard between two steps of Python.
    time.sleep(1)


def test_within_it_is_an_exception_and_afterwards_as_before():
    before = signal.getsignal(signal.SIGTERM)
    with sigterm_stops() as stop:
        assert not stop.asked
        with pytest.raises(Terminated):
            terminate()
        assert stop.asked
    assert signal.getsignal(signal.SIGTERM) is before


def test_elsewhere_than_in_the_main_thread_nothing_changes():
    before = signal.getsignal(signal.SIGTERM)
    found: list[object] = []

    def enter() -> None:
        with sigterm_stops() as stop:
            found.append((signal.getsignal(signal.SIGTERM), stop.asked))

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert found == [(before, False)]


def test_a_worker_that_was_forked_ends_without_a_word():
    with sigterm_stops() as stop:
        child = os.fork()
        if child == 0:
            terminate()
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGTERM
        assert not stop.asked


@pytest.mark.parametrize(
    "error",
    [
        None,
        # What the death of its own workers sets off first.
        RuntimeError("DataLoader worker (pid 7) exited unexpectedly"),
    ],
)
def test_a_command_says_how_to_go_on(error: Exception | None, capsys: Capture, monkeypatch):
    def run(store: Path, timed_pairs: int = 5) -> None:
        try:
            terminate()
        except Terminated:
            if error is not None:
                raise error from None
            raise

    monkeypatch.setattr(check_command, "run", run)
    assert main(["check", "store"]) == 143
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("xrano: told to stop (SIGTERM)")
    assert "run the same command again to go on" in line


def test_workers_that_are_told_first_are_no_bug(capsys: Capture, monkeypatch):
    def run(store: Path, timed_pairs: int = 5) -> None:
        raise RuntimeError("DataLoader worker (pid 7) is killed by signal: Terminated. ")

    monkeypatch.setattr(check_command, "run", run)
    assert main(["check", "store"]) == 143


def test_an_error_that_came_before_keeps_its_status(capsys: Capture, monkeypatch):
    def run(store: Path, timed_pairs: int = 5) -> None:
        raise ManifestError("not whole")

    monkeypatch.setattr(check_command, "run", run)
    assert main(["check", "store"]) == 1


def said_when_stopped(words: list[str], out: Path, done: str) -> str:
    """What a command says that gets SIGTERM once a file is there; it must end with 143."""
    process = subprocess.Popen(
        [sys.executable, "-m", "xrano.cli.main", *words],
        env=unmeasured(OMP_NUM_THREADS="1"),
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    try:
        while not list(out.glob(done)) and process.poll() is None:
            time.sleep(0.01)
        process.terminate()
        _, said = process.communicate(timeout=300)
    finally:
        process.kill()
    assert process.returncode == 143, said
    return said


def words(store: Store, out: Path) -> list[str]:
    return [
        *("train", str(store.root), "--out", str(out), "--folds", "0", "--n_folds", "3"),
        *("--model.name", "densenet_small", "--model.sequences", "CT1", "--training.epochs", "4"),
        *("--training.batch_size", "4", "--training.accelerator", "cpu"),
    ]


def test_training_that_was_stopped_ends_as_if_it_had_not_been(phantom_store: Store, tmp_path: Path):
    stopped, untroubled = tmp_path / "stopped", tmp_path / "untroubled"
    said = said_when_stopped(words(phantom_store, stopped), stopped, "fold-0/resume.pt")
    fold = stopped / "fold-0"
    assert said == (
        "xrano: told to stop (SIGTERM); what is finished is kept: run the same command again to "
        "go on\n"
    )
    assert not (fold / "fold.json").exists()
    assert 1 <= len((fold / "metrics.jsonl").read_text().splitlines()) < 4
    assert not [path for path in stopped.rglob("*") if path.name.startswith(".")]

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        assert main(words(phantom_store, stopped)) == 0
        assert main(words(phantom_store, untroubled)) == 0
    finally:
        torch.set_num_threads(threads)
    for name in ("fold-0/model.safetensors", "fold-0/metrics.jsonl", "predictions.csv"):
        assert (stopped / name).read_bytes() == (untroubled / name).read_bytes(), name
    assert json.loads((fold / "fold.json").read_text())["epochs"] == 4


@pytest.mark.parametrize(
    ("command", "done"),
    [
        (
            ("explain", "--all", "--methods", "saliency", "--maps", "reduced"),
            "units/*/*.json",
        ),
        (("score", "--methods", "saliency", "--copies", "0", "--nulls", "none"), "parts/*.json"),
    ],
    ids=["explain", "score"],
)
def test_pairs_that_were_finished_before_the_stop_are_kept(
    command: tuple[str, ...], done: str, tiny_run: Run, tmp_path: Path
):
    out = tmp_path / "out"
    words = [command[0], str(tiny_run.root), *command[1:], "--out", str(out)]
    said = said_when_stopped(words, out, done)
    assert said.startswith("xrano: told to stop (SIGTERM); what is finished is kept")
    kept = {path: path.stat().st_mtime_ns for path in out.glob(done)}
    assert 1 <= len(kept) < len(tiny_run.predictions)
    assert main(words) == 0
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert len(list(out.glob(done))) == len(tiny_run.predictions)
