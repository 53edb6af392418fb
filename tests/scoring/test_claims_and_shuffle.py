"""The paper's claims as contrasts, and the test against other patients' masks."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from xrano.metrics.ranked import RankedMap, rank_map
from xrano.scoring.claims import claims_analysis, format_claims
from xrano.scoring.score_table import SCORE_COLUMNS
from xrano.scoring.shuffle import (
    SHUFFLE_COLUMNS,
    CohortMasks,
    format_shuffle,
    is_tested,
    shuffle_primary,
)

CHANCE = 0.01


def row(patient, pair, response, method, value, **more):
    columns = {
        **dict.fromkeys(SCORE_COLUMNS, ""),
        "weights": "trained",
        "pair_id": f"{patient}_{pair}",
        "patient_id": patient,
        "response": response,
        "predicted": "SD",
        "target": "SD",
        "target_choice": "predicted",
        "method": method,
        "layer": "features" if method == "gradcam" else "",
        "rectification": "positive" if method == "gradcam" else "absolute",
        "segmentation_source": "s",
        "region": "core/union",
        "lesion": "all",
        "metric": "relevance_mass_accuracy",
        "value": value * CHANCE,
        "chance": CHANCE,
        "status": "ok" if value == value else "zero_map",
        "spans_surgery": False,
    }
    return {**columns, **more}


def claims(rows, **options):
    table = claims_analysis(pd.DataFrame(rows), n_resamples=200, **options)
    return table.set_index("claim")


def test_rates_are_of_patients_and_a_hit_is_more_than_twice_chance():
    rows = [
        # Patient a: two pairs of three hit by saliency, none by Grad-CAM (2.0 is not more).
        *(row("a", n, "PD", "saliency", v) for n, v in enumerate((3.0, 2.1, 1.0))),
        *(row("a", n, "PD", "gradcam", v) for n, v in enumerate((2.0, 0.0, 1.0))),
        row("b", 0, "SD", "saliency", 9.0),
        row("b", 0, "SD", "gradcam", 2.5),
        # A silent Grad-CAM is counted, not judged.
        row("c", 0, "CR", "saliency", 9.0),
        row("c", 0, "CR", "gradcam", float("nan")),
        # Surgery and copies are not of the primary analysis.
        row("d", 0, "PR", "saliency", 0.0, spans_surgery=True),
        row("b", 0, "SD", "saliency", 0.0, weights="random-0"),
    ]
    first = claims(rows).loc["saliency_vs_gradcam"]
    assert first["first_rate"] == pytest.approx((2 / 3 + 1) / 2)
    assert first["second_rate"] == pytest.approx((0 + 1) / 2)
    assert first["difference"] == pytest.approx(1 / 3)
    assert (first["n_patients"], first["n_pairs"], first["n_undefined"]) == (2, 4, 1)
    assert first["descriptive"]
    second = claims(rows).loc["gradcam_by_response"]
    assert (second["first_rate"], second["second_rate"]) == (0.0, 1.0)
    assert second["difference"] == -1.0


def test_the_interval_is_of_patients_drawn_together():
    rng = np.random.default_rng(0)
    rows = []
    for number in range(40):
        response = ("CR", "PD", "PR", "SD")[number % 4]
        hit = rng.random() < 0.5
        # Both methods agree on every patient: their difference has no spread at all.
        for method in ("saliency", "gradcam"):
            rows.append(row(f"p{number:02d}", 0, response, method, 3.0 if hit else 1.0))
    table = claims(rows)
    first, second = table.loc["saliency_vs_gradcam"], table.loc["gradcam_by_response"]
    assert (first["low"], first["difference"], first["high"]) == (0, 0, 0)
    assert second["low"] < second["difference"] < second["high"]
    assert not first["descriptive"]
    words = format_claims(table.reset_index())
    assert "saliency hits more often" in words
    assert "40 patients, 40 pairs" in words


def test_claims_need_their_methods_and_responses():
    rows = [row("a", 0, "PD", "saliency", 3.0)]
    assert claims(rows).empty
    assert format_claims(claims(rows).reset_index()) == ""
    rows.append(row("a", 0, "PD", "gradcam", 1.0))
    assert list(claims(rows).index) == ["saliency_vs_gradcam"]


# -- shuffle -------------------------------------------------------------------------------------

SHAPE = (12, 12, 12)


def cohort(n=14, seed=0):
    rng = np.random.default_rng(seed)
    voxels = []
    for _ in range(n):
        mask = np.zeros(SHAPE, bool)
        i, j, k = rng.integers(0, 9, 3)
        mask[i : i + 3, j : j + 3, k : k + 3] = True
        voxels.append(np.flatnonzero(mask))
    return CohortMasks(
        "s",
        tuple(f"p{number}_a_b" for number in range(n)),
        tuple(f"p{number}" for number in range(n)),
        tuple(("CR", "PD")[number % 2] for number in range(n)),
        tuple(voxels),
    )


def crossed(masks, method, relevance):
    rows = []
    for index, pair_id in enumerate(masks.pair_ids):
        mass, chance = masks.seen_by(rank_map(relevance(index), np.ones(SHAPE, bool)))
        rows.append(
            {
                "pair_id": pair_id,
                "method": method,
                "baseline": "",
                "layer": "",
                "mass": mass,
                "chance": chance,
            }
        )
    return rows


def knows(masks):
    def relevance(index):
        volume = np.ones(SHAPE)
        volume.ravel()[masks.voxels[index]] += 20
        return volume

    return relevance


def test_mass_in_every_mask_within_the_maps_own_brain():
    masks = cohort()
    rng = np.random.default_rng(1)
    volume, brain = rng.random(SHAPE), rng.random(SHAPE) < 0.7
    mass, chance = masks.seen_by(rank_map(volume, brain))
    for index, voxels in enumerate(masks.voxels):
        mask = np.zeros(SHAPE, bool)
        mask.ravel()[voxels] = True
        assert mass[index] == pytest.approx(volume[mask & brain].sum() / volume[brain].sum())
        assert chance[index] == pytest.approx((mask & brain).sum() / brain.sum())
    silent, _ = masks.seen_by(rank_map(np.zeros(SHAPE), brain))
    assert np.isnan(silent).all()
    brain.ravel()[masks.voxels[3]] = False
    mass, chance = masks.seen_by(rank_map(volume, brain))
    assert np.isnan(mass[3])
    assert np.isnan(chance[3])
    assert masks.seen_by(RankedMap(np.ones(3))) == ([], [])


def test_maps_that_know_their_tumour_are_told_from_maps_that_like_the_middle():
    masks = cohort()
    middle = np.zeros(SHAPE)
    middle[4:8, 4:8, 4:8] = 1
    rows = crossed(masks, "knows", knows(masks)) + crossed(masks, "middle", lambda _: middle + 0.1)
    table = shuffle_primary(rows, masks, n_permutations=199)
    assert tuple(table.columns) == SHUFFLE_COLUMNS
    assert list(table["response"]) == ["CR", "CR", "PD", "PD", "all", "all"]
    cells = table.set_index(["response", "method"])
    assert cells.loc[("all", "knows"), "p"] == pytest.approx(1 / 200)
    assert cells.loc[("all", "knows"), "p_adjusted"] <= 0.02
    # A map that is the same for everyone sees others' tumours as it sees its own.
    assert cells.loc[("all", "middle"), "p"] > 0.2
    assert (table["p_adjusted"] >= table["p"] - 1e-12).all()
    own = np.mean([20 * 27 + 27] * 14) / (12**3 + 20 * 27)
    assert cells.loc[("all", "knows"), "lift"] == pytest.approx(np.log2(own / (27 / 12**3)))
    assert cells.loc[("all", "knows"), "n_patients"] == 14
    assert cells.loc[("CR", "knows"), "n_pairs"] == 7
    assert cells.loc[("CR", "knows"), "descriptive"]
    assert "knows lift +" in format_shuffle(table)


def test_too_few_patients_and_missing_maps():
    few = cohort(4)
    assert shuffle_primary(crossed(few, "knows", knows(few)), few).empty
    assert format_shuffle(shuffle_primary([], few)) == ""
    masks = cohort()
    rows = crossed(masks, "knows", knows(masks))[:-2]
    table = shuffle_primary(rows, masks, n_permutations=99).set_index("response")
    assert table.loc["all", "n_pairs"] == 12


@pytest.mark.parametrize(
    ("change", "tested"),
    [
        ({}, True),
        ({"weights": "untrained"}, True),
        ({"weights": "random-1"}, False),
        ({"weights": "none"}, False),
        ({"target_choice": "all"}, True),
        ({"target_choice": "all", "target": "CR"}, False),
        ({"target_choice": "named"}, False),
    ],
)
def test_only_the_network_s_predicted_class_is_tested(change, tested):
    facts = {
        "weights": "trained",
        "target_choice": "predicted",
        "target": "PD",
        "predicted": "PD",
    }
    assert is_tested({**facts, **change}) is tested
