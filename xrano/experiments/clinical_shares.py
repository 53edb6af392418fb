"""Images or clinical data: what a network with both relies on, pair by pair and by response."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch

from xrano.attribution.clinical_relevance import (
    IMAGE,
    SHARES,
    ClinicalRelevance,
    clinical_relevance,
)
from xrano.attribution.methods import AttributionSettings
from xrano.data.clinical import ClinicalEncoder
from xrano.data.pair_volumes import PairVolumes, load_pair
from xrano.data.store import Store
from xrano.data.tables import records
from xrano.errors import ConfigError, ManifestError
from xrano.metrics.bootstrap import patient_weights, percentile_interval
from xrano.models.classifier import ResponseClassifier
from xrano.progress import Progress, quiet
from xrano.rano import RESPONSES

SHARE_COLUMNS = (
    *("pair_id", "patient_id", "response", "predicted", "target", "variable"),
    *("relevance", "share", "total_share", "convergence_delta"),
)
SUMMARY_COLUMNS = (
    *("response", "variable", "share", "low", "high"),
    *("total_share", "relevance", "n_patients", "n_pairs", "n_undefined"),
)


def clinical_shares(
    model: ResponseClassifier,
    encoder: ClinicalEncoder,
    pairs: pd.DataFrame,
    store: Store,
    *,
    classes: Sequence[str] = RESPONSES,
    baseline: str = "zero",
    settings: AttributionSettings | None = None,
    progress: Progress = quiet,
) -> pd.DataFrame:
    """Relevance and share of images and of each clinical variable, for every class of every pair.

    Args:
        model: a network with clinical data, which has not seen these patients.
        encoder: the one that it was trained with.
        pairs: rows of the store's pairs table, rated or not.
        store: the prepared store.
        classes: class index to name.
        baseline: reference image of integrated gradients.
        settings: of integrated gradients.
        progress: how to show progress.

    Returns:
        :data:`SHARE_COLUMNS`, one row a pair, target and variable (``image`` among these).
        ``relevance`` is signed and in logits; ``share`` is of absolute relevances and
        ``total_share`` of signed totals, see :mod:`xrano.attribution.clinical_relevance`.

    Raises:
        ConfigError: if encoder or classes are not the network's.
        ModelError: as :func:`~xrano.attribution.clinical_relevance.clinical_relevance`.
        CheckpointError: if a session file is missing or broken.
    """
    if encoder.names != model.clinical or len(classes) != model.num_classes:
        raise ConfigError(
            f"the network takes {', '.join(model.clinical) or 'no clinical data'} and gives "
            f"{model.num_classes} logits; got an encoder of {', '.join(encoder.names)} and "
            f"{len(classes)} classes"
        )
    home = next(model.parameters())
    vectors = torch.from_numpy(encoder.encode(pairs, store.sessions))
    rows: list[dict[str, Any]] = []
    for row, entry in enumerate(progress(records(pairs), "clinical shares")):
        pair = load_pair(store, entry, model.layout)
        logits, found = clinical_relevance(
            model,
            torch.from_numpy(pair.inputs)[None].to(home),
            vectors[row : row + 1].to(home),
            brain=torch.from_numpy(pair.brain).to(home.device),
            baseline=baseline,
            settings=settings,
        )
        rows += _rows(pair, str(classes[int(logits.argmax())]), found, classes)
    return pd.DataFrame(rows, columns=list(SHARE_COLUMNS))


def _rows(
    pair: PairVolumes, predicted: str, found: list[ClinicalRelevance], classes: Sequence[str]
) -> list[dict[str, Any]]:
    rows = []
    for item in found:
        absolute, total = (item.shares(kind) for kind in SHARES)
        rows += [
            {
                "pair_id": pair.pair_id,
                "patient_id": pair.patient_id,
                "response": pair.response,
                "predicted": predicted,
                "target": str(classes[item.target]),
                "variable": variable,
                "relevance": relevance,
                "share": absolute[variable],
                "total_share": total[variable],
                "convergence_delta": item.convergence_delta,
            }
            for variable, relevance in item.relevances.items()
        ]
    return rows


def summarise_shares(
    table: pd.DataFrame,
    *,
    target: str = "predicted",
    n_resamples: int = 2000,
    seed: int = 0,
) -> pd.DataFrame:
    """Mean shares by response, each patient counted once.

    Args:
        table: of :func:`clinical_shares`, of one or several folds.
        target: the class explained: the ``predicted`` one, the ``response``, or one by name.
        n_resamples: resamples of patients, stratified by response.
        seed: of the resamples.

    Returns:
        :data:`SUMMARY_COLUMNS`, one row a response (``all`` last) and variable: the mean over
        patients of the mean over their pairs, and of ``share`` the 95 % percentile interval over
        resamples. ``n_undefined`` pairs, in which nothing had any relevance, are left out.

    Raises:
        ManifestError: if the table has no row of this target.
    """
    wanted = table[target] if target in ("predicted", "response") else target
    chosen = table[table["target"] == wanted]
    if chosen.empty:
        raise ManifestError(
            f"no row of the table has target {target}; there are "
            f"{', '.join(sorted(set(table['target']))) or 'none'}"
        )
    images = chosen[chosen["variable"] == IMAGE]
    patients, weights = patient_weights(
        list(images["patient_id"]), list(images["response"]), n_resamples=n_resamples, seed=seed
    )
    responses = [str(name) for name in dict.fromkeys([*RESPONSES, *sorted(chosen["response"])])]
    groups = [(name, chosen[chosen["response"] == name]) for name in responses]
    cells = [
        {"response": response, "variable": variable, **_cell(rows, patients, weights)}
        for response, group in [*groups, ("all", chosen)]
        for variable, rows in group.groupby("variable", sort=False)
    ]
    return pd.DataFrame(cells, columns=list(SUMMARY_COLUMNS))


def _cell(rows: pd.DataFrame, patients: list[str], weights: np.ndarray[Any, Any]) -> dict[str, Any]:
    """One response and variable."""
    defined = rows[rows["share"].notna()]
    means = defined.groupby("patient_id")[["share", "total_share", "relevance"]].mean()
    there = weights[:, [name in means.index for name in patients]]
    shares = means["share"].reindex([name for name in patients if name in means.index]).to_numpy()
    drawn = there.sum(axis=1)
    with np.errstate(invalid="ignore"):
        interval = percentile_interval(np.where(drawn > 0, there @ shares / drawn, np.nan))
    return {
        **{str(name): float(value) for name, value in means.mean().items()},
        "low": interval.low,
        "high": interval.high,
        "n_patients": len(means),
        "n_pairs": len(defined),
        "n_undefined": len(rows) - len(defined),
    }
