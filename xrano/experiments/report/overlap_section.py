"""Where the network looks: the primary analysis by response and method, and the paper's claims."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from xrano.experiments.report.commands import CommandLines
from xrano.experiments.report.gathered import Gathered, Scored
from xrano.experiments.report.number_words import (
    STAR_NOTE,
    bits_interval,
    percent,
    starred,
)
from xrano.metrics.catalogue import OverlapStatus
from xrano.report.tables import Cell, Column, Command, Row, Section, Table, plain_table
from xrano.scoring.claims import CLAIMS, HIT_LIFT
from xrano.scoring.summary import ALL
from xrano.scoring.summary_text import unlabelled_note
from xrano.viz.names import method_name
from xrano.viz.overlap_figure import is_reference

STATUS_WORDS: Mapping[str, str] = {
    OverlapStatus.OK: "defined",
    OverlapStatus.EMPTY_MASK: "no tumour core on either scan",
    OverlapStatus.ZERO_MAP: "map without relevance in the brain",
    OverlapStatus.BELOW_MEASURABLE: "tumour too small to be measured",
    "no_segmentation": "not segmented",
    "region_not_labelled": "core not labelled",
    "full_mask": "tumour fills the brain mask",
}
"""Why a score is undefined, in words."""


def overlap_section(gathered: Gathered, lines: CommandLines) -> Section:
    """Lift and gain of every method in every response, or what is missing."""
    title = "Where does it look?"
    scored = gathered.scored
    if scored is None:
        why = gathered.sources.scores.why
        return Section(
            "overlap",
            title,
            missing=(
                Command(f"The maps are not scored ({why}). This does it:", lines.make("scores")),
            ),
        )
    summary = scored.table("summary")
    if "summary" in scored.lacking:
        return Section("overlap", title, missing=(older(("summary",), gathered, lines),))
    words = [
        "Lift is how many times as much relevance lies in the tumour core (enhancing and necrotic, "
        "of either scan) as a map that ignores the tumour would put there, as a power of two: "
        "+1 is twice, +2 four times. Gain is the lift less that of the same method on copies of "
        "the network with random weights: what training has added. In brackets, 95 % intervals "
        f"over patients; segmentation {scored.source or 'of none'}."
    ]
    note = unlabelled_note(scored.tables["scores"])
    words += [f"{note[0].upper()}{note[1:]}."] if note else []
    if summary.empty:
        words.append(
            "No map qualifies for the primary analysis (predicted class as target, tumour core of "
            "both scans, no surgery between them)."
        )
        return Section("overlap", title, tuple(words), tables=_undefined(scored))
    tables = [_matrix(summary, "lift"), _matrix(summary, "gain"), full_table(summary)]
    tables += _undefined(scored)
    claims = _claims(scored.table("claims"))
    return Section(
        "overlap",
        title,
        tuple(words),
        tables=(*tables[:2], *([claims] if claims else []), *tables[2:]),
        missing=_missing(gathered, lines),
    )


def older(names: tuple[str, ...], gathered: Gathered, lines: CommandLines) -> Command:
    """What to say of tables that an older version did not write."""
    files = ", ".join(f"{name}.csv" for name in names)
    verb = "is" if len(names) == 1 else "are"
    return Command(
        f"{files} {verb} missing, or of another version of xrano. This writes the folder anew:",
        lines.make("scores")
        if gathered.sources.scores.path is None
        else f"xrano score {lines.path(gathered.run.root)} "
        f"--out {lines.path(gathered.sources.scores.path)}",
    )


def _missing(gathered: Gathered, lines: CommandLines) -> tuple[Command, ...]:
    lacking = gathered.scored.lacking if gathered.scored is not None else ()
    return (older(lacking, gathered, lines),) if lacking else ()


def _matrix(summary: pd.DataFrame, name: str) -> Table:
    """Methods in rows, responses in columns, one number with its interval a cell."""
    responses = list(dict.fromkeys(map(str, summary["response"])))
    by = {(str(row["method"]), str(row["response"])): row for row in summary.to_dict("records")}
    methods = list(dict.fromkeys(map(str, summary["method"])))
    methods = [method for method in methods if name == "lift" or not is_reference(method)]
    columns = [Column("method")]
    for response in responses:
        of = summary[summary["response"] == response]
        head = starred(response, descriptive=bool(of["descriptive"].any()))
        head = "all rated" if response == ALL else head
        note = f"{of['n_patients'].max()} patients, {of['n_pairs'].max()} pairs"
        columns.append(Column(head, note, numeric=True))
    rows: list[Row] = []
    for method in methods:
        first = is_reference(method) and not any(is_reference(row) for row in methods[: len(rows)])
        cells = [_matrix_cell(by.get((method, response)), name, summary) for response in responses]
        group = "Maps that need no network" if first else ""
        rows.append(Row((Cell(method_name(method)), *cells), group))
    what = (
        "log2 lift over chance, by method and response"
        if name == "lift"
        else "Gain over untrained networks, by method and response, in bits"
    )
    few = summary["descriptive"] | (summary["gain_descriptive"] & (name == "gain"))
    notes = [STAR_NOTE] if few.any() else []
    if name == "lift" and any(method.partition(":")[0] == "mask" for method in methods):
        notes.append(
            f"“{method_name('mask')}” is the tumour itself seen at the class activation map's "
            "resolution: what such cells could show, not a rival."
        )
    return Table(name, what, tuple(columns), tuple(rows), tuple(notes))


def _matrix_cell(row: Mapping[Any, Any] | None, name: str, summary: pd.DataFrame) -> Cell:
    """The number, and below it what differs from the head of its column."""
    if row is None:
        return Cell("–")
    notes = []
    of = summary[summary["response"] == row["response"]]
    if row["n_patients"] != of["n_patients"].max():
        notes.append(f"{row['n_patients']} patients")
    if row["n_undefined"]:
        notes.append(f"{row['n_undefined']} undefined")
    if name == "gain" and row["gain_descriptive"] and not row["descriptive"]:
        notes.append(f"{row['n_gain_patients']} patients*")
    return Cell(bits_interval(row, name), ", ".join(notes))


def full_table(summary: pd.DataFrame) -> Table:
    """Every row of ``summary.csv``."""
    heads = (
        *("response", "method", "log2 lift", "gain", "patients", "pairs", "undefined"),
        *("relevance in the core", "chance", "copies"),
    )
    rows = [
        [
            starred(str(row["response"]), descriptive=bool(row["descriptive"])),
            method_name(str(row["method"])),
            bits_interval(row, "lift"),
            bits_interval(row, "gain"),
            str(row["n_patients"]),
            str(row["n_pairs"]),
            str(row["n_undefined"]),
            percent(row["mean_value"], 2),
            percent(row["mean_chance"], 2),
            str(row["n_copies"] or "–"),
        ]
        for row in summary.to_dict("records")
    ]
    return plain_table(
        "primary",
        "The primary analysis in full (summary.csv)",
        heads,
        rows,
        notes=(STAR_NOTE,) if summary["descriptive"].any() else (),
        folded=f"All numbers of the primary analysis ({len(rows)} rows)",
    )


def _claims(claims: pd.DataFrame) -> Table | None:
    if claims.empty:
        return None
    rows = [
        [
            CLAIMS.get(str(row["claim"]), str(row["claim"])),
            *(_rate(row, side) for side in ("first", "second")),
            f"{_points(row['difference'])} [{_points(row['low'])}, {_points(row['high'])}]",
            starred(str(row["n_patients"]), descriptive=bool(row["descriptive"])),
            str(row["n_pairs"]),
            str(row["n_undefined"]),
        ]
        for row in claims.to_dict("records")
    ]
    heads = ("claim", "first", "second", "difference, points", "patients", "pairs", "undefined")
    notes = [f"A hit: more than {2**HIT_LIFT:g} times as much relevance in the tumour as chance."]
    if (claims["n_copies"] > 0).any():
        notes.append(
            "In brackets the rate of copies of the network with random weights: hits by chance are "
            "more frequent for some methods, and where tumours are small."
        )
    return plain_table("claims", "The paper's claims, as rates of hits", heads, rows, notes=notes)


def _rate(row: Mapping[Any, Any], side: str) -> str:
    copies = f" ({percent(row[f'{side}_copies'])})" if row["n_copies"] else ""
    return percent(row[f"{side}_rate"]) + copies


def _points(value: float) -> str:
    return "–" if value != value else f"{100 * value:+.0f}".replace("-", "−")


def _undefined(scored: Scored) -> tuple[Table, ...]:
    """Pairs without a value of the primary metric, by region and why."""
    cells = scored.report.get("undefined", [])
    if not cells:
        return ()
    names = list(dict.fromkeys(name for cell in cells for name in cell["statuses"]))
    rows = []
    seen = set()
    for cell in cells:
        label = ":".join(part for part in (cell["method"], cell["baseline"]) if part)
        counts = [str(cell["statuses"].get(name, 0)) for name in names]
        key = (cell["region"], *counts)
        # Why a mask has no score is the same for every method; told once.
        if key in seen and not cell["statuses"].get("zero_map"):
            continue
        seen.add(key)
        who = method_name(label) if cell["statuses"].get("zero_map") else "every method"
        rows.append([cell["region"], who, str(cell["pairs"]), *counts])
    heads = ["region", "method", "pairs", *(STATUS_WORDS.get(name, name) for name in names)]
    return (
        plain_table(
            "undefined",
            "Pairs without a score, by region and cause",
            heads,
            rows,
            notes=("Undefined is never counted as 0, as 1 or as a hit.",),
            folded="What is undefined, and why",
        ),
    )
