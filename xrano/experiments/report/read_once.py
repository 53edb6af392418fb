"""A run whose tables are read once, however many cases ask for them."""

from __future__ import annotations

from functools import cached_property

import pandas as pd

from xrano.data.store import Store
from xrano.training.run import Run


class StoreReadOnce(Store):
    """A store whose tables are not to be changed by who gets them."""

    @cached_property
    def sessions(self) -> pd.DataFrame:
        """The sessions table."""
        return super().sessions

    @cached_property
    def pairs(self) -> pd.DataFrame:
        """The pairs table."""
        return super().pairs

    @cached_property
    def volumes(self) -> pd.DataFrame:
        """Volumes in ml."""
        return super().volumes


class RunReadOnce(Run):
    """A run whose tables are not to be changed by who gets them."""

    @cached_property
    def predictions(self) -> pd.DataFrame:
        """Out-of-fold predictions."""
        return super().predictions

    @cached_property
    def _pairs(self) -> pd.DataFrame:
        return super().pairs()

    def pairs(self) -> pd.DataFrame:
        """Pairs that have all sequences of the run's network."""
        return self._pairs


def read_once(run: Run) -> RunReadOnce:
    """The same run; tables are read when they are first asked for, and kept."""
    store = run.store
    kept = StoreReadOnce(store.root, store.grid, store.sequences, store.settings, store.statistics)
    return RunReadOnce(run.root, run.config, kept, run.splits)
