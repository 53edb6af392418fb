from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from audit_tables import made
from scipy.stats import mannwhitneyu
from sklearn.metrics import roc_auc_score

from xrano.errors import ConfigError
from xrano.experiments.audit.separation import (
    AUDIT_COLUMNS,
    HEADLINE,
    Separation,
    separate,
    separation_table,
    verdict_of,
)

NAN = float("nan")


def sklearn_auroc(honest, cheating) -> float:
    truth = [1] * len(honest) + [0] * len(cheating)
    return roc_auc_score(truth, [*honest, *cheating])


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("digits", [0, 6])
def test_the_auroc_is_that_of_scikit_learn_ties_included(seed, digits):
    rng = np.random.default_rng(seed)
    honest = rng.normal(1.0, 1.5, 9).round(digits)
    cheating = rng.normal(0.0, 1.0, 13).round(digits)
    assert separate(honest, cheating).auroc == pytest.approx(sklearn_auroc(honest, cheating))
    lower = separate(honest, cheating, higher_is_honest=False)
    assert lower.auroc == pytest.approx(1 - sklearn_auroc(honest, cheating))


def test_the_interval_is_that_of_a_plain_bootstrap_within_strata():
    rng = np.random.default_rng(3)
    honest, cheating = rng.normal(0.8, 1.0, 8), rng.normal(0.0, 1.0, 12)
    # Kinds that differ: drawn without strata the interval would be wider.
    cheating[8:] += 3.0
    kinds = ["noise"] * 8 + ["edge"] * 4
    found = separate(honest, cheating, kinds=kinds, n_resamples=4000)
    values = []
    for _ in range(400):
        own = rng.choice(honest, 8)
        other = np.concatenate([rng.choice(cheating[:8], 8), rng.choice(cheating[8:], 4)])
        values.append(sklearn_auroc(own, other))
    low, high = np.percentile(values, [2.5, 97.5])
    assert found.low == pytest.approx(low, abs=0.05)
    assert found.high == pytest.approx(high, abs=0.05)
    free = separate(honest, cheating, n_resamples=4000)
    assert free.high - free.low > found.high - found.low


def test_the_p_is_exact_where_nothing_ties():
    honest, cheating = [4.0, 5.0, 6.0], [1.0, 2.0, 3.0]
    found = separate(honest, cheating)
    # One of twenty divisions of six into three and three is as far apart to either side.
    assert found.p == pytest.approx(2 / 20)
    rng = np.random.default_rng(0)
    one, two = rng.normal(size=7), rng.normal(size=8)
    assert separate(one, two).p == pytest.approx(mannwhitneyu(one, two, method="exact").pvalue)


def test_perfect_separation_has_an_interval_without_width_and_is_not_trusted_by_it_alone():
    found = separate([4.0, 5.0, 6.0], [1.0, 2.0, 3.0])
    assert (found.auroc, found.low, found.high) == (1.0, 1.0, 1.0)
    assert verdict_of(found, found.p) == "not resolved"


def test_models_without_a_score_are_left_out_and_infinite_ones_keep_their_rank():
    found = separate([NAN, 2.0, np.inf], [-np.inf, NAN, 1.0, -np.inf])
    assert (found.n_honest, found.n_cheating, found.auroc) == (2, 3, 1.0)
    assert separate([-np.inf], [-np.inf]).auroc == 0.5
    nothing = separate([NAN], [1.0])
    assert np.isnan([nothing.auroc, nothing.low, nothing.high, nothing.p]).all()


def test_separating_changes_neither_its_arguments_nor_the_global_random_state():
    honest, cheating = np.array([1.0, 3.0, 2.0]), np.array([0.0, 2.5])
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    first = separate(honest, cheating, higher_is_honest=False)
    assert separate(honest, cheating, higher_is_honest=False) == first
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002
    assert honest.tolist() == [1.0, 3.0, 2.0]
    assert cheating.tolist() == [0.0, 2.5]


def test_kinds_that_do_not_fit_are_refused():
    with pytest.raises(ConfigError, match="a kind for each"):
        separate([1.0], [2.0, 3.0], kinds=["noise"])


@pytest.mark.parametrize(
    ("low", "high", "n", "p", "verdict"),
    [
        (0.7, 1.0, 8, 0.01, "trust"),
        (0.7, 1.0, 8, 0.2, "not resolved"),
        (0.5, 0.9, 8, 0.01, "distrust"),
        (0.3, 0.7, 8, 0.9, "distrust"),
        (0.0, 0.4, 8, 0.01, "reversed"),
        (0.9, 1.0, 2, 0.01, "too few models"),
    ],
)
def test_the_verdict_follows_the_interval_and_the_number_of_models(low, high, n, p, verdict):
    found = Separation((low + high) / 2, low, high, p, n, 20)
    assert verdict_of(found, p) == verdict


def test_the_table_compares_verified_models_by_kind_over_all_and_by_size():
    result = made(8)
    table = result.separation
    assert tuple(table.columns) == AUDIT_COLUMNS
    assert set(table["comparison"]) == {"all", "noise", "edge"}
    assert set(table["stratum"]) == {"all", "small", "large"}
    every = table[table["comparison"] == "all"].set_index(["stratum", "method", "score"])
    gain = every.loc["all", "saliency", "gain"]
    # One noise model did not cheat and stands on neither side.
    assert (gain["n_honest"], gain["n_cheating"], gain["auroc"]) == (8, 15, 1.0)
    assert gain["headline"]
    assert gain["verdict"] == "trust"
    assert every.loc["all", "saliency", "peak_distance"]["auroc"] == 1.0
    assert every.loc["all", "gradcam", "gain"]["verdict"] == "distrust"
    noise = table[(table["comparison"] == "noise") & (table["stratum"] == "small")]
    assert set(noise["n_cheating"]) == {7}
    headline = table[table["headline"]]
    assert set(zip(headline["method"], headline["score"], strict=True)) == {HEADLINE}


def test_each_auroc_of_the_table_is_scikit_learns_of_the_models_scores():
    result = made(5)
    scores = result.scores[result.scores["usable"]]
    for row in result.separation[result.separation["comparison"] == "all"].to_dict("records"):
        own = scores
        for name in ("method", "score", "stratum"):
            own = own[own[name] == row[name]]
        sign = 1 if row["higher_is_honest"] else -1
        honest = sign * own.loc[own["assigned"] == "honest", "value"]
        cheats = sign * own.loc[own["assigned"] == "cheat", "value"]
        assert row["auroc"] == pytest.approx(sklearn_auroc(honest, cheats))


def test_decoys_are_compared_with_cheats_of_the_same_marks_and_count_as_honest():
    scores = made(4).scores
    decoys = scores[scores["kind"] == "honest"].assign(kind="noise@0")
    table = separation_table(pd.concat([scores, decoys]), n_resamples=50)
    counts = table.groupby("comparison")["n_honest"].max()
    assert counts["all"] == 8
    assert counts["noise"] == 4
    assert counts["noise, same marks"] == 4
    assert "edge, same marks" not in counts


def test_without_a_verified_model_on_a_side_there_is_no_row():
    scores = made(3).scores
    assert separation_table(scores[scores["assigned"] == "honest"], n_resamples=10).empty
