"""What stands before the summary: warnings, and the numbers that matter most."""

from __future__ import annotations

import math

from xrano.evaluation.estimates import show_number
from xrano.evaluation.text import rule_note
from xrano.experiments.report.gathered import Gathered
from xrano.experiments.report.number_words import INTERVAL, bits_interval, counted, times
from xrano.experiments.report.summary_words import network_rows, overall_rows
from xrano.report.cohort_page import Tile
from xrano.viz.names import method_name

_MOST_TILES = 4
"""Methods that have a tile of their own."""


PHANTOM_NOTE = (
    "this cohort is a phantom made by xrano: no patient was scanned or rated, and its ratings "
    "follow from the true volumes of its lesions"
)


def is_phantom(gathered: Gathered) -> bool:
    """Whether any session of the run's store was made and not scanned."""
    return bool((gathered.run.store.sessions["dataset"] == "phantom").any())


def warnings(gathered: Gathered) -> list[str]:
    """What spoils the numbers, to be read before them."""
    notes = [PHANTOM_NOTE if is_phantom(gathered) else "", gathered.run.leak_note]
    if gathered.predictions is not None:
        notes.append(rule_note(gathered.predictions))
    config = gathered.run.config
    if not config.training.epochs:
        notes.append("the network is untrained: nothing here is about a network that has learnt")
    n_folds, trained = len(gathered.run.splits["folds"]), len(gathered.run.trained_folds)
    if config.training.epochs and trained < n_folds:
        notes.append(
            f"{trained} of {n_folds} folds are trained: the numbers are of their patients only"
        )
    sentences = [note[0].upper() + note[1:] for note in notes if note]
    return [note if note.endswith(".") else f"{note}." for note in sentences]


def tiles(gathered: Gathered) -> list[Tile]:
    """The numbers that matter most."""
    found = []
    network = gathered.judged.network
    if network is not None:
        value, low, high = network["balanced_accuracy"]
        limits = "" if low is None else f"{INTERVAL} {show_number(low)}–{show_number(high)}; "
        chance = f"{limits}chance {1 / len(network['classes']):.2f}"
        found.append(Tile("Balanced accuracy", show_number(value), chance))
    cases = gathered.cases
    found.append(
        Tile(
            "Held out",
            counted(len(cases), "pair"),
            f"of {counted(cases['patient_id'].nunique(), 'patient')}",
        )
    )
    if gathered.scored is not None:
        for row in network_rows(overall_rows(gathered.scored))[:_MOST_TILES]:
            factor = times(float(row["lift"])).removesuffix(" times")
            gain = bits_interval(row, "gain")
            below = "relevance in the tumour"
            if not math.isnan(float(row["gain"])):
                below += f"; {gain} bits over untrained copies"
            found.append(Tile(method_name(str(row["method"])), f"{factor} × chance", below))
    return found
