"""The whole path once, on a phantom cohort whose ratings have a known cause."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from xrano.attribution.methods import AttributionSettings
from xrano.data.phantom.settings import PhantomSettings
from xrano.experiments.cohort import CohortSettings, score_cohort
from xrano.experiments.evaluated_run import evaluate_run
from xrano.experiments.explained_pairs import explain_pairs
from xrano.experiments.phantom_store import make_store
from xrano.experiments.summary_files import write_summary, written_notes
from xrano.progress import Progress, quiet
from xrano.rano import RESPONSES
from xrano.scoring.summary_text import format_primary
from xrano.training.config import RunConfig
from xrano.training.config_file import config_from, preset
from xrano.training.run import Run
from xrano.training.train_run import FoldReport, train_run

PANEL_METHODS = ("saliency", "gradcam", "ig:prior")


def run_demo(
    out: Path,
    *,
    patients: int = 96,
    seed: int = 0,
    copies: int = 3,
    progress: Progress = quiet,
    epochs: FoldReport = lambda _fold, _line, _epochs: None,
    say: Callable[[str], object] = lambda _text: None,
) -> Run:
    """Make a phantom, index, prepare, train one fold, evaluate, explain and score it.

    Interrupted, it goes on where it was.

    Args:
        out: folder for everything.
        patients: phantom patients; a fifth is held out.
        seed: of phantom and training.
        copies: random-weight copies.
        progress: how to show progress.
        epochs: called after each epoch.
        say: takes the texts for the user.

    Returns:
        The run.
    """
    settings = PhantomSettings(patients=patients, seed=seed)
    say(
        f"1/5  phantom cohort: {patients} patients at {settings.spacing_mm:g} mm, rated by the "
        f"volumetric rule with a margin of {settings.margin:.0%} at each threshold"
    )
    make_store(out, settings, progress, jobs=0)
    say("2/5  training a small DenseNet on four fifths of the patients")
    run = train_run(demo_config(out / "store", seed), out / "run", report=epochs)
    say("3/5  judging it on the held-out fifth")
    say(evaluate_run(run).text())
    say("4/5  explaining and scoring every held-out pair, and untrained copies beside")
    cohort = CohortSettings(copies=copies, attribution=AttributionSettings(n_steps=8))
    table = score_cohort(run, out / "scores", cohort, progress=progress)
    say(format_primary(write_summary(table, out / "scores")))
    say("\n".join(written_notes(out / "scores")))
    say("5/5  panels of one case a class")
    shown = example_pairs(run.predictions)
    panels = explain_pairs(run, shown, PANEL_METHODS, out / "explained", progress=progress)
    say("\n".join(["panels:", *(f"  {path}" for path in panels)]))
    say(f"overlap figure: {out / 'scores' / 'overlap.png'}")
    say(
        "The phantom's ratings follow from the tumour's volume alone, so lift is deserved here; "
        "what it says of real patients it cannot say. Research software, not a medical device."
    )
    return run


def demo_config(store: Path, seed: int) -> RunConfig:
    """The preset ``demo`` on a store."""
    values = preset("demo")
    return config_from({**values, "store": str(store), "seed": seed}, "the preset demo")


def example_pairs(predictions: pd.DataFrame) -> list[str]:
    """The first held-out pair of each response, right or wrong: no choosing of nice ones."""
    found = []
    for response in RESPONSES:
        of_class = predictions[predictions["response"] == response].sort_values("pair_id")
        found += list(of_class["pair_id"].head(1))
    return found
