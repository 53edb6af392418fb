"""Commands run in this process: the line of a training, exit codes, the one line of complaint."""

from __future__ import annotations

from pathlib import Path

import pytest

from xrano.cli.main import main
from xrano.data.store import Store

Capture = pytest.CaptureFixture[str]


def refused(capsys: Capture, *arguments: object, words: tuple[str, ...], code: int = 1) -> str:
    """Run a command that must fail; its one line of complaint."""
    capsys.readouterr()
    assert main([str(argument) for argument in arguments]) == code
    said = capsys.readouterr().err
    assert said.count("\n") == 1, said
    assert said.startswith("xrano: error: ")
    assert "Traceback" not in said
    for word in words:
        assert word in said, said
    return said


def exit_code(*arguments: object) -> int | str | None:
    with pytest.raises(SystemExit) as caught:
        main([str(argument) for argument in arguments])
    return caught.value.code


def train(store: Store, out: Path, *more: object) -> list[str]:
    fixed = ["train", store.root, "--out", out, "--training.accelerator", "cpu"]
    return [str(argument) for argument in (*fixed, *more)]
