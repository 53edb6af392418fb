from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from small_course import SOURCE, cohort, sessions_of, volumes_of

from xrano.data.clinical_values import VARIABLES
from xrano.data.pairing.pairs import build_pairs
from xrano.data.tables import session_table
from xrano.errors import ManifestError
from xrano.references.tabular import clinical_features, has_clinical, volume_features


def small(*ml: float | None, roles: dict[int, str] | None = None, region: str = "enhancing"):
    visits = [{"role": (roles or {}).get(order, "followup")} for order in range(len(ml))]
    sessions = session_table(sessions_of("P", *visits))
    pairs, _ = build_pairs(sessions.assign(rating="SD", role="followup"))
    return pairs, sessions, volumes_of("P", ml, region)


def test_volumes_changes_and_weeks_by_hand():
    pairs, sessions, volumes = small(9.9, 1.9, 3.9)
    found = volume_features(pairs, sessions, volumes, SOURCE).loc["P_s1_s2"]
    assert found.to_dict() == pytest.approx(
        {
            "enhancing_prior": 1.9,
            "enhancing_current": 3.9,
            "enhancing_change": 2.0,
            "enhancing_log_ratio": np.log(2.0),
            "enhancing_baseline": 9.9,
            "enhancing_nadir": 1.9,
            "enhancing_log_ratio_baseline": np.log(0.4),
            "enhancing_log_ratio_nadir": np.log(2.0),
            "weeks_since_prior": 6.0,
            "weeks_since_baseline": 12.0,
        }
    )


def test_each_region_has_columns_of_its_own():
    pairs, sessions, volumes = small(1.0, 2.0)
    both = pd.concat([volumes, volumes_of("P", [5.0, 7.0], "whole")])
    both = pd.concat([both, volumes_of("P", [50.0, 70.0], "core", source="other")])
    found = volume_features(pairs, sessions, both, SOURCE)
    assert found["whole_change"].item() == 2.0
    assert found["enhancing_change"].item() == 1.0
    assert not [name for name in found if name.startswith("core")]
    assert len(found.columns) == 2 * 8 + 2


def test_what_is_not_known_is_missing():
    pairs, sessions, volumes = small(4.0, None, 2.0, 2.0, roles={3: "postop"})
    found = volume_features(pairs, sessions, volumes, SOURCE)
    missing = found.isna()
    assert missing.loc["P_s0_s1", "enhancing_current"]
    assert not missing.loc["P_s0_s1", "enhancing_prior"]
    assert missing.loc["P_s1_s2", ["enhancing_prior", "enhancing_change"]].all()
    assert found.loc["P_s1_s2", "enhancing_nadir"] == 4.0
    after = found.loc["P_s2_s3"]
    assert np.isnan(after["enhancing_baseline"])
    assert np.isnan(after["weeks_since_baseline"])
    assert after["enhancing_log_ratio"] == 0.0


def test_nothing_has_a_finite_ratio():
    pairs, sessions, volumes = small(0.0, 0.0, 9.9, 0.0)
    found = volume_features(pairs, sessions, volumes, SOURCE)["enhancing_log_ratio"]
    assert list(found) == pytest.approx([0.0, np.log(100), -np.log(100)])


def test_later_scans_and_ratings_change_nothing():
    sessions, volumes, pairs = cohort(patients=4, visits=6)
    whole = volume_features(pairs, sessions, volumes, SOURCE)
    early = sessions[sessions["order"] <= 3].assign(rating="", rating_source="")
    known = volumes[volumes["session_id"].isin(early["session_id"])]
    own = pairs[pairs["current_session"] <= "s3"].assign(response="PD")
    part = volume_features(own, early, known, SOURCE)
    pd.testing.assert_frame_equal(part, whole.loc[part.index])
    assert len(part) == 4 * 3


def test_rows_keep_the_order_of_the_pairs():
    sessions, volumes, pairs = cohort(patients=5)
    expected = volume_features(pairs, sessions, volumes, SOURCE)
    for seed in range(3):
        shuffled = pairs.sample(frac=1, random_state=seed)
        found = volume_features(
            shuffled, sessions.sample(frac=1, random_state=seed), volumes, SOURCE
        )
        pd.testing.assert_frame_equal(found, expected.loc[shuffled["pair_id"]])


# --- clinical


def clinical_pairs(**cells: object):
    sessions = session_table(sessions_of("P", cells, {**cells, "rating": "SD"}))
    pairs, _ = build_pairs(sessions)
    return pairs, sessions


def test_clinical_variables_by_hand():
    found = clinical_features(
        *clinical_pairs(age=61.0, sex="female", idh="WT", mgmt="not methylated")
    )
    assert list(found.columns) == list(VARIABLES)
    assert found.loc["P_s0_s1"].to_dict() == {
        "sex": -1.0, "age": 61.0, "idh": 1.0, "mgmt": -1.0,
        "weeks_since_first": 6.0, "weeks_since_prior": 6.0,
    }  # fmt: skip
    assert has_clinical(found)


def test_unknown_clinical_variables_are_missing():
    found = clinical_features(*clinical_pairs(age=50.0, idh="na"))
    assert found["age"].item() == 50.0
    assert found[["sex", "idh", "mgmt"]].isna().all(axis=None)
    assert has_clinical(found)
    assert not has_clinical(clinical_features(*clinical_pairs()))


def test_survival_is_not_looked_at():
    known = clinical_features(*clinical_pairs(age=50.0, survival_weeks=20.0))
    pd.testing.assert_frame_equal(known, clinical_features(*clinical_pairs(age=50.0)))


def test_an_unknown_spelling_is_refused():
    with pytest.raises(ManifestError, match="sessions of P"):
        clinical_features(*clinical_pairs(sex="yes"))
