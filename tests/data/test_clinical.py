"""Clinical variables: spellings, standardisation on training patients alone, what is missing."""

from __future__ import annotations

import json
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from sklearn.preprocessing import StandardScaler

from xrano.data.clinical import ClinicalEncoder, VariableScale, read_encoder
from xrano.data.clinical_values import VARIABLES
from xrano.data.clinical_words import category_value
from xrano.data.tables import session_table
from xrano.errors import CheckpointError, ConfigError, ManifestError

WEEKS = {"A": (0, 10, 22), "B": (3, 7), "C": (0, 5, 9, 30), "D": (-2, 4)}
CLINICAL = {
    "A": {"age": 40.0, "sex": "male", "idh": "WT", "mgmt": "methylated"},
    "B": {"age": 70.0, "sex": "female", "idh": "R132H mut", "mgmt": "not methylated"},
    "C": {"age": np.nan, "sex": "", "idh": "na", "mgmt": ""},
    "D": {"age": 91.0, "sex": "F", "idh": "wt", "mgmt": "unmethylated"},
}


def sessions(**changes):
    """One row a session; ``A=dict(age=…)`` changes a patient's columns."""
    return session_table(
        {
            "patient_id": patient,
            "session_id": f"week-{week:03d}",
            "order": number,
            "week": week,
            "days": 7 * week,
            "T1": f"/scans/{patient}-{week}.nii.gz",
            **CLINICAL[patient],
            **changes.get(patient, {}),
        }
        for patient, weeks in WEEKS.items()
        for number, week in enumerate(weeks)
    )


def pairs():
    rows = [
        {
            "pair_id": f"{patient}_{prior}_{current}",
            "patient_id": patient,
            "prior_week": prior,
            "current_week": current,
        }
        for patient, weeks in WEEKS.items()
        for prior, current in pairwise(weeks)
    ]
    return pd.DataFrame(rows)


def fitted(table=None, patients=("A", "B", "C")):
    return ClinicalEncoder.fit(pairs(), sessions() if table is None else table, patients)


def value(encoded, name):
    return encoded[:, 2 * VARIABLES.index(name)].tolist()


def missing(encoded, name):
    return encoded[:, 2 * VARIABLES.index(name) + 1].tolist()


PAIRS = ["A_0_10", "A_10_22", "B_3_7", "C_0_5", "C_5_9", "C_9_30", "D_-2_4"]


class TestWords:
    @pytest.mark.parametrize(
        ("variable", "texts", "expected"),
        [
            ("sex", ["male", "M", " Male "], 1.0),
            ("sex", ["female", "f"], -1.0),
            ("idh", ["WT", "wt", "wildtype", "IDH wild-type", "IDH1 WT"], 1.0),
            ("idh", ["R132H mut", "mutant", "mut", "IDH1 p.R132H", "R172K", "mutated"], -1.0),
            ("idh", ["", "na", "IDH1 neg, Sequencing required", "IDH1 negative"], None),
            ("mgmt", ["methylated", "positive"], 1.0),
            ("mgmt", ["not methylated", "unmethylated", "Not  methylated", "negative"], -1.0),
            ("mgmt", ["indeterminate", "na", "unknown", "not tested"], None),
        ],
    )
    def test_spellings(self, variable, texts, expected):
        assert [category_value(variable, text) for text in texts] == [expected] * len(texts)

    @pytest.mark.parametrize(
        ("variable", "text"),
        [("sex", "0"), ("sex", "männlich"), ("idh", "not mutated"), ("mgmt", "12%"), ("idh", "1")],
    )
    def test_other_spellings_are_refused_by_name(self, variable, text):
        with pytest.raises(ManifestError, match=f"{variable} is '{text}'.*needed is"):
            category_value(variable, text)


class TestEncoding:
    def test_order_and_shape(self):
        encoder = fitted()
        assert encoder.names == VARIABLES
        assert VARIABLES == ("sex", "age", "idh", "mgmt", "weeks_since_first", "weeks_since_prior")
        encoded = encoder.encode(pairs(), sessions())
        assert list(pairs()["pair_id"]) == PAIRS
        assert encoded.shape == (7, 12)
        assert encoded.dtype == np.float32

    def test_categories_are_plus_and_minus_one(self):
        encoded = fitted().encode(pairs(), sessions())
        assert value(encoded, "sex") == [1, 1, -1, 0, 0, 0, -1]
        assert value(encoded, "idh") == [1, 1, -1, 0, 0, 0, 1]
        assert value(encoded, "mgmt") == [1, 1, -1, 0, 0, 0, -1]
        for name in ("sex", "idh", "mgmt", "age"):
            assert missing(encoded, name) == [0, 0, 0, 1, 1, 1, 0]

    def test_age_counts_each_training_patient_once(self):
        # A has two pairs, B one: mean 55 and SD 15, not 50 and 14.1.
        encoder = fitted()
        assert encoder.scales["age"] == VariableScale(55.0, 15.0, 2)
        encoded = encoder.encode(pairs(), sessions())
        assert value(encoded, "age") == pytest.approx([-1, -1, 1, 0, 0, 0, 2.4])

    def test_weeks_are_standardised_over_training_pairs(self):
        first = np.array([[10, 10], [22, 12], [4, 4], [5, 5], [9, 4], [30, 21], [6, 6]])
        scaler = StandardScaler().fit(first[:6])
        encoded = fitted().encode(pairs(), sessions())
        expected = scaler.transform(first)
        assert value(encoded, "weeks_since_first") == pytest.approx(expected[:, 0], abs=1e-6)
        assert value(encoded, "weeks_since_prior") == pytest.approx(expected[:, 1], abs=1e-6)
        assert not any(missing(encoded, "weeks_since_first"))

    def test_rows_are_in_the_order_asked_for(self):
        encoded = fitted().encode(pairs(), sessions())
        order = [4, 0, 6]
        assert np.array_equal(fitted().encode(pairs().iloc[order], sessions()), encoded[order])

    def test_tables_are_left_as_they_were(self):
        table, rows = sessions(), pairs()
        before = table.copy(), rows.copy()
        ClinicalEncoder.fit(rows, table, ["A", "B"]).encode(rows, table)
        pd.testing.assert_frame_equal(table, before[0])
        pd.testing.assert_frame_equal(rows, before[1])

    def test_no_pairs_give_no_rows(self):
        assert fitted().encode(pairs().iloc[:0], sessions()).shape == (0, 12)


class TestTrainingPatientsAlone:
    def test_a_test_patient_changes_nothing_but_its_own_rows(self):
        other = sessions(D={"age": 20.0, "sex": "male", "idh": "mutant", "mgmt": "methylated"})
        assert fitted(other) == fitted()
        one, two = fitted().encode(pairs(), sessions()), fitted(other).encode(pairs(), other)
        assert np.array_equal(one[:6], two[:6])
        assert (one[6] != two[6]).sum() == 4

    def test_a_training_patient_does(self):
        assert fitted(sessions(B={"age": 71.0})) != fitted()

    def test_a_test_patient_without_pairs_or_order_does_not_matter(self):
        shuffled = sessions().sample(frac=1, random_state=1)
        again = ClinicalEncoder.fit(
            pairs().sample(frac=1, random_state=2), shuffled, {"C", "B", "A"}
        )
        for name, scale in fitted().scales.items():
            assert again.scales[name].mean == pytest.approx(scale.mean, rel=1e-12)
            assert again.scales[name].sd == pytest.approx(scale.sd, rel=1e-12)

    def test_timepoints_of_one_patient_on_both_sides(self):
        # The pairs given decide, not all pairs of the patients.
        rows = pairs()
        some = rows[rows["pair_id"].isin(["A_0_10", "B_3_7"])]
        scale = ClinicalEncoder.fit(some, sessions(), ["A", "B"]).scales["weeks_since_prior"]
        assert scale == VariableScale(7.0, 3.0, 2)


class TestFirstScan:
    def test_it_is_the_first_session_with_images(self):
        table = sessions()
        table.loc[(table["patient_id"] == "A") & (table["week"] == 0), "T1"] = ""
        scale = ClinicalEncoder.fit(pairs(), table, ["A"]).scales["weeks_since_first"]
        assert scale.mean == np.mean([0, 12])

    def test_the_tables_own_column_is_believed(self):
        table = sessions()
        table["weeks_since_first"] = [
            str(week + 8) if patient == "A" else ""
            for patient, week in zip(table["patient_id"], table["week"], strict=True)
        ]
        assert ClinicalEncoder.fit(pairs(), table, ["A"]).scales["weeks_since_first"].mean == 24
        assert ClinicalEncoder.fit(pairs(), table, ["B"]).scales["weeks_since_first"].mean == 4
        table["weeks_since_first"] = "soon"
        with pytest.raises(ManifestError, match="sessions of A: weeks_since_first is 'soon'"):
            ClinicalEncoder.fit(pairs(), table, ["A"])


class TestNothingToLearn:
    def test_a_constant_variable_is_zero_for_everyone(self):
        table = sessions(B={"age": 40.0, "idh": "wt"})
        encoder = fitted(table)
        assert (encoder.scales["age"].sd, encoder.scales["idh"].sd) == (0, 0)
        encoded = encoder.encode(pairs(), sessions(D={"idh": "mutant"}))
        assert value(encoded, "age") == [0] * 7, "even for a test patient of another age"
        assert value(encoded, "idh") == [0] * 7
        assert missing(encoded, "age") == [0, 0, 0, 1, 1, 1, 0]

    def test_a_constant_that_rounding_would_spread(self):
        table = sessions(A={"age": 0.1}, B={"age": 0.1}, C={"age": 0.1})
        assert fitted(table).scales["age"].sd == 0

    def test_a_variable_unknown_in_training_is_missing_for_everyone(self):
        table = sessions(A={"mgmt": ""}, B={"mgmt": "na"})
        encoded = fitted(table).encode(pairs(), table)
        assert value(encoded, "mgmt") == [0] * 7
        assert missing(encoded, "mgmt") == [1] * 7, "even for a test patient who has it"

    def test_a_column_that_is_not_there_is_missing(self):
        table = sessions().drop(columns=["mgmt", "idh"])
        encoded = fitted(table).encode(pairs(), table)
        assert missing(encoded, "mgmt") == missing(encoded, "idh") == [1] * 7
        assert value(encoded, "sex")[:3] == [1, 1, -1]

    @pytest.mark.parametrize("patients", [["C"], ["C", "nobody"]])
    def test_nothing_but_weeks_is_refused_naming_the_columns(self, patients):
        with pytest.raises(ConfigError, match=r"at least one of sex, age, idh, mgmt.*but empty"):
            fitted(patients=patients)

    def test_absent_columns_are_refused_by_name(self):
        table = sessions().drop(columns=["sex", "age", "idh", "mgmt"])
        with pytest.raises(ConfigError, match=r"sex, age, idh, mgmt .*has none of them"):
            fitted(table)

    def test_no_training_pair(self):
        with pytest.raises(ConfigError, match="need training pairs"):
            fitted(patients=["nobody"])


class TestBadTables:
    def test_an_unknown_spelling_names_patient_and_value(self):
        with pytest.raises(ManifestError, match="sessions of B: sex is 'X'.*male"):
            fitted(sessions(B={"sex": "X"}))

    def test_a_contradiction_within_a_patient(self):
        table = sessions()
        table.loc[table.index[0], "sex"] = "female"
        with pytest.raises(ManifestError, match="sessions of A: sex is 'female' and 'male'"):
            fitted(table)

    def test_one_session_that_knows_is_enough(self):
        table = sessions()
        table.loc[(table["patient_id"] == "A") & (table["week"] != 10), ["sex", "age"]] = [
            "",
            np.nan,
        ]
        assert fitted(table) == fitted()

    def test_of_several_ages_the_first_counts(self):
        table = sessions()
        table.loc[(table["patient_id"] == "A") & (table["week"] > 0), "age"] = 41.0
        assert fitted(table.iloc[::-1]).scales["age"].mean == 55

    def test_an_age_in_words(self):
        table = sessions().astype({"age": object})
        table.loc[table["patient_id"] == "B", "age"] = "old"
        with pytest.raises(ManifestError, match="sessions of B: age is 'old'"):
            fitted(table)

    def test_a_patient_who_has_no_session(self):
        table = sessions()
        with pytest.raises(ManifestError, match="sessions table lacks B"):
            fitted(table[table["patient_id"] != "B"])


class TestFile:
    def test_round_trip(self, tmp_path):
        encoder = fitted()
        path = tmp_path / "clinical.json"
        path.write_text(json.dumps(encoder.to_json(), allow_nan=False, sort_keys=True))
        again = read_encoder(path)
        assert again == encoder
        assert again.names == VARIABLES
        assert np.array_equal(
            again.encode(pairs(), sessions()), encoder.encode(pairs(), sessions())
        )

    def test_it_is_frozen(self):
        with pytest.raises(AttributeError):
            fitted().scales = {}

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("{", "cannot be read"),
            ("[]", "no encoding of clinical data"),
            ('{"variables": [{"name": "age"}]}', "no encoding of clinical data"),
            ('{"variables": []}', "at most once; found none"),
            ('{"variables": [{"name": "shoe", "mean": 0, "sd": 1, "n_known": 3}]}', "found shoe"),
        ],
    )
    def test_something_else(self, tmp_path, text, message):
        path = tmp_path / "clinical.json"
        path.write_text(text)
        with pytest.raises(CheckpointError, match=message) as caught:
            read_encoder(path)
        assert str(path) in str(caught.value)

    def test_missing(self, tmp_path):
        with pytest.raises(CheckpointError, match=r"clinical\.json cannot be read.*beside its"):
            read_encoder(tmp_path / "clinical.json")
