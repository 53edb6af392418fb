"""The report: a function of the tables, with finite numbers only."""

from __future__ import annotations

import json
import math

import pandas as pd

from xrano.scoring.report import REPORT_SCHEMA, finite, score_report
from xrano.scoring.score_table import SCORE_COLUMNS
from xrano.scoring.tables import TABLES, table_of


def row(pair, value=0.2, **changes):
    status = "ok" if not math.isnan(value) else "empty_mask"
    return {
        **dict.fromkeys(SCORE_COLUMNS, ""),
        "weights": "trained",
        "pair_id": f"{pair}_a_b",
        "patient_id": pair[0],
        "response": "PD",
        "rating_source": "expert",
        "method": "saliency",
        "segmentation_source": "s",
        "region": "core/union",
        "lesion": "all",
        "metric": "relevance_mass_accuracy",
        "value": value,
        "chance": 0.1,
        "reference": math.nan,
        "status": status,
        "spans_surgery": False,
        **changes,
    }


SCORES = [
    row("A1"),
    row("A2", math.nan),
    row("B1", response="", rating_source=""),
    row("C1", response="CR", rating_source="rule", spans_surgery=True),
    row("A1", math.nan, region="core/current", status="below_measurable"),
    row("A1", metric="auroc"),
    # Copies, single lesions and other metrics are not counted as pairs without a value.
    row("A1", math.nan, weights="random-0"),
    row("A1", math.nan, lesion="1"),
    row("B1", math.nan, metric="auroc"),
]


def null(p, **changes):
    return {
        **dict.fromkeys(TABLES["nulls"].columns, ""),
        "pair_id": "A1_a_b",
        "method": "saliency",
        "region": "core/union",
        "lesion": "all",
        "metric": "auroc",
        "null": "placement",
        "observed": 0.9,
        "B": 100,
        "mean": 0.5,
        "sd": 0.1,
        "z": 4.0,
        "percentile": 100 * (1 - p) if p is not None else 50.0,
        "p": p,
        "status": "ok",
        **changes,
    }


def report(**tables):
    frames = {name: table_of(name, rows) for name, rows in tables.items()}
    return score_report(frames, {"run": {"name": "demo"}}, ["a note"])


def test_pairs_and_patients_are_counted_once():
    counts = report(scores=SCORES)["counts"]
    assert (counts["pairs"], counts["patients"]) == (4, 3)
    assert counts["responses"] == {
        "CR": {"pairs": 1, "patients": 1},
        "PD": {"pairs": 2, "patients": 1},
        "unrated": {"pairs": 1, "patients": 1},
    }
    assert counts["left_out_of_primary"] == {"unrated": 1, "spans_surgery": 1}
    assert counts["rated_by_rule"] == 1
    assert counts["segmentation_sources"] == ["s"]


def test_undefined_pairs_are_told_by_method_region_and_status():
    found = report(scores=SCORES)
    assert found["statuses"] == {"ok": 4, "empty_mask": 4, "below_measurable": 1}
    cells = {cell["region"]: cell for cell in found["undefined"]}
    assert cells["core/union"]["statuses"] == {"ok": 3, "empty_mask": 1}
    assert cells["core/union"]["pairs"] == 4
    assert cells["core/current"]["statuses"] == {"below_measurable": 1}
    assert len(cells) == len(found["undefined"]) == 2


def test_nulls_are_summed_up_by_null_and_metric_of_the_primary_region():
    rows = [null(0.001), null(0.04), null(0.5), null(None, status="empty_mask")]
    rows += [null(0.01, region="core/prior"), null(0.01, lesion="1")]
    rows += [{**one, "null": "surrogate"} for one in rows]
    rows += [null(None, null="random_weights", B=3)]
    # The test of the whole cohort names no pair and is told elsewhere.
    rows += [null(0.001, null="shuffle", pair_id="", metric="log2_lift")]
    found = report(nulls=rows)
    placed, surrogates, copies = found["nulls"]
    for cell, name in ((placed, "placement"), (surrogates, "surrogate")):
        assert (cell["null"], cell["n"], cell["n_undefined"]) == (name, 4, 1)
        assert (cell["n_tested"], cell["n_rejected"]) == (3, 2)
    assert (placed["n_adjusted"], placed["n_rejected_bh"]) == (0, 0)
    # 0.04 among five is a discovery at 5 % once corrected: 0.04 · 5 / 4 = 0.05.
    assert (surrogates["n_adjusted"], surrogates["n_rejected_bh"]) == (3, 2)
    assert (copies["null"], copies["n_tested"], copies["median_B"]) == ("random_weights", 0, 3)
    assert [(item["null"], item["tests"]) for item in found["multiplicity"]] == [
        ("surrogate", 5),
        ("random_weights", 0),
    ]


def test_short_tables_stand_in_it_row_by_row_and_long_ones_by_their_length():
    summary = dict.fromkeys(TABLES["summary"].columns, 0) | {
        "response": "PD", "method": "saliency", "lift": -math.inf, "gain": math.nan,
    }  # fmt: skip
    found = report(summary=[summary], scores=SCORES)
    (line,) = found["summary"]
    assert set(line) == set(TABLES["summary"].columns)
    assert (line["lift"], line["gain"], line["method"]) == (None, None, "saliency")
    assert found["tables"]["scores"] == {
        "file": "scores.csv", "rows": len(SCORES), "row": TABLES["scores"].row,
    }  # fmt: skip
    assert "scores" not in found
    assert found["schema"] == REPORT_SCHEMA
    assert found["notes"] == ["a note"]


def test_thresholds_shares_and_lesions():
    scores = [row("A1", metric="dice_tuned", threshold=0.4), row("A2")]
    share = dict.fromkeys(TABLES["shares"].columns, "") | {
        "weights": "trained", "method": "ig", "baseline": "zero", "timepoint": "prior",
        "sequence": "all", "expected": 0.5, "status": "ok", "one_visit": False,
    }  # fmt: skip
    shares = [
        {**share, "share": 0.2},
        {**share, "share": 0.4, "one_visit": True},
        {**share, "share": math.nan, "status": "zero_map"},
        {**share, "share": 0.9, "weights": "random-0"},
    ]
    lesion = dict.fromkeys(TABLES["lesions"].columns, 0)
    found = report(
        scores=scores,
        shares=shares,
        lesions=[{**lesion, "tag": tag} for tag in ("new", "grown", "new")],
    )
    assert [item["threshold"] for item in found["thresholds"]] == [0.4]
    (cell,) = found["shares"]
    assert cell["share"] == 0.30000000000000004
    assert (cell["n"], cell["one_visit"], cell["statuses"]) == (2, 1, {"ok": 2, "zero_map": 1})
    assert found["lesions"] == {"new": 2, "grown": 1}


def test_it_is_json_without_nan_and_the_tables_are_left_alone():
    frames = {"scores": table_of("scores", SCORES), "nulls": table_of("nulls", [null(None)])}
    before = {name: frame.copy() for name, frame in frames.items()}
    text = json.dumps(score_report(frames, {}), allow_nan=False)
    assert json.loads(text) == score_report(frames, {})
    for name, frame in frames.items():
        pd.testing.assert_frame_equal(frame, before[name])
    texts = {json.dumps(score_report(frames, {}), sort_keys=True) for _ in range(2)}
    assert len(texts) == 1


def test_finite_in_any_depth():
    value = {"a": [math.nan, {"b": -math.inf}], 3: (1.5, True, None, "nan")}
    assert finite(value) == {"a": [None, {"b": None}], "3": [1.5, True, None, "nan"]}
