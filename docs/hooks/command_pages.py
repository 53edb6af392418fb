"""The page of all commands, made from the parser of ``--help``, so that it cannot go stale."""

from __future__ import annotations

import argparse
import inspect
import re
from collections.abc import Iterator
from importlib import import_module
from typing import Any, get_args

from mkdocs.structure.files import File, Files

from xrano.cli.main import COMMANDS, build_parser

PAGE = "reference/commands.md"

_HEAD = """\
# Commands

Made from the commands' own `--help`. Words that hold for all of them:

- A command takes the folder that the one before has written, and `--out` is where its own goes.
- Hyphens and underscores are the same: `--allow-outside`, `--allow_outside`. A bare `--paper` means
  `--paper true`. An option for several values takes them with blanks: `--methods saliency gradcam`.
- `--config FILE` reads options from YAML, and `--print_config` writes such a file.
- `--debug` anywhere shows the traceback of an error. See [Exit codes and errors](../errors.md).
- `--json`, where a command has it, prints one JSON object for scripts; all else goes to standard
  error.

"""


def on_files(files: Files, config: Any) -> Files:
    """Add the page."""
    files.append(File.generated(config, PAGE, content=commands_page()))
    return files


def commands_page() -> str:
    """The page as Markdown."""
    parsers = next(
        action.choices
        for action in build_parser()._actions
        if isinstance(action, argparse._SubParsersAction)
    )
    index = "\n".join(f"| [`xrano {name}`](#{name}) | {what} |" for name, what in COMMANDS.items())
    sections = [_section(name, parsers[name]) for name in COMMANDS]
    return "\n".join([_HEAD + "| command | what it does |\n|---|---|", index, "", *sections])


def _section(name: str, parser: argparse.ArgumentParser) -> str:
    module = import_module(f"xrano.cli.{name}_command")
    said = inspect.cleandoc(module.run.__doc__ or "").partition("\nArgs:")[0].strip()
    example, _, more = module.EXAMPLE.partition("   (")
    lines = [f"## xrano {name} {{: #{name} }}", "", _escaped(said), ""]
    lines += ["```bash", example.strip(), "```", ""]
    if more:
        lines += ["More: " + _escaped(_as_code(more.removesuffix(")"))) + ".", ""]
    lines += [line for action in parser._actions for line in _option(action)]
    keys = getattr(module, "JSON_KEYS", {})
    if keys:
        lines += ["Keys of `--json`:", ""]
        lines += [f"- `{key}`: {_escaped(what)}" for key, what in keys.items()]
        lines.append("")
    return "\n".join(lines)


def _as_code(words: str) -> str:
    """``or two folders:  --prior DIR`` with what is to be typed as code."""
    return re.sub(r":  (.+?)(?=$|;|\))", r": `\1`", words)


def _option(action: argparse.Action) -> Iterator[str]:
    if action.dest in ("help", "print_config", "config") or type(action).__name__ == (
        "_ActionConfigLoad"
    ):
        return
    flag = action.option_strings[-1] if action.option_strings else action.dest
    yield f"`{flag}{_values(action)}`"
    needed = " **Needed.**" if action.required else _default(action.default)
    said = _escaped(" ".join((action.help or "").split()).rstrip("."))
    yield f":   {said + '.' if said else ''}{needed}".rstrip()
    yield ""


def _values(action: argparse.Action) -> str:
    """What may follow the option, as far as words can say it."""
    kind = getattr(action, "_typehint", None)
    parts = [kind, *get_args(kind)]
    words = [str(word) for part in parts for word in get_args(part) if isinstance(word, str)]
    if not action.option_strings or kind is bool or action.nargs == 0:
        return ""
    if words:
        return " " + "|".join(words)
    name = str(getattr(kind, "__name__", kind)).partition(" ")[0].partition("[")[0]
    known = {"int": "N", "float": "X", "str": "TEXT", "Path": "PATH", "tuple": "…", "list": "…"}
    return " " + known.get(name.rpartition(".")[2], "VALUE")


def _default(value: Any) -> str:
    if value is None or value is False or value in ("", (), [], argparse.SUPPRESS):
        return ""
    shown = " ".join(map(str, value)) if isinstance(value, (tuple, list)) else str(value)
    return f" Default: `{shown}`."


def _escaped(text: str) -> str:
    """Words of a docstring as Markdown: no HTML, no emphasis by underscores."""
    parts = text.replace("``", "`").split("`")
    for index in range(0, len(parts), 2):
        parts[index] = re.sub(r"([<_*\[\]|])", r"\\\1", parts[index])
    return "`".join(parts)
