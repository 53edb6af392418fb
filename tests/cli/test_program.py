"""The program itself: help, usage, tracebacks, and what is imported before a command runs."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from command_lines import Capture, exit_code

from xrano.cli.main import COMMANDS, build_parser, main


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_helps_with_an_example(command: str, capsys: Capture):
    assert exit_code(command, "--help") == 0
    text = capsys.readouterr().out
    assert "example:" in text
    example = " ".join(text.split("example:")[1].split())
    assert example.startswith(f"xrano {command} ")
    assert "--config" in text


def test_the_main_help_names_every_command(capsys: Capture):
    assert exit_code("--help") == 0
    text = capsys.readouterr().out
    for command in COMMANDS:
        assert command in text
    assert "not a medical device" in text
    assert exit_code("--version") == 0
    assert capsys.readouterr().out.strip().endswith("0.1.0")


def test_without_a_command_the_help_is_shown(capsys: Capture):
    assert main([]) == 2
    assert "phantom" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["explain", "prepare", "train", "score"])
def test_examples_name_options_that_exist(command: str, capsys: Capture):
    exit_code(command, "--help")
    head, example = capsys.readouterr().out.split("example:")
    options = {word.strip("()") for word in example.split() if word.startswith("--")}
    assert options
    for option in options - {"--preset"}:
        assert option in head


def test_nothing_heavy_is_loaded_before_a_command_runs():
    code = textwrap.dedent("""
        import sys
        import xrano
        from xrano.cli.main import build_parser
        build_parser()
        heavy = ("torch", "matplotlib", "pandas", "monai", "captum", "nilearn", "scipy", "sklearn")
        loaded = [name for name in heavy if name in sys.modules]
        assert not loaded, loaded
        # What is named lazily is there all the same.
        assert "open_run" in xrano.__all__
    """)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_package_runs_as_a_module():
    done = subprocess.run(
        [sys.executable, "-m", "xrano", "--version"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[0] == "xrano"


def test_what_is_imported_lazily_can_be_imported():
    import xrano

    assert all(getattr(xrano, name) is not None for name in xrano.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        xrano.nothing  # noqa: B018


def test_a_parser_can_be_built_twice():
    assert build_parser().prog == build_parser().prog == "xrano"


def test_bad_usage_exits_with_2(tmp_path: Path, capsys: Capture):
    assert exit_code("phantom", "--out", tmp_path / "p", "--patients", "x") == 2
    assert exit_code("phantom", "--out", tmp_path / "p", "--patient", "1") == 2
    assert exit_code("dance") == 2
    assert exit_code("train", tmp_path) == 2
    assert "Traceback" not in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("place", range(5))
def test_a_traceback_is_shown_when_asked_for(tmp_path: Path, place: int, capsys: Capture):
    """Anywhere on the line; what is said without it is said last."""
    words = ["index", str(tmp_path), "--out", str(tmp_path / "out")]
    assert main(words) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert main([*words[:place], "--debug", *words[place:]]) == 1
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "Traceback (most recent call last):"
    assert said[-1] == line


def test_the_module_runs_as_a_program(tmp_path: Path):
    command = [sys.executable, "-m", "xrano.cli.main", "index", str(tmp_path), "--out"]
    done = subprocess.run([*command, str(tmp_path / "o")], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("xrano: error: ")
    assert done.stderr.count("\n") == 1
    assert str(tmp_path) in done.stderr
