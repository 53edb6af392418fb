from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from small_course import SOURCE, cohort, folds_of

from xrano.errors import UnknownNameError
from xrano.references.tabular import volume_features
from xrano.references.tabular_models import (
    BOOSTING,
    LEAST_PROBABILITY,
    LOGISTIC,
    MODELS,
    tabular_predictions,
)
from xrano.tasks import TASKS

LOGITS = ["logit_CR", "logit_PR", "logit_SD", "logit_PD"]


@pytest.fixture(scope="module")
def data():
    sessions, volumes, pairs = cohort()
    test, training = folds_of(pairs)
    return volume_features(pairs, sessions, volumes, SOURCE), test, training


def by_pair(table: pd.DataFrame) -> pd.DataFrame:
    return table.set_index("pair_id").sort_index()


@pytest.mark.parametrize("model", MODELS)
def test_changes_of_volume_are_learned(data, model: str):
    found = tabular_predictions(*data, model=model)
    assert (found["predicted"] == found["response"]).mean() > 0.8
    assert np.isfinite(found[LOGITS].to_numpy()).all()
    best = found[LOGITS].to_numpy().argmax(axis=1)
    assert [name.removeprefix("logit_") for name in np.array(LOGITS)[best]] == list(
        found["predicted"]
    )
    assert np.exp(found[LOGITS]).sum(axis=1).to_numpy() == pytest.approx(1.0, abs=1e-5)


def test_logistic_is_scikit_learn_s_on_columns_standardised_by_training_pairs(data):
    features, test, training = data
    complete = features[["enhancing_prior", "enhancing_log_ratio", "weeks_since_prior"]]
    complete = complete.assign(noise=np.random.default_rng(0).normal(3, 7, len(complete)))
    found = by_pair(tabular_predictions(complete, test, training, model="logistic"))
    for fold, learned in training.items():
        ordered = learned.sort_values("pair_id")
        known = complete.loc[ordered["pair_id"]]
        spread = known.std(ddof=0).replace(0.0, 1.0)
        fitted = LogisticRegression(**LOGISTIC).fit(
            ((known - known.mean()) / spread).to_numpy(), ordered["response"].to_numpy(dtype=object)
        )
        own = test[test["fold"] == fold].sort_values("pair_id")["pair_id"]
        asked = ((complete.loc[own] - known.mean()) / spread).to_numpy()
        expected = pd.DataFrame(fitted.predict_log_proba(asked), columns=fitted.classes_)
        for name in fitted.classes_:
            clipped = np.maximum(expected[name], np.log(LEAST_PROBABILITY))
            assert found.loc[own, f"logit_{name}"].to_numpy() == pytest.approx(clipped, abs=1e-3)


def test_boosting_is_scikit_learn_s(data):
    features, test, training = data
    found = by_pair(tabular_predictions(features, test, training, model="boosted", seed=5))
    learned = training[1].sort_values("pair_id")
    fitted = HistGradientBoostingClassifier(random_state=5, **BOOSTING).fit(
        features.loc[learned["pair_id"]].to_numpy(), learned["response"].to_numpy(dtype=object)
    )
    own = test[test["fold"] == 1].sort_values("pair_id")["pair_id"]
    shares = pd.DataFrame(
        fitted.predict_proba(features.loc[own].to_numpy()), columns=fitted.classes_
    )
    for name in fitted.classes_:
        assert np.exp(found.loc[own, f"logit_{name}"]).to_numpy() == pytest.approx(
            shares[name], abs=2e-6
        )


@pytest.mark.parametrize("model", MODELS)
def test_responses_of_tested_pairs_change_nothing(data, model: str):
    features, test, training = data
    found = tabular_predictions(features, test, training, model=model)
    other = tabular_predictions(features, test.assign(response="CR"), training, model=model)
    pd.testing.assert_frame_equal(
        found.drop(columns="response"), other.drop(columns="response"), check_exact=True
    )
    assert set(other["response"]) == {"CR"}


@pytest.mark.parametrize("model", MODELS)
def test_orders_of_rows_change_nothing(data, model: str):
    features, test, training = data
    found = tabular_predictions(features, test, training, model=model)
    shuffled = test.sample(frac=1, random_state=3)
    mixed = {fold: pairs.sample(frac=1, random_state=fold) for fold, pairs in training.items()}
    other = tabular_predictions(
        features.sample(frac=1, random_state=1), shuffled, mixed, model=model
    )
    assert list(other["pair_id"]) == list(shuffled["pair_id"])
    pd.testing.assert_frame_equal(by_pair(found), by_pair(other), check_exact=True)


@pytest.mark.parametrize("model", MODELS)
def test_classes_count_alike_however_rare(data, model: str):
    features, test, training = data
    found = tabular_predictions(features * 0, test, training, model=model)
    counts = training[0]["response"].value_counts()
    assert counts.max() > 2 * counts.min()
    assert np.exp(found[LOGITS]).to_numpy() == pytest.approx(0.25, abs=1e-3)


@pytest.mark.parametrize("model", MODELS)
def test_other_tested_pairs_change_nothing(data, model: str):
    """Medians, means and bins are the training pairs', not the tested ones'."""
    features, test, training = data
    found = by_pair(tabular_predictions(features, test, training, model=model))
    few = test[test["fold"] == 0].head(3)
    strange = features.copy()
    strange.loc[test.loc[(test["fold"] == 0), "pair_id"].iloc[3:]] = 1e6
    own = {0: training[0]}
    other = by_pair(tabular_predictions(strange, test[test["fold"] == 0], own, model=model))
    keys = list(few["pair_id"])
    pd.testing.assert_frame_equal(found.loc[keys], other.loc[keys], rtol=0, atol=1e-9)


@pytest.mark.parametrize("model", MODELS)
def test_a_class_that_a_fold_never_saw_has_a_finite_floor(data, model: str):
    features, test, training = data
    lacking = {**training, 1: training[1][training[1]["response"] != "PR"]}
    found = tabular_predictions(features, test, lacking, model=model)
    there = found["fold"] == 1
    floor = np.log(LEAST_PROBABILITY)
    assert found.loc[there, "logit_PR"].to_numpy() == pytest.approx(floor)
    assert "PR" not in set(found.loc[there, "predicted"])
    assert (found.loc[~there, "logit_PR"] > floor).any()
    assert (found.loc[there, LOGITS] >= floor).all(axis=None)


@pytest.mark.parametrize("model", MODELS)
def test_one_class_alone_is_said_of_every_pair(data, model: str):
    features, test, training = data
    alone = {fold: pairs[pairs["response"] == "SD"] for fold, pairs in training.items()}
    found = tabular_predictions(features, test, alone, model=model)
    assert set(found["predicted"]) == {"SD"}
    assert found["logit_SD"].to_numpy() == pytest.approx(0.0)


@pytest.mark.parametrize("model", MODELS)
def test_missing_values_and_columns_are_borne(data, model: str, recwarn: pytest.WarningsRecorder):
    features, test, training = data
    holes = features.mask(np.random.default_rng(0).random(features.shape) < 0.2)
    holes["never"] = np.nan
    found = tabular_predictions(holes, test, training, model=model)
    assert (found["predicted"] == found["response"]).mean() > 0.6
    without = tabular_predictions(holes.drop(columns="never"), test, training, model=model)
    pd.testing.assert_frame_equal(found, without)
    # Known of tested pairs alone, a column teaches nothing.
    tested = holes.copy()
    tested.loc[test.loc[test["fold"] == 0, "pair_id"], "never"] = 5.0
    own = test[test["fold"] == 0]
    other = tabular_predictions(tested, own, {0: training[0]}, model=model)
    keys = list(own["pair_id"])
    pd.testing.assert_frame_equal(by_pair(other).loc[keys], by_pair(found).loc[keys])
    assert not recwarn.list


@pytest.mark.parametrize("model", MODELS)
def test_without_any_number_the_shares_of_training_are_given(data, model: str):
    features, test, training = data
    found = tabular_predictions(features * np.nan, test, training, model=model)
    shares = training[2]["response"].value_counts(normalize=True)
    own = found[found["fold"] == 2]
    for name, share in shares.items():
        assert np.exp(own[f"logit_{name}"]).to_numpy() == pytest.approx(share)


def test_missing_is_a_sign_of_its_own_to_logistic_regression(data):
    _, test, training = data
    pairs = pd.concat([test, *training.values()]).drop_duplicates("pair_id").set_index("pair_id")
    hint = pd.DataFrame({"a": np.where(pairs["response"] == "PD", np.nan, 1.0)}, index=pairs.index)
    found = tabular_predictions(hint, test, training, model="logistic")
    assert ((found["predicted"] == "PD") == (found["response"] == "PD")).all()


@pytest.mark.parametrize("model", MODELS)
def test_progression(data, model: str):
    task = TASKS["progression"]
    found = tabular_predictions(*data, model=model, task=task)
    assert set(found["response"]) == set(found["predicted"]) == {"rest", "PD"}
    assert [name for name in found if name.startswith("logit_")] == ["logit_rest", "logit_PD"]
    assert (found["predicted"] == found["response"]).mean() > 0.85


@pytest.mark.parametrize("model", MODELS)
def test_nothing_else_is_touched(data, model: str):
    features, test, training = data
    before = (features.copy(), test.copy(), training[0].copy())
    np.random.seed(4)  # noqa: NPY002
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    first = tabular_predictions(features, test, training, model=model)
    assert (np.random.get_state()[1] == state).all()  # noqa: NPY002
    np.random.seed(5)  # noqa: NPY002
    pd.testing.assert_frame_equal(
        first, tabular_predictions(features, test, training, model=model), check_exact=True
    )
    for left, right in zip(before, (features, test, training[0]), strict=True):
        pd.testing.assert_frame_equal(left, right)


def test_unrated_training_pairs_do_not_count(data):
    features, test, training = data
    half = {
        fold: pairs.assign(response=pairs["response"].where(pairs.index % 2 == 0, ""))
        for fold, pairs in training.items()
    }
    dropped = {fold: pairs[pairs["response"] != ""] for fold, pairs in half.items()}
    pd.testing.assert_frame_equal(
        tabular_predictions(features, test, half, model="logistic"),
        tabular_predictions(features, test, dropped, model="logistic"),
    )


def test_an_unknown_model_is_refused(data):
    with pytest.raises(UnknownNameError, match="boosted, logistic"):
        tabular_predictions(*data, model="forest")
