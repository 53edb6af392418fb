"""Gradient boosting and logistic regression on tables, by scikit-learn, fold by fold.

Settings are fixed, so nothing is chosen on any pair: cohorts of one to a few hundred pairs leave
too little for choosing, and neither model was tuned for the phantom.

Boosting: histogram gradient boosting, 100 trees a class of at most 8 leaves with 5 pairs or more,
learning rate 0.1, L2 1; missing values have a branch of their own. Logistic regression: multinomial
with L2 (C = 1) on median-filled, standardised columns with an indicator for each that was missing
in training; medians, means and SDs are those of the training pairs. Both weigh classes equally.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from xrano.errors import UnknownNameError
from xrano.references.prediction_rows import prediction_rows, rated_training
from xrano.tasks import RESPONSE, Task

MODELS = ("boosted", "logistic")
"""The models."""

LEAST_PROBABILITY = 1e-6
"""Floor of every probability, so that logits are finite: a class that no training pair of the fold
has gets this, log(1e-6) ≈ −13.8, instead of −∞."""

BOOSTING: Mapping[str, Any] = {
    "learning_rate": 0.1,
    "max_iter": 100,
    "max_leaf_nodes": 8,
    "min_samples_leaf": 5,
    "l2_regularization": 1.0,
    "early_stopping": False,
    "class_weight": "balanced",
}
"""Settings of :class:`sklearn.ensemble.HistGradientBoostingClassifier`."""

LOGISTIC: Mapping[str, Any] = {"C": 1.0, "max_iter": 5000, "class_weight": "balanced"}
"""Settings of :class:`sklearn.linear_model.LogisticRegression`."""


def tabular_predictions(
    features: pd.DataFrame,
    test: pd.DataFrame,
    training: Mapping[int, pd.DataFrame],
    *,
    model: str,
    task: Task = RESPONSE,
    seed: int = 0,
) -> pd.DataFrame:
    """Train a model on each fold's training pairs, and rate the fold's tested ones.

    Args:
        features: numbers of every tested and training pair, indexed by pair_id; NaN if missing.
        test: the tested pairs.
        training: fold to its training pairs; unrated ones do not count.
        model: ``boosted`` or ``logistic``.
        task: what is asked.
        seed: of the boosting.

    Returns:
        One row a tested pair, in their order, with ``predicted`` and the log-probabilities
        ``logit_<class>``. Neither the order of rows nor a tested pair's response matters.

    Raises:
        UnknownNameError: if the model is unknown.
    """
    if model not in MODELS:
        raise UnknownNameError("tabular model", model, MODELS)
    rows = prediction_rows(test, task)
    logits = np.empty((len(rows), len(task.classes)))
    for fold in sorted(set(rows["fold"])):
        learned = rated_training(training[fold], task)
        tested = (rows["fold"] == fold).to_numpy()
        logits[tested] = _log_probabilities(
            features.loc[learned["pair_id"]].to_numpy(dtype=np.float64),
            learned["response"].to_numpy(dtype=object),
            features.loc[rows.loc[tested, "pair_id"]].to_numpy(dtype=np.float64),
            model=model,
            task=task,
            seed=seed,
        )
    rows["predicted"] = [task.classes[index] for index in logits.argmax(axis=1)]
    return rows.assign(**{f"logit_{name}": logits[:, i] for i, name in enumerate(task.classes)})


def _log_probabilities(
    known: NDArray[np.float64],
    responses: NDArray[Any],
    asked: NDArray[np.float64],
    *,
    model: str,
    task: Task,
    seed: int,
) -> NDArray[np.float64]:
    """Log-probabilities (asked pair, class of the task)."""
    # A column that no training pair has teaches nothing, and has no median.
    usable = ~np.isnan(known).all(axis=0)
    targets = np.array([task.classes.index(name) for name in responses])
    shares = np.zeros((len(asked), len(task.classes)))
    present = np.unique(targets)
    if len(present) == 1 or not usable.any():
        shares[:, present] = np.bincount(targets)[present] / len(targets)
    else:
        fitted = _classifier(model, seed).fit(known[:, usable], targets)
        shares[:, fitted.classes_] = fitted.predict_proba(asked[:, usable])
    return np.asarray(np.log(np.maximum(shares, LEAST_PROBABILITY)), dtype=np.float64)


def _classifier(model: str, seed: int) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    if model == "boosted":
        return HistGradientBoostingClassifier(random_state=seed, **BOOSTING)
    return make_pipeline(
        SimpleImputer(strategy="median", add_indicator=True),
        StandardScaler(),
        LogisticRegression(**LOGISTIC),
    )
