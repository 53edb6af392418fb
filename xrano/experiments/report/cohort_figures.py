"""The pictures of a cohort page, as PNG bytes with their words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from xrano.errors import XranoError
from xrano.evaluation.text import LABELS
from xrano.experiments.atlas import class_atlas
from xrano.experiments.evaluated_run import NETWORK
from xrano.experiments.report.number_words import bits_interval, counted
from xrano.experiments.report.sources import Sources
from xrano.progress import Progress, quiet
from xrano.report.tables import Figure
from xrano.scoring.summary import ALL
from xrano.training.run import Run
from xrano.viz.atlas_figure import atlas_figure
from xrano.viz.figure_files import png_bytes
from xrano.viz.forest_figure import forest_figure
from xrano.viz.forest_rows import ForestRow
from xrano.viz.names import method_name
from xrano.viz.overlap_figure import is_reference, primary_figure
from xrano.viz.reliability_figure import calibration_figure

_BESIDE = ("change", "enhancement")
"""References drawn beside the network's methods; the others stand in the table."""

_DPI = 130

ATLAS_PATIENTS = 5
"""Patients of some response from which on the page shows mean maps."""


def overlap_picture(summary: pd.DataFrame) -> Figure | None:
    """The primary analysis: the network's methods and the references that rival them."""
    if summary.empty:
        return None
    names = summary["method"].astype(str)
    shown = summary[~names.map(is_reference) | names.isin(_BESIDE)]
    shown = summary if shown.empty else shown
    overall = shown[(shown["response"] == ALL) & shown["lift"].notna()]
    told = "; ".join(
        f"{method_name(str(row['method']))} {bits_interval(row, 'lift')}"
        for row in overall.to_dict("records")
    )
    return Figure(
        "overlap",
        png_bytes(primary_figure(shown), _DPI),
        "Lift over chance and gain over untrained networks of every method, by response. Over all "
        f"responses, in bits: {told or 'nothing defined'}.",
        "How much more relevance lies in the tumour core than chance would put there (left), and "
        "than untrained copies of the network put there (right). One bit is twice as much.",
        wide=True,
    )


def atlas_picture(run: Run, sources: Sources, progress: Progress = quiet) -> Figure | str:
    """The mean map of each response class; or why it cannot be drawn."""
    if sources.maps.path is None:
        return ""
    try:
        atlas = class_atlas(run, sources.maps.path, progress=progress)
    except XranoError as error:
        text = str(error).replace(str(sources.maps.path), sources.maps.path.name)
        return f"The class atlas cannot be drawn: {text}."
    if max((one.n_patients for one in atlas.maps.values()), default=0) < ATLAS_PATIENTS:
        return (
            f"The class atlas is left out: a mean of fewer than {ATLAS_PATIENTS} patients a "
            "response shows single patients. xrano figures draws it all the same."
        )
    counts = {response: one.n_pairs for (_, response), one in atlas.maps.items()}
    told = ", ".join(
        f"{response} {counted(counts[response], 'pair')}"
        for response in atlas.classes
        if response in counts
    )
    notes = " ".join(atlas.notes)
    return Figure(
        "atlas",
        png_bytes(atlas_figure(atlas), _DPI),
        "Mean attribution map of each response class, a row a method, over "
        f"{atlas.background_name}, with the mean outline of the tumour: {told}.",
        "Where the maps lie on average, by response: each map over its mean in the brain, averaged "
        f"within patients, then over them ({told}). {notes}".strip(),
        wide=True,
    )


def reference_figure(found: Mapping[str, Mapping[str, Any]]) -> Figure | None:
    """Balanced accuracy of the network and of each reference, best first."""
    known = {name: one for name, one in found.items() if one["balanced_accuracy"][0] is not None}
    if NETWORK not in known or len(known) < 2:
        return None
    ordered = sorted(
        (name for name in known if name != NETWORK),
        key=lambda name: -known[name]["balanced_accuracy"][0],
    )
    rows = [_forest_row(name, known[name]) for name in (NETWORK, *ordered)]
    n_classes = len(known[NETWORK]["classes"])
    drawing = forest_figure(rows, n_classes=n_classes, paper_line=False)
    return Figure(
        "references",
        png_bytes(drawing, 150),
        "Balanced accuracy with its interval of the network and of every reference; the numbers "
        "are those of the table below.",
        "The network (blue) and what needs none (grey), on the same pairs.",
        wide=True,
    )


def reliability_picture(network: Mapping[str, Any]) -> Figure | None:
    """How often the network is right when it says so."""
    calibration = network.get("calibration")
    if not calibration or not calibration.get("reliability"):
        return None
    drawing = calibration_figure(calibration, title="network")
    told = "; ".join(
        f"sure by {item['confidence']:.2f}, right {item['accuracy']:.2f} of {item['count']}"
        for item in calibration["reliability"]
    )
    return Figure(
        "reliability",
        png_bytes(drawing, 150),
        f"Share of right predictions against their probability: {told}.",
        "Is it as often right as it is sure? On the diagonal, yes; below it, it is too sure.",
    )


def _forest_row(name: str, found: Mapping[str, Any]) -> ForestRow:
    value, low, high = (
        np.nan if number is None else float(number) for number in found["balanced_accuracy"]
    )
    label = LABELS.get(name, name)
    reference = name != NETWORK
    approach = "References that need no network" if reference else "This run"
    return ForestRow(label, approach, value, low, high, found["n_pairs"], is_reference=reference)
