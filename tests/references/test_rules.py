from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from small_course import SOURCE, sessions_of, volumes_of

from xrano.data.pairing.pairs import build_pairs
from xrano.data.pairing.rule_ratings import rate_by_rule
from xrano.data.tables import session_table
from xrano.errors import UnknownNameError
from xrano.rano import BIDIMENSIONAL
from xrano.references.burdens import volume_burdens
from xrano.references.rules import NO_REFERENCE, NO_SEGMENTATION, rule_predictions
from xrano.tasks import TASKS

CASES = [
    (10.0, 14.0, "PD"),
    (10.0, 13.9, "SD"),
    (10.0, 3.5, "PR"),
    (10.0, 3.6, "SD"),
    (10.0, 0.0, "CR"),
    (0.0, 2.0, "PD"),
    (0.0, 0.0, "SD"),
]


def course(ml, *visits: dict[str, object]):
    """Sessions, burdens and test pairs of one patient."""
    sessions = session_table(sessions_of("P", *(visits or [{}] * len(ml))))
    pairs, _ = build_pairs(sessions.assign(rating="SD", role="followup"))
    burdens = volume_burdens(volumes_of("P", ml), SOURCE, "enhancing")
    return pairs.assign(fold=0), sessions, burdens


def ratings(ml, against: str, *visits: dict[str, object], **options) -> list[str]:
    test, sessions, burdens = course(ml, *visits)
    found, _ = rule_predictions(test, sessions, burdens, against=against, **options)
    return list(found["predicted"])


@pytest.mark.parametrize("against", ["prior", "baseline", "nadir"])
@pytest.mark.parametrize(("prior", "current", "expected"), CASES)
def test_two_scans_are_rated_alike_by_every_reference(prior, current, expected, against):
    assert ratings([prior, current], against) == [expected]


def test_the_references_differ_in_a_course():
    # 3.4 ml: −15 % of the prior scan, −66 % of the baseline, +70 % of the nadir.
    ml = [10.0, 2.0, 4.0, 3.4]
    assert ratings(ml, "prior")[-1] == "SD"
    assert ratings(ml, "baseline")[-1] == "PR"
    assert ratings(ml, "nadir")[-1] == "PD"


def test_an_operation_resets_the_course_but_not_the_prior_scan():
    ml, roles = [10.0, 2.0, 2.1], [{}, {"role": "postop"}, {}]
    assert ratings(ml, "prior", *roles) == ["PR", "SD"]
    assert ratings(ml, "nadir", *roles) == ratings(ml, "baseline", *roles) == ["SD"]
    test, sessions, burdens = course(ml, *roles)
    found, left_out = rule_predictions(test, sessions, burdens, against="nadir")
    assert list(found["pair_id"]) == ["P_s1_s2"]
    assert left_out == {NO_REFERENCE: 1}


def test_pairs_without_a_segmentation_are_left_out_and_counted():
    test, sessions, burdens = course([10.0, None, 3.0, 3.1])
    found, left_out = rule_predictions(test, sessions, burdens, against="prior")
    assert list(found["pair_id"]) == ["P_s2_s3"]
    assert left_out == {NO_SEGMENTATION: 2}
    # A course goes on over a scan that has none.
    found, left_out = rule_predictions(test, sessions, burdens, against="nadir")
    assert list(found["predicted"]) == ["PR", "PR"]
    assert left_out == {NO_SEGMENTATION: 1}
    found, left_out = rule_predictions(test, sessions, {}, against="prior")
    assert found.empty
    assert "predicted" in found
    assert left_out == {NO_SEGMENTATION: 3}


@pytest.mark.parametrize("reference", ["rano", "previous"])
@pytest.mark.parametrize("seed", range(5))
def test_it_is_the_rule_that_rates_sessions(reference: str, seed: int):
    rng = np.random.default_rng(seed)
    ml = rng.choice([0.0, 0.3, 0.6, 1.0, 3.0, 4.3, 10.0], size=14)
    visits = [{"role": str(role)} for role in rng.choice(["followup", "postop", "preop"], size=14,
                                                         p=[0.8, 0.1, 0.1])]  # fmt: skip
    test, sessions, burdens = course(ml, *visits)
    rated = rate_by_rule(sessions, volumes_of("P", ml), reference=reference)
    expected = dict(zip(rated["session_id"], rated["rating"], strict=True))
    against = "nadir" if reference == "rano" else "prior"
    found, _ = rule_predictions(test, sessions, burdens, against=against)
    said = {pair.split("_")[-1]: name for pair, name in found[["pair_id", "predicted"]].to_numpy()}
    assert sum(bool(name) for name in expected.values()) > 4
    for session, rating in expected.items():
        if rating:
            assert said[session] == rating


def test_the_rule_by_diameters_has_thresholds_of_its_own():
    assert ratings([400.0, 500.0], "prior", thresholds=BIDIMENSIONAL) == ["PD"]
    assert ratings([400.0, 499.0], "prior", thresholds=BIDIMENSIONAL) == ["SD"]
    assert ratings([400.0, 200.0], "prior", thresholds=BIDIMENSIONAL) == ["PR"]
    assert ratings([40.0, 99.0], "prior", thresholds=BIDIMENSIONAL) == ["SD"]


def test_rows_are_the_tested_pairs_with_their_truth():
    test, sessions, burdens = course([10.0, 20.0, 20.0])
    test = test.assign(fold=[3, 1], response=["PR", "PD"], rating_source="expert")
    test = test.iloc[::-1]
    before = test.copy()
    found, _ = rule_predictions(test, sessions, burdens, against="prior")
    assert list(found.columns) == [
        "pair_id", "patient_id", "fold", "response", "rating_source", "predicted",
    ]  # fmt: skip
    assert found.to_numpy().tolist() == [
        ["P_s1_s2", "P", 1, "PD", "expert", "SD"],
        ["P_s0_s1", "P", 3, "PR", "expert", "PD"],
    ]
    pd.testing.assert_frame_equal(test, before)


def test_progression_or_rest():
    task = TASKS["progression"]
    assert ratings([10.0, 20.0, 20.0, 0.0], "prior", task=task) == ["PD", "rest", "rest"]


def test_later_scans_change_nothing():
    ml = [10.0, 2.0, 4.0, 1.0, 0.0]
    for against in ("prior", "baseline", "nadir"):
        assert ratings(ml[:3], against) == ratings(ml, against)[:2]


def test_an_unknown_reference_is_refused():
    with pytest.raises(UnknownNameError, match="did you mean 'nadir'"):
        ratings([1.0, 2.0], "nadirr")
