"""A report written to a folder, and its tables read back; an audit made by hand."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pandas as pd

from xrano.atomic_files import write_json, write_text
from xrano.experiments.audit.audit_result import MODEL_COLUMNS, SCORE_COLUMNS
from xrano.experiments.audit.separation import AUDIT_COLUMNS
from xrano.experiments.audit.settings import QUICK
from xrano.experiments.report.sources import find_sources
from xrano.experiments.report.write_report import WrittenReport, write_report
from xrano.scoring.table_files import write_frame
from xrano.training.run import Run

sys.path.append(str(Path(__file__).parents[2] / "report"))

from cohort_pages import tables_of

__all__ = ["cohort", "hand_made_audit", "page_of", "tables_of"]


def cohort(run: Run, out: Path, *, cases: str = "none", **named: Path) -> WrittenReport:
    """The report of a run with what lies beside it, or is named."""
    return write_report(run, out, find_sources(run, **named), cases=cases)


def page_of(run: Run, out: Path, **named: Any) -> str:
    """The page of the cohort."""
    return cohort(run, out, **named).index.read_text(encoding="utf-8")


def hand_made_audit(out: Path) -> Path:
    """Four honest and four cheating models, told apart by the gain of saliency alone."""
    models = [
        {
            "model": f"{side}-{index}",
            "kind": "honest" if side == "honest" else "noise",
            "strength": 1.0,
            "cohort_seed": 4,
            "model_seed": index,
            "assigned": side,
            "verified": side,
            "usable": True,
        }
        for side in ("honest", "cheat")
        for index in range(4)
    ]
    of = {"method": "saliency", "score": "gain", "stratum": "all", "n_pairs": 8, "n_patients": 4}
    values = [
        50.0 + index if m["assigned"] == "honest" else -50.0 for index, m in enumerate(models)
    ]
    scores = [{**m, **of, "value": value} for m, value in zip(models, values, strict=True)]
    judged = {
        **dict.fromkeys(AUDIT_COLUMNS, ""),
        **{"comparison": "all", "stratum": "all", "method": "saliency", "score": "gain"},
        **{"auroc": 1.0, "low": 1.0, "high": 1.0, "p": 0.03, "p_adjusted": 0.03},
        **{"n_honest": 4, "n_cheating": 4, "verdict": "trust"},
        **{"higher_is_honest": True, "headline": True},
    }
    out.mkdir(parents=True)
    write_frame(pd.DataFrame(models, columns=list(MODEL_COLUMNS)), out / "models.csv")
    write_frame(pd.DataFrame(scores, columns=list(SCORE_COLUMNS)), out / "audit_scores.csv")
    write_frame(pd.DataFrame([judged], columns=list(AUDIT_COLUMNS)), out / "audit.csv")
    write_text(out / "verdict.txt", "Quick form: 8 of 8 models.\n")
    write_json(out / "audit.json", {"settings": QUICK.to_json(), "median_core_ml": 5.0})
    return out
