"""Shares of images and clinical data over a store, and their summary by response."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from small_store import SEQUENCES, write_small_store

from xrano.attribution.clinical_relevance import clinical_relevance
from xrano.attribution.methods import AttributionSettings
from xrano.channels import ChannelLayout
from xrano.data.clinical import ClinicalEncoder
from xrano.data.clinical_values import VARIABLES
from xrano.data.pair_volumes import load_pair
from xrano.data.tables import write_table
from xrano.errors import ConfigError, ManifestError
from xrano.experiments.clinical_shares import (
    SHARE_COLUMNS,
    SUMMARY_COLUMNS,
    clinical_shares,
    summarise_shares,
)
from xrano.models.factory import create_model

LAYOUT = ChannelLayout(SEQUENCES)
SETTINGS = AttributionSettings(n_steps=2)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    store = write_small_store(tmp_path_factory.mktemp("store"), patients=3)
    sessions = store.sessions
    number = sessions["patient_id"].str[1:].astype(int)
    sessions["age"] = 50.0 + 7 * number
    sessions["sex"] = np.where(number == 1, "male", "female")
    write_table(store.root / "sessions.csv", sessions)
    return store


@pytest.fixture(scope="module")
def encoder(store):
    return ClinicalEncoder.fit(store.pairs, store.sessions, ["P00", "P01"])


@pytest.fixture(scope="module")
def model(encoder):
    return create_model("densenet_small", LAYOUT, seed=2, clinical=encoder.names).eval()


@pytest.fixture(scope="module")
def table(model, encoder, store):
    return clinical_shares(model, encoder, store.pairs, store, settings=SETTINGS)


def test_a_row_a_pair_target_and_variable(table, store):
    assert tuple(table.columns) == SHARE_COLUMNS
    names = ["image", *VARIABLES]
    assert len(table) == len(store.pairs) * 4 * len(names)
    for (pair_id, target), rows in table.groupby(["pair_id", "target"]):
        assert list(rows["variable"]) == names, (pair_id, target)
        assert rows["share"].sum() == pytest.approx(1)
        assert rows["total_share"].sum() == pytest.approx(1)
    assert set(table["target"]) == {"CR", "PR", "SD", "PD"}
    assert list(dict.fromkeys(table["pair_id"])) == list(store.pairs["pair_id"])


def test_rows_are_those_of_the_pairs_own_scans_and_vector(table, model, encoder, store):
    entry = store.pairs.iloc[3].to_dict()
    pair = load_pair(store, entry, LAYOUT)
    vector = torch.from_numpy(encoder.encode(store.pairs, store.sessions))[3:4]
    inputs = torch.from_numpy(pair.inputs)[None]
    brain = torch.from_numpy(pair.brain)
    logits, found = clinical_relevance(model, inputs, vector, brain=brain, settings=SETTINGS)
    rows = table[table["pair_id"] == entry["pair_id"]]
    assert set(rows["response"]) == {entry["response"]}
    assert set(rows["predicted"]) == {["CR", "PR", "SD", "PD"][int(logits.argmax())]}
    expected = [value for item in found for value in item.relevances.values()]
    # The same float32 passes; small differences would be other threads.
    assert list(rows["relevance"]) == pytest.approx(expected, rel=1e-4, abs=1e-7)


def test_variables_that_nobody_has_are_still_listed(table):
    # Missing for everyone: their indicator is on, and a network of random weights uses it.
    assert table.loc[table["variable"] == "idh", "relevance"].abs().min() > 0


def test_another_encoder_or_other_classes_are_refused(model, encoder, store):
    other = ClinicalEncoder({"age": encoder.scales["age"]})
    with pytest.raises(ConfigError, match="got an encoder of age"):
        clinical_shares(model, other, store.pairs, store)
    with pytest.raises(ConfigError, match="gives 4 logits; got .*2 classes"):
        clinical_shares(model, encoder, store.pairs, store, classes=("rest", "PD"))
    plain = create_model("densenet_small", LAYOUT)
    with pytest.raises(ConfigError, match="takes no clinical data"):
        clinical_shares(plain, encoder, store.pairs, store)


def made(rows):
    """(patient, response, target, image's share); age has the rest, the class predicted is PD."""
    entries = []
    for number, (patient, response, target, share) in enumerate(rows):
        for variable, part in (("image", share), ("age", 1 - share)):
            entries.append(
                {
                    "pair_id": f"{patient}-{number}",
                    "patient_id": patient,
                    "response": response,
                    "predicted": "PD",
                    "target": target,
                    "variable": variable,
                    "relevance": 10 * part,
                    "share": part,
                    "total_share": part / 2,
                    "convergence_delta": 0.0,
                }
            )
    return pd.DataFrame(entries, columns=list(SHARE_COLUMNS))


ROWS = [
    ("A", "PD", "PD", 0.2),
    ("A", "PD", "PD", 0.4),
    ("B", "PD", "PD", 0.9),
    ("C", "SD", "PD", 0.5),
    ("C", "SD", "SD", 0.1),
]


class TestSummary:
    def test_each_patient_counts_once(self):
        summary = summarise_shares(made(ROWS), n_resamples=50)
        assert tuple(summary.columns) == SUMMARY_COLUMNS
        rows = summary.set_index(["response", "variable"])
        assert rows.loc[("PD", "image"), "share"] == pytest.approx((0.3 + 0.9) / 2)
        assert rows.loc[("PD", "age"), "share"] == pytest.approx((0.7 + 0.1) / 2)
        assert rows.loc[("PD", "image"), "relevance"] == pytest.approx(6.0)
        assert rows.loc[("PD", "image"), "total_share"] == pytest.approx(0.3)
        assert rows.loc[("all", "image"), "share"] == pytest.approx((0.3 + 0.9 + 0.5) / 3)
        assert rows.loc[("PD", "image"), ["n_patients", "n_pairs", "n_undefined"]].tolist() == [
            2,
            3,
            0,
        ]
        assert list(dict.fromkeys(summary["response"])) == ["SD", "PD", "all"]

    def test_intervals_are_of_resampled_patients(self):
        rows = summarise_shares(made(ROWS), n_resamples=400).set_index(["response", "variable"])
        # A resample has A twice, B twice, or both.
        assert rows.loc[("PD", "image"), ["low", "high"]].tolist() == pytest.approx([0.3, 0.9])
        assert rows.loc[("SD", "image"), ["low", "high"]].tolist() == pytest.approx([0.5, 0.5])
        again = summarise_shares(made(ROWS), n_resamples=400).set_index(["response", "variable"])
        pd.testing.assert_frame_equal(rows, again)

    def test_the_target_that_is_asked_for(self):
        by_response = summarise_shares(made(ROWS), target="response", n_resamples=9)
        found = by_response.set_index(["response", "variable"])["share"]
        assert found["SD", "image"] == pytest.approx(0.1)
        assert found["PD", "image"] == pytest.approx(0.6)
        named = summarise_shares(made(ROWS), target="SD", n_resamples=9)
        assert set(named["response"]) == {"SD", "all"}

    def test_undefined_shares_are_counted_not_averaged(self):
        summary = summarise_shares(made([*ROWS, ("D", "SD", "PD", np.nan)]), n_resamples=20)
        row = summary[(summary["response"] == "SD") & (summary["variable"] == "image")].iloc[0]
        assert row["share"] == pytest.approx(0.5)
        assert (row["n_patients"], row["n_pairs"], row["n_undefined"]) == (1, 1, 1)

    def test_a_target_that_the_table_lacks(self):
        with pytest.raises(ManifestError, match="has target CR; there are PD, SD"):
            summarise_shares(made(ROWS), target="CR")

    def test_of_a_real_table(self, table):
        summary = summarise_shares(table, n_resamples=20)
        whole = summary[summary["response"] == "all"]
        assert whole["share"].sum() == pytest.approx(1)
        assert ((whole["low"] <= whole["share"]) & (whole["share"] <= whole["high"])).all()
