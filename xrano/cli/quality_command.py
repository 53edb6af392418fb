"""``xrano quality``."""

from __future__ import annotations

from pathlib import Path

from xrano.cli.answers import Answer

EXAMPLE = "xrano quality store --out quality"
POSITIONAL_HELP = "folder that xrano prepare wrote"

JSON_KEYS = {
    "sessions": "how many there are",
    "flagged": "patient_id, session_id and flags of those that something is odd about",
    "drawn": "pages made now",
    "kept": "pages that were up to date",
    "failures": "sessions whose page could not be drawn, with the cause",
    "out": "folder of quality.csv and index.html",
}


def run(store: Path, out: Path, jobs: int = 1) -> Answer:
    """Measure every session of a prepared store and draw a page of each, outliers first.

    Args:
        store: folder that xrano prepare wrote.
        out: folder for quality.csv, index.html and the pages.
        jobs: processes that measure and draw; 0 for one a core.
    """
    from xrano.cli.terminal import bar
    from xrano.data.store import open_store
    from xrano.experiments.store_quality import write_quality

    found = write_quality(open_store(store), out, jobs=jobs, progress=bar)
    flagged = found.table[found.table["flags"] != ""]
    values = {
        "sessions": len(found.table),
        "flagged": flagged[["patient_id", "session_id", "flags"]],
        "drawn": found.drawn,
        "kept": found.kept,
        "failures": found.failures,
        "out": out,
    }
    return Answer(found.describe(), values)
