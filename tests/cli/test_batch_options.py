"""The ``#SBATCH`` lines of ``docs/cluster``: SLURM knows every option, and they fit the command."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from xrano.cli.main import parsed

SCRIPTS = sorted((Path(__file__).parents[2] / "docs" / "cluster").glob("*.sbatch"))

_COUNT = r"[1-9]\d*"
KNOWN = {
    "job-name": r"xrano-[a-z]+",
    "array": r"\d+-\d+",
    **dict.fromkeys(("nodes", "ntasks", "ntasks-per-node", "cpus-per-task"), _COUNT),
    "gres": rf"gpu:{_COUNT}",
    "mem": rf"0|{_COUNT}[MG]",
    "mem-per-cpu": rf"{_COUNT}[MG]",
    "time": r"\d\d:[0-5]\d:[0-5]\d",
    "signal": rf"TERM@{_COUNT}",
    "requeue": "",
    "open-mode": "append|truncate",
    "output": r"slurm-%x-(%j|%A_%a)\.log",
}
"""Options of sbatch that the scripts use, and what their values look like."""

OF_SRUN = {"nodes": _COUNT, "ntasks": _COUNT, "kill-on-bad-exit": "[01]"}


def checked(words: list[str], known: dict[str, str]) -> dict[str, str]:
    """Options by name.

    Raises:
        ValueError: for one that is not known, is written twice, or has no such value.
    """
    found: dict[str, str] = {}
    for word in words:
        name, _, value = word.removeprefix("--").partition("=")
        if not word.startswith("--") or name not in known:
            raise ValueError(f"{word} is not known")
        if not re.fullmatch(known[name], value) or name in found:
            raise ValueError(f"{word} makes no sense")
        found[name] = value
    return found


def batch_options(text: str) -> dict[str, str]:
    """What sbatch takes from a script.

    Raises:
        ValueError: for a line that it does not know, or does not see since a command is above it.
    """
    lines = [line for line in text.splitlines() if line.strip()]
    head = next((n for n, line in enumerate(lines) if not line.startswith("#")), len(lines))
    if unseen := [line for line in lines[head:] if "#SBATCH" in line]:
        raise ValueError(f"{unseen[0]} stands below a command")
    words = []
    for line in lines[:head]:
        if line.upper().lstrip("# ").startswith("SBATCH"):
            _, *rest = line.split()
            if not line.startswith("#SBATCH ") or len(rest) != 1:
                raise ValueError(f"{line} is not seen as a line of sbatch")
            words += rest
    return checked(words, KNOWN)


def srun_options(text: str) -> list[dict[str, str]]:
    """What each srun of a script is told."""
    joined = text.replace("\\\n", " ")
    found = re.findall(r"^[ \t]*srun((?:[ \t]+--\S+)*)[ \t]+xrano\s", joined, re.MULTILINE)
    return [checked(words.split(), OF_SRUN) for words in found]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_slurm_knows_the_options_and_they_fit_each_other(script: Path):
    text = script.read_text()
    options = batch_options(text)
    assert {"job-name", "time", "output", "cpus-per-task"} <= set(options)
    assert ("ntasks" in options) != ("ntasks-per-node" in options)
    assert ("mem" in options) != ("mem-per-cpu" in options)
    # Told to stop early enough, put back into the queue, and what it said is kept: all or none.
    assert len({name in options for name in ("signal", "requeue", "open-mode")}) == 1
    assert ("scontrol requeue" in text) == ("requeue" in options)
    in_an_array = "$SLURM_ARRAY_TASK_ID" in text
    assert ("array" in options) == in_an_array
    assert options["output"].endswith("%A_%a.log" if in_an_array else "%j.log")
    assert len(srun_options(text)) == len(re.findall(r"^\s*srun\s", text, re.MULTILINE)) > 0


@pytest.mark.parametrize(
    "script",
    [script for script in SCRIPTS if "#SBATCH --array" in script.read_text()],
    ids=lambda script: script.stem,
)
def test_an_array_is_every_part_once(script: Path):
    text = script.read_text().replace("\\\n", " ")
    first, last = map(int, batch_options(text)["array"].split("-"))
    if '--folds "$SLURM_ARRAY_TASK_ID"' in text:
        preset = re.search(r"xrano (train .*--preset \S+)", text)[1]
        _, options = parsed(preset.split())
        assert (first, last) == (0, options.n_folds - 1)
    else:
        assert '--shard "$SLURM_ARRAY_TASK_ID/$SLURM_ARRAY_TASK_COUNT"' in text
        assert first == 1 < last


GOOD = "#!/bin/bash\n# Trains.\n#SBATCH --ntasks=1\n#SBATCH --signal=TERM@120\nsrun xrano train\n"


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("--signal", "--sginal", "--sginal=TERM@120 is not known"),
        ("TERM@120", "120@TERM", "makes no sense"),
        ("--ntasks=1", "--ntasks=0", "makes no sense"),
        ("--ntasks=1", "--signal=TERM@60", "makes no sense"),
        ("--ntasks=1", "-n 1", "not seen"),
        ("#SBATCH --s", "# SBATCH --s", "not seen"),
        ("#SBATCH --s", "#sbatch --s", "not seen"),
        ("train\n", "train\n#SBATCH --requeue\n", "stands below a command"),
    ],
)
def test_a_wrong_line_would_be_noticed(old: str, new: str, words: str):
    assert batch_options(GOOD) == {"ntasks": "1", "signal": "TERM@120"}
    with pytest.raises(ValueError, match=words):
        batch_options(GOOD.replace(old, new))


def test_a_wrong_option_of_srun_would_be_noticed():
    assert srun_options("srun --nodes=1 \\\n  xrano train\n    srun xrano x") == [
        {"nodes": "1"},
        {},
    ]
    with pytest.raises(ValueError, match="--node=1 is not known"):
        srun_options("srun --node=1 xrano train")
