from __future__ import annotations

import pandas as pd
import pytest
from predicted_tables import predictions, rerated

from xrano.evaluation.comparison import compare_arms
from xrano.evaluation.evaluate import evaluate_predictions
from xrano.evaluation.text import format_comparison, format_verdicts, one_case_note, rule_note


@pytest.fixture(scope="module")
def evaluations():
    table = predictions(0)
    return {
        "network": evaluate_predictions(table, n_resamples=20),
        "majority class": evaluate_predictions(table.assign(predicted="PD"), n_resamples=20),
    }


@pytest.fixture(scope="module")
def comparisons():
    table = predictions(0, count=120, patients=30)
    arm = pd.concat([rerated(table, number, right=0.9).assign(seed=number) for number in range(3)])
    tables = {"siamese": arm, "concat": rerated(table, 5, right=0.1), "majority class": table}
    tables["elsewhere"] = table.assign(pair_id=table["pair_id"] + "x")
    family = [
        ("siamese", "concat"),
        ("concat", "majority class"),
        ("elsewhere", "concat"),
    ]
    return compare_arms(tables, family, n_resamples=50, n_permutations=199)


def test_columns_stand_under_their_heads(evaluations):
    text = format_comparison(evaluations)
    above, head, network, majority = text.splitlines()
    start = head.index("balanced accuracy")
    assert network[start - 2 : start] == majority[start - 2 : start] == "  "
    assert network[start:].startswith(f"{evaluations['network']['balanced_accuracy'][0]:.2f} [")
    assert majority.startswith("majority class of each fold")
    assert majority[start:].startswith("0.25 [0.25, 0.25]")
    assert majority.split()[-4:] == ["0.00", "0.00", "0.00", "1.00"]
    assert above.strip() == "recall"
    assert above.index("recall") == head.index("CR") - 2
    folds = evaluations["network"]["folds"]
    assert f"{folds['median']:.2f} ({folds['min']:.2f}–{folds['max']:.2f})" in network


def test_markdown_has_as_many_cells_in_every_row(evaluations, comparisons):
    for text in (
        format_comparison(evaluations, markdown=True),
        format_verdicts(comparisons, markdown=True),
    ):
        rows = [line for line in text.splitlines() if line.startswith("|")]
        assert len({line.count("|") for line in rows}) == 1
        assert set(rows[1]) == set("|- ")


def test_absent_classes_and_lone_patients_are_said():
    table = predictions(7, present=("CR", "SD", "PD"))
    table.loc[table["response"] == "CR", "patient_id"] = "Patient-000"
    text = format_comparison({"arm": evaluate_predictions(table, n_resamples=10)})
    assert "no pair of class PR: the averages are over the others" in text
    assert "a single patient has class CR" in text
    assert "–" in text.splitlines()[2].split()


def test_undefined_is_a_dash_and_never_nan():
    table = predictions(2, patients=1).drop(columns="fold")
    text = format_comparison({"arm": evaluate_predictions(table, n_resamples=5)})
    assert "[–]" in text
    assert "nan" not in text.lower()


def test_verdicts_in_words(comparisons):
    head, *rows = format_verdicts(comparisons).splitlines()
    assert head.split()[-1] == "verdict"
    assert rows[0].startswith("siamese")
    assert rows[0].endswith("better")
    assert "(3)" in rows[0]
    assert "majority class of each fold" in rows[1]
    assert rows[2].endswith("not comparable")
    assert rows[2].count("–") == 5
    assert rows[3].startswith("One case of class")
    assert "nan" not in "".join(rows)


def test_one_case_weighs_what_it_weighs(comparisons):
    (first, *_, strange) = comparisons
    count = min(first.pairs_per_class.values())
    assert f"{1 / count:.2g} of that class's recall" in one_case_note(first)
    assert f"{1 / (4 * count):.2g} of balanced accuracy" in one_case_note(first)
    assert one_case_note(strange) == ""


def test_nothing_compared_is_a_head_alone():
    assert format_verdicts([]).startswith("  against")


def test_pairs_rated_by_the_rule_are_told_once_each():
    table = pd.DataFrame(
        {"pair_id": ["a", "a", "b", "c"], "rating_source": ["rule", "rule", "expert", "rule"]}
    )
    assert rule_note(table).startswith("2 of 3 pairs are rated by the volumetric rule")
    assert rule_note(table[table["rating_source"] == "expert"]) == ""
