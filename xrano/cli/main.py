"""Parse the command line, run one command, and turn errors into one line."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from inspect import signature
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser, Namespace, set_parsing_settings

import xrano
from xrano.errors import UnknownNameError, XranoError, is_out_of_memory

COMMANDS = {
    "demo": "the whole path on a phantom cohort, in a few minutes",
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
}
"""Arguments that need no option name: what the command before has written."""


LISTS = (
    "--methods",
    "--pair",
    "--planes",
    "--folds",
    "--model.sequences",
    "--cases",
    "--sequences",
    "--box",
    "--shape",
    "--models",
    "--arms",
    "--tests",
    "--seed_runs",
    "--kinds",
    "--cohorts",
)
"""Options that take several values, separated by blanks."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; the exit status is 0, 1 for a mendable error, 2 for bad usage."""
    arguments = [_underscored(word) for word in (sys.argv[1:] if argv is None else argv)]
    debug = "--debug" in arguments
    arguments = [argument for argument in arguments if argument != "--debug"]
    try:
        parser = build_parser()
        parsed = parser.parse_args(_complete_flags(_gather_lists(_expand_preset(arguments))))
        command = parsed.subcommand
        if command is None:
            parser.print_help()
            return 2
        values = parser.instantiate(parsed)[command]
        _run(command, values)
    except KeyboardInterrupt:
        print("xrano: stopped; run the same command again to go on", file=sys.stderr)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (XranoError, OSError, MemoryError, RuntimeError) as error:
        if debug or (isinstance(error, RuntimeError) and not is_out_of_memory(error)):
            raise
        print(f"xrano: error: {_one_line(error)}", file=sys.stderr)
        return 1
    return 0


def build_parser() -> ArgumentParser:
    """The parser of all commands; nothing heavy is imported."""
    set_parsing_settings(docstring_parse_attribute_docstrings=True)
    parser = ArgumentParser(
        prog="xrano",
        description="Where does a network look when it rates glioblastoma response (RANO), and "
        "is it the tumour? Research software, not a medical device.",
        epilog="start with:  xrano demo --out xrano-demo",
        version=xrano.__version__,
        allow_abbrev=False,
    )
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    commands = parser.add_subcommands(required=False, dest="subcommand")
    for name, summary in COMMANDS.items():
        module = import_module(f"xrano.cli.{name}_command")
        command = ArgumentParser(
            description=summary, epilog=f"example:  {module.EXAMPLE}", allow_abbrev=False
        )
        command.add_argument("--config", action="config", help="YAML file of these options")
        if name == "train":
            # Taken out before parsing; here for --help alone.
            presets = ", ".join(sorted(_presets()))
            command.add_argument("--preset", help=f"settings that come with xrano: {presets}")
        positionals = POSITIONALS.get(name, ())
        for positional in positionals:
            command.add_argument(positional, type=Path, help=module.POSITIONAL_HELP)
        command.add_function_arguments(
            module.run, skip=set(positionals), as_group=False, sub_configs=False
        )
        commands.add_subcommand(name, command, help=summary)
    return parser


def _run(command: str, values: Namespace) -> None:
    module: Any = import_module(f"xrano.cli.{command}_command")
    options = {
        name: value for name, value in vars(values).items() if name not in ("config", "preset")
    }
    module.run(**options)


def _presets() -> dict[str, Path]:
    return {path.stem: path for path in (Path(xrano.__file__).parent / "presets").glob("*.yaml")}


def _expand_preset(arguments: list[str]) -> list[str]:
    """``--preset NAME`` means ``--config`` with the preset's file."""
    presets = _presets()
    expanded: list[str] = []
    remaining = iter(arguments)
    for argument in remaining:
        name, equals, value = argument.partition("=")
        if name != "--preset":
            expanded.append(argument)
            continue
        preset = value if equals else next(remaining, "")
        if preset not in presets:
            raise UnknownNameError("preset", preset, presets)
        # Right after the command: what is named on the line holds, wherever it stands.
        expanded[1:1] = ["--config", str(presets[preset])]
    return expanded


def _gather_lists(arguments: list[str]) -> list[str]:
    """``--methods a b``, ``--methods=a`` and repeats of these as one ``--methods [a,b]``."""
    rest: list[str] = []
    gathered: dict[str, list[str]] = {}
    collecting = ""
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if name in LISTS:
            gathered.setdefault(name, [])
            collecting, argument = ("", value) if equals else (name, "")
        elif argument.startswith("-") or not collecting:
            collecting = ""
            rest.append(argument)
            continue
        gathered[collecting or name] += [item for item in argument.strip("[]").split(",") if item]
        if argument.startswith("["):
            collecting = ""
    return rest + [part for name, items in gathered.items() for part in (name, _listed(items))]


def _underscored(argument: str) -> str:
    """``--allow-outside`` means ``--allow_outside``."""
    name, equals, value = argument.partition("=")
    if not name.startswith("--"):
        return argument
    return "--" + name[2:].replace("-", "_") + equals + value


def _complete_flags(arguments: list[str]) -> list[str]:
    """A bare ``--paper`` means ``--paper true``."""
    command = next((word for word in arguments if word in COMMANDS), None)
    if command is None:
        return arguments
    parameters = signature(import_module(f"xrano.cli.{command}_command").run).parameters
    flags = {f"--{name}" for name, one in parameters.items() if "bool" in str(one.annotation)}
    completed: list[str] = []
    for argument, following in zip(arguments, [*arguments[1:], "-"], strict=True):
        completed.append(argument)
        if argument in flags and following.lower() not in ("true", "false", "null"):
            completed.append("true")
    return completed


def _listed(items: list[str]) -> str:
    return f"[{','.join(item.strip() for item in items)}]"


def _one_line(error: BaseException) -> str:
    if isinstance(error, (FileExistsError, NotADirectoryError)) and error.filename:
        path = Path(error.filename)
        file = next((place for place in (path, *path.parents) if place.is_file()), path)
        return f"a folder is needed, but {file} is a file; name another"
    if isinstance(error, (MemoryError, RuntimeError)):
        return f"out of memory ({error}); use a coarser spacing, a smaller batch or network"
    return " ".join(str(error).split())


if __name__ == "__main__":
    sys.exit(main())
