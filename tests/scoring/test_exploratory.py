"""The exploratory cells: the primary one among them, strata of right and wrong, tests and words."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from made_scores import cohort, own, row
from scipy.stats import false_discovery_control

from xrano.errors import ConfigError
from xrano.scoring.cell_table import CELL_COLUMNS, CELL_COUNTS, CELL_FLAGS, CELL_NUMBERS
from xrano.scoring.exploratory import exploratory_analysis, exploratory_tables
from xrano.scoring.exploratory_text import format_exploratory
from xrano.scoring.pair_values import pair_values
from xrano.scoring.score_table import score_table
from xrano.scoring.summary import primary_analysis
from xrano.scoring.table_files import read_frame, write_frame

PRIMARY = {
    "target_choice": "predicted",
    "region": "core/union",
    "metric": "relevance_mass_accuracy",
    "segmentation_source": "first",
    "stratum": "all",
}


def analysed(table, **options):
    return exploratory_analysis(pair_values(table), **{"n_resamples": 50, **options})


def test_the_primary_cell_has_the_numbers_of_the_primary_analysis():
    table = cohort()
    summary = primary_analysis(table, n_resamples=300, seed=4)
    found = own(analysed(table, n_resamples=300, seed=4), **PRIMARY)
    trained = summary[summary["method"] != "change"].reset_index(drop=True)
    assert len(trained) == 2 * 6
    both = trained.merge(found, on=["response", "method"], suffixes=("_primary", ""))
    assert len(both) == len(trained)
    for primary, here in (
        ("lift", "estimate"),
        ("lift_low", "low"),
        ("lift_high", "high"),
        ("n_patients_primary", "n_patients"),
        ("n_pairs_primary", "n_pairs"),
        ("n_undefined_primary", "n_undefined"),
        ("mean_value_primary", "mean_value"),
        ("mean_chance_primary", "mean_chance"),
        ("n_resamples_primary", "n_resamples"),
        ("descriptive_primary", "descriptive"),
    ):
        np.testing.assert_allclose(both[primary], both[here].astype(float), rtol=1e-12)


def test_every_cell_follows_from_its_own_rows():
    # Any cell by the primary analysis of the rows of that cell, renamed to what it looks at.
    table = cohort(target="response")
    found = analysed(table)
    cells = own(found, target_choice="response", stratum="all", metric=PRIMARY["metric"])
    cells = cells[~cells["method"].str.endswith("weights)") & (cells["response"] == "all")]
    assert set(cells["region"]) == {"core/union", "core/prior", "core/current", "whole/union"}
    for one in cells.to_dict("records"):
        rows = table[
            (table["region"] == one["region"])
            & (table["segmentation_source"] == one["segmentation_source"])
            & (table["weights"] != "none")
        ].assign(region="core/union", target_choice="predicted")
        expected = primary_analysis(rows, n_resamples=1).set_index(["response", "method"])
        assert one["estimate"] == pytest.approx(expected.loc[("all", one["method"]), "lift"])


def test_right_and_wrong_part_the_rated_pairs():
    found = analysed(cohort())
    keys = ["response", "method", "target_choice", "segmentation_source", "region", "metric"]
    counts = found.pivot(index=keys, columns="stratum", values="n_pairs")
    rated = counts.drop(index="unrated", level="response").fillna(0)
    assert len(rated)
    np.testing.assert_array_equal(rated["right"] + rated["wrong"], rated["all"])
    assert (rated.loc["all"][["right", "wrong"]] > 0).any(axis=None)
    assert counts.loc["unrated"][["right", "wrong"]].isna().all(axis=None)


def test_right_and_wrong_by_hand():
    rows = [
        row("A", 1, 0.4),
        row("A", 2, 0.2, predicted="SD"),
        row("B", 1, 0.1, chance=0.2, predicted="SD"),
    ]
    found = analysed(score_table(rows)).set_index(["response", "stratum"])["estimate"]
    assert found["PD", "right"] == pytest.approx(2.0)
    assert found["PD", "wrong"] == pytest.approx(math.log2(0.15 / 0.15))
    assert found["PD", "all"] == pytest.approx(math.log2((0.3 + 0.1) / (0.1 + 0.2)))


def test_other_metrics_are_an_excess_over_chance():
    rows = [
        row("A", n, value, chance=chance, metric="pointing_game")
        for n, (value, chance) in enumerate([(1.0, 0.1), (0.0, 0.3)])
    ]
    rows.append(row("B", 1, 1.0, chance=0.4, metric="pointing_game"))
    cell = analysed(score_table(rows)).iloc[0]
    assert cell["statistic"] == "excess"
    assert cell["estimate"] == pytest.approx((0.5 + 1.0) / 2 - (0.2 + 0.4) / 2)


def test_cr_has_no_number_on_the_current_scan_and_is_counted():
    found = own(analysed(cohort()), response="CR", region="core/current", stratum="all")
    assert len(found)
    assert found[[*CELL_NUMBERS]].isna().all(axis=None)
    assert (found["n_empty_mask"] == found["n_undefined"]).all()
    assert (found["n_empty_mask"] > 10).all()
    assert (found["n_pairs"] == 0).all()
    prior = own(analysed(cohort()), response="CR", region="core/prior", stratum="all")
    assert prior["estimate"].notna().all()


def test_undefined_pairs_stand_under_their_status():
    table = cohort()
    found = own(analysed(table), **{**PRIMARY, "method": "gradcam", "response": "all"}).iloc[0]
    rows = own(
        table[~table["spans_surgery"] & (table["response"] != "") & (table["lesion"] == "all")],
        method="gradcam",
        weights="trained",
        region="core/union",
        segmentation_source="first",
        metric=PRIMARY["metric"],
    )
    counts = rows["status"].value_counts()
    assert counts["zero_map"] > 0
    assert found["n_zero_map"] == found["n_undefined"] == counts["zero_map"]
    assert found["n_pairs"] == counts["ok"]


def test_q_is_over_all_tests_of_the_table_and_few_patients_have_none():
    found = analysed(cohort(patients=12), n_resamples=400)
    tested = found["p"].notna()
    np.testing.assert_allclose(
        found.loc[tested, "q"], false_discovery_control(found.loc[tested, "p"], method="bh")
    )
    assert found.loc[~tested, "q"].isna().all()
    few = found["n_patients"] < 10
    np.testing.assert_array_equal(found["descriptive"], few)
    assert few.any()
    assert not tested[few].any()
    enough = found[~few]
    own_maps = enough["target_choice"].ne("none") & ~enough["method"].str.endswith("weights)")
    np.testing.assert_array_equal(enough["p"].notna(), own_maps)
    assert own_maps.any()
    assert not own_maps.all()


def test_the_order_of_the_rows_does_not_matter():
    table = cohort(patients=11)
    keys = ["response", "stratum", "method", "segmentation_source", "region", "metric"]
    mixed = table.sample(frac=1.0, random_state=1)
    one, other = (analysed(t).sort_values(keys, ignore_index=True) for t in (table, mixed))
    pd.testing.assert_frame_equal(one, other)


def test_seed_and_resamples_are_what_the_intervals_depend_on():
    table = cohort(patients=11)
    pd.testing.assert_frame_equal(analysed(table, seed=1), analysed(table, seed=1))
    one, other = (analysed(table, seed=seed) for seed in (1, 2))
    pd.testing.assert_series_equal(one["estimate"], other["estimate"])
    assert (one["low"] != other["low"]).any()
    assert analysed(table, n_resamples=7)["n_resamples"].max() == 7
    with pytest.raises(ConfigError, match="at least 1"):
        analysed(table, n_resamples=0)


def test_random_state_and_tables_are_left_alone():
    table, lesions = (
        cohort(patients=4),
        pd.DataFrame(columns=["pair_id", "segmentation_source", "prior_ml", "current_ml"]),
    )
    before, state = table.copy(deep=True), np.random.get_state()[1].copy()  # noqa: NPY002
    exploratory_tables(table, lesions, n_resamples=5)
    pd.testing.assert_frame_equal(table, before)
    np.testing.assert_array_equal(np.random.get_state()[1], state)  # noqa: NPY002


def test_all_tables_have_one_scheme_and_keep_it_on_disk(tmp_path):
    table = cohort(patients=4)
    lesions = pd.DataFrame(
        {
            "pair_id": sorted(set(table["pair_id"])),
            "segmentation_source": "first",
            "prior_ml": np.arange(20.0),
            "current_ml": 1.0,
        }
    )
    tables = exploratory_tables(table, lesions, n_resamples=5)
    assert list(tables) == ["exploratory", "paired_methods", "strata", "segmenters"]
    for name, frame in tables.items():
        assert len(frame), name
        beyond = ["from_ml", "to_ml"] if name == "strata" else []
        assert list(frame) == [*CELL_COLUMNS, *beyond]
        keys = [*CELL_COLUMNS[: CELL_COLUMNS.index("estimate")]]
        assert not frame.duplicated(keys).any(), name
        write_frame(frame, tmp_path / f"{name}.csv")
        read = read_frame(
            tmp_path / f"{name}.csv",
            numbers=(*CELL_NUMBERS, *beyond),
            counts=CELL_COUNTS,
            flags=CELL_FLAGS,
        )
        pd.testing.assert_frame_equal(read, frame, check_dtype=False)
    assert "strata" not in exploratory_tables(table, n_resamples=5)


@pytest.mark.parametrize("rows", [[], [row("A", 1, 0.4, spans_surgery=True)]])
def test_nothing_to_look_at_gives_empty_tables_and_no_words(rows):
    lesions = pd.DataFrame(columns=["pair_id", "segmentation_source", "prior_ml", "current_ml"])
    for name, frame in exploratory_tables(score_table(rows), lesions, n_resamples=5).items():
        assert frame.empty
        assert set(CELL_COLUMNS) <= set(frame), name
        assert format_exploratory(frame) == ""


def test_the_words_count_what_the_table_holds():
    found = analysed(cohort(), n_resamples=400)
    text = format_exploratory(found)
    lines = text.splitlines()
    assert len(lines) <= 12
    assert lines[0].startswith("exploratory")
    tested, hits = found["p"].notna(), found["q"] <= 0.05
    assert f"{len(found):,} cells" in text
    assert f"{tested.sum():,} tested: {hits.sum():,} differ from chance" in text
    few = found["descriptive"] & (found["n_pairs"] > 0)
    assert f"{few.sum():,} descriptive" in text
    assert f"{(found['n_pairs'] == 0).sum():,} without any value" in text
    assert 0 < hits.sum() < tested.sum()
    empty = own(found, **{**PRIMARY, "region": "core/current", "response": "CR"})
    count = empty["n_empty_mask"].iloc[0]
    assert f"CR in core/current ({count} of {count} masks empty): no number" in text
    assert "CR in core/prior (0 of " in text
    prior = own(
        found, **{**PRIMARY, "region": "core/prior", "response": "CR", "method": "saliency"}
    )
    assert f"saliency {prior['estimate'].iloc[0]:+.2f}" in text
