"""Two processes (gloo) that share every batch train what one process trains."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from rank_processes import ended, free_port, srun_variables, start, start_job, torchrun_variables
from safetensors.torch import load_file

from xrano.errors import ConfigError
from xrano.training.config import RunConfig
from xrano.training.fabric import Job, job_of, start_fabric, start_ranks
from xrano.training.ranks import ALONE
from xrano.training.run import Run, open_run
from xrano.training.train_run import train_run

SCRIPT = Path(__file__).with_name("rank_script.py")
COMMAND = ("-m", "xrano.cli.main")
FLOAT32, DOUBLE = 2e-5, 1e-10
"""Most that a weight may be off, of weights around 0.1 and steps of 0.002; seen: 4e-6 and 6e-13.

A weight whose gradient is zero but for rounding is moved by that noise, which AdamW divides by its
own size: the siamese stem has such (4e-4 in float32), and a plateau begins at the full rate (5e-5).
These are compared in double precision.
"""


def quiet(*_: object) -> None:
    pass


class Interrupted(Exception):
    pass


def changed(config: RunConfig, name: str = "vit_small", **training: object) -> RunConfig:
    """One fold for three epochs; 5 pairs a batch are 3 and 2 for two processes."""
    common = {"epochs": 3, "batch_size": 5, "affine": 0.5, "noise": 0.05, **training}
    return replace(
        config,
        model=replace(config.model, name=name),
        training=replace(config.training, **common),
        folds=(0,),
    )


@pytest.fixture(scope="module")
def cases(tiny_config: RunConfig) -> dict[str, RunConfig]:
    """What is trained by one process and by two; networks without batch statistics at first."""
    plain = changed(tiny_config)
    double = changed(tiny_config, precision="64-true")
    other = changed(tiny_config, balancing="both", labels="ordinal", focal_gamma=1.0, epochs=2)
    pretext = replace(tiny_config.pretraining, kind="rotation", epochs=1, batch_size=5)
    return {
        "plain": plain,
        "the same part for both": plain,
        "double precision": double,
        "one a batch": changed(tiny_config, batch_size=1, epochs=1),
        "recomputed": replace(plain, model=replace(plain.model, checkpointing=True)),
        "clinical": replace(other, model=replace(other.model, clinical=True)),
        "siamese": replace(double, model=replace(plain.model, stem="siamese")),
        "pretrained": replace(changed(tiny_config, epochs=1), pretraining=pretext),
        "plateau": changed(tiny_config, schedule="plateau", precision="64-true"),
        "gone on": plain,
        "untrained": changed(tiny_config, epochs=0),
        "batch statistics": changed(tiny_config, "densenet_small"),
        "batch statistics, one a batch": changed(
            tiny_config, "densenet_small", batch_size=1, epochs=1
        ),
    }


EQUAL = {
    **dict.fromkeys(("plain", "one a batch", "recomputed", "clinical", "pretrained"), FLOAT32),
    **dict.fromkeys(("double precision", "siamese", "plateau"), DOUBLE),
}
"""Case to tolerance."""


def case(config: RunConfig, out: Path, **more: object) -> dict[str, object]:
    """For the script of the processes."""
    return {"config": config.to_dict(), "out": str(out), "count": 2, **more}


@pytest.fixture(scope="module")
def alone(cases: dict[str, RunConfig], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    """Every case by one process."""
    root = tmp_path_factory.mktemp("alone")
    return {name: train_run(config, root / name, report=quiet) for name, config in cases.items()}


@pytest.fixture(scope="module")
def together(
    cases: dict[str, RunConfig], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Run]:
    """Every case by two processes, one case after the other, the first of them twice."""
    root = tmp_path_factory.mktemp("together")

    def interrupt(_fold: int, line: dict[str, float], _epochs: int) -> None:
        raise Interrupted

    with pytest.raises(Interrupted):
        train_run(cases["gone on"], root / "gone on", report=interrupt)
    listed = [
        case(config, root / name, same_part=name == "the same part for both")
        for name, config in cases.items()
    ]
    listed.append(case(cases["plain"], root / "plain", finished=True))
    (root / "cases.json").write_text(json.dumps(listed))
    for status, said, error in ended(start_job([str(SCRIPT), str(root / "cases.json")])):
        assert status == 0, error
        assert said == ""
    return {name: open_run(root / name) for name in cases}


def weights(run: Run) -> dict[str, torch.Tensor]:
    """Those of the last epoch, and under other names those of the best."""
    folder = run.root / "fold-0"
    last = torch.load(folder / "resume.pt", weights_only=True)["network"]
    return last | {f"best {k}": v for k, v in load_file(folder / "model.safetensors").items()}


def apart(first: Run, second: Run) -> float:
    """The most that any weight differs by."""
    one, other = weights(first), weights(second)
    assert one.keys() == other.keys()
    return max(float((one[name].double() - other[name].double()).abs().max()) for name in one)


def lines(run: Run) -> pd.DataFrame:
    return pd.read_json(run.root / "fold-0" / "metrics.jsonl", lines=True)


def logits(run: Run) -> np.ndarray:
    table = run.predictions
    return table[[name for name in table if name.startswith("logit_")]].to_numpy()


def names(root: Path) -> set[str]:
    files = {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}
    return {name for name in files if "tensorboard" not in name}


# --- the same as one process


@pytest.mark.slow
@pytest.mark.parametrize("name", EQUAL)
def test_weights_history_and_predictions_are_those_of_one_process(name, alone, together):
    one, two = alone[name], together[name]
    assert apart(one, two) < EQUAL[name]
    pd.testing.assert_frame_equal(lines(one), lines(two), check_exact=False, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(logits(one), logits(two), atol=1e-3)
    columns = ["pair_id", "patient_id", "fold", "response", "predicted"]
    pd.testing.assert_frame_equal(one.predictions[columns], two.predictions[columns])


@pytest.mark.slow
def test_the_test_would_see_that_both_took_the_same_part(alone, together):
    name = "the same part for both"
    assert apart(alone[name], together[name]) > 20 * FLOAT32
    assert np.abs(logits(alone[name]) - logits(together[name])).max() > 0.1


@pytest.mark.slow
def test_a_training_that_one_process_began_is_gone_on_with_by_two(alone, together):
    assert list(lines(together["gone on"])["epoch"]) == [0, 1, 2]
    assert apart(alone["plain"], together["gone on"]) < FLOAT32


@pytest.mark.slow
def test_the_first_process_alone_leaves_files_and_they_are_the_same(alone, together):
    """The script lets the other one fail if it writes anything."""
    for name in alone:
        assert names(alone[name].root) == names(together[name].root), name


# --- batch statistics


@pytest.mark.slow
def test_on_processors_batch_statistics_are_those_of_each_part(alone, together):
    """Not the same network, but one as good: the measured difference stands in docs/cluster.md."""
    one, two = alone["batch statistics"], together["batch statistics"]
    assert apart(one, two) > FLOAT32
    assert np.abs(lines(one)["train_loss"] - lines(two)["train_loss"]).max() < 0.5


@pytest.mark.slow
def test_a_process_without_a_sample_leaves_the_statistics_alone(alone, together):
    name = "batch statistics, one a batch"
    assert apart(alone[name], together[name]) < FLOAT32


# --- told to stop, and errors


def words(config: RunConfig, out: Path, *more: str) -> list[str]:
    training = config.training
    return [
        *("train", config.store, "--out", str(out), "--n_folds", "3", "--folds", "0"),
        *("--model.name", config.model.name, "--model.sequences", *config.model.sequences),
        *("--training.epochs", str(training.epochs), "--training.accelerator", "cpu"),
        *("--training.batch_size", str(training.batch_size), "--training.affine", "0.5"),
        *("--training.learning_rate", str(training.learning_rate), "--training.noise", "0.05"),
        *more,
    ]


@pytest.mark.slow
def test_stopped_under_srun_it_is_gone_on_with_by_one_process(cases, alone, tmp_path: Path):
    longer = replace(cases["plain"], training=replace(cases["plain"].training, epochs=300))
    job = start_job([*COMMAND, *words(longer, tmp_path / "run")], srun_variables)
    fold = tmp_path / "run" / "fold-0"
    while not (fold / "resume.pt").is_file() and all(one.poll() is None for one in job):
        time.sleep(0.01)
    for process in job:
        process.terminate()
    found = ended(job)
    assert [status for status, _, _ in found] == [143, 143], found
    said = "".join(error for _, _, error in found).splitlines()
    # torch's own log may add that the other process has gone, and both may be told to stop before
    # either could ask who tells of it.
    own = {line for line in said if not line.startswith("[")}
    assert len(own) == 1, said
    assert own.pop().startswith("xrano: told to stop (SIGTERM)")
    done = len((fold / "metrics.jsonl").read_text().splitlines())
    assert 1 <= done < 300
    assert not [path for path in tmp_path.rglob(".*") if path.is_file()]
    for name in ("run", "undisturbed"):
        with pytest.raises(Interrupted):
            train_run(longer, tmp_path / name, report=until(done))
    stopped, undisturbed = (
        torch.load(tmp_path / name / "fold-0" / "resume.pt", weights_only=True)["network"]
        for name in ("run", "undisturbed")
    )
    for name, value in stopped.items():
        torch.testing.assert_close(value, undisturbed[name], rtol=0, atol=FLOAT32)


def until(epoch: int):
    """Interrupts a training once an epoch is over."""

    def report(_fold: int, line: dict[str, float], _epochs: int) -> None:
        if line["epoch"] == epoch:
            raise Interrupted

    return report


@pytest.mark.slow
def test_an_error_of_the_first_process_is_told_once(cases, alone):
    other = [*words(cases["plain"], alone["plain"].root), "--seed", "5"]
    found = ended(start_job([*COMMAND, *other]))
    assert [status for status, _, _ in found] == [1, 1]
    said = "".join(error for _, _, error in found).splitlines()
    (line,) = said
    assert "already holds a run with other settings" in line
    assert found[1][1] == ""


@pytest.mark.slow
def test_an_error_of_another_process_is_told_once_and_ends_all(cases, tmp_path: Path):
    port = free_port()
    lost = replace(cases["plain"], store="/nowhere/store")
    job = [
        start([*COMMAND, *words(config, tmp_path / "run")], torchrun_variables(rank, port))
        for rank, config in enumerate((cases["plain"], lost))
    ]
    found = ended(job)
    assert [status for status, _, _ in found] == [1, 1]
    said = "".join(error for _, _, error in found).splitlines()
    (line,) = said
    assert line.startswith("xrano: error: ")
    assert "/nowhere/store" in line


@pytest.mark.slow
def test_devices_starts_the_processes_itself(cases, alone, tmp_path: Path):
    command = [*COMMAND, *words(cases["plain"], tmp_path / "run", "--devices", "2")]
    ((status, said, error),) = ended([start(command, {})])
    assert (status, error) == (0, "")
    assert said.count("2 processes share every batch of 5 pairs") == 1
    assert said.count("next:  xrano evaluate") == 1
    assert apart(alone["plain"], open_run(tmp_path / "run")) < FLOAT32


# --- which job this is


@pytest.mark.parametrize(
    ("devices", "variables", "job"),
    [
        (1, {}, Job(1)),
        (3, {}, Job(3)),
        (1, torchrun_variables(1, 1), Job(2, 1, "torchrun")),
        (2, torchrun_variables(1, 1), Job(2, 1, "torchrun")),
        (1, {**torchrun_variables(1, 1), "WORLD_SIZE": "8"}, Job(2, 4, "torchrun")),
        (1, srun_variables(1, 1), Job(2, 1, "srun")),
        (1, {**srun_variables(1, 1), "SLURM_NTASKS": "8"}, Job(2, 4, "srun")),
        (1, {"SLURM_NTASKS": "1", "SLURM_PROCID": "0"}, Job(1)),
        # torchrun under srun, one on each machine.
        (1, {**srun_variables(1, 1), **torchrun_variables(1, 1)}, Job(2, 1, "torchrun")),
    ],
)
def test_a_job_says_itself_how_large_it_is(devices, variables, job):
    assert job_of(devices, variables) == job


@pytest.mark.parametrize(
    ("devices", "variables", "said"),
    [
        (0, {}, "devices must be ≥ 1, got 0"),
        (3, torchrun_variables(1, 1), "torchrun has started 2 processes on each machine"),
        (1, {"SLURM_NTASKS": "8", "SLURM_PROCID": "0"}, "SLURM_NTASKS_PER_NODE"),
        (1, {**srun_variables(1, 1), "SLURM_NTASKS_PER_NODE": "x"}, "give --nodes and"),
    ],
)
def test_a_job_that_makes_no_sense_is_refused(devices, variables, said):
    with pytest.raises(ConfigError, match=said):
        job_of(devices, variables)


@pytest.mark.parametrize("kind", [torchrun_variables, srun_variables])
def test_a_task_that_trains_by_itself_does_not_wait_for_the_others(kind, monkeypatch):
    """As in the shards of an audit or a study: srun --ntasks=8 says nothing of machines."""
    for name, value in kind(1, 1, count=8).items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("SLURM_NTASKS_PER_NODE", raising=False)
    assert start_fabric("cpu", "32-true").world_size == 1


def test_one_process_is_alone_and_does_everything():
    assert start_ranks("cpu", "32-true") is ALONE
    assert (ALONE.count, ALONE.index, ALONE.first) == (1, 0, True)
    assert ALONE.part([3, 1, 2]) == [3, 1, 2]
    assert ALONE.by_first(lambda: "done") == "done"
    values = torch.rand(3, 2)
    assert ALONE.total(values) is values
    assert ALONE.gathered([0, 1, 2], values, (3, 2)) is values
