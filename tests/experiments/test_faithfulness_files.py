"""The summary of a faithfulness run by hand, and its text."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from xrano.experiments.faithfulness_files import (
    ROW_COLUMNS,
    SUMMARY_COLUMNS,
    summarise,
    tidy_rows,
    write_faithfulness,
)
from xrano.experiments.faithfulness_text import READING, faithfulness_text
from xrano.faithfulness.catalogue import FAITHFULNESS


def row(number, patient, value, reference=None, **more):
    return {
        "pair_id": f"pair-{number}",
        "patient_id": patient,
        "response": "PD" if number % 2 else "SD",
        "predicted": "PD",
        "method": "saliency",
        "metric": "deletion_auc",
        "infill": "prior",
        "setting": "",
        "quantity": "",
        "value": value,
        "chance": 0.5,
        "reference": reference,
        "status": "ok" if value is not None else "zero_map",
        **more,
    }


def summary_of(rows, **options):
    return summarise(tidy_rows(rows), **{"n_resamples": 200, **options})


def test_patients_count_equally_and_differences_are_of_pairs():
    rows = [
        row(0, "a", 0.2, 0.4),
        row(1, "a", 0.4, 0.4),
        row(2, "b", 0.9, 0.7),
        row(3, "c", None, 0.7),
        row(4, "d", 0.6, None),
    ]
    found = summary_of(rows)
    assert tuple(found.columns) == SUMMARY_COLUMNS
    assert tuple(tidy_rows(rows).columns) == ROW_COLUMNS
    one = found.iloc[0]
    assert one["mean"] == pytest.approx((0.3 + 0.9 + 0.6) / 3)
    assert one["difference"] == pytest.approx((-0.1 + 0.2) / 2)
    assert one["chance"] == pytest.approx(0.5)
    assert (one["n_pairs"], one["n_patients"], one["n_undefined"]) == (4, 3, 1)
    assert one["descriptive"]
    assert one["better"] == "lower"
    assert one["low"] < one["mean"] < one["high"]


def test_an_interval_covers_what_patients_differ_by_and_none_is_told_of_one():
    rows = [row(n, f"p{n}", 0.5 + 0.1 * (n % 4), 0.9) for n in range(40)]
    found = summary_of(rows).iloc[0]
    assert not found["descriptive"]
    # Of 40 patients with an SD of 0.11: 1.96 · 0.11 / √40 = 0.035.
    assert 0.01 < found["mean"] - found["low"] < 0.05
    assert found["difference_high"] < 0
    one = summary_of([row(0, "a", 0.2), row(1, "a", 0.4)]).iloc[0]
    assert one["mean"] == pytest.approx(0.3)
    assert np.isnan(one["low"])
    assert np.isnan(one["difference"])


def test_one_patient_of_each_response_leaves_an_interval_with_a_width():
    rows = [row(n, f"p{n}", 0.2 * n, response=name) for n, name in enumerate(("CR", "PR", "SD"))]
    found = summary_of(rows).iloc[0]
    assert found["low"] < found["mean"] < found["high"]


def test_directions_are_those_of_the_quantity():
    rows = [
        row(0, "a", 1.0, metric="lesion_erase", quantity="logit_change"),
        row(0, "a", 1.0, metric="visit_swap", quantity="answer_as_ruled"),
        row(0, "a", 1.0, metric="misalignment", quantity="rank_correlation"),
        row(0, "a", 1.0, metric="misalignment", quantity="absolute_logit_change"),
        row(0, "a", 1.0, metric="cascading_randomisation", quantity="top_dice"),
        row(0, "a", 1.0, metric="infidelity_correlation"),
    ]
    assert list(summary_of(rows)["better"]) == ["", "higher", "higher", "", "lower", "higher"]
    assert summarise(tidy_rows([])).empty


def full_rows():
    """Two patients, every metric that the text tells."""
    rows = []
    for n in range(2):
        for metric in READING:
            add = {"metric": metric}
            if metric in ("lesion_erase", "lesion_only", "visit_swap", "duplicated_visit"):
                quantities = ["logit_change", "answer_changed", "answer_as_ruled"]
                add |= {"method": "", "setting": "4 mm around it"}
            elif metric == "misalignment":
                rows.append(
                    row(n, f"p{n}", 0.1, 0.05, **add, setting="1 mm", quantity="answer_changed")
                    | {"method": ""}
                )
                quantities = ["rank_correlation", "rank_correlation_moved_alike"]
                add |= {"setting": "1 mm"}
            elif "randomisation" in metric or "agreement" in metric:
                quantities = ["rank_correlation", "top_dice"]
                add |= {"setting": "backbone.features.conv0" if "random" in metric else ""}
            else:
                quantities = [""]
            rows += [row(n, f"p{n}", 0.25, 0.75, **add, quantity=one) for one in quantities]
    return rows


def test_the_text_tells_every_metric_with_a_sentence_and_what_stands_beside_it():
    assert set(READING) <= set(FAITHFULNESS)
    said = faithfulness_text(summary_of(full_rows()), "2 pairs (1 SD, 1 PD) of 2 patients")
    assert said.startswith("2 pairs (1 SD, 1 PD) of 2 patients, chosen evenly")
    assert "describe and prove nothing" in said
    for metric, reading in READING.items():
        assert f"\n{metric}\n" in said
        assert reading.split(";")[0][:40] in " ".join(said.split())
    assert "saliency, prior: 0.25 [0.25, 0.25]; beside 0.75\n" in said
    assert "prior, 4 mm around it: another answer: 25% [25%, 25%]; beside 75%\n" in said
    assert "conv0 0.25 (0.75)" in said
    assert "better" not in "".join(line for line in said.splitlines() if line.startswith("    "))
    assert "not measured" not in said
    assert max(map(len, said.splitlines())) <= 100


def test_worse_and_not_told_apart_are_said_so():
    worse = summary_of([row(n, f"p{n}", 0.9, 0.7) for n in range(12)])
    better = summary_of([row(n, f"p{n}", 0.5, 0.7) for n in range(12)])
    assert "beside 0.70, better" in faithfulness_text(better, "12 pairs")
    assert "beside 0.70, worse" in faithfulness_text(worse, "12 pairs")
    even = [row(n, f"p{n}", 0.9 if n % 4 < 2 else 0.5, 0.7) for n in range(12)]
    assert "beside 0.70, not told apart" in faithfulness_text(summary_of(even), "12 pairs")
    assert "prove nothing" not in faithfulness_text(worse, "12 pairs")


def test_agreement_that_could_not_be_measured_is_named():
    rows = [row(0, "a", 0.2, metric="fold_agreement", quantity="rank_correlation")]
    said = faithfulness_text(summary_of(rows), "1 pairs", tests=("agreement",))
    assert "not measured" not in faithfulness_text(summary_of(rows), "1 pairs")
    assert "seed_agreement is not measured" in said
    assert "fold_agreement is not measured" not in said


def test_tables_are_written(tmp_path):
    rows = tidy_rows(full_rows())
    files = write_faithfulness(rows, summarise(rows, n_resamples=20), pd.DataFrame(), tmp_path)
    assert [path.name for path in files] == ["faithfulness.csv", "faithfulness_summary.csv"]
    again = pd.read_csv(files[0], keep_default_na=False)
    assert list(again["metric"]) == list(rows["metric"])
    answers = pd.DataFrame([{"pair_id": "a", "predicted_after": "SD"}])
    assert len(write_faithfulness(rows, summarise(rows, n_resamples=20), answers, tmp_path)) == 3
