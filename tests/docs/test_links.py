"""Links, anchors and names in the documentation lead somewhere."""

from __future__ import annotations

import importlib
import re
import shlex
from pathlib import Path
from types import ModuleType

import pytest
from doc_pages import DOCS, NAMES, PAGES, ROOT, blocks, prose
from markdown.extensions.toc import slugify

# Pages that are made while the site is built, and where their text comes from.
MADE = {
    DOCS / "changelog.md": ROOT / "CHANGELOG.md",
    DOCS / "contributing.md": ROOT / "CONTRIBUTING.md",
    DOCS / "reference/commands.md": None,
}
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_NAME = re.compile(r"`(xrano(?:\.\w+)+)`")


def anchors(page: Path) -> set[str]:
    heads = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {slugify(re.sub(r"[`*]", "", head), "-") for head in heads}


def problem(page: Path, link: str) -> str:
    """What is wrong with a relative link; empty if nothing is."""
    place, _, anchor = link.partition("#")
    target = (page.parent / place).resolve() if place else page
    if target in MADE:
        target = MADE[target]
        if target is None:
            return ""
    if not target.exists():
        return f"{link}: there is no {target}"
    if anchor and anchor not in anchors(target):
        return f"{link}: {target.name} has no heading {anchor}"
    return ""


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_relative_links_and_anchors_resolve(page):
    links = [link for link in _LINK.findall(prose(page)) if not re.match(r"https?:|mailto:", link)]
    assert [found for link in links if (found := problem(page, link))] == []


def test_a_broken_link_would_be_noticed():
    page = DOCS / "index.md"
    assert "no heading" in problem(page, "scoring.md#not-there")
    assert "there is no" in problem(page, "not-there.md")
    assert problem(page, "scoring.md#in-one-minute") == ""


def lookup(name: str) -> object:
    """The module or object of a dotted name.

    Raises:
        AttributeError: if there is none.
    """
    parts = name.split(".")
    found: object = importlib.import_module(parts[0])
    for position, part in enumerate(parts[1:], start=2):
        try:
            found = getattr(found, part)
        except AttributeError:
            if not isinstance(found, ModuleType):
                raise
            try:
                found = importlib.import_module(".".join(parts[:position]))
            except ModuleNotFoundError:
                raise AttributeError(name) from None
    return found


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_modules_and_objects_that_are_named_exist(page):
    text = page.read_text(encoding="utf-8")
    for name in {*_NAME.findall(text), *re.findall(r"^::: ([\w.]+)$", text, re.MULTILINE)}:
        lookup(name)


def test_a_name_that_is_none_would_be_noticed():
    assert lookup("xrano.metrics.overlap.auroc")
    with pytest.raises(AttributeError):
        lookup("xrano.metrics.overlap.auroc_of_all")
    with pytest.raises(AttributeError):
        lookup("xrano.metrics.overlapping")


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_files_of_the_repository_that_are_named_exist(page):
    kept = ("xrano/", "tests/", "studies/", "benchmarks/", "figures/", "notebooks/", "docs/")
    named = re.findall(r"`([\w./-]+)`", prose(page))
    for block in blocks(page, "bash"):
        for line in block.text.splitlines():
            named += shlex.split(line, comments=True)
    paths = {name for name in named if name.startswith(kept) and "NAME" not in name}
    example = {"xrano/attribution/my_method.py", "xrano/data/datasets/mine.py"}
    example |= {"tests/data/datasets/test_mine.py"}
    assert [name for name in sorted(paths - example) if not (ROOT / name).exists()] == []


def test_benchmarks_that_are_named_exist():
    text = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    names = set(re.findall(r"python -m benchmarks\.([a-z_]+)", text))
    assert names
    assert [name for name in names if not (ROOT / f"benchmarks/{name}.py").exists()] == []
