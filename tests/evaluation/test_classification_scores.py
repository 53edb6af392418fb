from __future__ import annotations

import numpy as np
import pytest
from predicted_tables import NAMES, TASK_CLASSES, predictions
from sklearn.metrics import (
    balanced_accuracy_score,
    cohen_kappa_score,
    confusion_matrix,
    f1_score,
    matthews_corrcoef,
)

from xrano.errors import UnknownNameError
from xrano.evaluation.classification import (
    balanced_accuracy,
    balanced_accuracy_from,
    confusion_by_group,
    confusion_counts,
    kappa_from,
    macro_f1,
    macro_f1_from,
    matthews_correlation,
    matthews_from,
    quadratic_weighted_kappa,
    recall_from,
    recalls,
)
from xrano.evaluation.predictions import class_indices


def words(*values: str) -> np.ndarray:
    return np.array(values, dtype=object)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("classes", TASK_CLASSES)
def test_values_are_scikit_learn_s(seed, classes):
    table = predictions(seed, names=classes)
    truth, said = table["response"].to_numpy(), table["predicted"].to_numpy()
    assert balanced_accuracy(truth, said, classes) == pytest.approx(
        balanced_accuracy_score(truth, said)
    )
    assert macro_f1(truth, said, classes) == pytest.approx(f1_score(truth, said, average="macro"))
    assert matthews_correlation(truth, said, classes) == pytest.approx(
        matthews_corrcoef(truth, said)
    )
    assert quadratic_weighted_kappa(truth, said, classes) == pytest.approx(
        cohen_kappa_score(truth, said, labels=list(classes), weights="quadratic")
    )
    found = confusion_counts(
        class_indices(truth, classes), class_indices(said, classes), len(classes)
    )
    assert found.tolist() == confusion_matrix(truth, said, labels=list(classes)).tolist()


def test_of_two_classes_the_weighted_kappa_is_the_plain_one():
    table = predictions(5, names=("rest", "PD"))
    truth, said = table["response"], table["predicted"]
    assert quadratic_weighted_kappa(truth, said, ("rest", "PD")) == pytest.approx(
        cohen_kappa_score(truth, said)
    )


def test_a_class_that_never_occurs_is_in_no_average():
    table = predictions(7, present=("CR", "SD", "PD"))
    truth, said = table["response"].to_numpy(), table["predicted"].to_numpy()
    assert "PR" in set(said)
    present = ["CR", "SD", "PD"]
    assert list(recalls(truth, said)) == present
    expected = np.mean([(said[truth == name] == name).mean() for name in present])
    assert balanced_accuracy(truth, said) == pytest.approx(expected)
    assert macro_f1(truth, said) == pytest.approx(
        f1_score(truth, said, average="macro", labels=present)
    )
    assert matthews_correlation(truth, said) == pytest.approx(matthews_corrcoef(truth, said))
    assert quadratic_weighted_kappa(truth, said) == pytest.approx(
        cohen_kappa_score(truth, said, labels=list(NAMES), weights="quadratic")
    )


def test_by_hand():
    truth = words("CR", "CR", "PD", "PD", "PD", "SD")
    said = words("CR", "PD", "PD", "PD", "SD", "PD")
    assert recalls(truth, said) == {"CR": 0.5, "SD": 0.0, "PD": pytest.approx(2 / 3)}
    assert balanced_accuracy(truth, said) == pytest.approx((0.5 + 0 + 2 / 3) / 3)
    # F1: CR 2·1/(2+1), SD 0, PD 2·2/(3+4).
    assert macro_f1(truth, said) == pytest.approx((2 / 3 + 0 + 4 / 7) / 3)
    # Disagreement seen: CR as PD 9, PD as SD 1, SD as PD 1. By chance: (true × said)/6.
    chance = (2 * (1 * 4 + 4 * 9) + 1 * (1 * 4 + 4 * 1) + 3 * (1 * 9 + 1 * 1)) / 6
    assert quadratic_weighted_kappa(truth, said) == pytest.approx(1 - 11 / chance)


def test_the_order_of_the_classes_counts_in_the_kappa():
    truth = words("CR", "PR", "SD", "PD")
    near = quadratic_weighted_kappa(truth, words("PR", "PR", "SD", "PD"))
    far = quadratic_weighted_kappa(truth, words("PD", "PR", "SD", "PD"))
    assert near > far
    reordered = ("CR", "PD", "PR", "SD")
    assert quadratic_weighted_kappa(truth, words("PD", "PR", "SD", "PD"), reordered) == (
        pytest.approx(near)
    )


def test_what_is_nought_by_nought_is_nan(recwarn):
    truth, constant = words("CR", "PD", "PD"), words("PD", "PD", "PD")
    assert np.isnan(matthews_correlation(truth, constant))
    assert quadratic_weighted_kappa(truth, constant) == 0
    assert np.isnan(quadratic_weighted_kappa(constant, constant))
    assert np.isnan(matthews_correlation(constant, constant))
    assert np.isnan(balanced_accuracy(words(), words()))
    assert np.isnan(macro_f1(words(), words()))
    assert not recwarn.list


@pytest.mark.parametrize(
    "score", [balanced_accuracy_from, macro_f1_from, matthews_from, kappa_from, recall_from]
)
def test_many_matrices_at_once_are_each_alone(score):
    counts = np.random.default_rng(0).integers(0, 4, (3, 5, 4, 4))
    counts[0, 0, 2] = 0
    found = score(counts)
    for place in np.ndindex(3, 5):
        np.testing.assert_array_equal(found[place], score(counts[place]))


def test_patients_counts_add_up():
    table = predictions(1)
    truth = class_indices(table["response"])
    said = class_indices(table["predicted"])
    patients, group = np.unique(table["patient_id"], return_inverse=True)
    found = confusion_by_group(truth, said, group, len(patients), 4)
    assert found.sum(axis=0).tolist() == confusion_counts(truth, said, 4).tolist()
    own = table[table["patient_id"] == patients[3]]
    assert found[3].tolist() == (
        confusion_matrix(own["response"], own["predicted"], labels=list(NAMES)).tolist()
    )


def test_a_name_that_is_no_class_is_refused():
    with pytest.raises(UnknownNameError, match="unknown class 'rest'"):
        balanced_accuracy(["CR"], ["rest"])
