"""What ``--help`` shows, and what is said about a command line that is wrong."""

from __future__ import annotations

import argparse
import difflib
import inspect
import re
import shutil
import sys
import textwrap
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NoReturn

from jsonargparse import ArgumentParser, DefaultHelpFormatter

from xrano.cli.complaints import BUG, INTERRUPTED, MENDABLE, TERMINATED, USAGE

MOST_COLUMNS = 100

GROUPS: Mapping[str, tuple[str, ...]] = {
    "first": ("demo", "doctor"),
    "a cohort": ("phantom", "index", "prepare", "quality", "check", "probe"),
    "networks": ("models", "train", "evaluate", "study"),
    "where they look": ("methods", "layers", "explain", "score", "faithfulness", "audit"),
    "to look at": ("report", "figures"),
}
"""Heading to commands, both in the order of use."""

STATUSES = {
    0: "done",
    MENDABLE: "something that you can mend: the line says what",
    USAGE: "the command line is wrong",
    BUG: "a bug in xrano: run again with --debug and report it",
    INTERRUPTED: "stopped by Ctrl-C: the same command again goes on",
    TERMINATED: "stopped by SIGTERM, as SLURM does: the same command again goes on",
}

_SIGNS = {"int": "N", "float": "X"}
"""What stands for a value, where its name would only repeat the option's."""


class HelpPage(DefaultHelpFormatter):
    """Help in at most a hundred columns, with types in words and defaults that say something."""

    def __init__(self, prog: str, **options: Any) -> None:
        columns = shutil.get_terminal_size((MOST_COLUMNS, 24)).columns
        width = min(max(columns, 40), MOST_COLUMNS) - 2
        given = {"max_help_position": 28, "width": width, **options}
        super().__init__(prog, **given)  # type: ignore[no-untyped-call]

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        """Lines stay lines."""
        return "\n".join(
            textwrap.fill(line, width, initial_indent=indent, subsequent_indent=_hanging(line))
            for line in text.splitlines()
        )

    def _format_action_invocation(self, action: argparse.Action) -> str:
        options = [name for name in action.option_strings if not name.endswith("+")]
        if not options or action.nargs == 0:
            return ", ".join(options) or super()._format_action_invocation(action)
        if _is_flag(action) or action.dest == "print_config":
            return ", ".join(options)
        value = self._get_default_metavar_for_optional(action)
        kind = str(self._get_type_str(action))
        if action.choices or "Literal[" in kind[:8]:
            value = self._format_args(action, value)
        elif re.match(r"(Optional\[)?(tuple|list)\[", kind):
            value = f"{value} ..."
        else:
            value = _SIGNS.get(re.sub(r"^Optional\[(.*)\]$", r"\1", kind), value)
        return f"{', '.join(options)} {value}"

    def _get_help_string(self, action: argparse.Action) -> str:
        text = (action.help or "").rstrip(".")
        if getattr(action, "_jsonargparse_preexpanded_help", False):
            return text
        if action.dest == "print_config":
            return "print all options as YAML, for --config, and exit"
        if isinstance(action, argparse._HelpAction):
            return "show this page"
        if action.nargs == 0 or not action.option_strings or action.dest in ("config", "version"):
            return text
        if action.required:
            return f"{text} (needed)"
        default = _words(action.default)
        return f"{text} (default: {default})".strip() if default else text


class CommandParser(ArgumentParser):
    """A parser that complains in one line, and names what was meant."""

    positionals: Mapping[str, Sequence[str]] = {}
    """Of the main parser: each command's arguments that need no option name."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Say what is wrong in one line and exit with 2."""
        parser = getattr(ex, "subcommand_parser", None) or self
        known = [name for action in parser._actions for name in action.option_strings]
        command = parser.prog.replace(" [options]", "")
        missing = re.fullmatch(r"the following arguments are required: (.*)", message)
        if missing:
            first = missing[1].partition(".")[0]
            command = f"{command} {first}"
            said = _what_is_missing(missing[1], self.positionals.get(first, ()))
        else:
            said = usage_line(message, known)
        complain(f"{said}; see: {command} --help")
        self.exit(USAGE)


def complain(line: str) -> None:
    """One line of complaint on standard error."""
    print(f"xrano: error: {line}", file=sys.stderr)


def usage_line(message: str, known: Collection[str]) -> str:
    r"""What a parser says, in one line, in words of the command line.

    Args:
        message: the parser's own.
        known: option names of the command.

    Example:
        >>> usage_line("unrecognized arguments: --patient 3", ["--patients", "--out"])
        "unknown option '--patient' (did you mean '--patients'?)"
        >>> usage_line('Parser key "patients":\n  Expected a int. Got value: y', [])
        "--patients needs a whole number, got 'y'"
        >>> usage_line("Importing 'os.system' is not allowed, denied by ...", [])
        "'os.system' names a class or function; options are plain values"
    """
    unknown = re.match(r"unrecognized arguments: (\S+)", message, re.IGNORECASE)
    if unknown:
        name = unknown[1].partition("=")[0]
        kind = "option" if name.startswith("-") else "argument"
        near = difflib.get_close_matches(name, list(known), n=1)
        return f"unknown {kind} {name!r}" + (f" (did you mean {near[0]!r}?)" if near else "")
    named = re.search(r"Importing '([^']*)' is not allowed", message)
    if named:
        return f"{named[1]!r} names a class or function; options are plain values"
    found = re.match(r'Parser key "([\w.]+)":\s+Expected an? (.*)\. Got value: (.*)', message, re.S)
    if found:
        name, wanted, value = (" ".join(part.split()) for part in found.groups())
        return f"--{name} {_needed(wanted, value)}, got {value.strip(chr(39))!r}"
    return " ".join(message.split())


def top_page(description: str, commands: Mapping[str, str], start: str) -> str:
    """The page of ``xrano --help``: every command by its group, statuses, where to start."""
    page = HelpPage("xrano")
    width = page._width
    lines = ["usage: xrano COMMAND [options]", "       xrano COMMAND --help", ""]
    lines += [textwrap.fill(description, width), ""]
    grouped = {name for names in GROUPS.values() for name in names}
    others = tuple(name for name in commands if name not in grouped)
    for heading, names in {**GROUPS, "others": others}.items():
        there = {name: commands[name] for name in names if name in commands}
        if there:
            lines += [heading, *_table(there, width), ""]
    options = {
        "--help": "show this page; after a command, that command's, with an example",
        "--version": "show the version",
        "--debug": "anywhere on the line: the traceback of an error too",
        "--json": "of most commands that say something: one JSON object on standard output",
    }
    lines += ["options", *_table(options, width), ""]
    lines += ["exit status", *_table({str(k): text for k, text in STATUSES.items()}, width), ""]
    return "\n".join([*lines, f"start with:  {start}", ""])


def description_of(function: Any) -> str:
    """What a function's docstring says before its arguments, a paragraph a line."""
    text = (inspect.getdoc(function) or "").partition("\n\nArgs:")[0]
    return "\n\n".join(" ".join(part.split()) for part in text.split("\n\n"))


def epilog_of(module: Any) -> str:
    """A command's example, and the keys of its JSON."""
    lines = [f"example:  {module.EXAMPLE}"]
    keys = getattr(module, "JSON_KEYS", None)
    if keys:
        lines += [
            "",
            "keys of the JSON object:",
            *(f"  {name}: {what}" for name, what in keys.items()),
        ]
    return "\n".join(lines)


def usage_of(name: str, positionals: Sequence[str], parser: ArgumentParser) -> str:
    """``xrano train STORE --out OUT [options]``: what must be named."""
    needed = [
        f"{action.option_strings[0]} {action.dest.upper()}"
        for action in parser._actions
        if action.required and action.option_strings
    ]
    words = [place.upper() for place in positionals]
    return " ".join(["xrano", name, *words, *needed, "[options]"])


def _what_is_missing(keys: str, positionals: Sequence[str]) -> str:
    names = [key.strip().partition(".")[2] for key in keys.split(",")]
    words = [name.upper() if name in positionals else f"--{name} {name.upper()}" for name in names]
    return f"{' and '.join(words)} must be given"


def _needed(wanted: str, value: str) -> str:
    choices = re.search(r"Literal\[(.*?)\]", wanted)
    if choices:
        names = [name.strip(" '\"") for name in choices[1].split(",")]
        near = difflib.get_close_matches(value, names, n=1)
        hint = f" (did you mean {near[0]!r}?)" if near else ""
        return f"is one of {', '.join(names)}{hint}"
    kinds = re.findall(r"\b(int|float|bool|Path)\b", wanted)
    words = {"int": "a whole number", "float": "a number", "bool": "true or false"}
    words["Path"] = "a path"
    return f"needs {words[kinds[0]]}" if kinds else f"needs {wanted}"


def _is_flag(action: argparse.Action) -> bool:
    """Whether a bare option means true."""
    return getattr(action, "_typehint", None) is bool


def _words(default: Any) -> str:
    """A default; empty for none, and for what a bare flag turns on."""
    if default is None or default is False or default is argparse.SUPPRESS:
        return ""
    if isinstance(default, (list, tuple)):
        return " ".join(str(item) for item in default)
    return str(default)


def _table(rows: Mapping[str, str], width: int) -> list[str]:
    left = max(len(name) for name in rows) + 4
    return [
        line
        for name, text in rows.items()
        for line in textwrap.wrap(
            text, width, initial_indent=f"  {name}".ljust(left), subsequent_indent=" " * left
        )
    ]


def _hanging(line: str) -> str:
    """The indent of a line that goes on."""
    return " " * (len(line) - len(line.lstrip()) + (4 if line.startswith("  ") else 0))
