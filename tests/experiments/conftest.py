"""Runs that tests of several files read."""

from __future__ import annotations

import pytest

from xrano.training.run import Run


@pytest.fixture(scope="module")
def small_run(tiny_run: Run) -> Run:
    """The tiny run as if only its second fold had been trained."""
    splits = {**tiny_run.splits, "folds": [{"test": []}, tiny_run.splits["folds"][1]]}

    class OneFold(Run):
        trained_folds = (1,)

    return OneFold(tiny_run.root, tiny_run.config, tiny_run.store, splits)
