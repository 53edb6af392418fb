"""The figures of an audit: by lesion size, and by kind of cheat."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from xrano.experiments.audit.audit_result import AuditResult
from xrano.experiments.audit.score_table import AUDIT_SCORES, STRATA
from xrano.experiments.audit.separation import EVERY_KIND
from xrano.experiments.audit.settings import MANY_MODELS
from xrano.viz.audit_figure import AuditMark, audit_figure
from xrano.viz.figure_files import save_figure


def write_figures(
    result: AuditResult, out: Path, suffix: str = ".png", *, width: str | float | None = None
) -> list[Path]:
    """Write ``audit.png`` and, with more than one kind of cheat, ``audit-kinds.png``."""
    table = result.separation
    if table.empty:
        return []
    note = (
        f"Quick form: a sign, no finding; {MANY_MODELS} models a side make one."
        if result.settings.quick
        else ""
    )
    every = table[table["comparison"] == EVERY_KIND]
    sizes = {
        stratum: _heading(every[every["stratum"] == stratum], _size(stratum, result.median_ml))
        for stratum in STRATA
        if (every["stratum"] == stratum).any()
    }
    first = out / f"audit{suffix}"
    save_figure(audit_figure(_marks(every, "stratum"), panels=sizes, note=note), first, width=width)
    written = [first]
    pooled = table[
        (table["stratum"] == "all")
        & (table["comparison"] != EVERY_KIND)
        & ~table["comparison"].str.endswith("same marks")
    ]
    kinds = {
        str(name): _heading(own, str(name))
        for name, own in pooled.groupby("comparison", sort=False)
    }
    if len(kinds) > 1:
        figure = audit_figure(_marks(pooled, "comparison"), panels=kinds, note=note)
        written.append(out / f"audit-kinds{suffix}")
        save_figure(figure, written[-1], width=width)
    return written


def _marks(table: pd.DataFrame, panel: str) -> list[AuditMark]:
    return [
        AuditMark(
            str(row[panel]),
            AUDIT_SCORES[row["score"]].words,
            row["method"],
            float(row["auroc"]),
            float(row["low"]),
            float(row["high"]),
            trusted=row["verdict"] == "trust",
            headline=bool(row["headline"]),
        )
        for row in table.to_dict("records")
    ]


def _heading(own: pd.DataFrame, words: str) -> str:
    return f"{words}\n{own['n_honest'].max()} honest, {own['n_cheating'].max()} cheats"


def _size(stratum: str, median_ml: float) -> str:
    return {
        "all": "all lesions",
        "small": f"core < {median_ml:.1f} ml",
        "large": f"core ≥ {median_ml:.1f} ml",
    }[stratum]
