"""A run judged beside what a user would pick instead."""

from __future__ import annotations

import json

from xrano.experiments.evaluated_run import evaluate_run
from xrano.training.run import Run


def test_a_run_is_judged_beside_its_references(tiny_run: Run):
    judged = evaluate_run(tiny_run, n_resamples=50)
    written = json.loads((tiny_run.root / "evaluation.json").read_text())
    assert written["evaluations"] == judged.found
    assert written["warning"] == ""
    table = tiny_run.predictions
    assert judged.found["network"]["n_pairs"] == len(table)
    assert judged.found["network"]["n_patients"] == table["patient_id"].nunique()
    # The phantom is rated by this very rule, with a margin: the rule must be right throughout.
    rule = judged.found["volumetric rule, prior scan (deepbratumia)"]
    assert rule["n_pairs"] == len(table)
    assert rule["balanced_accuracy"] == [1.0, 1.0, 1.0]
    text = judged.text()
    assert all(name in text for name in judged.found)
