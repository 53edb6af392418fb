"""What every page must keep: no error, nothing from outside, readable by all, at any width."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from axe_playwright_python.sync_playwright import Axe

DESKTOP = {"width": 1280, "height": 900}
PHONE = {"width": 390, "height": 844}
WITHIN = ("file:", "data:", "blob:", "about:")


def watched_page(
    browser: Any, path: Path, *, viewport: Any = DESKTOP, before: str = ""
) -> tuple[Any, list[str]]:
    """Open a file; the list fills with errors that the page reports and requests that leave it.

    ``before``: script that runs before those of the page.
    """
    page = browser.new_page(viewport=viewport)
    page.set_default_timeout(60_000)
    faults: list[str] = []
    page.on("console", lambda line: faults.append(line.text) if line.type == "error" else None)
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on(
        "request",
        lambda request: None if request.url.startswith(WITHIN) else faults.append(request.url),
    )
    if before:
        page.add_init_script(before)
    page.goto(Path(path).as_uri())
    return page, faults


def accessibility_faults(page: Any) -> list[str]:
    """What axe finds wrong with a page, in words."""
    found = Axe().run(page).response["violations"]
    return [f"{one['id']}: {[node['html'][:120] for node in one['nodes']]}" for one in found]


def scrolls_sideways(page: Any) -> bool:
    """Whether the page is wider than its window."""
    return bool(page.evaluate("document.documentElement.scrollWidth > window.innerWidth"))
