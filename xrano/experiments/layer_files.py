"""The sweep over layers as tables, a figure and text."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from xrano.data.tables import write_table
from xrano.experiments.layer_sweep import PARTS
from xrano.viz.figure_files import save_figure
from xrano.viz.layer_figure import LayerPoint, layer_figure

_WORDS = ("method", "layer", "cells")

LAYER_NUMBERS = ("cell_mm", "lift", "low", "high", "reference_lift")
"""Columns of numbers of ``layers_summary.csv`` that are drawn."""


def write_layers(rows: pd.DataFrame, summary: pd.DataFrame, out: Path) -> list[Path]:
    """Write ``layers.csv``, ``layers_summary.csv`` and ``layers.png``; the files."""
    write_table(out / "layers.csv", rows)
    write_table(out / "layers_summary.csv", summary)
    written = [out / "layers.csv", out / "layers_summary.csv"]
    figure = held_out_figure(summary)
    if figure is not None:
        save_figure(figure, out / "layers.png", dpi=200)
        written.append(out / "layers.png")
    return written


def held_out_figure(summary: pd.DataFrame) -> Figure | None:
    """The lift of every layer on held-out pairs; ``None`` if there is no such pair."""
    held = summary[summary["part"] == PARTS[1]]
    if held.empty:
        return None
    names = (*_WORDS, *LAYER_NUMBERS)
    points = [
        LayerPoint(**{name: row[name] for name in names}, chosen=bool(row["chosen"]))
        for row in held.to_dict("records")
    ]
    first = held.iloc[0]
    title = f"{first['n_pairs']} held-out pairs of {first['n_patients']} patients"
    return layer_figure(points, title=title)


def layers_text(summary: pd.DataFrame) -> str:
    """A table for the terminal, of held-out pairs; ``*`` is the layer chosen on training pairs."""
    held = summary[summary["part"] == PARTS[1]]
    width = max([len("layer"), *(len(str(name)) for name in held["layer"])])
    lines = [
        "log2 lift of class activation maps on held-out pairs, by layer (* chosen on training "
        "pairs); mask: the tumour's own mask seen at the cells",
        f"  {'method':<12} {'layer':<{width}}   {'cells':<10} {'mm':>4}  {'lift':<22} mask",
    ]
    for row in held.to_dict("records"):
        mark = "*" if row["chosen"] else " "
        lift = f"{row['lift']:+.2f} [{row['low']:+.2f}, {row['high']:+.2f}]"
        lines.append(
            f"  {row['method']:<12} {row['layer']:<{width}} {mark} {row['cells']:<10} "
            f"{row['cell_mm']:4.0f}  {lift:<22} {row['reference_lift']:+.2f}"
        )
    return "\n".join(lines)
