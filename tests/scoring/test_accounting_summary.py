"""Mean shares per response and method against means by hand."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pandas as pd
import pytest

from xrano.errors import ManifestError, UnknownNameError
from xrano.scoring.accounting_summary import ACCOUNTING_SUMMARY_COLUMNS, accounting_summary
from xrano.scoring.accounting_table import ACCOUNTING_COLUMNS, accounting_table

PARTS = ("enhancing", "brain_edge", "grey_matter", "white_matter", "other_brain", "outside_brain")
PAIRS = [
    ("A", "A1", "PD"),
    ("A", "A2", "PD"),
    ("B", "B1", "PD"),
    ("B", "B2", "CR"),
    ("C", "C1", ""),
]


def map_rows(pair, *, seed, method="saliency", weights="trained", status="ok", **changes):
    patient, pair_id, response = pair
    rng = np.random.default_rng(seed)
    share, expected = (values / values.sum() for values in rng.random((2, len(PARTS))))
    facts = {
        **dict.fromkeys(ACCOUNTING_COLUMNS, ""),
        "run": "demo",
        "weights": weights,
        "fold": 0,
        "pair_id": pair_id,
        "patient_id": patient,
        "response": response,
        "predicted": "PD",
        "target": "PD",
        "target_choice": "predicted",
        "method": method,
        "spans_surgery": False,
        "segmentation_source": "s",
        **changes,
    }
    defined = status == "ok"
    return [
        {
            **facts,
            "part": part,
            "share": share[n] if defined else None,
            "expected": expected[n] if status != "no_segmentation" else None,
            "status": status,
        }
        for n, part in enumerate(PARTS)
    ]


def table(*maps):
    return accounting_table(itertools.chain(*maps))


def every_pair(**options):
    return [map_rows(pair, seed=n, **options) for n, pair in enumerate(PAIRS)]


def cell(summary, **where):
    for column, value in where.items():
        summary = summary[summary[column] == value]
    return summary.set_index("part")


def of_pair(frame, pair_id, column):
    return frame[frame["pair_id"] == pair_id].set_index("part")[column]


def test_shares_are_means_within_patients_then_over_them_and_add_up_to_one():
    frame = table(*every_pair())
    summary = accounting_summary(frame)
    assert tuple(summary.columns) == ACCOUNTING_SUMMARY_COLUMNS
    assert list(dict.fromkeys(summary["response"])) == ["CR", "PD", "unrated", "all"]
    assert list(summary["part"][: len(PARTS)]) == list(PARTS)
    pd_cell = cell(summary, response="PD")
    for column in ("share", "expected"):
        a = (of_pair(frame, "A1", column) + of_pair(frame, "A2", column)) / 2
        expected = (a + of_pair(frame, "B1", column)) / 2
        pd.testing.assert_series_equal(
            pd_cell[column], expected[list(PARTS)], check_names=False, rtol=1e-12
        )
        everyone = (a + (of_pair(frame, "B1", column) + of_pair(frame, "B2", column)) / 2) / 2
        assert cell(summary, response="all")[column]["enhancing"] == pytest.approx(
            everyone["enhancing"]
        )
        sums = summary.groupby("response")[column].sum()
        np.testing.assert_allclose(sums, 1, atol=1e-12)
    assert set(pd_cell["n_patients"]) == {2}
    assert set(pd_cell["n_pairs"]) == {3}
    assert summary["descriptive"].all()


def test_pairs_without_shares_are_counted_and_left_out():
    maps = every_pair()
    maps[0] = map_rows(PAIRS[0], seed=0, status="zero_map")
    maps[2] = map_rows(PAIRS[2], seed=2, status="no_segmentation", segmentation_source="")
    frame = table(*maps)
    found = cell(accounting_summary(frame, segmentation_source="s"), response="PD")
    assert set(found["n_pairs"]) == {1}
    assert set(found["n_undefined"]) == {2}
    np.testing.assert_allclose(found["share"], of_pair(frame, "A2", "share")[list(PARTS)])
    silent = table(*(map_rows(pair, seed=1, status="zero_map") for pair in PAIRS))
    nothing = cell(accounting_summary(silent), response="PD")
    assert nothing["share"].isna().all()
    assert set(nothing["status"]) == {"undefined"}
    assert set(nothing["n_pairs"]) == {0}
    assert set(nothing["n_undefined"]) == {3}


def test_copies_are_one_method_averaged_within_the_pair():
    copies = [
        map_rows(pair, seed=10 * draw + n, weights=f"random-{draw}")
        for draw in (0, 1)
        for n, pair in enumerate(PAIRS)
    ]
    frame = table(*every_pair(), *copies)
    summary = accounting_summary(frame)
    assert set(summary["weights"]) == {"trained", "random"}
    found = cell(summary, response="CR", weights="random")
    both = frame[(frame["pair_id"] == "B2") & frame["weights"].str.startswith("random")]
    np.testing.assert_allclose(found["share"], both.groupby("part")["share"].mean()[list(PARTS)])
    assert set(found["n_pairs"]) == {1}
    own = cell(accounting_summary(table(*every_pair())), response="CR")
    np.testing.assert_array_equal(
        cell(summary, response="CR", weights="trained")["share"], own["share"]
    )


def test_parts_of_other_schemes_are_nothing_where_a_scheme_has_none():
    few = [row for row in map_rows(PAIRS[0], seed=0) if row["part"] != "enhancing"]
    total = math.fsum(row["share"] for row in few)
    few = [{**row, "share": row["share"] / total} for row in few]
    frame = table(few, map_rows(PAIRS[1], seed=1))
    found = cell(accounting_summary(frame), response="PD")["share"]
    assert found["enhancing"] == pytest.approx(of_pair(frame, "A2", "share")["enhancing"] / 2)
    assert found.sum() == pytest.approx(1, abs=1e-12)


def test_where_a_pair_has_no_priors_grey_and_white_are_other_brain_for_all():
    rows = map_rows(PAIRS[0], seed=0)
    tissue = [row for row in rows if row["part"] in ("grey_matter", "white_matter")]
    merged = {"share": 0.0, "expected": 0.0}
    for row in tissue:
        merged = {key: merged[key] + row[key] for key in merged}
        row.update(share=None, expected=None, status="no_priors")
    for row in rows:
        if row["part"] == "other_brain":
            row.update({key: row[key] + value for key, value in merged.items()})
    frame = table(rows, map_rows(PAIRS[1], seed=1))
    found = cell(accounting_summary(frame), response="PD")
    unknown = ["grey_matter", "white_matter"]
    assert found.loc[unknown, ["share", "expected", "lift"]].isna().all(axis=None)
    assert set(found.loc[unknown, "status"]) == {"no_priors"}
    other = of_pair(frame, "A2", "share")[[*unknown, "other_brain"]].sum()
    own = of_pair(frame, "A1", "share")["other_brain"]
    assert found["share"]["other_brain"] == pytest.approx((own + other) / 2)
    assert found["share"].sum() == pytest.approx(1, abs=1e-12)
    assert found["expected"].sum() == pytest.approx(1, abs=1e-12)


def test_other_targets_sources_and_operated_pairs_are_not_counted():
    kept = every_pair()
    frame = table(
        *kept,
        map_rows(PAIRS[0], seed=20, target="CR", target_choice="all"),
        map_rows(PAIRS[0], seed=21, target="CR", target_choice="response"),
        map_rows(PAIRS[0], seed=22, segmentation_source="t"),
        map_rows(("D", "D1", "PD"), seed=23, spans_surgery=True),
    )
    pd.testing.assert_frame_equal(accounting_summary(frame), accounting_summary(table(*kept)))
    reference = map_rows(PAIRS[0], seed=24, method="change", weights="none", target_choice="")
    both = accounting_summary(table(*kept, reference))
    assert set(both["method"]) == {"saliency", "change"}
    other = accounting_summary(frame, segmentation_source="t")
    assert set(other["segmentation_source"]) == {"t"}
    assert set(cell(other, response="PD")["n_pairs"]) == {1}


def test_what_is_no_accounting_is_refused_and_nothing_is_no_row():
    frame = table(*every_pair())
    with pytest.raises(ManifestError, match="part"):
        accounting_summary(frame.drop(columns="part"))
    with pytest.raises(ManifestError, match="A1 with trained weights"):
        accounting_summary(table(*every_pair(), map_rows(PAIRS[0], seed=3)))
    with pytest.raises(UnknownNameError, match="segmentation source"):
        accounting_summary(frame, segmentation_source="x")
    empty = accounting_summary(accounting_table([]))
    assert tuple(empty.columns) == ACCOUNTING_SUMMARY_COLUMNS
    assert empty.empty


def test_lift_is_that_of_the_relevance_inside_the_brain():
    frame = table(*every_pair())
    found = cell(accounting_summary(frame), response="PD")["lift"]
    inside = {}
    for column in ("share", "expected"):
        values = {name: of_pair(frame, name, column) for name in ("A1", "A2", "B1")}
        values = {name: one / (1 - one["outside_brain"]) for name, one in values.items()}
        inside[column] = ((values["A1"] + values["A2"]) / 2 + values["B1"]) / 2
    for part in PARTS[:-1]:
        expected = np.log2(inside["share"][part] / inside["expected"][part])
        assert found[part] == pytest.approx(expected), part
    outside = cell(accounting_summary(frame), response="PD").loc["outside_brain"]
    assert outside["lift"] == pytest.approx(np.log2(outside["share"] / outside["expected"]))


def test_a_map_that_is_all_outside_leaves_no_lift_behind():
    rows = map_rows(PAIRS[3], seed=0)
    for row in rows:
        row["share"] = float(row["part"] == "outside_brain")
    found = cell(accounting_summary(table(rows)), response="CR")
    assert found["share"]["outside_brain"] == 1
    assert found["share"].sum() == 1
    assert found.loc["enhancing", ["lift"]].isna().all()
    assert np.isfinite(found["lift"]["outside_brain"])
