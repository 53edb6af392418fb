"""``--help``, and what is said about a command line that is wrong."""

from __future__ import annotations

import argparse
import re
import resource
import shlex
import subprocess
import sys
from importlib import import_module
from inspect import signature

import pytest

from xrano.cli.arguments import underscored
from xrano.cli.help_pages import GROUPS, MOST_COLUMNS, STATUSES, usage_line
from xrano.cli.main import COMMANDS, POSITIONALS, build_parser, main, parsed

Capture = pytest.CaptureFixture[str]

"""Options whose names say it all."""


def page(capsys: Capture, *words: str) -> str:
    with pytest.raises(SystemExit) as caught:
        main([*words, "--help"])
    assert caught.value.code == 0
    return capsys.readouterr().out


def module(command: str):
    return import_module(f"xrano.cli.{command}_command")


def examples(text: str) -> list[str]:
    """The commands in an EXAMPLE: the first, and those told in brackets after it."""
    first, *asides = re.split(r"\s+\(", text)
    return [first, *re.findall(r"(xrano [^;)]*)", " ".join(asides))]


def actions(command: str) -> list[argparse.Action]:
    parser = build_parser([command])
    return parser._subcommands_action._name_parser_map[command]._actions


# --- the first page


def test_every_command_is_in_one_group_in_the_order_of_use(capsys: Capture):
    grouped = [name for names in GROUPS.values() for name in names]
    assert len(grouped) == len(set(grouped))
    assert set(COMMANDS) <= set(grouped)
    text = page(capsys)
    places = [text.index(f"\n  {name} ") for name in grouped if name in COMMANDS]
    assert places == sorted(places)
    assert "\nothers\n" not in text
    for heading, names in GROUPS.items():
        assert (f"\n{heading}\n" in text) == bool(set(names) & set(COMMANDS))


def test_the_exit_statuses_are_told(capsys: Capture):
    text = page(capsys)
    told = {int(number) for number in re.findall(r"^  (\d+) +\S", text, re.MULTILINE)}
    assert told == set(STATUSES) == {0, 1, 2, 70, 130, 143}


def test_an_unlisted_command_would_still_be_shown(capsys: Capture, monkeypatch):
    monkeypatch.setitem(COMMANDS, "dance", "a step")
    assert "\nothers\n  dance " in page(capsys)


def test_the_first_page_is_there_in_half_a_second():
    """Of a processor's time: other work on the machine makes the clock's longer."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    line = [sys.executable, "-m", "xrano.cli.main", "--help"]
    assert subprocess.run(line, capture_output=True).returncode == 0
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    assert 0 < spent < 0.5


# --- a command's page


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("columns", [60, 300])
def test_no_line_is_wider_than_the_terminal_or_a_hundred_columns(
    command: str, columns: int, capsys: Capture, monkeypatch
):
    monkeypatch.setenv("COLUMNS", str(columns))
    lines = page(capsys, command).splitlines()
    assert not [line for line in lines if len(line) > min(columns, MOST_COLUMNS)]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_argument_is_described_and_every_default_shown(command: str, capsys: Capture):
    text = " ".join(page(capsys, command).split())
    for action in actions(command):
        if action.help is argparse.SUPPRESS:
            continue
        assert (action.help or "").strip(), action.dest
        names = [name for name in action.option_strings if not name.endswith("+")]
        assert all(name in text for name in names)
        default = action.default
        told = isinstance(default, (int, float, str)) and not isinstance(default, bool)
        if names and told and default not in ("", argparse.SUPPRESS):
            assert f"(default: {default})" in text, action.dest
    assert "class '" not in text
    assert "==" not in text


@pytest.mark.parametrize("command", COMMANDS)
def test_the_example_is_parsed_by_the_real_parser(command: str):
    found = examples(module(command).EXAMPLE)
    for line in found:
        words = [underscored(word) for word in shlex.split(line)]
        assert words[0] == "xrano"
        name, values = parsed(words[1:])
        assert name == words[1]
        assert set(signature(module(name).run).parameters) <= set(vars(values))
    assert found[0].startswith(f"xrano {command}")


@pytest.mark.parametrize("command", COMMANDS)
def test_options_of_brackets_after_an_example_exist(command: str):
    known = {name for action in actions(command) for name in action.option_strings}
    asides = module(command).EXAMPLE.partition("   (")[2]
    named = {underscored(word.strip("();,:")) for word in asides.split() if word.startswith("--")}
    others = {name for name in named if name not in known}
    assert not others


def test_the_usage_names_what_must_be_given(capsys: Capture):
    assert page(capsys, "train").startswith("usage: xrano train STORE --out OUT [options]\n")
    assert page(capsys, "methods").startswith("usage: xrano methods [options]\n")
    assert page(capsys, "explain").startswith("usage: xrano explain RUN_DIR --out OUT [options]\n")


def test_the_keys_of_json_are_told(capsys: Capture):
    text = page(capsys, "check")
    for key, meaning in module("check").JSON_KEYS.items():
        assert f"\n  {key}: {meaning}" in text
    assert "--json" in text


# --- what is wrong with a line


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("scoer runs/first", ("unknown command 'scoer'", "did you mean 'score'", "xrano --help")),
        (
            "phantom --out x --patient 3",
            ("unknown option '--patient'", "did you mean '--patients'", "xrano phantom --help"),
        ),
        ("phantom --out x --mix balance", ("--mix is one of balanced, lumiere", "'balanced'")),
        ("phantom --out x --patients y", ("--patients needs a whole number", "got 'y'")),
        ("phantom --out x --noise y", ("--noise needs a number", "got 'y'")),
        ("train", ("STORE and --out OUT must be given", "xrano train --help")),
        ("train store", ("--out OUT must be given",)),
        ("check store other", ("unknown argument 'other'", "xrano check --help")),
        ("index tree --out x --paper maybe", ("unknown argument 'maybe'",)),
        ("train store --out x --training.epoch 3", ("--training.epoch", "'--training.epochs'")),
    ],
)
def test_what_is_wrong_is_said_in_one_line(line: str, words: tuple[str, ...], capsys: Capture):
    with pytest.raises(SystemExit) as caught:
        main(line.split())
    assert caught.value.code == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("xrano: error: ")
    assert captured.err.count("\n") == 1
    for word in words:
        assert word in captured.err


def test_what_a_parser_says_otherwise_is_kept_whole():
    assert usage_line("argument --x:\n  too odd", []) == "argument --x: too odd"


def test_every_positional_belongs_to_a_command_that_explains_it():
    for name, places in POSITIONALS.items():
        assert name in COMMANDS
        assert module(name).POSITIONAL_HELP
        assert set(places) <= set(signature(module(name).run).parameters)
