from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from small_course import cohort, folds_of

from xrano.data.store import Store
from xrano.errors import ManifestError, SplitError, UnknownNameError
from xrano.references import catalogue
from xrano.references.catalogue import NO_CLINICAL, NO_SOURCE, REFERENCES, reference_predictions
from xrano.references.tabular import clinical_features, volume_features
from xrano.references.tabular_models import tabular_predictions
from xrano.tasks import TASKS


@pytest.fixture(scope="module")
def tables() -> SimpleNamespace:
    """What references read of a store, without images: no product of diameters is known."""
    sessions, volumes, pairs = cohort(patients=12)
    return SimpleNamespace(
        sessions=sessions, volumes=volumes, pairs=pairs, session_path=lambda *_: _Nowhere()
    )


class _Nowhere:
    def is_file(self) -> bool:
        return False


def rated_folds(store, n_folds: int = 3):
    pairs = store.pairs
    return folds_of(pairs[pairs["response"] != ""].reset_index(drop=True), n_folds)


def altered(tables: SimpleNamespace, **changes: object) -> SimpleNamespace:
    return SimpleNamespace(**{**vars(tables), **changes})


# --- on the phantom


@pytest.fixture(scope="module")
def phantom_references(phantom_store: Store):
    return reference_predictions(phantom_store, *rated_folds(phantom_store))


def test_every_reference_is_made_on_the_phantom(phantom_store: Store, phantom_references):
    found, remarks = phantom_references
    assert remarks == {}
    assert list(found) == [
        f"{name} (deepbratumia)" if reference.by_source else name
        for name, reference in REFERENCES.items()
    ]
    test, _ = rated_folds(phantom_store)
    for table in found.values():
        assert list(table["pair_id"]) == list(test["pair_id"])
        assert list(table["fold"]) == list(test["fold"])
        assert list(table["response"]) == list(test["response"])
        assert set(table["predicted"]) <= {"CR", "PR", "SD", "PD"}


def test_the_phantom_s_own_rule_is_right_throughout(phantom_references):
    found, _ = phantom_references
    right = {
        name: (table["predicted"] == table["response"]).mean() for name, table in found.items()
    }
    assert right["volumetric rule, prior scan (deepbratumia)"] == 1.0
    assert right["volumetric rule, baseline and nadir (deepbratumia)"] < 1.0
    # Diameters on a grid of 6 mm are rough, and follow the volume all the same.
    assert right["2D rule, prior scan (deepbratumia)"] > 0.7
    assert right["majority class of each fold"] < 0.6


def test_models_have_log_probabilities_and_rules_none(phantom_references):
    found, _ = phantom_references
    for name, table in found.items():
        logits = [column for column in table if column.startswith("logit_")]
        assert bool(logits) == name.startswith(("boosted", "logistic"))
        assert np.isfinite(table[logits].to_numpy(dtype=float)).all()


# --- nothing but training pairs


NAMES = [name for name, reference in REFERENCES.items() if "masks" not in reference.needs]


def test_responses_of_tested_pairs_change_nothing(tables: SimpleNamespace):
    test, training = rated_folds(tables)
    found, _ = reference_predictions(tables, test, training, names=NAMES)
    rolled = test.assign(response=np.roll(test["response"], 1))
    other, _ = reference_predictions(tables, rolled, training, names=NAMES)
    assert list(found) == list(other)
    for name, table in found.items():
        pd.testing.assert_frame_equal(
            table.drop(columns="response"), other[name].drop(columns="response")
        )
        assert list(other[name]["response"]) == list(rolled["response"])


def test_ratings_of_the_sessions_table_change_nothing(tables: SimpleNamespace):
    test, training = rated_folds(tables)
    blind = altered(tables, sessions=tables.sessions.assign(rating="", survival_weeks=3.0))
    found, _ = reference_predictions(tables, test, training, names=NAMES)
    other, _ = reference_predictions(blind, test, training, names=NAMES)
    for name, table in found.items():
        pd.testing.assert_frame_equal(table, other[name])


def test_orders_of_rows_change_nothing(tables: SimpleNamespace):
    test, training = rated_folds(tables)
    found, _ = reference_predictions(tables, test, training, names=NAMES)
    mixed = altered(
        tables,
        sessions=tables.sessions.sample(frac=1, random_state=1),
        volumes=tables.volumes.sample(frac=1, random_state=2),
    )
    shuffled = test.sample(frac=1, random_state=3)
    other, _ = reference_predictions(
        mixed,
        shuffled,
        {fold: pairs.sample(frac=1, random_state=4) for fold, pairs in training.items()},
        names=NAMES,
    )
    for name, table in found.items():
        assert list(other[name]["pair_id"]) == list(shuffled["pair_id"])
        pd.testing.assert_frame_equal(
            table.set_index("pair_id"),
            other[name].set_index("pair_id").loc[table["pair_id"]],
            rtol=0,
            atol=1e-9,
        )


# --- what each is made of


def test_the_2d_rules_read_products_by_their_own_thresholds(
    tables: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
):
    mm2 = {"s0": 400.0, "s1": 300.0, "s2": 390.0, "s3": 160.0, "s4": 99.0}
    keys = tables.sessions[["patient_id", "session_id"]].itertuples(index=False, name=None)
    products = {"auto": {key: mm2[key[1]] for key in keys}}
    monkeypatch.setattr(catalogue, "product_burdens", lambda *_: products)
    names = [name for name in REFERENCES if name.startswith("2D")]
    found, remarks = reference_predictions(tables, *rated_folds(tables), names=names)
    expected = {
        "prior scan": ["SD", "PD", "PR", "SD"],
        "baseline": ["SD", "SD", "PR", "PR"],
        "baseline and nadir": ["SD", "PD", "PR", "PR"],
    }
    assert remarks == {}
    for name, ratings in expected.items():
        table = found[f"2D rule, {name} (auto)"]
        own = table[table["patient_id"] == "P00"].sort_values("pair_id")
        assert list(own["predicted"]) == ratings


def test_models_get_each_column_once(tables: SimpleNamespace):
    test, training = rated_folds(tables)
    pairs = tables.pairs
    clinical = clinical_features(pairs, tables.sessions)
    volumes = volume_features(pairs, tables.sessions, tables.volumes, "auto")
    assert set(clinical) & set(volumes) == {"weeks_since_prior"}
    joined = pd.concat([clinical, volumes.drop(columns="weeks_since_prior")], axis=1)
    wanted = {"volumes": volumes, "clinical": clinical, "volumes+clinical": joined}
    for data, features in wanted.items():
        name = f"logistic {data}"
        found, _ = reference_predictions(tables, test, training, names=[name])
        [table] = found.values()
        expected = tabular_predictions(features, test, training, model="logistic")
        pd.testing.assert_frame_equal(table, expected)


# --- what is missing


def test_pairs_without_a_segmentation_are_told(tables: SimpleNamespace):
    test, training = rated_folds(tables)
    first = test.iloc[0]
    lacking = tables.volumes[
        (tables.volumes["patient_id"] != first["patient_id"])
        | (tables.volumes["session_id"] != first["current_session"])
    ]
    name = "volumetric rule, prior scan (auto)"
    found, remarks = reference_predictions(altered(tables, volumes=lacking), test, training)
    assert len(found[name]) == len(test) - 2
    assert remarks[name] == (
        f"2 of {len(test)} pairs left out: 2 without the segmentation of a scan"
    )
    # Models bear a missing scan.
    assert len(found["boosted volumes (auto)"]) == len(test)


def test_a_rule_that_rates_nothing_has_no_table(tables: SimpleNamespace):
    test, training = rated_folds(tables)
    found, remarks = reference_predictions(tables, test, training, names=["2D rule, baseline"])
    assert found == {}
    assert list(remarks) == ["2D rule, baseline (auto)"]
    assert remarks["2D rule, baseline (auto)"].startswith(f"{len(test)} of {len(test)} pairs")


def test_without_clinical_columns_their_models_are_skipped():
    sessions, volumes, pairs = cohort(patients=12, clinical=False)
    store = SimpleNamespace(sessions=sessions, volumes=volumes, pairs=pairs)
    names = [name for name in NAMES if "rule" not in name]
    found, remarks = reference_predictions(store, *rated_folds(store), names=names)
    assert remarks == {
        "boosted volumes+clinical (auto)": NO_CLINICAL,
        "boosted clinical": NO_CLINICAL,
        "logistic volumes+clinical (auto)": NO_CLINICAL,
        "logistic clinical": NO_CLINICAL,
    }
    assert list(found) == [
        "majority class of each fold",
        "boosted volumes (auto)",
        "logistic volumes (auto)",
    ]


def test_without_segmentations_there_are_majority_and_clinical_data(tables: SimpleNamespace):
    bare = altered(tables, volumes=tables.volumes.head(0))
    found, remarks = reference_predictions(bare, *rated_folds(bare))
    assert list(found) == ["majority class of each fold", "boosted clinical", "logistic clinical"]
    assert set(remarks.values()) == {NO_SOURCE}
    assert set(found) | set(remarks) == set(REFERENCES)


def test_each_segmentation_has_tables_of_its_own(tables: SimpleNamespace):
    other = tables.volumes.assign(source="second", ml=0.0)
    both = altered(tables, volumes=pd.concat([tables.volumes, other]))
    names = ["volumetric rule, prior scan"]
    found, _ = reference_predictions(both, *rated_folds(both), names=names)
    assert list(found) == [f"{names[0]} (auto)", f"{names[0]} (second)"]
    assert set(found[f"{names[0]} (second)"]["predicted"]) == {"SD"}


# --- tasks, and what is refused


def test_progression(tables: SimpleNamespace):
    test, training = rated_folds(tables)
    task = TASKS["progression"]
    found, _ = reference_predictions(tables, test, training, task=task, names=NAMES)
    for table in found.values():
        assert set(table["response"]) == {"rest", "PD"}
        assert set(table["predicted"]) <= {"rest", "PD"}
    # A table that already holds classes of the task is read the same.
    classes = test.assign(response=[task.class_of(name) for name in test["response"]])
    mapped = {
        fold: pairs.assign(response=[task.class_of(name) for name in pairs["response"]])
        for fold, pairs in training.items()
    }
    other, _ = reference_predictions(tables, classes, mapped, task=task, names=NAMES)
    for name, table in found.items():
        pd.testing.assert_frame_equal(table, other[name])


def test_wrong_tables_are_refused(tables: SimpleNamespace):
    test, training = rated_folds(tables)

    def ask(test=test, training=training, names=("majority class of each fold",)):
        return reference_predictions(tables, test, training, names=names)

    with pytest.raises(UnknownNameError, match="did you mean 'boosted volumes'"):
        ask(names=["boosted volume"])
    with pytest.raises(ManifestError, match="test pairs lack the columns prior_week"):
        ask(test=test.drop(columns="prior_week"))
    with pytest.raises(ManifestError, match="training pairs of fold 1 lack the columns response"):
        ask(training={**training, 1: training[1].drop(columns="response")})
    with pytest.raises(ManifestError, match="fold 2 has test pairs but no training pairs"):
        ask(training={0: training[0], 1: training[1]})
    with pytest.raises(ManifestError, match="fold 0 hold no rated pair"):
        ask(training={**training, 0: training[0].assign(response="")})
    with pytest.raises(ManifestError, match="twice"):
        ask(test=pd.concat([test, test.head(1)]))
    leaking = {**training, 0: pd.concat([training[0], test[test["fold"] == 0].head(1)])}
    with pytest.raises(SplitError, match="fold 0 trains on pairs that it tests"):
        ask(training=leaking)


def test_every_reference_says_what_it_is():
    for reference in REFERENCES.values():
        assert reference.description
        assert "\n" not in reference.description
        assert set(reference.needs) <= {"training", "volumes", "masks", "clinical"}
