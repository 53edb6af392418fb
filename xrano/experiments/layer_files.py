"""The sweep over layers as tables, a figure and text."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from xrano.data.tables import write_table
from xrano.experiments.layer_sweep import PARTS
from xrano.viz.figure_files import save_figure
from xrano.viz.layer_figure import LayerPoint, layer_figure


def write_layers(rows: pd.DataFrame, summary: pd.DataFrame, out: Path) -> list[Path]:
    """Write ``layers.csv``, ``layers_summary.csv`` and ``layers.png``; the files."""
    write_table(out / "layers.csv", rows)
    write_table(out / "layers_summary.csv", summary)
    held = summary[summary["part"] == PARTS[1]]
    names = ("method", "layer", "cells", "cell_mm", "lift", "low", "high", "reference_lift")
    points = [
        LayerPoint(**{name: row[name] for name in names}, chosen=bool(row["chosen"]))
        for row in held.to_dict("records")
    ]
    written = [out / "layers.csv", out / "layers_summary.csv"]
    if points:
        first = held.iloc[0]
        title = f"{first['n_pairs']} held-out pairs of {first['n_patients']} patients"
        save_figure(layer_figure(points, title=title), out / "layers.png", dpi=200)
        written.append(out / "layers.png")
    return written


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
