"""``xrano check``."""

from __future__ import annotations

from pathlib import Path

from xrano.cli.answers import Answer

EXAMPLE = "xrano check store"
POSITIONAL_HELP = "folder that xrano prepare wrote"

JSON_KEYS = {
    "store": "the folder",
    "whole": "whether nothing is missing or broken",
    "sessions": "how many the tables name",
    "pairs": "how many there are",
    "bytes": "of all session files",
    "files": "session files that are there",
    "read_seconds": "to read each of a few pairs, from memory",
    "faults": "path, cause and remedy of each",
    "notes": "what could not be checked",
}


def run(store: Path, timed_pairs: int = 5) -> Answer:
    """Verify every file of a prepared store, and say how large it is and how fast it reads.

    Args:
        store: folder that xrano prepare wrote.
        timed_pairs: how many pairs are read to measure the time.
    """
    from xrano.cli.terminal import bar
    from xrano.data.quality.store_check import check_store

    found = check_store(store, timed_pairs=timed_pairs, progress=bar)
    values = {
        "store": found.root,
        "whole": not found.faults,
        "sessions": found.sessions,
        "pairs": found.pairs,
        "bytes": sum(found.sizes),
        "files": len(found.sizes),
        "read_seconds": found.read_seconds,
        "faults": found.faults,
        "notes": found.notes,
    }
    return Answer(found.describe(), values, found.require_whole)
