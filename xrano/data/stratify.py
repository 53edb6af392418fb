"""Dividing patients into parts with equal shares of each response."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd


def stratified_groups(pairs: pd.DataFrame, n_parts: int, seed: int) -> list[set[str]]:
    """Divide the patients of a pairs table into parts, stratified by response.

    Args:
        pairs: a pairs table; the order of its rows does not matter.
        n_parts: 2 or more, and no more than there are patients.
        seed: of the shuffle.

    Returns:
        The patients of each part; no patient is in two parts. None is empty, since giving a
        patient to an empty part always evens the shares out most.
    """
    from sklearn.model_selection import StratifiedGroupKFold  # slow to import

    patients = pairs["patient_id"].to_numpy(dtype=object)
    response = np.unique(pairs["response"].to_numpy(dtype=str), return_inverse=True)[1]
    if np.bincount(response).max() < n_parts:
        # No class reaches every part, which scikit-learn refuses: there is nothing to stratify.
        response = np.zeros_like(response)
    splitter = StratifiedGroupKFold(n_parts, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        # "The least populated class ...": absent_classes tells which, and where.
        warnings.simplefilter("ignore", UserWarning)
        divided = list(splitter.split(np.zeros(len(patients)), response, patients))
    return [{str(patient) for patient in patients[part]} for _, part in divided]
