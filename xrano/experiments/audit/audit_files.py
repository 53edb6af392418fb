"""The files of an audit.

::

    settings.json     what was asked for
    models.csv        one row a model: accuracies, verification
    audit_scores.csv  one row a model, method, score and lesion size
    probes.csv        what tissue far from any lesion tells in each cohort's honest scans
    audit.csv         how each score tells honest from cheating: AUROC with interval, verdict
    audit.json        all of these in one, with the verdict and the cost
    verdict.txt       in words
    audit.png         the figure; audit-kinds.png by kind of cheat
    cohorts/ models/  what each model needs and left
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

import xrano
from xrano.atomic_files import write_json, write_text
from xrano.errors import ConfigError, ManifestError
from xrano.experiments.audit.audit_result import MODEL_COLUMNS, SCORE_COLUMNS, AuditResult
from xrano.experiments.audit.separation import AUDIT_COLUMNS, HEADLINE, headline_reason
from xrano.experiments.audit.settings import (
    DEVELOPMENT_SEEDS,
    AuditSettings,
    settings_from_json,
)
from xrano.experiments.audit.verdict import verdict_text
from xrano.experiments.audit.verification import RULE
from xrano.scoring.report import finite
from xrano.scoring.table_files import read_frame, write_frame
from xrano.text_files import read_json

_NUMBERS = (
    *("value", "strength", "own", "swapped", "removed", "erased", "swapped_loss", "erased_loss"),
    *("seconds", "auroc", "low", "high", "p", "p_adjusted"),
)
_COUNTS = ("cohort_seed", "model_seed", "n_pairs", "n_patients", "n_honest", "n_cheating")
_FLAGS = ("usable", "headline", "higher_is_honest")


@dataclass(frozen=True, eq=False)
class SavedAudit:
    """An audit as it is read back: the scale for other runs."""

    root: Path
    settings: AuditSettings
    models: pd.DataFrame
    scores: pd.DataFrame
    separation: pd.DataFrame
    median_ml: float


def write_audit(result: AuditResult, out: Path) -> list[Path]:
    """Write the tables, the verdict and the figures; those for people, in the order to look at."""
    from xrano.experiments.audit.audit_figures import write_figures

    text = verdict_text(result)
    write_frame(result.models, out / "models.csv")
    write_frame(result.scores, out / "audit_scores.csv")
    write_frame(result.separation, out / "audit.csv")
    write_frame(result.probes, out / "probes.csv")
    write_text(out / "verdict.txt", text + "\n")
    figures = write_figures(result, out)
    write_json(out / "audit.json", audit_json(result, text))
    return [out / "verdict.txt", *figures, out / "audit.csv", out / "models.csv"]


def audit_json(result: AuditResult, text: str) -> dict[str, Any]:
    """Everything of an audit but the score of each model, as JSON values."""
    found: dict[str, Any] = finite(
        {
            "settings": result.settings.to_json(),
            "quick": result.settings.quick,
            "version": xrano.__version__,
            "rule": RULE,
            "headline": {"method": HEADLINE[0], "score": HEADLINE[1], "why": headline_reason()},
            "development_seeds": list(DEVELOPMENT_SEEDS),
            "median_core_ml": result.median_ml,
            "models_planned": result.planned,
            "model_seconds": float(result.models["seconds"].sum()),
            "models": result.models.to_dict("records"),
            "probes": result.probes.to_dict("records"),
            "separation": result.separation.to_dict("records"),
            "verdict": text.splitlines(),
        }
    )
    return found


def read_audit(root: Path) -> SavedAudit:
    """An audit from its folder.

    Raises:
        ManifestError: if it holds no finished audit.
    """
    root = Path(root)
    try:
        facts = read_json(root / "audit.json")
        if not isinstance(facts, dict):
            raise ValueError("audit.json holds no mapping")
        told = facts.get("median_core_ml")
        median = math.nan if told is None else float(told)
    except (OSError, ValueError, TypeError, OverflowError) as error:
        raise ManifestError(
            f"{root} holds no finished audit ({error}); run xrano audit --out {root} first, or "
            "name the folder of one"
        ) from error
    return SavedAudit(
        root,
        settings_from_json(facts.get("settings", {}), root / "audit.json"),
        _read(root / "models.csv", MODEL_COLUMNS),
        _read(root / "audit_scores.csv", SCORE_COLUMNS),
        _read(root / "audit.csv", AUDIT_COLUMNS),
        median,
    )


def claim(out: Path, settings: AuditSettings) -> None:
    """Write the settings, or refuse a folder that holds models of others; kinds may be added.

    Raises:
        ConfigError: if its models were trained otherwise.
    """
    path = out / "settings.json"
    if path.is_file():
        try:
            values = read_json(path)
        except (OSError, ValueError) as error:
            raise ConfigError(
                f"{path} cannot be read ({error}); choose another --out, or delete it"
            ) from error
        known = settings_from_json(values, path).of_one_model
        other = [name for name, value in settings.of_one_model.items() if known[name] != value]
        if other:
            raise ConfigError(
                f"{out} holds an audit with another {', '.join(other)} (see its settings.json); "
                "choose another --out, or delete it"
            )
    write_json(path, settings.to_json())


def _read(path: Path, columns: tuple[str, ...]) -> pd.DataFrame:
    table = read_frame(
        path,
        numbers=tuple(name for name in _NUMBERS if name in columns),
        counts=tuple(name for name in _COUNTS if name in columns),
        flags=tuple(name for name in _FLAGS if name in columns),
    )
    missing = [name for name in columns if name not in table]
    if missing:
        raise ManifestError(f"{path} lacks the columns {', '.join(missing)}: audit again")
    return table
