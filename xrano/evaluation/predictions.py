"""A table of predictions, checked, as arrays.

Columns: ``response`` and ``predicted`` (names of classes), ``patient_id``, and where they exist
``pair_id``, ``fold``, ``seed``, and ``logit_<class>`` for every class (any constant may be added to
a row, so log-probabilities will do; −inf is probability zero).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from xrano.errors import ManifestError, UnknownNameError
from xrano.rano import RESPONSES

CLASSES: tuple[str, ...] = tuple(str(response) for response in RESPONSES)
"""The classes unless told otherwise: CR, PR, SD, PD, from best to worst."""


def logit_columns(classes: Sequence[str] = CLASSES) -> list[str]:
    """Columns that hold the logits, in the order of the classes.

    Example:
        >>> logit_columns(("rest", "PD"))
        ['logit_rest', 'logit_PD']
    """
    return [f"logit_{name}" for name in classes]


LOGITS = logit_columns()
"""The logit columns of the four responses."""


@dataclass(frozen=True)
class Predictions:
    """Predictions of one arm for the pairs that every seed has.

    ``pair_ids`` and ``patients`` (pair,); ``truth`` (pair,) class index; ``predicted``
    (seed, pair) class index; ``logits`` (seed, pair, class), or None; ``folds`` (seed, pair), or
    None; ``seeds``: their names, empty if the table has no such column; ``n_left_out``: pairs that
    only some seeds have.
    """

    classes: tuple[str, ...]
    pair_ids: NDArray[Any]
    patients: NDArray[Any]
    truth: NDArray[np.intp]
    predicted: NDArray[np.intp]
    logits: NDArray[np.float64] | None
    folds: NDArray[Any] | None
    seeds: tuple[str, ...]
    n_left_out: int

    @property
    def present(self) -> list[int]:
        """Indices of the classes that occur."""
        return [int(index) for index in np.unique(self.truth)]

    def names(self, indices: NDArray[np.intp]) -> NDArray[Any]:
        """The names of class indices."""
        return np.asarray(self.classes)[indices]


def class_indices(names: Sequence[Any], classes: Sequence[str] = CLASSES) -> NDArray[np.intp]:
    """Index of each name in ``classes``.

    Raises:
        UnknownNameError: for a name that is no class.

    Example:
        >>> class_indices(["PD", "CR"]).tolist()
        [3, 0]
    """
    index = {str(name): number for number, name in enumerate(classes)}
    try:
        return np.array([index[str(name)] for name in names], dtype=np.intp)
    except KeyError as error:
        raise UnknownNameError("class", str(error.args[0]), classes) from None


def read_predictions(table: pd.DataFrame, classes: Sequence[str] = CLASSES) -> Predictions:
    """Check a table of predictions and turn it into arrays, pairs sorted by ``pair_id``.

    Raises:
        ManifestError: if there is no pair, a column is missing, a pair occurs twice in a seed, its
            response or patient differs between seeds, or logits are incomplete.
        UnknownNameError: if a response or prediction is none of the classes.
    """
    table = _with_keys(table)
    count = table["pair_id"].map(table["pair_id"].value_counts())
    seeds = sorted(table["seed"].unique(), key=_natural)
    whole = table[count == len(seeds)]
    if whole.empty:
        raise ManifestError(f"no pair was predicted under each of the {len(seeds)} seeds")
    order = {seed: number for number, seed in enumerate(seeds)}
    whole = whole.assign(_order=whole["seed"].map(order)).sort_values(
        ["_order", "pair_id"], kind="stable"
    )
    shape = (len(seeds), len(whole) // len(seeds))
    first = whole.iloc[: shape[1]]
    _refuse_contradiction(whole, shape)
    return Predictions(
        classes=tuple(str(name) for name in classes),
        pair_ids=first["pair_id"].to_numpy(),
        patients=first["patient_id"].astype(str).to_numpy(),
        truth=class_indices(list(first["response"]), classes),
        predicted=class_indices(list(whole["predicted"]), classes).reshape(shape),
        logits=_logits(whole, classes, shape),
        folds=whole["fold"].to_numpy().reshape(shape) if "fold" in whole else None,
        seeds=() if seeds == [""] else tuple(str(seed) for seed in seeds),
        n_left_out=table["pair_id"].nunique() - shape[1],
    )


def _natural(seed: Any) -> tuple[bool, Any]:
    """Numbers by size before words."""
    return (True, seed) if isinstance(seed, str) else (False, seed)


def _with_keys(table: pd.DataFrame) -> pd.DataFrame:
    """The table with ``pair_id`` and ``seed``, each pair once a seed."""
    if table.empty:
        raise ManifestError("there is no rated pair to evaluate")
    missing = [
        name for name in ("patient_id", "response", "predicted") if name not in table.columns
    ]
    if missing:
        raise ManifestError(
            f"predictions need the columns patient_id, response and predicted; "
            f"missing: {', '.join(missing)}"
        )
    if "seed" not in table:
        table = table.assign(seed="")
    if "pair_id" not in table:
        # Without names the rows themselves are the pairs, zero-padded to keep their order.
        table = table.assign(pair_id=[f"{row:08d}" for row in range(len(table))])
    twice = table.duplicated(["seed", "pair_id"])
    if twice.any():
        raise ManifestError(
            f"pair {table.loc[twice, 'pair_id'].iloc[0]} occurs more than once among the "
            f"predictions; each pair is predicted once (by the fold that tests it), or once a "
            f"seed with a column seed"
        )
    return table


def _refuse_contradiction(whole: pd.DataFrame, shape: tuple[int, int]) -> None:
    for name in ("response", "patient_id"):
        values = whole[name].astype(str).to_numpy().reshape(shape)
        differs = (values != values[0]).any(axis=0)
        if differs.any():
            pair = int(np.flatnonzero(differs)[0])
            raise ManifestError(
                f"pair {whole['pair_id'].iloc[pair]} has different {name} values in different "
                f"seeds: {', '.join(sorted(set(values[:, pair])))}"
            )


def _logits(
    whole: pd.DataFrame, classes: Sequence[str], shape: tuple[int, int]
) -> NDArray[np.float64] | None:
    columns = logit_columns(classes)
    found = [name for name in columns if name in whole and not whole[name].isna().all()]
    if not found:
        return None
    values = whole.reindex(columns=columns).to_numpy(dtype=np.float64)
    bad = np.isnan(values) | (values == np.inf)
    bad[:, 0] |= (values == -np.inf).all(axis=1)
    if bad.any():
        row = int(np.flatnonzero(bad.any(axis=1))[0])
        raise ManifestError(
            f"predictions need a logit of every class ({', '.join(columns)}) for every pair, or "
            f"none at all; pair {whole['pair_id'].iloc[row]} has {values[row].tolist()}"
        )
    return values.reshape(*shape, len(columns))
