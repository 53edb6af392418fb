"""The primary analysis: by hand, with planted effects, and with what must not count."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from made_scores import row as made_row

from xrano.errors import ManifestError, UnknownNameError
from xrano.scoring.score_table import SCORE_COLUMNS, read_scores, score_table, write_scores
from xrano.scoring.summary import SUMMARY_COLUMNS, primary_analysis
from xrano.scoring.summary_text import format_primary


def row(patient, pair, value, chance=0.1, **changes):
    return made_row(
        patient, pair, value, chance, **{"segmentation_source": "deepbratumia", **changes}
    )


def copies(patient, pair, *values, **changes):
    return [
        row(patient, pair, value, weights=f"random-{n}", **changes)
        for n, value in enumerate(values)
    ]


def analysed(rows, **options):
    options = {"n_resamples": 50, **options}
    return primary_analysis(score_table(rows), **options).set_index(["response", "method"])


HAND = [
    row("A", 1, 0.4),
    row("A", 2, 0.2),
    row("B", 1, 0.1, chance=0.2),
    *copies("A", 1, 0.10, 0.20),  # 0.15
    *copies("A", 2, 0.00, 0.10),  # 0.05
    *copies("B", 1, 0.25, 0.35),  # 0.30
]


def test_by_hand():
    cell = analysed(HAND).loc[("PD", "saliency")]
    mean_value, mean_chance = (0.3 + 0.1) / 2, (0.1 + 0.2) / 2
    mean_copies = (0.1 + 0.3) / 2
    assert cell["mean_value"] == pytest.approx(mean_value)
    assert cell["mean_chance"] == pytest.approx(mean_chance)
    assert cell["lift"] == pytest.approx(math.log2(mean_value / mean_chance))
    assert cell["random_lift"] == pytest.approx(math.log2(mean_copies / mean_chance))
    assert cell["gain"] == pytest.approx(cell["lift"] - cell["random_lift"])
    assert cell[["n_patients", "n_pairs", "n_undefined", "n_copies", "n_gain_pairs"]].tolist() == [
        2,
        3,
        0,
        2,
        3,
    ]
    assert cell["descriptive"]
    assert cell["n_resamples"] == 50


def test_the_interval_by_hand():
    # Two patients in one stratum: A twice, B twice, or both; the limits are the extremes.
    cell = analysed(HAND, n_resamples=400).loc[("PD", "saliency")]
    assert cell["lift_low"] == pytest.approx(math.log2(0.1 / 0.2))
    assert cell["lift_high"] == pytest.approx(math.log2(0.3 / 0.1))
    assert cell["gain_low"] == pytest.approx(math.log2(0.1 / 0.3))
    assert cell["gain_high"] == pytest.approx(math.log2(0.3 / 0.1))


def test_it_is_a_ratio_of_means_within_patients_first():
    # A patient with many scans weighs as one, and one map with nothing inside does not spoil all.
    rows = [row("A", n, 0.4) for n in range(9)] + [row("B", 1, 0.0)]
    assert analysed(rows).loc[("PD", "saliency"), "lift"] == pytest.approx(math.log2(0.2 / 0.1))


def test_nothing_inside_anywhere_is_minus_infinity_not_missing():
    rows = [row(p, 1, 0.0) for p in "ABC"] + [c for p in "ABC" for c in copies(p, 1, 0.1, 0.1)]
    cell = analysed(rows).loc[("PD", "saliency")]
    assert cell[["lift", "lift_low", "lift_high", "gain", "gain_low"]].tolist() == [-math.inf] * 5
    assert cell["n_pairs"] == 3
    assert "-inf [-inf, -inf]" in format_primary(analysed(rows).reset_index())


def test_a_copy_without_mass_inside_is_averaged_before_the_logarithm():
    rows = [row("A", 1, 0.4), *copies("A", 1, 0.0, 0.0, 0.3)]
    assert analysed(rows).loc[("PD", "saliency"), "gain"] == pytest.approx(2.0)


def test_undefined_pairs_are_counted_and_taken_out_of_both_sides():
    rows = [
        *HAND,
        row("C", 1, math.nan, chance=0.9),
        row("D", 1, math.nan, chance=0.9, status="zero_map"),
        *copies("C", 1, 0.5, 0.5),
    ]
    cell, without = (analysed(r).loc[("PD", "saliency")] for r in (rows, HAND))
    assert cell["n_undefined"] == 2
    for name in ("lift", "gain", "mean_chance", "n_patients", "n_pairs", "random_lift"):
        assert cell[name] == pytest.approx(without[name]), name


def test_a_status_other_than_ok_has_no_value():
    rows = [*HAND, row("C", 1, 1.0, status="below_measurable")]
    assert analysed(rows).loc[("PD", "saliency"), "n_undefined"] == 1
    assert analysed(rows).loc[("PD", "saliency"), "n_patients"] == 2


def test_the_gain_is_taken_where_the_copies_are_defined_too():
    rows = [*HAND, row("C", 1, 0.9), *copies("C", 1, math.nan, math.nan)]
    cell = analysed(rows).loc[("PD", "saliency")]
    assert cell["gain"] == pytest.approx(analysed(HAND).loc[("PD", "saliency"), "gain"])
    assert cell["lift"] == pytest.approx(math.log2((0.3 + 0.1 + 0.9) / (0.1 + 0.2 + 0.1)))
    assert (cell["n_pairs"], cell["n_gain_pairs"]) == (4, 3)
    assert (cell["n_patients"], cell["n_gain_patients"]) == (3, 2)


@pytest.mark.parametrize(("with_copies", "few"), [(10, False), (9, True), (0, False)])
def test_a_gain_of_fewer_than_ten_patients_is_descriptive_whatever_the_lift(with_copies, few):
    rows = [row(f"P{n}", visit, 0.2) for n in range(12) for visit in (1, 2)]
    rows += [
        one for n in range(with_copies) for visit in (1, 2) for one in copies(f"P{n}", visit, 0.1)
    ]
    cell = analysed(rows).loc[("PD", "saliency")]
    assert (cell["n_patients"], cell["n_gain_patients"]) == (12, with_copies)
    assert (cell["descriptive"], cell["gain_descriptive"]) == (False, few)
    assert math.isnan(cell["gain"]) == (with_copies == 0)


@pytest.mark.parametrize(
    "changes",
    [
        {"target_choice": "response"},
        {"region": "core/current"},
        {"region": "whole/union"},
        {"metric": "pointing_game"},
        {"spans_surgery": True},
        {"segmentation_source": "hdglio"},
        {"rectification": "positive"},
        {"lesion": "1"},
        {"layer": "features", "rectification": "absolute"},
    ],
)
def test_what_does_not_qualify_changes_nothing(changes):
    others = [
        row("A", 1, 0.9, **changes),
        row("E", 5, 0.9, **changes),
        *copies("A", 1, 0.9, 0.8, **changes),
    ]
    pd.testing.assert_frame_equal(analysed([*HAND, *others]), analysed(HAND))


def test_the_segmentation_source_can_be_chosen():
    other = [{**r, "segmentation_source": "hdglio", "value": 0.05} for r in HAND[:3]]
    rows = [*HAND, *other]
    assert analysed(rows).loc[("PD", "saliency"), "mean_value"] == pytest.approx(0.2)
    chosen = analysed(rows, segmentation_source="hdglio")
    assert chosen.loc[("PD", "saliency"), "mean_value"] == pytest.approx(0.05)
    with pytest.raises(UnknownNameError, match="hdglio"):
        analysed(rows, segmentation_source="hd-glio")


def test_methods_are_told_apart_by_baseline_and_where_needed_by_layer():
    rows = [
        row("A", 1, 0.4, method="ig", baseline="prior"),
        row("A", 1, 0.4, method="ig", baseline="zero"),
        row("A", 1, 0.4, method="gradcam", layer="last", rectification="positive"),
    ]
    assert set(analysed(rows).loc["PD"].index) == {"ig:prior", "ig:zero", "gradcam"}
    rows.append(row("A", 1, 0.2, method="gradcam", layer="first", rectification="positive"))
    methods = set(analysed(rows).loc["PD"].index)
    assert methods == {"ig:prior", "ig:zero", "gradcam@last", "gradcam@first"}


def test_a_reference_map_has_a_lift_and_no_gain():
    rows = [*HAND, row("A", 1, 0.2, method="change", weights="none", target="", target_choice="")]
    cell = analysed(rows).loc[("PD", "change")]
    assert cell["lift"] == pytest.approx(1.0)
    assert cell[["gain", "gain_low", "gain_high"]].isna().all()
    assert cell["n_copies"] == 0
    line = next(
        t for t in format_primary(analysed(rows).reset_index()).splitlines() if "change" in t
    )
    assert line.split()[5:7] == ["-", "-"]  # neither a gain nor copies


def test_responses_in_order_then_unrated_then_all_rated():
    responses = ["PD", "", "SD", "CR", "PR"]
    rows = [row(f"P{n}", 1, 0.1 * (n + 1), response=r) for n, r in enumerate(responses)]
    frame = primary_analysis(score_table(rows), n_resamples=10)
    assert frame["response"].tolist() == ["CR", "PR", "SD", "PD", "unrated", "all"]
    assert tuple(frame.columns) == SUMMARY_COLUMNS
    everyone = frame.iloc[-1]
    assert everyone["n_patients"] == 4
    assert everyone["mean_value"] == pytest.approx((0.1 + 0.3 + 0.4 + 0.5) / 4)


def test_ten_patients_are_enough_to_compare():
    for n, descriptive in ((9, True), (10, False)):
        rows = [row(f"P{i}", s, 0.2) for i in range(n) for s in range(3)]
        frame = analysed(rows)
        assert frame.loc[("PD", "saliency"), "descriptive"] == descriptive
        assert ("fewer than 10" in format_primary(frame.reset_index())) == descriptive


def test_one_map_scored_twice_is_refused():
    with pytest.raises(ManifestError, match=r"saliency.*A_1.*'demo', 'other'"):
        analysed([*HAND, row("A", 1, 0.4, run="other")])
    with pytest.raises(ManifestError, match="max"):
        analysed([*HAND, row("A", 1, 0.4, reduction="max")])
    with pytest.raises(ManifestError, match="random-0 weights"):
        analysed([*HAND, *copies("A", 1, 0.1)])
    with pytest.raises(ManifestError, match="untrained"):
        analysed([*HAND, row("A", 1, 0.4, weights="untrained")])


def test_nothing_qualifies():
    for rows in ([], [row("A", 1, 0.4, spans_surgery=True)]):
        frame = primary_analysis(score_table(rows), n_resamples=10)
        assert frame.empty
        assert tuple(frame.columns) == SUMMARY_COLUMNS
        assert format_primary(frame).startswith("No map qualifies")


def test_a_table_without_its_columns():
    with pytest.raises(ManifestError, match="status"):
        primary_analysis(score_table(HAND).drop(columns="status"))


# -- planted effects -----------------------------------------------------------------------------


def planted(seed, lifts, random_lift=1.0, n_patients=24, n_copies=3):
    """Pairs whose expected mass is 2^lift of chance, patients differing, tumours of all sizes."""
    rng = np.random.default_rng(seed)
    rows = []
    for patient in range(n_patients):
        own = rng.lognormal(-0.02, 0.2)
        for pair, (response, lift) in enumerate(lifts.items()):
            chance = rng.uniform(0.005, 0.03)
            common = {"chance": chance, "response": response}
            noise = rng.lognormal(-0.045, 0.3)
            name = f"P{patient:02d}"
            rows.append(row(name, pair, min(chance * 2**lift * own * noise, 1.0), **common))
            masses = chance * 2**random_lift * own * rng.lognormal(-0.02, 0.2, size=n_copies)
            rows += copies(name, pair, *masses, **common)
    return rows


LIFTS = {"CR": 0.5, "PR": 2.0, "SD": 0.0, "PD": 3.0}


def test_a_planted_effect_is_recovered():
    frame = analysed(planted(0, LIFTS), n_resamples=1000)
    for response, lift in LIFTS.items():
        cell = frame.loc[(response, "saliency")]
        assert cell["lift"] == pytest.approx(lift, abs=0.3)
        assert cell["lift_low"] < lift < cell["lift_high"]
        assert cell["gain_low"] < lift - 1.0 < cell["gain_high"]
        assert cell["lift_high"] - cell["lift_low"] < 0.8


def test_the_intervals_cover():
    hits = {"lift": 0, "gain": 0}
    trials = 100
    for seed in range(trials):
        cell = analysed(planted(seed, {"SD": 1.5}), n_resamples=200).loc[("SD", "saliency")]
        hits["lift"] += cell["lift_low"] <= 1.5 <= cell["lift_high"]
        hits["gain"] += cell["gain_low"] <= 0.5 <= cell["gain_high"]
    # A binomial of 100 at 0.93 has a standard deviation of 2.6.
    assert 85 <= hits["lift"] <= 100
    assert 85 <= hits["gain"] <= 100


def test_lift_and_gain_see_the_same_draws():
    # Copies at exactly half the mass of their pair: whatever is drawn, the gain is one bit.
    rows = planted(3, LIFTS, n_copies=1)
    values = {r["pair_id"]: r["value"] for r in rows if r["weights"] == "trained"}
    for r in rows:
        if r["weights"] != "trained":
            r["value"] = values[r["pair_id"]] / 2
    cell = analysed(rows, n_resamples=200).loc[("PD", "saliency")]
    assert cell["lift_high"] - cell["lift_low"] > 0.05
    assert cell[["gain", "gain_low", "gain_high"]].tolist() == pytest.approx([1, 1, 1])


def test_the_seed_decides_and_the_order_of_rows_does_not():
    rows = planted(1, LIFTS)
    first = analysed(rows, seed=5)
    pd.testing.assert_frame_equal(first, analysed(rows, seed=5))
    assert not first["lift_low"].equals(analysed(rows, seed=6)["lift_low"])
    pd.testing.assert_frame_equal(first, analysed(rows[::-1], seed=5), rtol=1e-12)


def test_a_table_from_disk_gives_the_same(tmp_path):
    rows = [*HAND, row("C", 1, math.nan), row("D", 1, 0.9, spans_surgery=True)]
    table = score_table(rows)
    assert tuple(table.columns) == SCORE_COLUMNS
    write_scores(table, tmp_path / "scores.csv")
    before, after = (
        primary_analysis(t, n_resamples=20) for t in (table, read_scores(tmp_path / "scores.csv"))
    )
    pd.testing.assert_frame_equal(after, before)


def test_the_text_has_a_line_for_every_cell():
    rows = [
        *planted(0, LIFTS),
        *(r | {"method": "ig", "baseline": "prior"} for r in planted(1, LIFTS)),
    ]
    frame = primary_analysis(score_table(rows), n_resamples=100)
    text = format_primary(frame)
    for record in frame.to_dict("records"):
        line = next(
            t for t in text.splitlines() if t.split()[:2] == [record["response"], record["method"]]
        )
        for name in ("lift", "gain"):
            ends = (record[f"{name}_low"], record[f"{name}_high"])
            assert f"{record[name]:+.2f} [{ends[0]:+.2f}, {ends[1]:+.2f}]" in line
        counts = [str(record[n]) for n in ("n_copies", "n_patients", "n_pairs", "n_undefined")]
        assert line.split()[-4:] == counts
    assert max(map(len, text.splitlines())) <= 110
