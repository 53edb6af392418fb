"""Bring files that lie beside ``docs/`` into the site, so that pages may link to them.

Pages link as GitHub resolves it (``../figures/overlap.png``, ``../CHANGELOG.md``); here the same
files get a place in the site and the links lose their way up.
"""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[2]

COPIED = ("figures/*.png", "notebooks/*.ipynb", "studies/*.yaml", "benchmarks/RESULTS.md")
"""Files of the repository that are part of the site under their own paths."""

PAGES = {"CHANGELOG.md": "changelog.md", "CONTRIBUTING.md": "contributing.md"}
"""Files at the root that are pages, under the names that pages have."""

_LINK_UP = re.compile(r"\]\(\.\./([^)#\s]+)")
_LINK_DOWN = re.compile(r"\]\(docs/([^)\s]+)\)")


def on_files(files: Files, config: Any) -> Files:
    """Add the files."""
    for pattern in COPIED:
        for path in sorted(ROOT.glob(pattern)):
            place = path.relative_to(ROOT).as_posix()
            files.append(File.generated(config, place, abs_src_path=str(path)))
    for name, place in PAGES.items():
        text = _LINK_DOWN.sub(r"](\1)", (ROOT / name).read_text(encoding="utf-8"))
        files.append(File.generated(config, place, content=text))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Turn links out of ``docs/`` into links within the site."""
    depth = len(PurePosixPath(page.file.src_uri).parents) - 1

    def within(found: re.Match[str]) -> str:
        target = found[1]
        return "](" + "../" * depth + PAGES.get(target, target)

    return markdown if depth else _LINK_UP.sub(within, markdown)
