"""How relevance divides: among scans and sequences, and among the parts of the volume."""

from __future__ import annotations

import pandas as pd

from xrano.experiments.report.gathered import Scored
from xrano.experiments.report.number_words import percent
from xrano.report.tables import Section, Table, plain_table
from xrano.scoring.shares import FIXED, one_visit_note
from xrano.scoring.summary import ALL
from xrano.viz.names import method_name


def shares_section(scored: Scored) -> Section:
    """How relevance divides among scans, sequences, and parts of the volume."""
    shares, parts = _shares(scored), _parts(scored.table("accounting_summary"))
    tables = tuple(table for table in (shares, parts) if table is not None)
    words = [
        "How the absolute relevance of a map divides between the two scans and among their "
        "sequences, and where in the volume it lies. A class activation map speaks of all "
        "channels at once and has no share of them."
    ]
    note = one_visit_note(scored.table("shares"))
    words += [f"{note[0].upper()}{note[1:]}."] if note else []
    if not tables:
        words.append("No shares were scored.")
    return Section("shares", "Which scan, sequence and tissue?", tuple(words), tables=tables)


def _shares(scored: Scored) -> Table | None:
    """Scans and sequences in rows, methods in columns."""
    cells = scored.report.get("shares", [])
    if not cells:
        return None
    labels = [":".join(part for part in (c["method"], c["baseline"]) if part) for c in cells]
    methods = list(dict.fromkeys(labels))
    by = {
        (label, cell["timepoint"], cell["sequence"]): cell
        for label, cell in zip(labels, cells, strict=True)
    }
    keys = list(dict.fromkeys((cell["timepoint"], cell["sequence"]) for cell in cells))
    rows = []
    for scan, sequence in keys:
        texts = []
        for method in methods:
            cell = by.get((method, scan, sequence))
            if cell is None:
                texts.append("–")
            elif cell["share"] is None:
                texts.append("fixed by the method" if FIXED in cell["statuses"] else "undefined")
            else:
                texts.append(f"{percent(cell['share'])} ({percent(cell['expected'])})")
        name = f"{scan} scan, all of it" if sequence == "all" else f"{scan} {sequence}"
        rows.append([name, *texts])
    return plain_table(
        "shares",
        "Share of each scan and sequence; in brackets that of a map without preference",
        ("scan", *map(method_name, methods)),
        rows,
        numeric_from=1,
        notes=(
            "With the prior scan as baseline its channels get nothing, whatever was learnt: the "
            "share is fixed by the method, not a finding.",
        ),
    )


def _parts(summary: pd.DataFrame) -> Table | None:
    """Parts of the volume in rows, the network's methods in columns, over all rated pairs."""
    own = summary[(summary["response"] == ALL) & (summary["weights"] == "trained")]
    own = own[own["share"].notna()]
    if own.empty:
        return None
    methods = list(dict.fromkeys(map(str, own["method"])))
    by = {(str(row["method"]), str(row["part"])): row for row in own.to_dict("records")}
    rows = []
    for part in dict.fromkeys(map(str, own["part"])):
        texts = []
        for method in methods:
            row = by.get((method, part))
            texts.append(
                "–"
                if row is None
                else f"{percent(row['share'], 1)} ({percent(row['expected'], 1)})"
            )
        rows.append([part.replace("_", " "), *texts])
    return plain_table(
        "parts",
        "Where the relevance lies, over all rated pairs; in brackets that of a uniform map",
        ("part of the volume", *map(method_name, methods)),
        rows,
        notes=(
            "Each voxel belongs to one part, so that shares add up to 100 %. Exploratory: not "
            "named beforehand.",
        ),
    )
