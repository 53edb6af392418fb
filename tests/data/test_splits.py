from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xrano.data.splits import (
    absent_classes,
    fold_patients,
    inner_validation,
    make_folds,
    read_splits,
    write_splits,
)
from xrano.errors import SplitError

RESPONSES = ("CR", "PR", "SD", "PD")


def _pairs(courses: dict[str, list[str]]) -> pd.DataFrame:
    rows = [(patient, response) for patient, course in courses.items() for response in course]
    return pd.DataFrame(rows, columns=["patient_id", "response"])


def _cohort(n_patients: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    share = (0.1, 0.1, 0.25, 0.55)
    return _pairs(
        {
            f"P{index:02}": [
                str(name) for name in rng.choice(RESPONSES, rng.integers(1, 7), p=share)
            ]
            for index in range(n_patients)
        }
    )


cohorts = st.dictionaries(
    st.text("ABC123", min_size=1, max_size=3),
    st.lists(st.sampled_from([*RESPONSES, ""]), min_size=1, max_size=6),
    min_size=2,
    max_size=15,
).map(_pairs)


class TestFolds:
    @settings(max_examples=150, deadline=None)
    @given(pairs=cohorts, data=st.data(), seed=st.integers(0, 2**31 - 1))
    def test_no_patient_crosses_and_none_is_lost(
        self, pairs: pd.DataFrame, data: st.DataObject, seed: int
    ) -> None:
        patients = set(pairs["patient_id"])
        n_folds = data.draw(st.integers(2, len(patients)))
        splits = make_folds(pairs, n_folds, seed)
        tested = [patient for fold in splits["folds"] for patient in fold["test"]]
        assert sorted(tested) == sorted(patients)
        assert len(splits["folds"]) == n_folds
        for fold in range(n_folds):
            train, test = fold_patients(splits, fold)
            assert test
            assert train
            assert not set(train) & set(test)
            assert set(train) | set(test) == patients

    @settings(max_examples=100, deadline=None)
    @given(
        pairs=cohorts,
        fraction=st.floats(0.01, 0.5),
        seed=st.integers(0, 2**31 - 1),
    )
    def test_validation_patients_are_training_patients_apart(
        self, pairs: pd.DataFrame, fraction: float, seed: int
    ) -> None:
        patients = set(pairs["patient_id"])
        train, validation = inner_validation(pairs, [*patients, "nobody"], fraction, seed)
        assert train
        assert validation
        assert sorted([*train, *validation]) == sorted(patients)

    def test_the_seed_decides_and_the_order_of_rows_does_not(self) -> None:
        pairs = _cohort(30, seed=1)
        splits = make_folds(pairs, 5, seed=3)
        shuffled = pairs.sample(frac=1, random_state=0)
        assert make_folds(shuffled, 5, seed=3) == splits
        assert make_folds(pairs, 5, seed=4)["folds"] != splits["folds"]

    @pytest.mark.parametrize("seed", [0, 1, 2])
    def test_folds_are_stratified(self, seed: int) -> None:
        # One response a patient, 20 patients of each: every fold can have exactly its share.
        pairs = _pairs({f"{name}{n}": [name] for name in RESPONSES for n in range(20)})
        for fold in make_folds(pairs, 5, seed)["folds"]:
            inside = pairs[pairs["patient_id"].isin(fold["test"])]
            assert inside["response"].value_counts().to_dict() == dict.fromkeys(RESPONSES, 4)

    def test_uneven_patients_are_stratified_better_than_by_chance(self) -> None:
        def spread(folds: list[list[str]], pairs: pd.DataFrame) -> float:
            shares = [
                [
                    (pairs[pairs["patient_id"].isin(fold)]["response"] == name).sum()
                    for fold in folds
                ]
                for name in RESPONSES
            ]
            return float(np.std(shares, axis=1).sum())

        made, chance = [], []
        for seed in range(5):
            pairs = _cohort(40, seed)
            made.append(
                spread([fold["test"] for fold in make_folds(pairs, 5, seed)["folds"]], pairs)
            )
            names = np.random.default_rng(seed).permutation(sorted(set(pairs["patient_id"])))
            chance.append(spread([list(part) for part in np.array_split(names, 5)], pairs))
        assert np.mean(made) < 0.6 * np.mean(chance)

    def test_fewer_patients_than_folds(self) -> None:
        with pytest.raises(SplitError, match=r"4 folds need .* are of 3"):
            make_folds(_pairs({"A": ["PD"] * 9, "B": ["SD"], "C": ["CR"]}), 4, seed=0)
        with pytest.raises(SplitError, match="at least 2 folds are needed, got 1"):
            make_folds(_cohort(4, 0), 1, seed=0)

    def test_a_fold_for_each_patient_of_a_different_class(self) -> None:
        pairs = _pairs({name: [name] for name in RESPONSES})
        assert sorted(fold["test"][0] for fold in make_folds(pairs, 4, seed=0)["folds"]) == sorted(
            RESPONSES
        )


class TestValidation:
    def test_size_and_classes(self) -> None:
        pairs = _pairs({f"{name}{n}": [name] for name in RESPONSES for n in range(15)})
        patients = sorted(set(pairs["patient_id"]))[5:]
        train, validation = inner_validation(pairs, patients, 0.2, seed=0)
        assert len(train) + len(validation) == 55
        assert 9 <= len(validation) <= 13
        assert len({name[:2] for name in validation}) == 4

    @pytest.mark.parametrize("seed", range(8))
    def test_the_part_with_most_responses_is_validated_on(self, seed: int) -> None:
        pairs = _pairs({**{f"P{n}": ["PD"] for n in range(15)}, "rare": ["CR", "PR", "SD"]})
        _, validation = inner_validation(pairs, set(pairs["patient_id"]), 0.25, seed)
        assert "rare" in validation

    @pytest.mark.parametrize("fraction", [0.0, -0.1, 0.6, float("nan")])
    def test_fraction(self, fraction: float) -> None:
        with pytest.raises(SplitError, match=r"in \(0, 0\.5\], got"):
            inner_validation(_cohort(5, 0), ["P00", "P01"], fraction, seed=0)

    def test_one_patient_cannot_be_divided(self) -> None:
        with pytest.raises(SplitError, match="two patients with pairs to divide, got 1"):
            inner_validation(_cohort(5, 0), ["P00", "nobody"], 0.2, seed=0)


class TestAbsentClasses:
    PAIRS = _pairs({"A": ["PD", "SD"], "B": ["PD", "CR"], "C": ["SD", "PD"]})
    FOLDS = ({"test": ["A", "B"]}, {"test": ["C"]})

    def test_report(self) -> None:
        splits = {"protocol": "patient-grouped", "seed": 0, "folds": list(self.FOLDS)}
        # PR occurs nowhere, so no fold lacks it
        assert absent_classes(self.PAIRS, splits) == {1: ("CR",)}
        assert absent_classes(self.PAIRS, splits, part="train") == {0: ("CR",)}

    def test_refusals(self) -> None:
        splits = {"protocol": "patient-grouped", "seed": 0, "folds": list(self.FOLDS)}
        with pytest.raises(SplitError, match="'train' and 'test'"):
            absent_classes(self.PAIRS, splits, part="validation")
        with pytest.raises(SplitError, match="fold 2 does not exist; there are folds 0 to 1"):
            fold_patients(splits, 2)


class TestFiles:
    PAIRS = _pairs({"A": ["PD"], "B": ["SD"], "C": ["PD"], "D": ["SD"]})

    def _write(self, tmp_path: Path, folds: object, **changes: object) -> Path:
        content = {"protocol": "patient-grouped", "seed": 1, "folds": folds, **changes}
        path = tmp_path / "splits.json"
        path.write_text(json.dumps(content))
        return path

    def test_round_trip(self, tmp_path: Path) -> None:
        splits = make_folds(self.PAIRS, 2, seed=5)
        write_splits(tmp_path / "run" / "splits.json", splits)
        assert read_splits(tmp_path / "run" / "splits.json", self.PAIRS) == splits

    @pytest.mark.parametrize(
        ("folds", "complaint"),
        [
            ([["A", "B"], ["B", "C", "D"]], "B is in fold 0 and again in fold 1"),
            ([["A", "A"], ["B", "C", "D"]], "A is in fold 0 and again in fold 0"),
            (
                [["A", "B"], ["C", "D", "X", "Y"]],
                "names patients or timepoints without any pair: X, Y",
            ),
            ([["A"], ["C"]], "lacks patients or timepoints that have pairs: B, D"),
            ([["A", "B", "C", "D"]], "at least two folds"),
            ([["A", "B", "C", "D"], []], "none without a patient"),
            ([["A", "B"], ["C", 4]], "patient 4 is no text"),
            ([], "at least two folds"),
        ],
    )
    def test_bad_folds(self, tmp_path: Path, folds: list[list[str]], complaint: str) -> None:
        path = self._write(tmp_path, [{"test": fold} for fold in folds])
        with pytest.raises(SplitError, match=complaint) as caught:
            read_splits(path, self.PAIRS)
        assert str(path) in str(caught.value)

    def test_other_content(self, tmp_path: Path) -> None:
        path = tmp_path / "splits.json"
        with pytest.raises(SplitError, match="does not exist"):
            read_splits(path, self.PAIRS)
        for text in ("{", "[]", '{"seed": 1, "protocol": "patient-grouped"}', "\xff"):
            path.write_text(text, encoding="latin-1")
            with pytest.raises(SplitError, match="is not a splits file"):
                read_splits(path, self.PAIRS)
        other = self._write(tmp_path, [{"test": ["A"]}, {"test": ["B"]}], protocol="random")
        with pytest.raises(SplitError, match="protocol 'random' is not known"):
            read_splits(other, self.PAIRS)

    def test_untrained_runs_have_one_fold_and_nothing_to_leak(self, tmp_path: Path) -> None:
        path = self._write(tmp_path, [{"test": ["A"]}], protocol="untrained")
        assert read_splits(path, self.PAIRS)["folds"] == [{"test": ["A"]}]
        path = self._write(tmp_path, [{"test": ["A"]}, {"test": ["X"]}])
        assert len(read_splits(path, None)["folds"]) == 2
