from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from predicted_tables import predictions, rerated
from sklearn.metrics import balanced_accuracy_score

from xrano.errors import ConfigError, ManifestError
from xrano.evaluation.leak import CELLS, measure_leak
from xrano.metrics.bootstrap import patient_resamples, percentile_interval


def four(**right: float) -> dict[tuple[str, str], pd.DataFrame]:
    base = predictions(0, count=160, patients=40)
    return {
        cell: rerated(base, number, right=right["_".join(cell)])
        for number, cell in enumerate(CELLS)
    }


def leaky() -> dict[tuple[str, str], pd.DataFrame]:
    return four(patient_inner=0.2, patient_test=0.25, timepoint_inner=0.8, timepoint_test=0.85)


def accuracy(table: pd.DataFrame) -> float:
    return balanced_accuracy_score(table["response"], table["predicted"])


def test_effects_by_hand():
    tables = leaky()
    found = measure_leak(tables, n_resamples=50)
    value = {cell: accuracy(table) for cell, table in tables.items()}
    for cell in CELLS:
        assert found.cells[cell].value == pytest.approx(value[cell])
    pi, pt, ti, tt = (value[cell] for cell in CELLS)
    assert found.grouping.value == pytest.approx((ti + tt) / 2 - (pi + pt) / 2)
    assert found.selection.value == pytest.approx((pt + tt) / 2 - (pi + ti) / 2)
    assert found.interaction.value == pytest.approx((tt - ti) - (pt - pi))
    assert found.both.value == pytest.approx(tt - pi)


def test_intervals_are_those_of_the_same_resampled_patients():
    tables = leaky()
    found = measure_leak(tables, n_resamples=60, seed=2)
    first = tables[CELLS[0]]
    truth = first["response"].to_numpy()
    gaps = []
    for rows in patient_resamples(list(first["patient_id"]), list(truth), n_resamples=60, seed=2):
        pi, pt, ti, tt = (
            balanced_accuracy_score(truth[rows], tables[cell]["predicted"].to_numpy()[rows])
            for cell in CELLS
        )
        gaps.append((ti + tt - pi - pt) / 2)
    expected = percentile_interval(gaps)
    assert [found.grouping.low, found.grouping.high] == pytest.approx([expected.low, expected.high])


def test_a_leak_of_grouping_is_found_and_said():
    found = measure_leak(leaky(), n_resamples=300)
    assert found.grouping.low > 0.3
    assert not found.interaction.excludes_zero
    text = found.sentence()
    assert text.startswith("Folds by timepoint instead of by patient adds +0.")
    assert "choosing the checkpoint on the test fold" in text
    assert f"160 pairs of {found.n_patients} patients)" in text
    assert "seeds" not in text


def test_no_leak_is_not_told_from_nothing():
    found = measure_leak(
        four(patient_inner=0.5, patient_test=0.5, timepoint_inner=0.5, timepoint_test=0.5),
        n_resamples=300,
    )
    assert not found.grouping.excludes_zero
    assert "not told from nothing" in found.sentence()


def test_seeds_are_averaged_and_pairs_shared():
    tables = leaky()
    cell = ("timepoint", "test")
    seeds = [tables[cell], rerated(tables[cell], 99, right=0.5)]
    tables[cell] = pd.concat([table.assign(seed=number) for number, table in enumerate(seeds)])
    tables["patient", "inner"] = tables["patient", "inner"].iloc[20:]
    found = measure_leak(tables, n_resamples=20)
    assert found.n_pairs == 140
    assert found.n_seeds == 1
    expected = np.mean([accuracy(table.iloc[20:]) for table in seeds])
    assert found.cells[cell].value == pytest.approx(expected)


def test_json_holds_everything():
    found = json.loads(json.dumps(measure_leak(leaky(), n_resamples=20).to_json()))
    assert set(found["cells"]) == {"/".join(cell) for cell in CELLS}
    assert len(found["grouping"]) == len(found["both"]) == 3
    assert found["sentence"].endswith(".")


def test_a_single_patient_has_no_interval():
    tables = {cell: table.assign(patient_id="P") for cell, table in leaky().items()}
    found = measure_leak(tables, n_resamples=5)
    assert np.isnan(found.grouping.low)
    assert "[–]" in found.sentence()


def test_missing_cells_and_strangers_are_refused():
    tables = leaky()
    del tables["patient", "test"]
    with pytest.raises(ConfigError, match="patient/test"):
        measure_leak(tables)
    apart = leaky()
    apart["patient", "test"] = apart["patient", "test"].assign(
        pair_id=[f"other-{row}" for row in range(160)]
    )
    with pytest.raises(ManifestError, match="share no pair"):
        measure_leak(apart)
