"""Runs, and maps made of them, that tests of several files read."""

from __future__ import annotations

import numpy as np
import pytest
from explained_cases import METHODS, QUICK
from native_cohort import to_common

from xrano.data.pair_volumes import PairVolumes, load_pair
from xrano.experiments.explained_pairs import explain_pairs
from xrano.training.run import Run


@pytest.fixture(scope="module")
def small_run(tiny_run: Run) -> Run:
    """The tiny run as if only its second fold had been trained."""
    splits = {**tiny_run.splits, "folds": [{"test": []}, tiny_run.splits["folds"][1]]}

    class OneFold(Run):
        trained_folds = (1,)

    return OneFold(tiny_run.root, tiny_run.config, tiny_run.store, splits)


@pytest.fixture(scope="module")
def pair(tiny_run: Run) -> PairVolumes:
    """The first held-out pair of the tiny run."""
    pair_id = tiny_run.predictions["pair_id"].iloc[0]
    return load_pair(tiny_run.store, tiny_run.pair(pair_id), tiny_run.layout)


@pytest.fixture(scope="module")
def matrix(pair: PairVolumes) -> np.ndarray:
    """From the scanner's world to the store's: some degrees, and 40 mm to one side."""
    shift = np.eye(4)
    shift[:3, 3] = 40.0, -15.0, 22.0
    return to_common(pair.patient_id, pair.current_session, "CT1") @ shift


@pytest.fixture(scope="module")
def some(tiny_run: Run) -> list[str]:
    """A test pair of each trained fold, and another one."""
    table = tiny_run.predictions
    first = [table[table["fold"] == fold]["pair_id"].iloc[0] for fold in (0, 1)]
    return [*first, table[table["fold"] == 1]["pair_id"].iloc[-1]]


@pytest.fixture(scope="module")
def explained(tiny_run: Run, some: list[str], tmp_path_factory: pytest.TempPathFactory):
    """A folder with the maps of these pairs, and their panels. Not to be changed."""
    out = tmp_path_factory.mktemp("explained")
    panels = explain_pairs(tiny_run, some, METHODS, out, settings=QUICK)
    return out, panels
