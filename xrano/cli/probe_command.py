"""``xrano probe``."""

from __future__ import annotations

from pathlib import Path

EXAMPLE = "xrano probe store"
POSITIONAL_HELP = "folder that xrano prepare wrote"


def run(store: Path, permutations: int = 200, across_surgery: bool = False, seed: int = 0) -> None:
    """Ask whether tissue far from the tumour tells the response: it should not.

    Args:
        store: folder that xrano prepare wrote; leak_probe.json is written into it.
        permutations: probes with permuted responses that say what chance reaches.
        across_surgery: let pairs that span an operation take part.
        seed: of folds and permutations.
    """
    from xrano.cli.terminal import bar
    from xrano.data.store import open_store
    from xrano.experiments.leak_report import probe_store

    report = probe_store(
        open_store(store),
        permutations=permutations,
        across_surgery=across_surgery,
        seed=seed,
        progress=bar,
    )
    print(report.describe())
