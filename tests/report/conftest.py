"""A real browser for pages."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from browser_pages import watched_page

CHROMIUM = "/usr/bin/chromium"


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """A headless Chromium; without one the test is skipped, or fails if XRANO_NEEDS_BROWSER=1."""
    path = CHROMIUM if Path(CHROMIUM).is_file() else shutil.which("chromium")
    if path is None:
        reason = f"no browser: {CHROMIUM} is not there (apt-get install chromium)"
        if os.environ.get("XRANO_NEEDS_BROWSER") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    from playwright.sync_api import expect, sync_playwright

    # Scans are drawn in software: the 5 s that are usual are short where cores are shared.
    expect.set_options(timeout=60_000)
    with sync_playwright() as tools:
        found = tools.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture
def open_page(browser: Any) -> Iterator[Callable[..., Any]]:
    """Opens a file as :func:`browser_pages.watched_page` does: ``open_page(path, viewport=PHONE)``.

    At the end of the test, an error that the page reported, or a request that left it, fails it.
    """
    opened: list[tuple[Any, list[str]]] = []

    def open_watched(path: Path, **options: Any) -> Any:
        opened.append(watched_page(browser, path, **options))
        return opened[-1][0]

    yield open_watched
    for page, _ in opened:
        page.close()
    faults = [fault for _, found in opened for fault in found]
    assert not faults, faults
