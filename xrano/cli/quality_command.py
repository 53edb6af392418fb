"""``xrano quality``."""

from __future__ import annotations

from pathlib import Path

EXAMPLE = "xrano quality store --out quality"
POSITIONAL_HELP = "folder that xrano prepare wrote"


def run(store: Path, out: Path, jobs: int = 1) -> None:
    """Measure every session of a prepared store and draw a page of each, outliers first.

    Args:
        store: folder that xrano prepare wrote.
        out: folder for quality.csv, index.html and the pages.
        jobs: processes that measure and draw; 0 for one a core.
    """
    from xrano.cli.terminal import bar
    from xrano.data.store import open_store
    from xrano.experiments.store_quality import write_quality

    print(write_quality(open_store(store), out, jobs=jobs, progress=bar).describe())
