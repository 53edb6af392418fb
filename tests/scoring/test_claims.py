"""The paper's claims as contrasts of hit rates, beside those of random-weight copies."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from xrano.scoring.claims import CLAIM_COLUMNS, HIT_LIFT, claims_analysis, format_claims
from xrano.scoring.score_table import SCORE_COLUMNS

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
        "reference": np.nan,
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


NAN = float("nan")


def copies(patient, response, method, *values):
    return [
        row(patient, 0, response, method, value, weights=f"random-{draw}")
        for draw, value in enumerate(values)
    ]


def test_each_copy_hits_or_not_in_the_pairs_that_count():
    rows = [
        row("a", 0, "PD", "saliency", 9.0),
        row("a", 0, "PD", "gradcam", 1.0),
        # On average these copies are above twice chance; one of three hits.
        *copies("a", "PD", "saliency", 9.0, 1.0, 1.0),
        *copies("a", "PD", "gradcam", 3.0, NAN, 0.0),
        row("b", 0, "SD", "saliency", 1.0),
        row("b", 0, "SD", "gradcam", 3.0),
        *copies("b", "SD", "saliency", 1.0, 1.0, 1.0),
        *copies("b", "SD", "gradcam", 3.0, 3.0, 1.0),
        # The network's own map is silent here, so that its copies do not count either.
        row("c", 0, "CR", "saliency", 9.0),
        row("c", 0, "CR", "gradcam", NAN),
        *copies("c", "CR", "saliency", 9.0, 9.0, 9.0),
        *copies("c", "CR", "gradcam", 9.0, 9.0, 9.0),
    ]
    table = claims(rows)
    first, second = table.loc["saliency_vs_gradcam"], table.loc["gradcam_by_response"]
    assert first["first_copies"] == pytest.approx((1 / 3 + 0) / 2)
    assert first["second_copies"] == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert (second["first_copies"], second["second_copies"]) == pytest.approx((1 / 2, 2 / 3))
    assert (first["n_copies"], second["n_copies"]) == (3, 3)
    assert "untrained copies 17% and 58%" in format_claims(table.reset_index())
    without = claims([one for one in rows if one["weights"] == "trained"])
    assert without[["first_copies", "second_copies"]].isna().all(axis=None)
    assert list(without["n_copies"]) == [0, 0]
    assert "copies" not in format_claims(without.reset_index())
    same = ["difference", "low", "high", "first_rate", "second_rate", "n_undefined"]
    pd.testing.assert_frame_equal(without[same], table[same])


@pytest.mark.parametrize(
    ("many", "few", "descriptive"), [(10, 9, True), (9, 10, True), (10, 10, False)]
)
def test_a_contrast_is_as_descriptive_as_its_smaller_side(many, few, descriptive):
    rows = [row(f"m{n}", 0, "CR", "gradcam", 3.0) for n in range(many)]
    rows += [row(f"f{n}", 0, "SD", "gradcam", 1.0) for n in range(few)]
    # A silent map adds no patient to a side.
    rows.append(row("silent", 0, "SD", "gradcam", NAN))
    found = claims(rows).loc["gradcam_by_response"]
    assert (found["first_patients"], found["second_patients"]) == (many, few)
    assert found["n_patients"] == many + few
    assert found["descriptive"] == descriptive


def test_what_chance_alone_hits_depends_on_the_rectification():
    # A lesion of one voxel sees one value of the map: the rates that the documentation tells.
    values = np.random.default_rng(0).standard_normal(400_000)
    for rectified, expected, told in (
        (np.abs(values), 2 * norm.sf(2 * math.sqrt(2 / math.pi)), 0.11),
        (values.clip(0), norm.sf(2 / math.sqrt(2 * math.pi)), 0.21),
    ):
        hits = (rectified > 2**HIT_LIFT * rectified.mean()).mean()
        assert hits == pytest.approx(expected, abs=3e-3)
        assert round(expected, 2) == told


def test_no_trained_map_is_no_claim():
    found = claims_analysis(pd.DataFrame([row("a", 0, "PD", "gradcam", 3.0, weights="random-0")]))
    assert found.empty
    assert tuple(found.columns) == CLAIM_COLUMNS
