from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import balanced_accuracy_score, confusion_matrix, f1_score, roc_auc_score

from xrano.errors import ManifestError
from xrano.experiments.evaluated_run import evaluate_run
from xrano.rano import RESPONSES
from xrano.training.evaluation import (
    LOGITS,
    balanced_accuracy,
    compare_references,
    evaluate_predictions,
    format_comparison,
    macro_f1,
    majority_predictions,
    one_vs_rest_auroc,
    recalls,
    rule_note,
    rule_predictions,
)
from xrano.training.run import Run

NAMES = [str(response) for response in RESPONSES]


def words(*values: str) -> np.ndarray:
    return np.array(values, dtype=object)


def predictions(seed: int, *, count: int = 60, names: tuple[str, ...] = tuple(NAMES)):
    """Rows of 15 patients whose logits follow the truth, and are unequal in size."""
    rng = np.random.default_rng(seed)
    response = rng.choice(names, size=count)
    logits = rng.normal(size=(count, 4)) * rng.uniform(0.2, 3.0, (count, 1))
    logits[np.arange(count), [NAMES.index(name) for name in response]] += 1.0
    table = pd.DataFrame(logits, columns=LOGITS)
    table["pair_id"] = [f"pair-{row}" for row in range(count)]
    table["patient_id"] = [f"Patient-{row:03d}" for row in rng.integers(15, size=count)]
    table["fold"] = 0
    table["response"] = response
    table["predicted"] = [NAMES[index] for index in logits.argmax(axis=1)]
    return table


# --- against scikit-learn


@pytest.mark.parametrize("seed", range(4))
def test_values_are_scikit_learn_s(seed: int):
    table = predictions(seed)
    found = evaluate_predictions(table, n_resamples=20)
    truth, said = table["response"], table["predicted"]
    assert found["balanced_accuracy"][0] == pytest.approx(balanced_accuracy_score(truth, said))
    assert found["macro_f1"][0] == pytest.approx(f1_score(truth, said, average="macro"))
    assert found["confusion"] == confusion_matrix(truth, said, labels=NAMES).tolist()
    logits = table[LOGITS].to_numpy()
    for index, name in enumerate(NAMES):
        share = 1 / np.exp(logits - logits[:, [index]]).sum(axis=1)
        assert found["auroc"][name][0] == pytest.approx(roc_auc_score(truth == name, share))
        hits = (said[truth == name] == name).mean()
        assert found["recall"][name][0] == pytest.approx(hits)


def test_without_one_class_averages_are_over_the_others(recwarn: pytest.WarningsRecorder):
    table = predictions(7, names=("CR", "SD", "PD"))
    assert "PR" in set(table["predicted"])
    found = evaluate_predictions(table, n_resamples=20)
    truth, said = table["response"], table["predicted"]
    present = ["CR", "SD", "PD"]
    expected = np.mean([(said[truth == name] == name).mean() for name in present])
    assert found["balanced_accuracy"][0] == pytest.approx(expected)
    assert found["macro_f1"][0] == pytest.approx(
        f1_score(truth, said, average="macro", labels=present)
    )
    assert found["absent"] == ["PR"]
    assert set(found["recall"]) == set(found["auroc"]) == set(present)
    assert found["confusion"][NAMES.index("PR")] == [0, 0, 0, 0]
    assert "NaN" not in json.dumps(found)
    assert not recwarn.list


def test_one_class_alone_has_no_auroc_and_says_so():
    table = predictions(8, names=("PD",))
    found = evaluate_predictions(table, n_resamples=10)
    assert found["auroc"]["PD"] == [None, None, None]
    assert found["absent"] == ["CR", "PR", "SD"]
    assert found["balanced_accuracy"][0] == found["recall"]["PD"][0]
    assert "PD" in format_comparison({"network": found})


# --- by hand


def test_hand_cases():
    truth = words("CR", "CR", "PD", "PD", "PD", "SD")
    said = words("CR", "PD", "PD", "PD", "SD", "PD")
    assert recalls(truth, said) == {"CR": 0.5, "SD": 0.0, "PD": pytest.approx(2 / 3)}
    assert balanced_accuracy(truth, said) == pytest.approx((0.5 + 0 + 2 / 3) / 3)
    # F1: CR 2·1/(2+1), SD 0, PD 2·2/(3+4).
    assert macro_f1(truth, said) == pytest.approx((2 / 3 + 0 + 4 / 7) / 3)


def test_auroc_by_hand():
    truth = np.array([True, True, False, False])
    assert one_vs_rest_auroc(truth, np.array([2.0, 3.0, 0.0, 1.0])) == 1.0
    assert one_vs_rest_auroc(truth, np.array([0.0, 1.0, 2.0, 3.0])) == 0.0
    assert one_vs_rest_auroc(truth, np.array([1.0, 1.0, 1.0, 1.0])) == 0.5
    assert one_vs_rest_auroc(truth, np.array([1.0, 3.0, 2.0, 0.0])) == 0.75
    assert np.isnan(one_vs_rest_auroc(np.array([True]), np.array([1.0])))
    assert np.isnan(one_vs_rest_auroc(np.array([False]), np.array([1.0])))


def test_logits_of_any_size_give_finite_odds():
    table = predictions(1)
    table[LOGITS] = table[LOGITS] * 1e4
    found = evaluate_predictions(table, n_resamples=5)
    assert all(0 <= found["auroc"][name][0] <= 1 for name in NAMES)


def test_nothing_to_judge_is_refused():
    with pytest.raises(ManifestError, match="no rated pair"):
        evaluate_predictions(predictions(0).head(0))


# --- intervals


def test_intervals_hold_the_value_and_repeat():
    table = predictions(3)
    found = evaluate_predictions(table, n_resamples=300)
    estimates = [found["balanced_accuracy"], found["macro_f1"]]
    estimates += [*found["recall"].values(), *found["auroc"].values()]
    for value, low, high in estimates:
        assert 0 <= low <= value <= high <= 1
        assert low < high
    assert evaluate_predictions(table, n_resamples=300) == found
    assert evaluate_predictions(table, n_resamples=300, seed=1) != found
    shuffled = table.sample(frac=1, random_state=5)
    assert evaluate_predictions(shuffled, n_resamples=300)["recall"] == found["recall"]


def test_intervals_are_by_patient():
    """The same rows under few patients are less certain than under many."""

    def width(patients: int) -> float:
        rows = 96
        names = [NAMES[row // 24] for row in range(rows)]
        patient = [f"{names[row]}-{row % patients}" for row in range(rows)]
        # All rows of a patient are right, or all are wrong.
        said = [
            name if row % patients % 2 else "PD" if name != "PD" else "SD"
            for row, name in enumerate(names)
        ]
        table = pd.DataFrame({"patient_id": patient, "response": names, "predicted": said})
        value, low, high = evaluate_predictions(table, n_resamples=400)["balanced_accuracy"]
        assert value == pytest.approx(0.5)
        return high - low

    assert width(4) > 1.6 * width(24)


# --- beside the network


def test_majority_is_that_of_each_fold_s_training_pairs():
    table = predictions(2, count=6)
    table["fold"] = [0, 0, 0, 1, 1, 1]
    training = {
        0: pd.DataFrame({"response": ["PD", "PD", "SD"]}),
        1: pd.DataFrame({"response": ["SD", "CR", "CR", "SD"]}),
    }
    found = majority_predictions(table, training)
    # A tie goes to the first in the alphabet, not to whichever row came first.
    assert list(found["predicted"]) == ["PD"] * 3 + ["CR"] * 3
    assert list(found["response"]) == list(table["response"])
    assert not set(LOGITS) & set(found.columns)


@pytest.fixture
def ruled():
    """Volumes of enhancing tumour by hand, and what the rule makes of each change."""
    cases = [
        ("P1", 10.0, 14.0, "PD"),
        ("P2", 10.0, 13.9, "SD"),
        ("P3", 10.0, 3.5, "PR"),
        ("P4", 10.0, 3.6, "SD"),
        ("P5", 10.0, 0.0, "CR"),
        ("P6", 0.0, 2.0, "PD"),
        ("P7", 0.0, 0.0, "SD"),
    ]
    table = pd.DataFrame(
        {
            "pair_id": [f"{patient}_a_b" for patient, *_ in cases],
            "patient_id": [patient for patient, *_ in cases],
            "fold": 0,
            "response": "PD",
        }
    )
    pairs = table[["pair_id", "patient_id"]].assign(prior_session="a", current_session="b")
    rows = [
        {"patient_id": patient, "session_id": session, "source": "auto", "region": region, "ml": ml}
        for patient, prior, current, _ in cases
        for session, volume in (("a", prior), ("b", current))
        # The rule reads the enhancing tumour: the whole one would say otherwise.
        for region, ml in (("enhancing", volume), ("whole", 50.0))
    ]
    return table, pairs, pd.DataFrame(rows), [verdict for *_, verdict in cases]


def test_the_rule_by_hand(ruled):
    table, pairs, volumes, expected = ruled
    found = rule_predictions(table, pairs, volumes, source="auto")
    assert list(found["predicted"]) == expected
    assert list(found["response"]) == ["PD"] * 7
    assert rule_predictions(table, pairs, volumes, source="other").empty


def test_pairs_without_a_segmentation_are_left_out_of_the_rule(ruled):
    table, pairs, volumes, expected = ruled
    lacking = volumes[~((volumes["patient_id"] == "P2") & (volumes["session_id"] == "a"))]
    found = rule_predictions(table, pairs, lacking, source="auto")
    assert list(found["patient_id"]) == ["P1", "P3", "P4", "P5", "P6", "P7"]
    assert list(found["predicted"]) == [expected[0], *expected[2:]]


def test_a_comparison_counts_the_pairs_of_each(ruled):
    table, pairs, volumes, expected = ruled
    table = table.assign(response=expected, predicted="PD")
    lacking = volumes[~((volumes["patient_id"] == "P7") & (volumes["session_id"] == "b"))]
    training = {0: pd.DataFrame({"response": ["SD", "SD"]})}
    found = compare_references(table, training, pairs, lacking, n_resamples=10)
    assert list(found) == ["network", "majority class", "volumetric rule (auto)"]
    assert [found[name]["n_pairs"] for name in found] == [7, 7, 6]
    assert found["volumetric rule (auto)"]["balanced_accuracy"][0] == 1.0
    assert found["majority class"]["recall"]["SD"][0] == 1.0
    assert found["network"]["recall"] == {
        "CR": [0.0, 0.0, 0.0],
        "PR": [0.0, 0.0, 0.0],
        "SD": [0.0, 0.0, 0.0],
        "PD": [1.0, 1.0, 1.0],
    }
    text = format_comparison(found)
    assert all(name in text for name in found)
    assert len({line.index("recall") for line in text.splitlines() if "recall" in line}) == 1


def test_a_run_is_judged_beside_its_references(tiny_run: Run):
    found = evaluate_run(tiny_run, n_resamples=50)
    assert json.loads((tiny_run.root / "evaluation.json").read_text()) == found
    table = tiny_run.predictions
    assert found["network"]["n_pairs"] == len(table)
    assert found["network"]["n_patients"] == table["patient_id"].nunique()
    # The phantom is rated by this very rule, with a margin: the rule must be right throughout.
    rule = found["volumetric rule (deepbratumia)"]
    assert rule["n_pairs"] == len(table)
    assert rule["balanced_accuracy"] == [1.0, 1.0, 1.0]
    for fold in (0, 1):
        common = tiny_run.training_pairs(fold)["response"].mode()
        majority = majority_predictions(table, {f: tiny_run.training_pairs(f) for f in (0, 1)})
        assert set(majority[majority["fold"] == fold]["predicted"]) <= set(common)


def test_pairs_rated_by_the_rule_are_told_once_each():
    table = pd.DataFrame(
        {"pair_id": ["a", "a", "b", "c"], "rating_source": ["rule", "rule", "expert", "rule"]}
    )
    assert rule_note(table).startswith("2 of 3 pairs are rated by the volumetric rule")
    assert rule_note(table[table["rating_source"] == "expert"]) == ""
