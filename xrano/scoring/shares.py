"""How a map's relevance divides among scans and sequences: ``shares.csv``.

Absolute relevance inside the brain, of maps that keep their channels. ``expected`` is what a map
without preference gives each, one part in as many as there are. Undefined is what the method or
the network fixes by construction, whatever was learnt:

* with the prior scan as baseline the prior channels get nothing (``fixed_by_method``); the
  sequences of the current scan are compared among themselves;
* a network that takes only current − prior cannot tell the scans apart, so that its relevance is of
  the ``change`` of each sequence.

Class activation maps speak of all channels at once and have no rows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from xrano.channels import ChannelLayout, Timepoint
from xrano.maps import AttributionMap
from xrano.types import Mask

ONE_VISIT = 0.9
"""From this share on one scan on, a map looks at one visit only."""

CHANGE = "change"
FIXED = "fixed_by_method"
SHARE_COLUMNS = (
    *("run", "weights", "fold", "pair_id", "patient_id", "response", "predicted", "target"),
    *("method", "baseline", "timepoint", "sequence", "share", "expected", "status", "one_visit"),
)
"""Columns of the table. ``sequence`` is ``all`` in the rows of a whole scan; ``share`` is NaN where
``status`` is not ``ok``; ``one_visit``: whether at least 90 % of the map lies on one scan."""


def share_rows(
    attribution: AttributionMap, brain: Mask, layout: ChannelLayout, *, stem: str = "concat"
) -> list[dict[str, Any]]:
    """The shares of one map; none if it does not keep the layout's channels.

    Args:
        attribution: the map with all channels, on the grid of the brain.
        brain: (i, j, k) boolean.
        layout: which channel is which.
        stem: how the network takes the scans; ``subtract`` merges them into ``change``.

    Returns:
        A row a scan and sequence, and one a scan, with :data:`SHARE_COLUMNS`.
    """
    if tuple(attribution.channels) != tuple(layout.names):
        return []
    mass = np.abs(attribution.data[:, brain]).sum(axis=1, dtype=np.float64)
    sequences = layout.sequences
    by = np.array([[mass[layout.index(time, name)] for name in sequences] for time in Timepoint])
    meta = attribution.meta
    if stem == "subtract":
        parts = _rows([CHANGE], sequences, by.sum(axis=0, keepdims=True), fixed="")
    else:
        fixed = str(Timepoint.PRIOR) if meta.get("baseline") == "prior" else ""
        parts = _rows([str(time) for time in Timepoint], sequences, by, fixed=fixed)
    facts = {
        "run": str(meta.get("run") or ""),
        "weights": str(meta.get("weights") or "trained"),
        "fold": meta.get("fold", ""),
        **{key: str(meta[key]) for key in ("pair_id", "patient_id", "response", "predicted")},
        "target": str(meta["target_name"]),
        "method": str(meta["method"]),
        "baseline": str(meta.get("baseline") or ""),
    }
    whole = [
        row["share"] for row in parts if row["sequence"] == "all" and row["timepoint"] != CHANGE
    ]
    one_visit = any(share >= ONE_VISIT for share in whole)
    return [{**facts, **row, "one_visit": one_visit} for row in parts]


def _rows(
    scans: Sequence[str], sequences: Sequence[str], mass: np.ndarray[Any, Any], *, fixed: str
) -> list[dict[str, Any]]:
    """Rows of (scan, sequence) masses; the scan named ``fixed`` has no say."""
    free = np.array([scan != fixed for scan in scans])
    total = float(mass[free].sum())
    rows = []
    for scan, of_scan in zip(scans, mass, strict=True):
        held = scan == fixed
        # Between scans nothing is left to compare once one is fixed, or there is only one.
        scan_told = free.all() and len(scans) > 1
        cells = [("all", float(of_scan.sum()), 1 / len(scans), scan_told)]
        cells += [
            (name, float(value), 1 / (len(sequences) * int(free.sum())), not held)
            for name, value in zip(sequences, of_scan, strict=True)
        ]
        for name, value, expected, told in cells:
            status = "ok" if told and total > 0 else FIXED if not told else "zero_map"
            rows.append(
                {
                    "timepoint": scan,
                    "sequence": name,
                    "share": value / total if status == "ok" else math.nan,
                    "expected": expected if told else math.nan,
                    "status": status,
                }
            )
    return rows


def one_visit_note(table: pd.DataFrame) -> str:
    """Which methods of the network look at one scan only, in words; empty if none does.

    Args:
        table: rows of :func:`share_rows`.
    """
    own = table[
        ~table["weights"].str.startswith("random")
        & (table["sequence"] == "all")
        & (table["status"] == "ok")
    ]
    notes = []
    for method, rows in own.groupby(["method", "baseline"], sort=False):
        label = ":".join(str(name) for name in method if name)
        for scan, share in rows.groupby("timepoint")["share"].mean().items():
            if share >= ONE_VISIT:
                notes.append(f"{label} puts {share:.0%} of its relevance on the {scan} scan")
    return f"one visit only? {'; '.join(notes)}" if notes else ""
