"""How right the network is: beside simple references, class by class, and how sure it is."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from xrano.evaluation.estimates import show_estimate, show_number
from xrano.evaluation.text import LABELS
from xrano.experiments.evaluated_run import NETWORK
from xrano.experiments.report.cohort_figures import reference_figure, reliability_picture
from xrano.experiments.report.commands import CommandLines
from xrano.experiments.report.gathered import Gathered
from xrano.experiments.report.number_words import STAR_NOTE, counted, starred
from xrano.report.tables import Cell, Column, Command, Row, Section, Table
from xrano.scoring.summary import DESCRIPTIVE_BELOW


def accuracy_section(gathered: Gathered, lines: CommandLines) -> Section:
    """Tables and figures of the evaluation, or what is missing."""
    judged = gathered.judged
    network = judged.network
    title = "How right is the network?"
    if network is None:
        # Of an untrained network there is nothing to judge, so there is no command either.
        return Section("accuracy", title, (f"This cannot be told: {judged.why}.",))
    missing = []
    if not judged.complete:
        missing.append(
            Command(
                "Simple references beside the network are missing, or of other predictions. This "
                "makes them:",
                lines.evaluate(),
            )
        )
    figures = [reliability_picture(network)]
    if judged.complete:
        figures.insert(0, reference_figure(judged.found))
    absent = network["absent"]
    words = [
        "Balanced accuracy is the mean of the recalls: every response weighs the same, however "
        "rare. In brackets, 95 % intervals over patients."
    ]
    if absent:
        words.append(f"No pair has the response {', '.join(absent)}: means are over the others.")
    words += [f"{name}: {why}." for name, why in (judged.remarks or {}).items()]
    return Section(
        "accuracy",
        title,
        tuple(words),
        figures=tuple(figure for figure in figures if figure is not None),
        tables=(_comparison(judged.found), _confusion(network), _classes(network)),
        missing=tuple(missing),
    )


def _comparison(found: Mapping[str, Mapping[str, Any]]) -> Table:
    classes = next(iter(found.values()))["classes"]
    columns = [Column("rated by")]
    columns += [
        Column(title, numeric=True)
        for title in ("pairs", "balanced accuracy", "macro-F1", *(f"recall {c}" for c in classes))
    ]
    rows = []
    ordered = _ordered(found)
    for name, one in ordered.items():
        recall = [show_number(one["recall"].get(item, [None])[0]) for item in classes]
        texts = [
            LABELS.get(name, name),
            str(one["n_pairs"]),
            show_estimate(one["balanced_accuracy"]),
            show_estimate(one["macro_f1"]),
            *recall,
        ]
        group = (
            "" if name != _first_reference(_ordered(found)) else "References that need no network"
        )
        rows.append(Row(tuple(Cell(text) for text in texts), group))
    return Table(
        "evaluation",
        "The network beside simple references on the same pairs",
        tuple(columns),
        tuple(rows),
    )


def _ordered(found: Mapping[str, Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """The network, then the references from best to worst."""

    def worth(name: str) -> tuple[bool, float, str]:
        value = found[name]["balanced_accuracy"][0]
        return name != NETWORK, math.inf if value is None else -float(value), name

    return {name: found[name] for name in sorted(found, key=worth)}


def _first_reference(found: Mapping[str, Any]) -> str:
    return next((name for name in found if name != NETWORK), "")


def _confusion(network: Mapping[str, Any]) -> Table:
    classes = network["classes"]
    columns = (
        Column("response"),
        *(Column(f"predicted {name}", numeric=True) for name in classes),
    )
    rows = tuple(
        Row((Cell(name), *(Cell(str(count)) for count in counts)))
        for name, counts in zip(classes, network["confusion"], strict=True)
    )
    return Table("confusion", "What was predicted for each response, in pairs", columns, rows)


def _classes(network: Mapping[str, Any]) -> Table:
    """Recall, AUROC and average precision of each class, with intervals and counts."""
    columns = (
        Column("response"),
        *(
            Column(title, numeric=True)
            for title in ("recall", "AUROC", "average precision", "patients", "pairs")
        ),
    )
    rows, few = [], False
    for name in network["classes"]:
        patients = network["patients_per_class"].get(name, 0)
        descriptive = patients < DESCRIPTIVE_BELOW
        few |= descriptive
        shown = [
            show_estimate((network.get(measure) or {}).get(name, [None] * 3))
            for measure in ("recall", "auroc", "average_precision")
        ]
        pairs = network["pairs_per_class"].get(name, 0)
        texts = [starred(name, descriptive=descriptive), *shown, str(patients), str(pairs)]
        rows.append(Row(tuple(Cell(text) for text in texts)))
    notes = [f"{counted(network['n_patients'], 'patient')} in all; one may be in several classes."]
    return Table(
        "classes",
        "Each response by itself",
        columns,
        tuple(rows),
        (*notes, *([STAR_NOTE] if few else [])),
    )
