"""The site builds without a warning, asks nothing of the network, and fits a phone."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from doc_pages import ROOT

pytestmark = pytest.mark.slow

_LOADED = re.compile(
    r"<(?:script|img|iframe|source|video|audio|embed)\b[^>]*\bsrc=[\"']?([^\"'\s>]+)"
    r"|<link\b(?=[^>]*rel=[\"']?(?:stylesheet|preload|preconnect|icon|manifest|dns-prefetch))"
    r"[^>]*\bhref=[\"']?([^\"'\s>]+)",
    re.IGNORECASE,
)
_IN_CSS = re.compile(r"url\(\s*[\"']?([^)\"'\s]+)|@import\s+[\"']([^\"']+)")
_ELSEWHERE = re.compile(r"^(?:[a-z]+:)?//", re.IGNORECASE)

LOOKED_AT = ("index", "scoring", "science", "attribution", "reference/commands", "reference/data")


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The site, and what was said while it was built."""
    site = tmp_path_factory.mktemp("docs") / "site"
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(site)],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return site, done.stdout + done.stderr


def test_it_builds_without_a_warning(built):
    site, said = built
    assert "WARNING" not in said
    assert "ERROR" not in said
    assert (site / "index.html").is_file()
    assert not (site / "hooks").exists()


def loaded_from_elsewhere(text: str, pattern: re.Pattern[str]) -> list[str]:
    found = ["".join(part or "" for part in match) for match in pattern.findall(text)]
    return [place for place in found if _ELSEWHERE.match(place)]


def test_no_page_loads_anything_from_elsewhere(built):
    site, _ = built
    pages = sorted(site.rglob("*.html"))
    assert len(pages) >= 25
    asked = {
        file.relative_to(site).as_posix(): places
        for pattern, files in ((_LOADED, pages), (_IN_CSS, sorted(site.rglob("*.css"))))
        for file in files
        if (places := loaded_from_elsewhere(file.read_text(encoding="utf-8"), pattern))
    }
    assert asked == {}


def test_a_font_from_elsewhere_would_be_noticed():
    page = '<link rel="preconnect" href="https://fonts.gstatic.com"><img alt="" src=//x.org/a.png>'
    assert loaded_from_elsewhere(page, _LOADED) == ["https://fonts.gstatic.com", "//x.org/a.png"]
    assert loaded_from_elsewhere("a { b: url('http://x.org/f.woff') }", _IN_CSS)
    assert not loaded_from_elsewhere('<a href="https://arxiv.org">paper</a>', _LOADED)


def test_every_command_and_public_module_has_its_place(built):
    from xrano.cli.main import COMMANDS

    site, _ = built
    page = (site / "reference/commands.html").read_text(encoding="utf-8")
    assert [name for name in COMMANDS if f'id="{name}"' not in page] == []
    metrics = (site / "reference/metrics.html").read_text(encoding="utf-8")
    assert 'id="xrano.metrics.overlap.relevance_mass_accuracy"' in metrics
    # Roles are links and examples are code, not text.
    assert ":func:" not in metrics
    assert ":class:" not in metrics
    assert "[0.03, nan, 0.04, 0.04]" in re.sub(r"<[^>]+>", "", metrics)


def test_tables_of_the_code_are_filled_in(built):
    from xrano.attribution.method_table import METHODS
    from xrano.metrics.records import MASK_METRICS

    site, _ = built
    for page, names in (("attribution", METHODS), ("science", MASK_METRICS)):
        text = (site / f"{page}.html").read_text(encoding="utf-8")
        assert [name for name in names if f"<code>{name}</code>" not in text] == []
        assert "table: " not in text


@pytest.fixture
def address(built):
    """The site on the loopback interface."""
    handler = partial(_Silent, directory=str(built[0]))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()
        thread.join()


class _Silent(SimpleHTTPRequestHandler):
    def log_message(self, *words: object) -> None:
        pass


@pytest.mark.parametrize("size", [(1280, 900), (390, 844)], ids=["desk", "phone"])
def test_pages_open_without_complaint_and_fit(address, size):
    # Another test of this process may hold a browser of its own, and a thread can have but one.
    with ThreadPoolExecutor(1) as alone:
        complaints, asked, across = alone.submit(look, address, size, chromium()).result()
    assert complaints == []
    assert [url for url in asked if not url.startswith((address, "data:", "blob:"))] == []
    assert {place: wide for place, wide in across.items() if wide > size[0]} == {}


def look(address, size, browser_path):
    """What pages complain of and ask for, and how wide each is."""
    from playwright.sync_api import sync_playwright

    complaints, asked, across = [], [], {}
    with sync_playwright() as tools:
        browser = tools.chromium.launch(executable_path=browser_path, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": size[0], "height": size[1]})
        page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else 0)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        for place in LOOKED_AT:
            page.goto(f"{address}{place}.html", wait_until="networkidle")
            across[place] = page.evaluate("document.documentElement.scrollWidth")
        browser.close()
    return complaints, asked, across


def chromium():
    """The path of a browser; without one the test is skipped, or fails where one is promised."""
    there = Path("/usr/bin/chromium")
    path = str(there) if there.is_file() else shutil.which("chromium")
    if path is None:
        reason = "no browser: apt-get install chromium"
        if os.environ.get("XRANO_NEEDS_BROWSER") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    return path
