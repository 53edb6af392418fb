"""The pages of the documentation as files, and the code blocks in them."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md"))]
NAMES = [page.relative_to(ROOT).as_posix() for page in PAGES]

_FENCE = re.compile(r"^( *)```(\w*)[^\n]*\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, text, and the line of the page that its text begins on."""

    language: str
    text: str
    line: int


def blocks(page: Path, language: str = "") -> list[Block]:
    """The fenced blocks of a page, of one language if named."""
    text = page.read_text(encoding="utf-8")
    found = [
        Block(match[2], match[3], text.count("\n", 0, match.start(3)) + 1)
        for match in _FENCE.finditer(text)
    ]
    return [block for block in found if language in ("", block.language)]


def prose(page: Path) -> str:
    """A page without its fenced blocks."""
    return _FENCE.sub("", page.read_text(encoding="utf-8"))


def xrano_commands(page: Path) -> list[tuple[int, list[str]]]:
    """Line and words of every ``xrano …`` in the shell blocks of a page."""
    found = []
    for block in blocks(page, "bash"):
        # A line that goes on below keeps its number.
        joined = block.text.replace("\\\n", "  ")
        for offset, line in enumerate(joined.splitlines()):
            for words in _simple_commands(line):
                at = [n for n, word in enumerate(words) if Path(word).name == "xrano"]
                # A folder may be called xrano too: cd xrano, git clone … xrano.
                if at and words[0] not in ("cd", "git"):
                    found.append((block.line + offset, words[at[0] + 1 :]))
    return found


def _simple_commands(line: str) -> list[list[str]]:
    """The words of each command of a line of shell."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=";&|")
    lexer.whitespace_split = True
    commands: list[list[str]] = [[]]
    for word in lexer:
        if set(word) <= set(";&|"):
            commands.append([])
        else:
            commands[-1].append(word)
    return [words for words in commands if words]
