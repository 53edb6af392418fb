"""Do honest cohorts tell the response by the tumour alone? The leak probe on each of an audit.

An honest model can only be called honest if nothing but the tumour tells. The probe
(:mod:`xrano.experiments.leak_report`) looks at normal tissue far from any lesion of the scans that
no mark was planted into; its balanced accuracy should lie within what permuted responses reach.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pandas as pd

from xrano.data.store import open_store
from xrano.errors import ManifestError
from xrano.experiments.audit.settings import AuditSettings
from xrano.experiments.leak_report import REPORT, probe_store
from xrano.progress import Progress, quiet
from xrano.text_files import read_json

PROBE_COLUMNS = (
    *("cohort_seed", "distance_mm", "balanced_accuracy", "low", "high", "p_value"),
    *("pairs", "patients", "leaks", "why"),
)
"""Of ``probes.csv``: one row a cohort and distance; ``low`` and ``high`` bound what 95 % of
permuted responses reach."""


def probe_cohorts(
    settings: AuditSettings, out: Path, *, progress: Progress = quiet
) -> pd.DataFrame:
    """The probe of every cohort that was made, run where it was not yet.

    Args:
        settings: of the audit.
        out: its folder.
        progress: how to show progress.

    Returns:
        :data:`PROBE_COLUMNS`; empty if no cohort is there.

    Raises:
        ManifestError: naming a kept report that cannot be read.
    """
    stores = {seed: out / "cohorts" / f"seed-{seed}" / "store" for seed in settings.cohort_seeds}
    made = [seed for seed, store in stores.items() if store.is_dir()]
    rows: list[dict[str, Any]] = []
    for seed in progress(made, "probing cohorts"):
        report = stores[seed] / REPORT
        if not report.is_file():
            probe_store(open_store(stores[seed]))
        try:
            rows += _rows(seed, read_json(report))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise ManifestError(
                f"{report} cannot be read ({type(error).__name__}: {error}); delete it, and it is "
                "made anew"
            ) from error
    return pd.DataFrame(rows, columns=list(PROBE_COLUMNS))


def probe_line(probes: pd.DataFrame) -> str:
    """What the probes say, in one line.

    Example:
        >>> probe_line(pd.DataFrame(columns=list(PROBE_COLUMNS)))
        'Probe of honest scans far from any lesion: not run.'
    """
    run = probes.dropna(subset=["balanced_accuracy"])
    named = "Probe of honest scans far from any lesion"
    if run.empty:
        return f"{named}: not run."
    parts = []
    for distance, own in run.groupby("distance_mm"):
        leaking = int(own["leaks"].sum())
        parts.append(
            f"{distance:g} mm: balanced accuracy {own['balanced_accuracy'].mean():.2f} on average, "
            f"above the permuted band in {leaking} of {len(own)} cohorts"
        )
    return f"{named} (chance 0.25; one in 40 cohorts lies above by chance): {'; '.join(parts)}."


def _rows(seed: int, report: dict[str, Any]) -> list[dict[str, Any]]:
    rows = []
    for probe in report["probes"]:
        found = probe["result"] or {}
        low, high = found.get("band") or (math.nan, math.nan)
        accuracy = found.get("balanced_accuracy", math.nan)
        rows.append(
            {
                "cohort_seed": seed,
                "distance_mm": probe["distance_mm"],
                "balanced_accuracy": accuracy,
                "low": low,
                "high": high,
                "p_value": found.get("p_value", math.nan),
                "pairs": found.get("pairs", 0),
                "patients": found.get("patients", 0),
                "leaks": bool(found) and accuracy > high,
                "why": probe["why"],
            }
        )
    return rows
