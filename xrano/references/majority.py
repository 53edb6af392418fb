"""The commonest class: what a reference without any data would say."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from xrano.references.prediction_rows import prediction_rows, rated_training
from xrano.tasks import RESPONSE, Task


def majority_predictions(
    test: pd.DataFrame, training: Mapping[int, pd.DataFrame], task: Task = RESPONSE
) -> pd.DataFrame:
    """Each pair gets the commonest class of its fold's training pairs.

    At equal counts it is the class that comes first in the task. There are no logits: within a
    fold every pair would have the same, and between folds they would only tell the folds apart.

    Args:
        test: the tested pairs: pair_id, patient_id, fold, response.
        training: fold to its training pairs; unrated ones do not count.
        task: what is asked.

    Returns:
        One row a tested pair, in their order, with ``predicted``.

    Example:
        >>> test = pd.DataFrame({"pair_id": ["a"], "patient_id": ["P"], "fold": [0],
        ...                      "response": ["SD"]})
        >>> training = {0: pd.DataFrame({"pair_id": ["b", "c"], "response": ["PD", "PD"]})}
        >>> majority_predictions(test, training)["predicted"].item()
        'PD'
    """
    common = {}
    for fold in sorted(set(test["fold"])):
        counts = rated_training(training[fold], task)["response"].value_counts()
        common[fold] = max(task.classes, key=lambda name: int(counts.get(name, 0)))
    rows = prediction_rows(test, task)
    return rows.assign(predicted=[common[fold] for fold in rows["fold"]])
