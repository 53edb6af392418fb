"""Whether the maps can be trusted: the audit's verdict, where the run lies, faithfulness."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from xrano.evaluation.estimates import show_estimate, show_number
from xrano.experiments.audit.own_run import own_run_text
from xrano.experiments.faithfulness_text import READING
from xrano.experiments.report.commands import CommandLines
from xrano.experiments.report.gathered import Audited, Gathered
from xrano.experiments.report.number_words import STAR_NOTE, starred
from xrano.report.tables import Command, Fold, Section, Table, plain_table
from xrano.viz.names import method_name

_FIRST = ("lesion_erase", "lesion_only", "visit_swap", "duplicated_visit")
"""Shown at once: they speak of the network itself. The others are unfolded."""


def audit_section(gathered: Gathered, lines: CommandLines) -> Section:
    """The verdict of the audit and the place of this run, or how to get them."""
    title = "Can a cheat be told by its maps?"
    what = (
        "An audit trains phantom models whose cause is known, some of which cheat, and asks which "
        "scores tell them apart; then it says where this run lies."
    )
    audited = gathered.audited
    if audited is None:
        why = gathered.sources.audit.why
        command = Command(f"No audit was given ({why}). This makes one:", lines.make("audit"))
        return Section("audit", title, (what,), missing=(command,))
    verdict = _lines_of(audited)
    if audited.placed is None:
        missing = () if gathered.scored is not None else _score_first(lines)
        words = (what, f"Where this run lies cannot be told: {audited.why}.")
        return Section(
            "audit",
            title,
            words,
            folds=(Fold("The audit's verdict, in full", verdict),),
            missing=missing,
        )
    name = gathered.run.root.resolve().name
    placing = own_run_text(audited.placed, name, notes=audited.notes).splitlines()
    return Section(
        "audit",
        title,
        (what, placing[0]),
        points=tuple(line.strip() for line in placing[1:] if line.strip()),
        folds=(Fold("The audit's verdict, in full", verdict),),
    )


def _lines_of(audited: Audited) -> tuple[str, ...]:
    path = audited.audit.root / "verdict.txt"
    if not path.is_file():
        return ("verdict.txt is missing: audit again",)
    return tuple(line.strip() for line in path.read_text("utf-8").splitlines() if line.strip())


def _score_first(lines: CommandLines) -> tuple[Command, ...]:
    return (
        Command(
            "The run has no scores yet. In the folder that holds the run, this makes them:",
            lines.make("scores"),
        ),
    )


def faithfulness_section(gathered: Gathered, lines: CommandLines) -> Section:
    """Every test with how to read it, or how to get them."""
    title = "Do the maps tell the truth about the network?"
    table = gathered.faithfulness
    if table is None:
        why = gathered.sources.faithfulness.why
        command = Command(
            f"No faithfulness test was given ({why}). In the folder that holds the run, this makes "
            "one:",
            lines.make("faithfulness"),
        )
        return Section("faithfulness", title, missing=(command,))
    if table.empty:
        return Section("faithfulness", title, ("The folder of tests holds no number.",))
    names = [name for name in READING if name in set(table["metric"])]
    names += [name for name in dict.fromkeys(map(str, table["metric"])) if name not in names]
    names.sort(key=lambda name: name not in _FIRST)
    words = [
        "Measured on some held-out pairs, chosen evenly over responses before anything was "
        "measured, so means are not those of the cohort. “Beside it” is what a random map, a "
        "random network or an untouched scan gives. No test is read alone."
    ]
    return Section(
        "faithfulness",
        title,
        tuple(words),
        tables=tuple(_metric_table(name, table[table["metric"] == name]) for name in names),
    )


def _metric_table(metric: str, own: pd.DataFrame) -> Table:
    rows = [_row(row) for row in own.to_dict("records")]
    heads = ("what", "mean", "beside it", "difference", "better is", "patients", "undefined")
    notes = [READING[metric]] if metric in READING else []
    notes += [STAR_NOTE] if own["descriptive"].any() else []
    title = metric.replace("_", " ").replace("auc", "AUC").replace("road", "ROAD")
    title = title[0].upper() + title[1:]
    return plain_table(
        f"faithfulness-{metric}",
        title,
        heads,
        rows,
        notes=notes,
        folded="" if metric in _FIRST else f"{title} ({len(rows)} rows)",
    )


def _row(row: Mapping[Any, Any]) -> list[str]:
    method = method_name(str(row["method"])) if row["method"] else "network"
    quantity = str(row["quantity"]).replace("_", " ")
    parts = [method, quantity, str(row["infill"]), str(row["setting"])]
    beside = row["reference"] if not math.isnan(row["reference"]) else row["chance"]
    return [
        ", ".join(part for part in parts if part),
        show_estimate([row["mean"], row["low"], row["high"]]),
        show_number(beside),
        show_estimate([row["difference"], row["difference_low"], row["difference_high"]]),
        str(row["better"]) or "–",
        starred(str(row["n_patients"]), descriptive=bool(row["descriptive"])),
        str(row["n_undefined"]),
    ]
