"""Lesion-size strata: sizes from the table of lesions, bounds stated or terciles, no pair lost."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from made_scores import cohort, own, row

from xrano.errors import ConfigError, UnknownNameError
from xrano.scoring.pair_values import pair_values
from xrano.scoring.score_table import score_table
from xrano.scoring.strata import pair_sizes, size_edges, strata_analysis

UNKNOWN = "region_not_labelled"


def lesion(pair, prior, current, source="first", **changes):
    return {
        "pair_id": pair,
        "segmentation_source": source,
        "region": "core/union",
        "prior_ml": prior,
        "current_ml": current,
        **changes,
    }


def analysed(rows, lesions, **options):
    table = score_table(rows)
    sizes = pair_sizes(table, pd.DataFrame(lesions))
    return strata_analysis(pair_values(table), sizes, **{"n_resamples": 50, **options})


def test_a_pair_is_as_large_as_its_tumour_on_the_larger_scan():
    rows = [row(name, 1, 0.4) for name in "ABC"]
    sizes = pair_sizes(
        score_table(rows),
        pd.DataFrame(
            [
                lesion("A_1", 3.0, 0.0),
                lesion("A_1", 2.0, 4.5),
                lesion("A_1", 90.0, 90.0, source="second"),
                lesion("B_1", 0.0, 7.0),
            ]
        ),
    )
    assert sizes.to_dict() == {"A_1": 5.0, "B_1": 7.0, "C_1": 0.0}


def test_a_pair_without_segmentation_has_no_size_and_one_without_core_that_of_the_whole():
    rows = [
        row("A", 1, math.nan, status="no_segmentation"),
        row("A", 1, math.nan, status="no_segmentation", region="whole/union"),
        row("B", 1, math.nan, status=UNKNOWN),
        row("B", 1, 0.3, region="whole/union"),
        row("C", 1, math.nan, status=UNKNOWN),
        row("C", 1, math.nan, status="empty_mask", region="whole/union"),
    ]
    sizes = pair_sizes(
        score_table(rows), pd.DataFrame([lesion("B_1", 2.0, 1.0, region="whole/union")])
    )
    assert sizes.to_dict() == {"B_1": 2.0, "C_1": 0.0}


def test_one_source_sizes_for_all_and_agreement_only_when_asked_for():
    rows = [
        row("A", 1, 0.4, segmentation_source=source) for source in ("agreement", "first", "second")
    ]
    listed = pd.DataFrame(
        [
            lesion("A_1", ml, ml, source)
            for source, ml in (("agreement", 1), ("first", 2), ("second", 3))
        ]
    )
    table = score_table(rows)
    assert pair_sizes(table, listed)["A_1"] == 2
    assert pair_sizes(table, listed, source="agreement")["A_1"] == 1
    with pytest.raises(UnknownNameError, match="third"):
        pair_sizes(table, listed, source="third")


def test_by_hand_with_stated_bounds():
    # 0.4 up to and with 2 ml, 0.2 above, 0.1 above 5 ml.
    values = {"A": (1.0, 0.4), "B": (2.0, 0.4), "C": (2.1, 0.2), "D": (9.0, 0.1)}
    rows = [row(name, 1, value) for name, (_, value) in values.items()]
    found = analysed(
        [*rows, row("E", 1, 0.8, status="ok"), row("F", 1, math.nan, status="no_segmentation")],
        [lesion(f"{name}_1", ml, 0.0) for name, (ml, _) in values.items()],
        bounds_ml=(2, 5),
    )
    cells = own(found, response="PD").set_index("stratum")
    assert list(cells.index) == ["up to 2 ml", "2 to 5 ml", "over 5 ml", "unsized"]
    # E has no lesion that is listed.
    assert cells["n_pairs"].tolist() == [3, 1, 1, 0]
    assert cells["estimate"].iloc[:3].tolist() == pytest.approx([math.log2(16 / 3), 1.0, 0.0])
    assert cells["from_ml"].tolist()[:3] == [0, 2, 5]
    assert cells["to_ml"].tolist()[:3] == [2, 5, math.inf]
    assert cells.loc["unsized", ["from_ml", "to_ml", "estimate"]].isna().all()
    assert cells.loc["unsized", "n_no_segmentation"] == 1


def test_gains_and_maps_without_a_network_by_size_by_hand():
    change = {"method": "change", "weights": "none", "target": "", "target_choice": ""}
    values = {"A": (1.0, 0.4, 0.1), "B": (2.0, 0.2, 0.1), "C": (9.0, 0.1, 0.2)}
    rows = []
    for name, (_, own_value, of_copy) in values.items():
        rows += [row(name, 1, own_value), row(name, 1, 0.2, **change)]
        rows += [row(name, 1, value, weights=f"random-{n}") for n, value in
                 enumerate((0.0, 2 * of_copy))]  # fmt: skip
    listed = [lesion(f"{name}_1", ml, 0.0) for name, (ml, _, _) in values.items()]
    found = own(analysed(rows, listed, bounds_ml=(5,)), response="PD")
    cells = found.set_index(["method", "against", "stratum"])["estimate"].to_dict()
    random = "saliency (random weights)"
    small, large = "up to 5 ml", "over 5 ml"
    assert cells == pytest.approx(
        {
            ("saliency", "chance", small): math.log2(0.3 / 0.1),
            ("saliency", "chance", large): 0.0,
            ("change", "chance", small): 1.0,
            ("change", "chance", large): 1.0,
            (random, "chance", small): 0.0,
            (random, "chance", large): 1.0,
            ("saliency", random, small): math.log2(0.6 / 0.2),
            ("saliency", random, large): -1.0,
        }
    )


def test_terciles_part_the_pairs_with_a_lesion_and_no_pair_is_lost():
    table = cohort()
    rng = np.random.default_rng(0)
    pairs = sorted(set(table["pair_id"]))
    listed = pd.DataFrame(
        [lesion(p, ml, 0.1) for p, ml in zip(pairs, rng.uniform(1, 60, len(pairs)), strict=True)]
    )
    values = pair_values(table)
    found = strata_analysis(values, pair_sizes(table, listed), n_resamples=20)
    everyone = own(found, response="all", method="saliency", region="core/union", against="chance")
    counts = own(everyone, metric="relevance_mass_accuracy", segmentation_source="first")
    rated = int(values.responses["all"].sum())
    assert counts["n_pairs"].sum() == rated
    assert counts["n_pairs"].between(rated // 3 - 1, rated // 3 + 2).all()
    assert set(found["region"]) == {"core/union", "whole/union"}
    networks = {"saliency", "gradcam"}
    copies = {f"{name} (random weights)" for name in networks}
    assert set(found["method"]) == {*networks, *copies, "change"}
    assert set(found["against"]) == {"chance", *copies}
    tested = set(found.loc[found["p"].notna(), "method"])
    assert tested == networks  # nothing that is no network's own


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([], []),
        ([0.0, np.nan], []),
        ([4.0, 4.0, 4.0], [4.0]),
        ([0.0, 1.0, 2.0, 3.0, 4.0], [2.0, 3.0]),
    ],
)
def test_edges_of_sizes(sizes, expected):
    assert size_edges(np.array(sizes)) == pytest.approx(expected)


@pytest.mark.parametrize(
    "bounds", [(), (0.0, 1.0), (2.0, 1.0), (1.0, 1.0), (1.0, math.inf), (math.nan,)]
)
def test_bounds_that_do_not_rise_are_refused(bounds):
    with pytest.raises(ConfigError, match="rising bounds"):
        size_edges(np.array([1.0]), bounds)


def test_pairs_of_no_size_at_all_stand_in_one_stratum():
    found = analysed([row("A", 1, 0.4)], [lesion("B_1", 1.0, 1.0)])
    assert set(found["stratum"]) == {"any size"}
    assert found["n_pairs"].tolist() == [1, 1]
