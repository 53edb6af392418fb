"""Parse the command line, run one command, and turn errors into one line."""

from __future__ import annotations

import os
import sys
import traceback
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from importlib import import_module
from inspect import signature
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser, Namespace, set_parsing_settings

import xrano
from xrano.cli.answers import Answer
from xrano.cli.arguments import complete_flags, expand_preset, gather_lists, presets, underscored
from xrano.cli.complaints import (
    INTERRUPTED,
    TERMINATED,
    USAGE,
    Complaint,
    complaint,
    stopped_by_sigterm,
)
from xrano.cli.help_pages import (
    CommandParser,
    HelpPage,
    complain,
    description_of,
    epilog_of,
    top_page,
    usage_of,
)
from xrano.cli.one_voice import is_told_elsewhere
from xrano.cli.stopping import StopRequest, sigterm_stops
from xrano.errors import UnknownNameError, XranoError, XranoWarning

COMMANDS = {
    "demo": "the whole path on a phantom cohort, in a few minutes",
    "doctor": "say whether this machine and installation are fit, and what to do if not",
    "phantom": "write a phantom cohort in LUMIERE's layout",
    "index": "list a cohort's sessions, pairs, and what is excluded and why",
    "prepare": "bring an indexed cohort to one grid, ready to train on",
    "quality": "measure every prepared session and draw a page of each",
    "check": "verify a prepared store's files, sizes and read time",
    "probe": "ask whether tissue far from the tumour tells the response",
    "models": "list the networks: weights, cells, feature grids, and what a step costs",
    "methods": "list the attribution methods: what defines them, what they need and fit",
    "train": "train a network, fold by fold",
    "evaluate": "judge the out-of-fold predictions, beside simple references",
    "study": "train and compare many arms, beside references, from one file",
    "layers": "score class activation maps of every layer",
    "explain": "draw and save attribution maps of pairs",
    "score": "score maps against the segmentations, above chance",
    "faithfulness": "test whether maps tell the truth about the network",
    "audit": "ask which scores tell models that cheat, and where a run lies among them",
    "report": "write pages for people: one of the cohort, one of each case",
    "figures": "draw every figure whose inputs are there, from the run and what lies beside it",
}
"""Command to what it does; the module of each is ``xrano.cli.NAME_command``."""

POSITIONALS = {
    "index": ("tree",),
    "prepare": ("index",),
    "quality": ("store",),
    "check": ("store",),
    "probe": ("store",),
    "train": ("store",),
    "evaluate": ("run_dir",),
    "study": ("file",),
    "layers": ("run_dir",),
    "explain": ("run_dir",),
    "score": ("run_dir",),
    "faithfulness": ("run_dir",),
    "report": ("run_dir",),
    "figures": ("run_dir",),
}
"""Arguments that need no option name: what the command before has written."""


LISTS = ("--model.sequences",)
"""Options of settings that take several values, separated by blanks; those of a command's own are
known by their type."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; the exit status is one of :mod:`xrano.cli.complaints`."""
    if argv is None:
        _write_lines_at_once()
    words = [underscored(word) for word in (sys.argv[1:] if argv is None else argv)]
    debug = "--debug" in words
    words = [word for word in words if word != "--debug"]
    with sigterm_stops() as stop, _short_warnings():
        try:
            return _obey(words)
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0
        # Everything there is: no user shall see a traceback that was not asked for.
        except (Exception, KeyboardInterrupt) as error:
            if debug:
                traceback.print_exc()
            found = _complaint(error, stop, words)
            if is_told_elsewhere(error):
                return found.status
            if found.status in (INTERRUPTED, TERMINATED):
                print(f"xrano: {found.line}", file=sys.stderr)
            else:
                complain(found.line)
            return found.status


def build_parser(names: Sequence[str] = tuple(COMMANDS)) -> ArgumentParser:
    """The parser of all commands, or of some; nothing heavy is imported."""
    set_parsing_settings(
        docstring_parse_attribute_docstrings=True,
        # A class that a file of options names would be imported before it is refused.
        import_path_denylist=["*"],
        import_path_allowlist=["xrano.training"],
    )
    parser = CommandParser(
        prog="xrano", version=xrano.__version__, allow_abbrev=False, formatter_class=HelpPage
    )
    parser.positionals = POSITIONALS
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    commands = parser.add_subcommands(required=False, dest="subcommand")
    for name in names:
        module = import_module(f"xrano.cli.{name}_command")
        commands.add_subcommand(name, _command_parser(name, module), help=COMMANDS[name])
    return parser


def _command_parser(name: str, module: Any) -> ArgumentParser:
    command = CommandParser(
        description=description_of(module.run),
        epilog=epilog_of(module),
        allow_abbrev=False,
        formatter_class=HelpPage,
    )
    command.add_argument("--config", action="config", help="YAML file of these options")
    if name == "train":
        # Taken out before parsing; here for --help alone.
        known = ", ".join(sorted(presets()))
        command.add_argument("--preset", help=f"settings that come with xrano: {known}")
    positionals = POSITIONALS.get(name, ())
    for positional in positionals:
        command.add_argument(positional, type=Path, help=module.POSITIONAL_HELP)
    command.add_function_arguments(
        module.run, skip=set(positionals), as_group=False, sub_configs=False
    )
    if hasattr(module, "JSON_KEYS"):
        command.add_argument(
            "--json", action="store_true", help="one JSON object on standard output, for scripts"
        )
    command.usage = usage_of(name, positionals, command)
    return command


def parsed(words: Sequence[str]) -> tuple[str, Namespace]:
    """The command that words name, and its options.

    Raises:
        SystemExit: with 2 for a wrong command line, with 0 after a page of help.
        UnknownNameError: for an unknown preset.
    """
    name = next((word for word in words if not word.startswith("-")), None)
    if name is None and not set(words) & {"--version", "--print_config"}:
        print(top_page(_DESCRIPTION, COMMANDS, _START), end="")
        raise SystemExit(0 if {"-h", "--help"} & set(words) else USAGE)
    if name is not None and name not in COMMANDS:
        complain(f"{UnknownNameError('command', name, COMMANDS)}; see: xrano --help")
        raise SystemExit(USAGE)
    if name is not None:
        words = complete_flags(words, _flags(name))
    parser = build_parser([name] if name is not None else ())
    words = gather_lists(expand_preset(words), _lists(name))
    try:
        found = parser.parse_args(words)
    except ImportError as error:
        # A class that a file of options names; the parser lets this one through.
        if "is not allowed" not in str(error):
            raise
        parser.error(str(error))
    return found.subcommand, parser.instantiate(found)[found.subcommand]


_DESCRIPTION = (
    "Where does a network look when it rates glioblastoma response (RANO), and is it the tumour? "
    "Research software, not a medical device."
)
_START = "xrano demo --out xrano-demo"


def _obey(words: Sequence[str]) -> int:
    if not words:
        print(top_page(_DESCRIPTION, COMMANDS, _START), end="")
        return USAGE
    command, values = parsed(words)
    options = {
        name: value for name, value in vars(values).items() if name not in ("config", "preset")
    }
    as_json = bool(options.pop("json", False))
    run = import_module(f"xrano.cli.{command}_command").run
    if not as_json:
        found = run(**options)
    else:
        # Whatever is said on the way is for people.
        with redirect_stdout(sys.stderr):
            found = run(**options)
    if not isinstance(found, Answer):
        return 0
    found.show(as_json=as_json)
    return found.status


def _flags(command: str) -> set[str]:
    return {name for name, kind in _kinds(command).items() if "bool" in kind}


def _lists(command: str | None) -> set[str]:
    """A command's own options that take several values, and those of its settings."""
    kinds = _kinds(command) if command else {}
    own = {name for name, kind in kinds.items() if kind.startswith(("tuple", "list"))}
    return own | set(LISTS)


def _kinds(command: str) -> dict[str, str]:
    """Option to its type as it is written."""
    parameters = signature(import_module(f"xrano.cli.{command}_command").run).parameters
    return {f"--{name}": str(one.annotation) for name, one in parameters.items()}


def _complaint(error: BaseException, stop: StopRequest, words: Sequence[str]) -> Complaint:
    # Workers of a job are told to stop too, and may be missed before this process hears of it.
    if not isinstance(error, XranoError) and (
        stop.asked or "killed by signal: Terminated" in str(error)
    ):
        return stopped_by_sigterm()
    return complaint(error, _written_to(words))


def _written_to(words: Sequence[str]) -> Path | None:
    """The folder that a command line writes to: ``--out``, or what it works in."""
    for word, following in zip(words, [*words[1:], ""], strict=True):
        name, equals, value = word.partition("=")
        if name == "--out" and (value or following):
            return Path(value if equals else following)
    named = [word for word in words if not word.startswith("-")]
    return Path(named[1]) if len(named) > 1 and named[0] in POSITIONALS else None


@contextmanager
def _short_warnings() -> Iterator[None]:
    """Show xrano's own warnings in one line each, and others as Python does."""
    usual = warnings.formatwarning

    def shown(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        line: str | None = None,
    ) -> str:
        if issubclass(category, XranoWarning):
            return f"xrano: warning: {' '.join(str(message).split())}\n"
        return usual(message, category, filename, lineno, line)

    warnings.formatwarning = shown
    try:
        yield
    finally:
        warnings.formatwarning = usual


def _write_lines_at_once() -> None:
    """A log file shows each line when it is said, not when its buffer is full."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(line_buffering=True)


if __name__ == "__main__":
    sys.exit(main())
