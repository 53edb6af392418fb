"""The rows that every predictions table has, and what the tables of pairs must hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from xrano.errors import ManifestError, SplitError
from xrano.tasks import Task

ROW_COLUMNS = ("pair_id", "patient_id", "fold", "response", "rating_source")
_SESSIONS = ("prior_session", "current_session", "prior_week", "current_week")


def prediction_rows(test: pd.DataFrame, task: Task) -> pd.DataFrame:
    """The tested pairs in their order, ``response`` as a class of the task.

    Args:
        test: pair_id, patient_id, fold, response and, if there, rating_source.
        task: what is asked.

    Returns:
        :data:`ROW_COLUMNS`, a new table numbered from 0.
    """
    rows = test.reindex(columns=list(ROW_COLUMNS), fill_value="").reset_index(drop=True)
    rows["response"] = [task.class_of(str(response)) for response in rows["response"]]
    return rows


def rated_training(training: pd.DataFrame, task: Task) -> pd.DataFrame:
    """The rated training pairs by ``pair_id``, so that their order cannot matter, with classes."""
    rated = training[training["response"] != ""].sort_values("pair_id", ignore_index=True)
    return rated.assign(response=[task.class_of(str(response)) for response in rated["response"]])


def check_tables(test: pd.DataFrame, training: Mapping[int, pd.DataFrame]) -> None:
    """Refuse tables that lack what references need, and training pairs that are tested.

    Raises:
        ManifestError: if a column, a fold or every rated pair of it is missing, or a pair is
            tested twice.
        SplitError: if a pair is trained on and tested in one fold.
    """
    _require("test pairs", test, ("pair_id", "patient_id", "fold", "response", *_SESSIONS))
    twice = test["pair_id"][test["pair_id"].duplicated()]
    if len(twice):
        raise ManifestError(f"the test pairs hold {twice.iloc[0]} twice; each is tested once")
    for fold in sorted(set(test["fold"])):
        if fold not in training:
            raise ManifestError(
                f"fold {fold} has test pairs but no training pairs; there are folds "
                f"{', '.join(map(str, sorted(training))) or 'none'}"
            )
        pairs = training[fold]
        name = f"training pairs of fold {fold}"
        _require(name, pairs, ("pair_id", "patient_id", "response", *_SESSIONS))
        if not (pairs["response"] != "").any():
            raise ManifestError(f"the {name} hold no rated pair; nothing can be learned from them")
        both = sorted(set(pairs["pair_id"]) & set(test.loc[test["fold"] == fold, "pair_id"]))
        if both:
            raise SplitError(
                f"fold {fold} trains on pairs that it tests: {', '.join(both[:5])}; leave them out"
            )


def _require(name: str, table: pd.DataFrame, columns: Sequence[str]) -> None:
    missing = [column for column in columns if column not in table]
    if missing:
        raise ManifestError(f"the {name} lack the columns {', '.join(missing)}")
