"""The SLURM scripts in ``docs/cluster``: every command in them parses, and what stops goes on."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from xrano.cli.arguments import underscored
from xrano.cli.main import parsed

SCRIPTS = sorted((Path(__file__).parents[2] / "docs" / "cluster").glob("*.sbatch"))
VARIABLES = {
    "SLURM_ARRAY_TASK_ID": "2",
    "SLURM_ARRAY_TASK_COUNT": "8",
    "SLURM_CPUS_PER_TASK": "4",
    "SLURM_JOB_ID": "77",
}


def xrano_lines(script: Path) -> list[list[str]]:
    """The words of every xrano command, those in comments included."""
    text = script.read_text().replace("\\\n", " ")
    found = []
    for line in text.splitlines():
        command = re.search(r"(?:^|\s)xrano\s+(?!ends)([a-z].*)$", line.removeprefix("#"))
        if command is None or line.startswith("#SBATCH"):
            continue
        ended = re.split(r"\|\||>", command[1])[0]
        for name, value in VARIABLES.items():
            ended = ended.replace(f"${name}", value)
        found.append(shlex.split(ended))
    return found


@pytest.fixture
def job(tmp_path: Path):
    """Run a script where srun, xrano and scontrol only note what they are asked; the notes."""

    def run(script: Path, status: int) -> tuple[int, list[str]]:
        notes = tmp_path / "notes"
        notes.unlink(missing_ok=True)
        programs = {
            # Its own options go, the rest is run.
            "srun": 'while [[ "$1" == --* ]]; do shift; done\nexec "$@"',
            "xrano": f'echo "xrano $*" >> {notes}\n[ "$1" = doctor ] && exit 0\nexit {status}',
            "scontrol": f'echo "scontrol $*" >> {notes}',
        }
        for name, body in programs.items():
            (tmp_path / name).write_text(f"#!/bin/bash\n{body}\n")
            (tmp_path / name).chmod(0o755)
        path = f"{tmp_path}:{os.environ['PATH']}"
        done = subprocess.run(
            ["bash", str(script)], env={**os.environ, **VARIABLES, "PATH": path}, cwd=tmp_path
        )
        return done.returncode, notes.read_text().splitlines()

    return run


def test_there_are_scripts_for_the_long_commands():
    names = {script.stem for script in SCRIPTS}
    assert {"prepare", "train", "explain", "score", "study", "audit"} <= names


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_bash_and_the_parser_understand_it(script: Path):
    assert subprocess.run(["bash", "-n", str(script)]).returncode == 0
    lines = xrano_lines(script)
    assert lines
    for words in lines:
        command, _ = parsed([underscored(word) for word in words])
        assert command == words[0]


@pytest.mark.parametrize(
    "script",
    [script for script in SCRIPTS if "--requeue" in script.read_text()],
    ids=lambda script: script.stem,
)
def test_a_job_that_is_told_to_stop_is_put_back_into_the_queue(script: Path, job):
    assert job(script, 0)[0] == 0
    assert not any(line.startswith("scontrol") for line in job(script, 0)[1])
    status, notes = job(script, 143)
    assert status == 143
    assert notes[-1] == "scontrol requeue 77"
    status, notes = job(script, 1)
    assert status == 1
    assert not any(line.startswith("scontrol") for line in notes)


@pytest.mark.parametrize("name", ["score", "audit"])
def test_parts_are_put_together_only_when_all_are_done(name: str, job):
    (script,) = [script for script in SCRIPTS if script.stem == name]
    assert len(job(script, 0)[1]) == 2
    assert len(job(script, 1)[1]) == 1


def test_each_task_of_an_array_has_its_own_part(job):
    (script,) = [script for script in SCRIPTS if script.stem == "study"]
    (line,) = job(script, 0)[1]
    assert "--shard 2/8" in line
    (script,) = [script for script in SCRIPTS if script.stem == "train"]
    (line,) = job(script, 0)[1]
    assert line.endswith("--folds 2")
