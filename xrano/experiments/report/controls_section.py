"""What the controls say: other patients' masks, moved masks, random weights."""

from __future__ import annotations

import pandas as pd

from xrano.evaluation.estimates import show_number
from xrano.experiments.report.gathered import Scored
from xrano.experiments.report.number_words import (
    STAR_NOTE,
    bits,
    p_value,
    starred,
)
from xrano.report.tables import Section, Table, plain_table
from xrano.scoring.pair_values import COPIES, COPIES_SUFFIX, TRAINED
from xrano.scoring.report import LEVEL
from xrano.scoring.rows import PRIMARY_REGION
from xrano.scoring.summary import ALL
from xrano.viz.names import method_name
from xrano.viz.overlap_figure import is_reference

NULL_WORDS = {
    "placement": "the tumour's outline moved to other places of the same brain",
    "random_weights": "copies of the network with random weights",
    "surrogate": "maps as smooth that know nothing of the tumour",
}
"""What a score is compared with, in words."""


def controls_section(scored: Scored) -> Section:
    """Would a map that knows nothing of this tumour do as well?"""
    tables = [table for table in (_shuffle(scored.table("shuffle")), _nulls(scored)) if table]
    words = ["Would a map that knows nothing of this patient's tumour do as well?"]
    if not tables:
        words.append("No control was scored.")
    return Section("controls", "What do the controls say?", tuple(words), tables=tuple(tables))


def _shuffle(shuffle: pd.DataFrame) -> Table | None:
    if shuffle.empty:
        return None
    # What no training has made stands beside the networks over all responses alone.
    shown = shuffle[(shuffle["kind"] == TRAINED) | (shuffle["response"] == ALL)]
    shown = shown.sort_values("kind", key=lambda kind: kind != TRAINED, kind="stable")
    rows = [
        [
            starred(str(row["response"]), descriptive=bool(row["descriptive"])),
            method_name(str(row["method"])) + COPIES_SUFFIX * (row["kind"] == COPIES),
            bits(row["lift"]),
            bits(row["mean"]),
            show_number(row["z"]),
            p_value(row["p"]),
            p_value(row["p_adjusted"]),
            str(row["n_patients"]),
            str(row["n_pairs"]),
        ]
        for row in shown.to_dict("records")
    ]
    heads = ("response", "method", "lift", "on others' tumours", "z", "p", "p corrected")
    largest = int(shuffle["B"].max())
    notes = [
        f"{largest:,} permutations of masks among patients of similar tumour size; p is corrected "
        "for all methods and responses by the largest z, apart for what no training has made. "
        "A map without a network that passes says that passing needs none."
    ]
    notes += [STAR_NOTE] if shown["descriptive"].any() else []
    return plain_table(
        "shuffle",
        "The confirmatory test: lift on the own tumour against lift on other patients' tumours",
        (*heads, "patients", "pairs"),
        rows,
        notes=notes,
    )


def _nulls(scored: Scored) -> Table | None:
    """Pair by pair: how many maps beat each null, for the primary metric and the others."""
    cells = scored.report.get("nulls", [])
    if not cells:
        return None
    rows = []
    for cell in cells:
        label = ":".join(part for part in (cell["method"], cell["baseline"]) if part)
        if is_reference(label):
            continue
        tested, adjusted = cell["n_tested"], cell["n_adjusted"]
        rows.append(
            [
                NULL_WORDS.get(cell["null"], cell["null"]),
                method_name(label),
                _metric(cell["metric"]),
                str(cell["n"]),
                show_number(cell["median_percentile"], digits=1),
                f"{cell['n_rejected']} of {tested}" if tested else "–",
                f"{cell['n_rejected_bh']} of {adjusted}" if adjusted else "–",
                str(cell["n_undefined"]),
            ]
        )
    heads = (
        *("compared with", "method", "score", "pairs", "median percentile"),
        *(f"p ≤ {LEVEL:g}", "after correction", "undefined"),
    )
    return plain_table(
        "nulls",
        f"Pair by pair: where each score lies among its null ({PRIMARY_REGION})",
        heads,
        rows,
        notes=(
            "The percentile is of the map's own score among the null's; 50 is no better than "
            "the null. Corrected after Benjamini and Hochberg over all rows of a null; the p of "
            "moved outlines is descriptive and is not.",
        ),
        folded=f"Pair by pair: {len(rows)} rows of nulls",
    )


def _metric(name: str) -> str:
    return name.replace("_", " ")
