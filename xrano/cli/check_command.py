"""``xrano check``."""

from __future__ import annotations

from pathlib import Path

EXAMPLE = "xrano check store"
POSITIONAL_HELP = "folder that xrano prepare wrote"


def run(store: Path, timed_pairs: int = 5) -> None:
    """Verify every file of a prepared store, and say how large it is and how fast it reads.

    Args:
        store: folder that xrano prepare wrote.
        timed_pairs: how many pairs are read to measure the time.
    """
    from xrano.cli.terminal import bar
    from xrano.data.quality.store_check import check_store

    found = check_store(store, timed_pairs=timed_pairs, progress=bar)
    print(found.describe())
    found.require_whole()
