"""``xrano demo``."""

from __future__ import annotations

from pathlib import Path

EXAMPLE = "xrano demo --out xrano-demo"


def run(out: Path = Path("xrano-demo"), patients: int = 96, seed: int = 0, copies: int = 3) -> None:
    """The whole path on a phantom cohort: two scans in, response, maps, overlap, figures out.

    Args:
        out: folder for everything that is made.
        patients: phantom patients; a fifth of them is held out.
        seed: of the phantom and the training.
        copies: random-weight copies of the network, the reference for the gain.
    """
    from xrano.cli.terminal import EpochBar, bar
    from xrano.experiments.demo import run_demo

    epochs = EpochBar()
    run_demo(
        out, patients=patients, seed=seed, copies=copies, progress=bar, epochs=epochs, say=print
    )
