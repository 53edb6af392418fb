"""Scores of a confusion matrix, one or thousands at once.

``counts`` below is (…, class, class): rows true, columns predicted, in the order of the classes.
Every score here depends on the counts alone, so the counts of a resample of patients are the
patients' own counts, each as often as the patient was drawn, and all resamples are scored in one
go. A class that does not occur among the true ones is in no average; what is 0/0 is NaN.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from xrano.evaluation.predictions import CLASSES, class_indices

Floats = NDArray[np.float64]


def confusion_counts(
    truth: NDArray[np.intp], predicted: NDArray[np.intp], n_classes: int
) -> NDArray[np.int64]:
    """Confusion matrix (class, class) of class indices (row,).

    Example:
        >>> confusion_counts(np.array([0, 0, 1]), np.array([0, 1, 1]), 2).tolist()
        [[1, 1], [0, 1]]
    """
    one = np.zeros(truth.shape, dtype=np.intp)
    (counts,) = confusion_by_group(truth, predicted, one, 1, n_classes)
    return np.asarray(counts, dtype=np.int64)


def confusion_by_group(
    truth: NDArray[np.intp],
    predicted: NDArray[np.intp],
    group: NDArray[np.intp],
    n_groups: int,
    n_classes: int,
) -> NDArray[np.int64]:
    """Confusion matrix of each group of rows (a patient): (group, class, class)."""
    cell = (group * n_classes + truth) * n_classes + predicted
    counts = np.bincount(cell, minlength=n_groups * n_classes**2)
    return counts.reshape(n_groups, n_classes, n_classes).astype(np.int64)


def recall_from(counts: ArrayLike) -> Floats:
    """Recall of each class (…, class); NaN for a class that does not occur."""
    matrix = np.asarray(counts, dtype=np.float64)
    return _divide(np.diagonal(matrix, axis1=-2, axis2=-1), matrix.sum(axis=-1))


def balanced_accuracy_from(counts: ArrayLike) -> Floats:
    """Mean recall (…) over the classes that occur."""
    return _mean_of_defined(recall_from(counts))


def macro_f1_from(counts: ArrayLike) -> Floats:
    """Mean F1 (…) over the classes that occur.

    F1 = 2 TP / (true + predicted). scikit-learn's macro average also counts, as 0, a class that is
    predicted but never true.
    """
    matrix = np.asarray(counts, dtype=np.float64)
    hits = np.diagonal(matrix, axis1=-2, axis2=-1)
    true, predicted = matrix.sum(axis=-1), matrix.sum(axis=-2)
    return _mean_of_defined(np.where(true > 0, _divide(2 * hits, true + predicted), np.nan))


def matthews_from(counts: ArrayLike) -> Floats:
    """Matthews correlation (…) of several classes, −1 to 1.

    R_K of Gorodkin, Comput Biol Chem 2004;28:367: the correlation of the one-hot true and predicted
    classes. NaN if all are of one class, or all predicted as one (scikit-learn: 0).
    """
    matrix = np.asarray(counts, dtype=np.float64)
    total = matrix.sum(axis=(-2, -1))
    true, predicted = matrix.sum(axis=-1), matrix.sum(axis=-2)
    both = np.trace(matrix, axis1=-2, axis2=-1) * total - (true * predicted).sum(axis=-1)
    spread = (total**2 - (true**2).sum(axis=-1)) * (total**2 - (predicted**2).sum(axis=-1))
    return _divide(both, np.sqrt(spread))


def kappa_from(counts: ArrayLike) -> Floats:
    """Quadratic-weighted kappa (…): 1 agreement, 0 what chance gives, below 0 worse.

    Cohen, Psychol Bull 1968;70:213, with disagreement (i − j)² between the class indices, so the
    order of the classes (CR < PR < SD < PD) counts; of two classes it is Cohen's plain kappa. NaN
    where chance could not disagree: all of one class, and all predicted as it.
    """
    matrix = np.asarray(counts, dtype=np.float64)
    index = np.arange(matrix.shape[-1])
    weight = (index[:, None] - index) ** 2
    total = matrix.sum(axis=(-2, -1))
    chance = matrix.sum(axis=-1)[..., :, None] * matrix.sum(axis=-2)[..., None, :]
    seen = total * (weight * matrix).sum(axis=(-2, -1))
    return 1 - _divide(seen, (weight * chance).sum(axis=(-2, -1)))


def recalls(
    response: Sequence[Any] | NDArray[Any],
    predicted: Sequence[Any] | NDArray[Any],
    classes: Sequence[str] = CLASSES,
) -> dict[str, float]:
    """Recall of each class that occurs; a class that does not occur is not in the result.

    Args:
        response: (row,) names of the true classes.
        predicted: (row,) names of the predicted classes.
        classes: all names, in order.

    Raises:
        UnknownNameError: if a name is no class.

    Example:
        >>> recalls(["CR", "PD", "PD"], ["PD", "PD", "SD"])
        {'CR': 0.0, 'PD': 0.5}
    """
    found = recall_from(_counts(response, predicted, classes))
    return {
        str(name): float(value)
        for name, value in zip(classes, found, strict=True)
        if not np.isnan(value)
    }


def balanced_accuracy(
    response: Sequence[Any] | NDArray[Any],
    predicted: Sequence[Any] | NDArray[Any],
    classes: Sequence[str] = CLASSES,
) -> float:
    """Mean recall over the classes that occur, of names; NaN without a row.

    Example:
        >>> balanced_accuracy(["rest", "PD", "PD"], ["PD", "PD", "PD"], ("rest", "PD"))
        0.5
    """
    return float(balanced_accuracy_from(_counts(response, predicted, classes)))


def macro_f1(
    response: Sequence[Any] | NDArray[Any],
    predicted: Sequence[Any] | NDArray[Any],
    classes: Sequence[str] = CLASSES,
) -> float:
    """:func:`macro_f1_from` of names; NaN without a row."""
    return float(macro_f1_from(_counts(response, predicted, classes)))


def matthews_correlation(
    response: Sequence[Any] | NDArray[Any],
    predicted: Sequence[Any] | NDArray[Any],
    classes: Sequence[str] = CLASSES,
) -> float:
    """:func:`matthews_from` of names."""
    return float(matthews_from(_counts(response, predicted, classes)))


def quadratic_weighted_kappa(
    response: Sequence[Any] | NDArray[Any],
    predicted: Sequence[Any] | NDArray[Any],
    classes: Sequence[str] = CLASSES,
) -> float:
    """:func:`kappa_from` of names."""
    return float(kappa_from(_counts(response, predicted, classes)))


def _counts(
    response: Sequence[Any] | NDArray[Any],
    predicted: Sequence[Any] | NDArray[Any],
    classes: Sequence[str],
) -> NDArray[np.int64]:
    truth = class_indices(list(response), classes)
    return confusion_counts(truth, class_indices(list(predicted), classes), len(classes))


def _divide(numerator: Floats, denominator: Floats) -> Floats:
    quotient = np.full(numerator.shape, np.nan)
    np.divide(numerator, denominator, out=quotient, where=denominator > 0)
    return quotient


def _mean_of_defined(values: Floats) -> Floats:
    defined = ~np.isnan(values)
    return _divide(
        np.where(defined, values, 0.0).sum(axis=-1), defined.sum(axis=-1).astype(np.float64)
    )
