"""The test of the primary analysis against other patients' masks, and its families."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from made_cohorts import SHAPE, knowing, made_cohort, made_crossed
from made_scores import row

from xrano.metrics.multiplicity import max_statistic
from xrano.metrics.shuffle import shuffle_assignments
from xrano.scoring.null_table import NULL_COLUMNS, null_table, shuffle_rows
from xrano.scoring.score_table import score_table
from xrano.scoring.shuffle import SHUFFLE_COLUMNS, format_shuffle, shuffle_primary
from xrano.scoring.tables import read_table, write_table

MIDDLE = np.full(SHAPE, 0.1)
MIDDLE[4:8, 4:8, 4:8] = 1.1


def noise(n, seed=0):
    """Another map for every pair, most of it in few voxels."""
    return (np.random.default_rng(seed).random((n, *SHAPE)) ** 9).__getitem__


def analysed(masks, *crossed, n=199, **options):
    return shuffle_primary(pd.concat(crossed), masks.table(), n_permutations=n, **options)


def statistic(masks, crossed, assignment, responses):
    """The lift when pair i sees mask assignment[i]; one pair a patient."""
    seen = crossed.set_index(["pair_id", "mask_pair_id"])
    pairs = [i for i, name in enumerate(masks.responses) if name in responses]
    keys = [(masks.pair_ids[i], masks.pair_ids[assignment[i]]) for i in pairs]
    return math.log2(seen.loc[keys, "mass"].mean() / seen.loc[keys, "chance"].mean())


def test_maps_that_know_their_tumour_are_told_from_maps_that_like_the_middle():
    masks = made_cohort()
    knows = made_crossed(masks, "knows", knowing(masks))
    table = analysed(masks, knows, made_crossed(masks, "middle", lambda _: MIDDLE))
    assert tuple(table.columns) == SHUFFLE_COLUMNS
    assert list(table["response"]) == ["CR", "CR", "PD", "PD", "all", "all"]
    assert set(table["segmentation_source"]) == {"s"}
    cells = table.set_index(["response", "method"])
    assert cells.loc[("all", "knows"), "p"] == pytest.approx(1 / 200)
    assert cells.loc[("all", "knows"), "p_adjusted"] <= 0.02
    # A map that is the same for everyone sees others' tumours as it sees its own.
    assert cells.loc[("all", "middle"), "p"] > 0.2
    everyone = cells.loc["all"]
    assert (everyone["p_adjusted"] >= everyone["p"] - 1e-12).all()
    own = (20 * 27 + 27) / (math.prod(SHAPE) + 20 * 27)
    assert everyone.loc["knows", "lift"] == pytest.approx(np.log2(own / (27 / math.prod(SHAPE))))
    assert everyone.loc["knows", "n_patients"] == 14
    assert cells.loc[("CR", "knows"), "n_pairs"] == 7
    assert "knows lift +" in format_shuffle(table)


def test_the_numbers_of_a_cell_are_brute_force_over_its_permutations():
    masks = made_cohort(24)
    crossed = made_crossed(masks, "noise", noise(24))
    table = analysed(masks, crossed, n=99, seed=3).set_index("response")
    drawn = shuffle_assignments(masks.patient_ids, [27] * 24, n_permutations=99, seed=3)
    for response, members in (("PD", {"PD"}), ("all", {"CR", "PD"})):
        found = table.loc[response]
        observed = statistic(masks, crossed, range(24), members)
        null = [statistic(masks, crossed, one, members) for one in drawn.masks]
        assert found["lift"] == pytest.approx(observed)
        assert found["mean"] == pytest.approx(np.mean(null))
        assert found["z"] == pytest.approx((observed - np.mean(null)) / np.std(null))
        assert found["p"] == (1 + sum(one >= observed - 1e-9 for one in null)) / 100


def test_a_descriptive_cell_has_no_p_and_costs_the_others_nothing():
    # CR has nine patients, PD eleven.
    masks = made_cohort(20, classes=("CR", "PD") * 9 + ("PD", "PD"))
    crossed = made_crossed(masks, "noise", noise(20))
    table = analysed(masks, crossed).set_index("response")
    assert table.loc["CR", "n_patients"] == 9
    assert list(table["descriptive"]) == [True, False, False]
    assert np.isnan(table.loc["CR", ["p", "p_adjusted"]].astype(float)).all()
    assert np.isfinite(table.loc["CR", ["z", "mean", "percentile"]].astype(float)).all()
    drawn = shuffle_assignments(masks.patient_ids, [27] * 20, n_permutations=199, seed=0)
    rows = [
        [statistic(masks, crossed, one, of) for one in (range(20), *drawn.masks)]
        for of in ({"PD"}, {"CR", "PD"})
    ]
    expected = max_statistic([one[0] for one in rows], [one[1:] for one in rows])
    np.testing.assert_allclose(table.loc[["PD", "all"], "p_adjusted"].astype(float), expected)
    few = analysed(made_cohort(9), made_crossed(made_cohort(9), "knows", knowing(made_cohort(9))))
    assert few[["p", "p_adjusted"]].isna().all(axis=None)
    assert "no p: fewer than 10 patients" in format_shuffle(few)


def test_a_map_without_relevance_in_most_masks_keeps_its_p():
    # As a class activation map that is zero in whole regions: nothing lies outside the own mask.
    masks = made_cohort()

    def only_there(index):
        volume = np.zeros(SHAPE)
        volume.ravel()[masks.voxels[index][13]] = 1
        return volume

    corner = np.zeros(SHAPE)
    corner[0, 0, 0] = 1
    assert not any(0 in voxels for voxels in masks.voxels)
    knows = made_crossed(masks, "knows", knowing(masks))
    table = analysed(
        masks,
        made_crossed(masks, "sharp", only_there),
        made_crossed(masks, "nowhere", lambda _: corner),
        knows,
    )
    everyone = table[table["response"] == "all"].set_index("method")
    assert everyone.loc["sharp", "p"] == 1 / 200
    assert everyone.loc["sharp", "p_adjusted"] == 1 / 200
    assert np.isfinite(everyone.loc["sharp", ["mean", "sd", "z"]].astype(float)).all()
    nowhere = everyone.loc["nowhere"]
    assert nowhere["lift"] == -math.inf
    assert (nowhere["p"], nowhere["p_adjusted"], nowhere["percentile"]) == (1, 1, 50)
    # What has no relevance anywhere takes nothing from the others.
    alone = analysed(masks, made_crossed(masks, "sharp", only_there), knows)
    alone = alone[alone["response"] == "all"].set_index("method")
    same = ["p", "p_adjusted", "z"]
    pd.testing.assert_frame_equal(alone[same], everyone.loc[alone.index, same])


def test_copies_and_references_stand_beside_and_cost_nothing():
    masks = made_cohort(24)
    rng = np.random.default_rng(0)
    drawn = [rng.random((24, *SHAPE)) for _ in range(2)]
    knows = made_crossed(masks, "saliency", knowing(masks))
    copies = [
        made_crossed(masks, "saliency", values.__getitem__, f"random-{n}")
        for n, values in enumerate(drawn)
    ]
    uniform = made_crossed(masks, "uniform", lambda _: np.full(SHAPE, 0.1), "none")
    bright = made_crossed(masks, "enhancement", knowing(masks), "none")
    alone = analysed(masks, knows)
    table = analysed(masks, knows, *copies, uniform, bright)
    own = table[table["kind"] == "trained"].reset_index(drop=True)
    pd.testing.assert_frame_equal(own, alone)
    everyone = table[table["response"] == "all"].set_index(["kind", "method"])
    assert set(everyone.index) == {
        *(("trained", "saliency"), ("copies", "saliency")),
        *(("reference", "uniform"), ("reference", "enhancement")),
    }
    # Copies are averaged before any logarithm.
    size = math.prod(SHAPE)
    inside = [
        [values[i].ravel()[masks.voxels[i]].sum() / values[i].sum() for i in range(24)]
        for values in drawn
    ]
    lift = math.log2(np.mean(inside) / (27 / size))
    assert everyone.loc[("copies", "saliency"), "lift"] == pytest.approx(lift)
    flat = everyone.loc[("reference", "uniform")]
    assert (flat["lift"], flat["p"], flat["p_adjusted"]) == (0, 1, 1)
    assert everyone.loc[("reference", "enhancement"), "p_adjusted"] == pytest.approx(1 / 200)
    words = format_shuffle(table)
    assert "without training p ≤ 0.05 as well, corrected among themselves: enhancement" in words
    assert "uniform" not in words


def test_too_few_patients_and_missing_maps():
    few, masks = made_cohort(4), made_cohort()
    seen = made_crossed(masks, "knows", knowing(masks))
    assert shuffle_primary(seen, few.table()).empty
    assert format_shuffle(shuffle_primary(seen[:0], masks.table())) == ""
    lacking = seen[~seen["pair_id"].isin(masks.pair_ids[-2:])]
    table = analysed(masks, lacking, n=99).set_index("response")
    assert table.loc["all", "n_pairs"] == 12


def test_it_is_made_again_from_its_two_tables(tmp_path):
    masks = made_cohort(12)
    rng = np.random.default_rng(5)
    values = rng.random((12, *SHAPE)) ** 9
    values[3] = 0
    crossed = made_crossed(masks, "saliency", values.__getitem__)
    before = shuffle_primary(crossed, masks.table())
    for name, table in (("crossed", crossed), ("cohort_masks", masks.table()), ("shuffle", before)):
        write_table(name, table, tmp_path)
    again = shuffle_primary(read_table("crossed", tmp_path), read_table("cohort_masks", tmp_path))
    pd.testing.assert_frame_equal(again, before, check_exact=True)
    pd.testing.assert_frame_equal(read_table("shuffle", tmp_path), before, check_exact=True)


def test_it_stands_among_the_nulls_of_the_table():
    masks = made_cohort(24)
    crossed = [
        made_crossed(masks, "saliency", knowing(masks)),
        made_crossed(masks, "saliency", lambda _: MIDDLE, "random-0"),
        made_crossed(masks, "change", lambda _: MIDDLE, "none"),
    ]
    shuffle = analysed(masks, *crossed)
    facts = {"segmentation_source": "s"}
    scores = score_table(
        [
            row("p0", "a_b", 0.5, **facts),
            row("p0", "a_b", 0.5, weights="random-0", **facts),
            row("p0", "a_b", 0.5, weights="none", method="change", target_choice="", **facts),
        ]
    )
    nulls = null_table(shuffle_rows(shuffle, scores))
    assert tuple(nulls.columns) == NULL_COLUMNS
    assert len(nulls) == len(shuffle)
    assert list(nulls["weights"][:3]) == ["trained", "random", "none"]
    assert set(nulls["metric"]) == {"log2_lift"}
    assert set(nulls["region"]) == {"core/union"}
    assert set(nulls["rectification"]) == {"absolute"}
    for name, same in (("observed", "lift"), ("p", "p"), ("z", "z"), ("B", "B")):
        np.testing.assert_array_equal(nulls[name].astype(float), shuffle[same].astype(float))
    # Its p is corrected by the largest z.
    assert nulls["p_bh"].isna().all()
    assert shuffle_rows(shuffle[:0], scores) == []
