"""The primary analysis as plain text for a terminal."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from typing import Any

import pandas as pd

from xrano.scoring.rows import PRIMARY_REGION
from xrano.scoring.summary import DESCRIPTIVE_BELOW

_HEADER = (
    "response",
    "method",
    "log2 lift [95 %]",
    "gain over random weights [95 %]",
    "copies",
    "patients",
    "pairs",
    "undefined",
)


def format_primary(frame: pd.DataFrame) -> str:
    """A table of response and method with lift, gain, intervals and counts.

    ``copies`` is the number of random-weight networks behind a gain.

    Args:
        frame: what :func:`~xrano.scoring.summary.primary_analysis` returned.

    Returns:
        Lines without a trailing newline; a dash where a number does not exist.
    """
    if frame.empty:
        return (
            "No map qualifies for the primary analysis (predicted class as target, tumour core of "
            "both scans, no surgery between them)."
        )
    lines = [_HEADER, *(_line(row) for row in frame.to_dict("records"))]
    widths = [max(len(line[column]) for line in lines) for column in range(len(_HEADER))]
    texts = [_join(_HEADER, widths), "  ".join("-" * width for width in widths)]
    last = str(frame["response"].iloc[0])
    for response, line in zip(frame["response"], lines[1:], strict=True):
        if response != last:
            texts.append("")
        last = response
        texts.append(_join(line, widths))
    if frame["descriptive"].any():
        texts += ["", f"* fewer than {DESCRIPTIVE_BELOW} patients: descriptive only"]
    return "\n".join(texts)


def unlabelled_note(table: pd.DataFrame) -> str:
    """What to say where no segmentation tells the primary region; empty if one does.

    Args:
        table: a score table.

    Example:
        >>> table = pd.DataFrame({"region": ["core/union", "whole/union"],
        ...                       "status": ["region_not_labelled", "ok"]})
        >>> unlabelled_note(table).split(":")[0]
        'the segmentations do not label core'
    """
    primary = table[table["region"] == PRIMARY_REGION]
    if primary.empty or (primary["status"] != "region_not_labelled").any():
        return ""
    other = sorted(set(table["region"][table["status"] == "ok"]) - {""})
    return (
        f"the segmentations do not label {PRIMARY_REGION.split('/')[0]}: the primary analysis has "
        f"nothing to say; scores.csv has {', '.join(other) or 'no region'} (exploratory)"
    )


def _line(row: Mapping[Hashable, Any]) -> tuple[str, ...]:
    response = f"{row['response']}{'*' if row['descriptive'] else ''}"
    lift, gain = (
        _estimate(*(float(row[f"{name}{end}"]) for end in ("", "_low", "_high")))
        for name in ("lift", "gain")
    )
    counts = (str(row[name]) for name in ("n_patients", "n_pairs", "n_undefined"))
    copies = str(row["n_copies"]) if row["n_copies"] else "-"
    return (response, str(row["method"]), lift, gain, copies, *counts)


def _estimate(value: float, low: float, high: float) -> str:
    if math.isnan(value):
        return "-"
    return f"{value:+.2f} [{low:+.2f}, {high:+.2f}]"


def _join(line: tuple[str, ...], widths: list[int]) -> str:
    words = [cell.ljust(width) for cell, width in zip(line[:4], widths[:4], strict=True)]
    counts = [cell.rjust(width) for cell, width in zip(line[4:], widths[4:], strict=True)]
    return "  ".join([*words, *counts]).rstrip()
