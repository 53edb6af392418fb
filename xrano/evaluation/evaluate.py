"""Judge one arm: every score of its predictions, pooled over folds and fold by fold.

Resamples draw whole patients and are conditional on every class being in each
(:mod:`xrano.metrics.bootstrap`): a draw that lacks one is drawn again. Where a score is undefined
in some resamples all the same (Matthews of a constant prediction), the interval is over the others.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from xrano.evaluation.calibration import (
    N_BINS,
    Binning,
    brier_rows,
    calibrated_error,
    expected_calibration_error,
    probabilities,
    reliability_bins,
)
from xrano.evaluation.classification import (
    balanced_accuracy_from,
    confusion_by_group,
    confusion_counts,
    kappa_from,
    macro_f1_from,
    matthews_from,
    recall_from,
)
from xrano.evaluation.estimates import estimate
from xrano.evaluation.predictions import CLASSES, Predictions, read_predictions
from xrano.evaluation.ranking import log_odds, weighted_auroc, weighted_average_precision
from xrano.metrics.bootstrap import patient_weights

Floats = NDArray[np.float64]

COUNT_SCORES: dict[str, Callable[[NDArray[Any]], Floats]] = {
    "balanced_accuracy": balanced_accuracy_from,
    "macro_f1": macro_f1_from,
    "matthews": matthews_from,
    "quadratic_kappa": kappa_from,
}
"""Scores of the whole confusion matrix, by their key in the result."""


def evaluate_predictions(
    table: pd.DataFrame,
    *,
    classes: Sequence[str] = CLASSES,
    n_resamples: int = 2000,
    seed: int = 0,
) -> dict[str, Any]:
    """Judge a predictions table.

    Args:
        table: see :mod:`xrano.evaluation.predictions`. With a column ``seed`` every score is the
            mean over the seeds, on the pairs that all seeds have, resampled jointly.
        classes: names in the order of the logits, from best to worst (for the kappa).
        n_resamples: resamples of patients, all pairs of a patient together, every class in each.
        seed: of the resampling.

    Returns:
        JSON values, undefined as null and never 0; estimates are [value, low, high]:

        * ``n_pairs``, ``n_patients``, ``n_left_out`` (pairs that only some seeds have),
          ``classes``, ``pairs_per_class``, ``patients_per_class``, ``absent``: classes without a
          pair, which no average contains.
        * ``balanced_accuracy``, ``macro_f1``, ``matthews``, ``quadratic_kappa``: estimates, pooled
          over the folds. ``recall``, and with logits ``auroc`` and ``average_precision``: estimates
          of each class that occurs; what rests on a single patient has no interval.
        * ``confusion``: rows true, columns predicted, added over the seeds.
        * ``seeds``: balanced accuracy of each, if there are any.
        * ``folds``: ``each`` fold (and seed) with its balanced accuracy over the classes in it, and
          ``median``, ``min`` and ``max`` of those; null without folds.
        * ``calibration``: ``brier`` (estimate), ``ece`` and ``ece_equal_mass``, each with what a
          calibrated network would have (``…_if_calibrated``), all as mean over the seeds, and
          ``reliability``: bins of all rows; null without logits.

        Intervals are conditional on the trained networks.

    Raises:
        ManifestError: if there is no rated pair, or the table is at odds with itself.
        UnknownNameError: if a response or prediction is none of the classes.
    """
    rows = read_predictions(table, classes)
    draws = _Draws(rows, n_resamples, seed)
    result: dict[str, Any] = {
        "n_pairs": rows.truth.size,
        "n_patients": len(draws.patients),
        "n_left_out": rows.n_left_out,
        "classes": list(rows.classes),
        "pairs_per_class": _by_class(rows, np.bincount(rows.truth, minlength=len(rows.classes))),
        "patients_per_class": _by_class(rows, draws.patients_with),
        "absent": [name for index, name in enumerate(rows.classes) if index not in rows.present],
        **_count_scores(rows, draws),
        "confusion": confusion_counts(
            np.tile(rows.truth, len(rows.predicted)), rows.predicted.ravel(), len(rows.classes)
        ).tolist(),
        "seeds": _seed_values(rows),
        "folds": _fold_values(rows),
    }
    if rows.logits is not None:
        result |= _ranking_scores(rows, rows.logits, draws)
    result["calibration"] = (
        None if rows.logits is None else _calibration(rows, rows.logits, draws, seed)
    )
    return result


class _Draws:
    """How often each patient, and so each pair, is in each resample."""

    def __init__(self, rows: Predictions, n_resamples: int, seed: int) -> None:
        self.patients, weights = patient_weights(
            list(rows.patients), list(rows.names(rows.truth)), n_resamples=n_resamples, seed=seed
        )
        self.by_patient = weights.astype(np.float64)
        self.patient_of = np.searchsorted(self.patients, rows.patients)
        self.by_pair = self.by_patient[:, self.patient_of]
        has = np.zeros((len(self.patients), len(rows.classes)), dtype=bool)
        has[self.patient_of, rows.truth] = True
        self.patients_with = has.sum(axis=0)
        lacks = np.zeros_like(has)
        for index in range(len(rows.classes)):
            other = rows.truth != index
            lacks[self.patient_of[other], index] = True
        self.patients_without = lacks.sum(axis=0)


def _by_class(rows: Predictions, counts: NDArray[Any]) -> dict[str, int]:
    return dict(zip(rows.classes, counts.tolist(), strict=True))


def _count_scores(rows: Predictions, draws: _Draws) -> dict[str, Any]:
    size, n_patients = len(rows.classes), len(draws.patients)
    own, drawn = [], []
    for said in rows.predicted:
        groups = confusion_by_group(rows.truth, said, draws.patient_of, n_patients, size)
        own.append(groups.sum(axis=0))
        drawn.append(np.tensordot(draws.by_patient, groups.astype(np.float64), axes=1))

    def judge(score: Callable[[NDArray[Any]], Floats]) -> tuple[Floats, Floats]:
        values = np.mean([score(counts) for counts in own], axis=0)
        return values, np.mean([score(counts) for counts in drawn], axis=0)

    result: dict[str, Any] = {}
    for name, score in COUNT_SCORES.items():
        value, sample = judge(score)
        result[name] = estimate(float(value), sample, n_patients=n_patients).to_json()
    values, samples = judge(recall_from)
    result["recall"] = {
        rows.classes[index]: estimate(
            float(values[index]), samples[:, index], n_patients=int(draws.patients_with[index])
        ).to_json()
        for index in rows.present
    }
    return result


def _ranking_scores(rows: Predictions, logits: Floats, draws: _Draws) -> dict[str, Any]:
    result: dict[str, Any] = {"auroc": {}, "average_precision": {}}
    odds = log_odds(logits)
    once = np.ones((1, rows.truth.size))
    weights = np.concatenate([once, draws.by_pair])
    for index in rows.present:
        is_class = rows.truth == index
        # Both sides must be told apart: a single patient on either shows no spread.
        n_patients = min(int(draws.patients_with[index]), int(draws.patients_without[index]))
        for key, score in (
            ("auroc", weighted_auroc),
            ("average_precision", weighted_average_precision),
        ):
            found = np.mean([score(is_class, each[:, index], weights) for each in odds], axis=0)
            value = estimate(float(found[0]), found[1:], n_patients=n_patients)
            result[key][rows.classes[index]] = value.to_json()
    return result


def _calibration(rows: Predictions, logits: Floats, draws: _Draws, seed: int) -> dict[str, Any]:
    chances = probabilities(logits)
    brier = brier_rows(chances, rows.truth).mean(axis=0)
    weight = draws.by_pair
    sample = weight @ brier / weight.sum(axis=1)
    confidence = np.take_along_axis(chances, rows.predicted[..., None], axis=-1)[..., 0]
    correct = rows.predicted == rows.truth
    value = estimate(float(brier.mean()), sample, n_patients=len(draws.patients))
    result: dict[str, Any] = {"n_bins": N_BINS, "brier": value.to_json()}
    binnings: dict[str, Binning] = {"ece": "width", "ece_equal_mass": "mass"}
    for key, binning in binnings.items():
        errors = [
            expected_calibration_error(reliability_bins(sure, right, binning=binning))
            for sure, right in zip(confidence, correct, strict=True)
        ]
        expected = [calibrated_error(sure, binning=binning, seed=seed) for sure in confidence]
        result[key] = float(np.mean(errors))
        result[f"{key}_if_calibrated"] = float(np.mean(expected))
    bins = reliability_bins(confidence.ravel(), correct.ravel())
    result["reliability"] = [asdict(item) for item in bins]
    return result


def _seed_values(rows: Predictions) -> dict[str, float]:
    return {
        name: _accuracy(rows.truth, rows.predicted[number], len(rows.classes))
        for number, name in enumerate(rows.seeds)
    }


def _fold_values(rows: Predictions) -> dict[str, Any] | None:
    if rows.folds is None:
        return None
    each: list[dict[str, Any]] = []
    for number, (folds, said) in enumerate(zip(rows.folds, rows.predicted, strict=True)):
        for fold in sorted(set(folds.tolist())):
            inside = folds == fold
            truth = rows.truth[inside]
            absent = sorted(set(range(len(rows.classes))) - set(truth.tolist()))
            head = {"seed": rows.seeds[number]} if rows.seeds else {}
            each.append(
                {
                    **head,
                    "fold": fold,
                    "n_pairs": int(inside.sum()),
                    "absent": [rows.classes[index] for index in absent],
                    "balanced_accuracy": _accuracy(truth, said[inside], len(rows.classes)),
                }
            )
    values: list[float] = [item["balanced_accuracy"] for item in each]
    return {
        "each": each,
        "median": float(np.median(values)),
        "min": min(values),
        "max": max(values),
    }


def _accuracy(truth: NDArray[np.intp], said: NDArray[np.intp], n_classes: int) -> float:
    return float(balanced_accuracy_from(confusion_counts(truth, said, n_classes)))
