"""The tables of an audit, from its finished models."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from xrano.errors import ManifestError
from xrano.experiments.audit.cohort_probe import PROBE_COLUMNS
from xrano.experiments.audit.one_model import FinishedModel
from xrano.experiments.audit.score_table import model_scores
from xrano.experiments.audit.separation import separation_table
from xrano.experiments.audit.settings import AuditSettings
from xrano.experiments.audit.verification import usable

MODEL_COLUMNS = (
    *("model", "kind", "strength", "cohort_seed", "model_seed", "assigned", "verified", "usable"),
    *("own", "swapped", "removed", "erased", "swapped_loss", "erased_loss", "seconds"),
)
"""Of ``models.csv``: balanced accuracies of the four forms, and what is lost on two of them."""

SCORE_COLUMNS = (
    *("model", "kind", "strength", "cohort_seed", "model_seed", "assigned", "verified", "usable"),
    *("method", "score", "stratum", "value", "n_pairs", "n_patients"),
)
"""Of ``audit_scores.csv``."""


@dataclass(frozen=True, eq=False)
class AuditResult:
    """What an audit found.

    ``models``: :data:`MODEL_COLUMNS`; ``scores``: :data:`SCORE_COLUMNS`; ``separation``:
    :data:`~xrano.experiments.audit.separation.AUDIT_COLUMNS`; ``median_ml``: core volume that parts
    small lesions from large ones; ``planned``: models asked for; ``probes``:
    :data:`~xrano.experiments.audit.cohort_probe.PROBE_COLUMNS`.
    """

    settings: AuditSettings
    models: pd.DataFrame
    scores: pd.DataFrame
    separation: pd.DataFrame
    median_ml: float
    planned: int
    probes: pd.DataFrame


def audit_result(
    settings: AuditSettings,
    finished: Sequence[FinishedModel],
    probes: pd.DataFrame | None = None,
) -> AuditResult:
    """All tables of the models that are done.

    Args:
        settings: of the audit.
        finished: its models.
        probes: of :func:`~xrano.experiments.audit.cohort_probe.probe_cohorts`.

    Raises:
        ManifestError: if none is.
    """
    if not finished:
        raise ManifestError("no model of the audit is trained yet, so there is nothing to say")
    median = median_core_ml(finished)
    models = pd.DataFrame([_row(one) for one in finished], columns=list(MODEL_COLUMNS))
    parts = []
    for one in finished:
        facts = {name: value for name, value in _row(one).items() if name in SCORE_COLUMNS}
        parts.append(model_scores(one.pairs, median_ml=median).assign(**facts))
    scores = pd.concat(parts, ignore_index=True)[list(SCORE_COLUMNS)]
    return AuditResult(
        settings,
        models,
        scores,
        separation_table(scores, n_resamples=settings.n_resamples),
        median,
        len(settings.models()),
        pd.DataFrame(columns=list(PROBE_COLUMNS)) if probes is None else probes,
    )


def median_core_ml(finished: Sequence[FinishedModel]) -> float:
    """Median core volume over the held-out pairs of all cohorts, each pair once; NaN without."""
    found = [
        one.pairs[["pair_id", "volume_ml"]].assign(cohort=one.model.cohort_seed) for one in finished
    ]
    pairs = pd.concat(found).drop_duplicates(["cohort", "pair_id"]).dropna()
    return float(pairs["volume_ml"].median()) if len(pairs) else math.nan


def _row(one: FinishedModel) -> dict[str, Any]:
    kind, verdict = one.model.of, one.accuracies.verdict
    return {
        "model": one.model.name,
        "kind": kind.label,
        "strength": kind.strength,
        "cohort_seed": one.model.cohort_seed,
        "model_seed": one.model.model_seed,
        "assigned": kind.assigned,
        "verified": verdict,
        "usable": usable(kind.assigned, verdict),
        **vars(one.accuracies),
        **{f"{name}_loss": one.accuracies.loss(name) for name in ("swapped", "erased")},
        "seconds": one.seconds,
    }
