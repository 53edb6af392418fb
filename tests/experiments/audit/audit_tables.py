"""Hand-made audits: models whose scores are known, so that every statement about them is."""

from __future__ import annotations

import numpy as np
import pandas as pd

from xrano.experiments.audit.audit_result import AuditResult, audit_result
from xrano.experiments.audit.one_model import FinishedModel
from xrano.experiments.audit.settings import AuditModel, AuditSettings, ModelKind
from xrano.experiments.audit.verification import Accuracies

NAN = float("nan")
HONEST = Accuracies(0.8, NAN, 0.8, 0.26)
CHEAT = Accuracies(0.95, 0.02, 0.3, 0.94)
BOTH = Accuracies(0.95, 0.3, 0.7, 0.5)

VOLUMES = (2.0, 4.0, 8.0, 16.0)


def pairs(mass: float, seed: int, *, peak: float = 5.0) -> pd.DataFrame:
    """Four pairs of two patients by two methods; chance 0.01, copies 0.02."""
    rng = np.random.default_rng(seed)
    rows = []
    for method, times in (("saliency", 1.0), ("gradcam", 1.0)):
        for index, volume in enumerate(VOLUMES):
            facts = {
                "method": method,
                "pair_id": f"pair-{index}",
                "patient_id": f"P{index % 2}",
                "volume_ml": volume,
            }
            # Grad-CAM knows nothing of what the model is.
            value = mass * times if method == "saliency" else 0.02 * rng.uniform(0.5, 2.0)
            rows += [
                {
                    **facts,
                    "measure": "relevance_mass_accuracy",
                    "value": value,
                    "chance": 0.01,
                    "copies": 0.02,
                },
                {
                    **facts,
                    "measure": "peak_distance_mm",
                    "value": peak if method == "saliency" else rng.uniform(0, 40),
                    "chance": 30.0,
                    "copies": NAN,
                },
            ]
    return pd.DataFrame(rows)


def finished(kind: str, cohort: int, accuracies: Accuracies, mass: float, peak: float):
    model = AuditModel(ModelKind.parse(kind), cohort, 0)
    return FinishedModel(model, accuracies, 60.0, pairs(mass, 100 + cohort, peak=peak))


def made(count: int, *, quick: bool = False) -> AuditResult:
    """``count`` honest models, as many cheats by noise, one of them not cheating, and by edge.

    Honest ones have ten times the mass of cheats, and a nearer peak.
    """
    settings = AuditSettings(
        kinds=("honest", "noise", "edge"),
        cohort_seeds=tuple(range(count)),
        n_resamples=200,
        quick=quick,
    )
    models = []
    for cohort in range(count):
        models += [
            finished("honest", cohort, HONEST, 0.4 + 0.01 * cohort, 2.0 + 0.1 * cohort),
            finished("noise", cohort, CHEAT if cohort else BOTH, 0.04 + 0.001 * cohort, 30.0),
            finished("edge", cohort, CHEAT, 0.03 + 0.001 * cohort, 20.0 + 0.1 * cohort),
        ]
    return audit_result(settings, models)
