"""What the page of a cohort says is what stands in the tables."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from report_pages import page_of, tables_of
from sklearn.metrics import balanced_accuracy_score, confusion_matrix

from xrano.experiments.report.number_words import bits, percent, times
from xrano.scoring.rows import PRIMARY_REGION
from xrano.training.run import open_run
from xrano.viz.names import method_name


@pytest.fixture(scope="module")
def page(laid_out: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    return page_of(open_run(laid_out / "run"), tmp_path_factory.mktemp("report"))


@pytest.fixture(scope="module")
def tables(page: str) -> dict[str, list[list[str]]]:
    return tables_of(page)


@pytest.fixture(scope="module")
def summary(laid_out: Path) -> pd.DataFrame:
    return pd.read_csv(laid_out / "scores" / "summary.csv")


def number(text: str) -> float:
    """The first number of a cell, NaN for a dash."""
    first = text.split(" ")[0].replace("−", "-").replace("∞", "inf").replace("%", "")
    return math.nan if first == "–" else float(first)


def same(shown: float, value: float) -> bool:
    return (math.isnan(shown) and math.isnan(value)) or shown == pytest.approx(value, abs=0.0051)


def test_the_full_table_is_the_summary_row_by_row(tables, summary):
    heads, *rows = tables["table-primary"]
    assert len(rows) == len(summary)
    for shown, row in zip(rows, summary.to_dict("records"), strict=True):
        cells = dict(zip(heads, shown, strict=True))
        assert cells["response"] == f"{row['response']}{'*' if row['descriptive'] else ''}"
        assert cells["method"] == method_name(row["method"])
        assert same(number(cells["log2 lift"]), row["lift"])
        assert same(number(cells["gain"]), row["gain"])
        assert int(cells["patients"]) == row["n_patients"]
        assert int(cells["pairs"]) == row["n_pairs"]
        assert int(cells["undefined"]) == row["n_undefined"]
        assert same(number(cells["chance"]), 100 * row["mean_chance"])


def test_the_matrices_hold_every_method_and_response_with_limits(tables, summary):
    heads, *rows = tables["table-lift"]
    by = {row[0]: row for row in rows if len(row) == len(heads)}
    assert set(by) == {method_name(name) for name in summary["method"]}
    for row in summary.to_dict("records"):
        name = "all rated" if row["response"] == "all" else row["response"]
        column = next(at for at, head in enumerate(heads) if head.startswith(name))
        cell = by[method_name(row["method"])][column]
        assert same(number(cell), row["lift"])
        if math.isfinite(row["lift_low"]):
            low, high = cell.split("[")[1].split("]")[0].split(", ")
            assert same(number(low), row["lift_low"])
            assert same(number(high), row["lift_high"])
        if row["n_undefined"]:
            assert f"{row['n_undefined']} undefined" in cell
    gains = {row[0] for row in tables["table-gain"][1:]}
    assert gains == {"Saliency", "Grad-CAM", "Integrated gradients, prior scan"}


def test_few_patients_have_a_star_and_the_star_is_explained(page, tables, summary):
    few = set(summary.loc[summary["descriptive"], "response"]) - {"all"}
    assert few
    starred = {head.split("*")[0] for head in tables["table-lift"][0] if "*" in head}
    assert starred == few
    assert "* fewer than 10 patients" in page


def test_accuracy_is_that_of_the_predictions(laid_out, page, tables):
    table = pd.read_csv(laid_out / "run" / "predictions.csv")
    expected = balanced_accuracy_score(table["response"], table["predicted"])
    assert same(number(tables["table-evaluation"][1][2]), expected)
    assert f"{expected:.2f}" in page
    labels = ["CR", "PR", "SD", "PD"]
    counts = confusion_matrix(table["response"], table["predicted"], labels=labels)
    shown = [[int(cell) for cell in row[1:]] for row in tables["table-confusion"][1:]]
    assert np.array_equal(shown, counts)


def test_references_follow_from_best_to_worst(laid_out, tables):
    found = json.loads((laid_out / "run" / "evaluation.json").read_text())["evaluations"]
    rows = [row for row in tables["table-evaluation"][1:] if len(row) > 1]
    assert rows[0][0] == "network"
    assert len(rows) == len(found)
    values = [number(row[2]) for row in rows[1:]]
    assert values == sorted(values, reverse=True)


def test_every_held_out_pair_is_a_case_with_its_lift_and_verdict(laid_out, tables):
    run = open_run(laid_out / "run")
    heads, *rows = tables["case-table"]
    cases = [dict(zip(heads, row, strict=True)) for row in rows]
    assert [one["Case"] for one in cases] == list(run.tested_pairs()["pair_id"])
    scores = pd.read_csv(laid_out / "scores" / "scores.csv", keep_default_na=False)
    predicted = run.predictions.set_index("pair_id")
    for one in cases:
        own = scores[
            (scores["pair_id"] == one["Case"])
            & (scores["method"] == "saliency")
            & (scores["weights"] == "trained")
            & (scores["region"] == PRIMARY_REGION)
            & (scores["lesion"] == "all")
            & (scores["metric"] == "relevance_mass_accuracy")
            & (scores["rectification"] == "absolute")
        ].iloc[0]
        if own["status"] == "ok":
            lift = math.log2(float(own["value"]) / float(own["chance"]))
            assert same(number(one["Saliency"]), lift)
        elif str(own["spans_surgery"]) != "True":
            assert one["Saliency"] == "–"
            assert one["Scores"] != "defined"
        if one["Case"] in predicted.index:
            row = predicted.loc[one["Case"]]
            logits = row[["logit_CR", "logit_PR", "logit_SD", "logit_PD"]].astype(float)
            share = np.exp(logits).max() / np.exp(logits).sum()
            assert one["Predicted"] == row["predicted"]
            assert same(number(one["Probability"]), share)
            right = row["predicted"] == row["response"]
            assert one["Verdict"] == ("right" if right else "wrong")


def test_exclusions_are_counted_by_reason(laid_out, tables):
    run = open_run(laid_out / "run")
    excluded = pd.concat(
        [pd.read_csv(root / "exclusions.csv") for root in (run.store.root, run.root)]
    )
    counts = [int(row[2]) for row in tables["table-exclusions"][1:]]
    assert sum(counts) == len(excluded)
    assert sorted(counts) == sorted(
        pd.concat(
            [
                pd.read_csv(root / "exclusions.csv")["reason"].value_counts()
                for root in (run.store.root, run.root)
            ]
        )
    )
    assert len(tables["table-excluded"]) - 1 == len(excluded)


def test_the_methods_text_is_made_of_the_settings(laid_out, page):
    run = open_run(laid_out / "run")
    cases = run.tested_pairs()
    rated = cases[cases["response"] != ""]
    for text in (
        f"{len(rated)} pairs of {rated['patient_id'].nunique()} patients",
        "densenet_small",
        "CT1, FLAIR of both sessions",
        "at most 2 epochs in batches of 4, learning rate 0.002",
        "3 folds, stratified by response, so that no patient is on both sides; 2 of them",
        "Integrated gradients, prior scan (Sundararajan et al. 2017), 2 steps",
        "on 1 copies of the network with random weights",
        "percentiles of 50 resamples",
    ):
        assert text in page, text
    assert "sundararajan2017" in page
    assert "smilkov2017" not in page


def test_commands_are_relative_to_the_folder_of_the_run(laid_out, page):
    assert str(laid_out) not in page
    assert "xrano evaluate run" in page
    assert "--methods saliency gradcam ig:prior --copies 1 --n-steps 2" in page


def test_numbers_in_words():
    assert times(math.log2(8.04)) == "8.0 times"
    assert times(-math.inf) == "0 times"
    assert times(math.inf) == "infinitely many times"
    assert bits(-0.001) == "0.00"
    assert percent(math.nan) == "–"
