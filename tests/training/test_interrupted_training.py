"""A training that was interrupted or killed goes on and ends with the same bytes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from short_trainings import quiet, settings

from xrano.cli.main import main
from xrano.errors import CheckpointError
from xrano.training.config import RunConfig
from xrano.training.config_file import load_config
from xrano.training.run import Run, open_run
from xrano.training.train_run import train_run

RESULTS = ("model.safetensors", "metrics.jsonl", "fold.json")


def results(root: Path, folds: tuple[int, ...]) -> dict[str, bytes]:
    """The files that an interruption must not change."""
    found = {name: (root / name).read_bytes() for name in ("predictions.csv", "splits.json")}
    for fold in folds:
        found |= {f"{fold}/{name}": (root / f"fold-{fold}" / name).read_bytes() for name in RESULTS}
    return found


class Interrupted(Exception):
    pass


@pytest.fixture(scope="module")
def longer(tiny_config: RunConfig) -> RunConfig:
    """One fold for four epochs, with augmentation and a sampler."""
    config = settings(tiny_config, epochs=4, balancing="both", affine=0.5)
    return replace(config, folds=(0,))


@pytest.fixture(scope="module")
def undisturbed(longer: RunConfig, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return train_run(longer, tmp_path_factory.mktemp("undisturbed") / "run", report=quiet)


@pytest.mark.parametrize("epoch", [0, 2, 3])
def test_a_training_that_was_interrupted_ends_with_the_same_bytes(
    longer: RunConfig, undisturbed: Run, tmp_path: Path, epoch: int
):
    seen = []

    def interrupt(_fold: int, line: dict[str, float], _epochs: int) -> None:
        seen.append(line["epoch"])
        if line["epoch"] == epoch:
            raise Interrupted

    with pytest.raises(Interrupted):
        train_run(longer, tmp_path / "run", report=interrupt)
    assert not (tmp_path / "run" / "fold-0" / "fold.json").exists()
    assert not (tmp_path / "run" / "predictions.csv").exists()
    with pytest.raises(CheckpointError, match="no finished fold"):
        open_run(tmp_path / "run").fold_of({"patient_id": "Patient-001"})
    train_run(longer, tmp_path / "run", report=lambda _f, line, _e: seen.append(line["epoch"]))
    assert seen == [0, 1, 2, 3]
    assert results(tmp_path / "run", (0,)) == results(undisturbed.root, (0,))


def test_a_crash_between_the_files_of_an_epoch_changes_nothing(
    longer: RunConfig, undisturbed: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Metrics and weights of epoch 2 are written, the state that says so is not."""
    import xrano.training.loop as loop

    save, count = loop.save_resume, []

    def fail(path: Path, state: dict[str, object]) -> None:
        count.append(path)
        if len(count) == 3:
            raise Interrupted
        save(path, state)

    monkeypatch.setattr(loop, "save_resume", fail)
    with pytest.raises(Interrupted):
        train_run(longer, tmp_path / "run", report=quiet)
    train_run(longer, tmp_path / "run", report=quiet)
    assert results(tmp_path / "run", (0,)) == results(undisturbed.root, (0,))


def test_a_finished_run_is_not_trained_again(tiny_run: Run, tiny_config: RunConfig):
    before = {path: path.stat().st_mtime_ns for path in tiny_run.root.glob("fold-*/*")}
    seen = []
    train_run(tiny_config, tiny_run.root, report=lambda *line: seen.append(line))
    assert not seen
    assert {path: path.stat().st_mtime_ns for path in tiny_run.root.glob("fold-*/*")} == before


def test_the_same_run_gives_the_same_bytes(longer: RunConfig, undisturbed: Run, tmp_path: Path):
    torch.rand(3)  # the state of the global generator must not matter
    train_run(longer, tmp_path / "run", report=quiet)
    assert results(tmp_path / "run", (0,)) == results(undisturbed.root, (0,))


def test_a_state_of_another_network_is_refused(longer: RunConfig, tmp_path: Path):
    def interrupt(*_: object) -> None:
        raise Interrupted

    with pytest.raises(Interrupted):
        train_run(longer, tmp_path / "run", report=interrupt)
    path = tmp_path / "run" / "fold-0" / "resume.pt"
    state = torch.load(path, weights_only=True)
    state["network"].pop("backbone.features.conv0.weight")
    torch.save(state, path)
    with pytest.raises(CheckpointError, match=r"resume\.pt is of another architecture"):
        train_run(longer, tmp_path / "run", report=quiet)


def wait_for(path: Path, process: subprocess.Popen[bytes], seconds: float = 120.0) -> None:
    end = time.monotonic() + seconds
    while not path.exists():
        assert process.poll() is None, process.stderr.read().decode()
        assert time.monotonic() < end, f"{path} did not appear"
        time.sleep(0.005)


def test_a_training_that_was_killed_ends_with_the_same_bytes(
    undisturbed: Run, longer: RunConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    out = tmp_path / "run"
    arguments = ["train", longer.store, "--out", str(out), "--n_folds", "3", "--folds", "0"]
    arguments += ["--model.name", "densenet_small", "--model.sequences", "CT1", "FLAIR"]
    for name in ("epochs", "batch_size", "learning_rate", "balancing", "affine", "accelerator"):
        arguments += [f"--training.{name}", str(getattr(longer.training, name))]
    process = subprocess.Popen(
        [sys.executable, "-m", "xrano.cli.main", *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())},
    )
    wait_for(out / "fold-0" / "metrics.jsonl", process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert process.returncode == -signal.SIGKILL
    assert not (out / "predictions.csv").exists()
    assert main(arguments) == 0
    assert "xrano evaluate" in capsys.readouterr().out
    assert load_config(out / "config.yaml") == longer
    assert results(out, (0,)) == results(undisturbed.root, (0,))


def test_order_and_random_changes_are_new_in_every_epoch(
    longer: RunConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Before and after an interruption."""
    from xrano.data.dataset import PairDataset
    from xrano.training.sampling import EpochBatches

    told: dict[str, list[int]] = {"order": [], "changes": []}
    for kind, name in ((EpochBatches, "order"), (PairDataset, "changes")):
        original = kind.set_epoch

        def note(self, epoch: int, original=original, name=name) -> None:
            told[name].append(epoch)
            original(self, epoch)

        monkeypatch.setattr(kind, "set_epoch", note)

    def interrupt(_fold: int, line: dict[str, float], _epochs: int) -> None:
        if line["epoch"] == 1:
            raise Interrupted

    with pytest.raises(Interrupted):
        train_run(longer, tmp_path / "run", report=interrupt)
    train_run(longer, tmp_path / "run", report=quiet)
    assert told == {"order": [0, 1, 2, 3], "changes": [0, 1, 2, 3]}
