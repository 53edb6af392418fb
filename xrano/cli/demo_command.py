"""``xrano demo``."""

from __future__ import annotations

from pathlib import Path

from xrano.cli.answers import Answer

EXAMPLE = "xrano demo --out xrano-demo"

JSON_KEYS = {
    "run": "folder of the trained run",
    "scores": "folder of its scores",
    "explained": "folder of maps and panels of four pairs",
    "folds": "folds with finished weights",
}


def run(
    out: Path = Path("xrano-demo"), patients: int = 96, seed: int = 0, copies: int = 3
) -> Answer:
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
    finished = run_demo(
        out, patients=patients, seed=seed, copies=copies, progress=bar, epochs=epochs, say=print
    )
    return Answer(
        f"next:  xrano report {finished.root} --out {out / 'report'}",
        {
            "run": finished.root,
            "scores": out / "scores",
            "explained": out / "explained",
            "folds": finished.trained_folds,
        },
    )
