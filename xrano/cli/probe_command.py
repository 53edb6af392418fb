"""``xrano probe``."""

from __future__ import annotations

from pathlib import Path

from xrano.cli.answers import Answer

EXAMPLE = "xrano probe store"
POSITIONAL_HELP = "folder that xrano prepare wrote"

JSON_KEYS = {
    "verdict": "one line",
    "probes": "distance_mm, why (if it could not be run) and result of each distance",
    "normalisation": "how the store's intensities are normalised",
    "sequences": "those that the probe looked at",
    "responses": "rated pairs that took part, by response",
    "left_out": "pairs that took no part, by reason",
    "permutations": "how many make each band",
}


def run(
    store: Path, permutations: int = 200, across_surgery: bool = False, seed: int = 0
) -> Answer:
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
    return Answer(report.describe(), report.to_dict())
