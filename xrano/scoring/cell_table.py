"""The one scheme of all exploratory tables: a row a cell and group of pairs, tested together."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from xrano.metrics.multiplicity import benjamini_hochberg
from xrano.scoring.cell_bootstrap import (
    EXCESS,
    LOG2_LIFT,
    Compared,
    cell_estimates,
    draw_patients,
)
from xrano.scoring.pair_values import OK, STATUSES, TRAINED, PairValues
from xrano.scoring.summary import ALL, DESCRIPTIVE_BELOW, PRIMARY_METRIC, UNRATED

RIGHT, WRONG = "right", "wrong"
"""Strata of the pairs that the network rated as they are rated, and of the others."""

CHANCE = "chance"
"""What a method is held against where it is against no other."""

STATUS_COUNTS = tuple(f"n_{name}" for code, name in enumerate(STATUSES) if code != OK)

CELL_COLUMNS = (
    *("response", "method", "against", "target_choice", "segmentation_source", "against_source"),
    *("region", "stratum", "metric", "statistic", "estimate", "low", "high", "p", "q"),
    *("n_patients", "n_pairs", "n_undefined", *STATUS_COUNTS, "descriptive"),
    *("mean_value", "mean_chance", "mean_against", "n_resamples"),
)
"""Columns of every exploratory table. ``method`` is held ``against`` chance, another method, or
itself in the masks of ``against_source``; ``stratum`` says which pairs of the response;
``estimate`` is the ``statistic`` of the method, less that of the other side, with 95 % limits;
``q`` is ``p`` by Benjamini and Hochberg over the whole table. Neither exists for a descriptive
cell (fewer than ten patients), nor where nothing is tested: a reference map or a random-weight
copy by itself."""

CELL_NUMBERS = (
    *("estimate", "low", "high", "p", "q", "mean_value", "mean_chance", "mean_against"),
)
CELL_COUNTS = ("n_patients", "n_pairs", "n_undefined", *STATUS_COUNTS, "n_resamples")
CELL_FLAGS = ("descriptive",)


@dataclass(frozen=True, eq=False)
class Group:
    """Pairs that are looked at together.

    Attributes:
        response: their response, or ``all``.
        stratum: which of the response's pairs.
        member: (pair,) whether each belongs.
    """

    response: str
    stratum: str
    member: NDArray[np.bool_]


def by_response(values: PairValues) -> list[Group]:
    """All pairs of each response, and of all."""
    return [Group(response, ALL, member) for response, member in values.responses.items()]


def by_rating(values: PairValues) -> list[Group]:
    """The pairs of each response, and of all, that the network rated right and wrong."""
    return [
        Group(response, name, member & rated)
        for response, member in values.responses.items()
        if response != UNRATED
        for name, rated in ((RIGHT, values.right), (WRONG, ~values.right))
    ]


def chance_words(cells: pd.DataFrame) -> pd.DataFrame:
    """The words of cells whose method is held against chance, and ``kind``."""
    return cells.assign(against=CHANCE, against_source=cells["segmentation_source"])


def cell_table(
    words: pd.DataFrame,
    compared: Compared,
    groups: Iterable[Group],
    pairs: pd.DataFrame,
    *,
    n_resamples: int,
    seed: int,
) -> pd.DataFrame:
    """A row for each cell and group in which a pair was scored.

    Args:
        words: (cell,) the columns that name it, and ``kind``.
        compared: its values.
        groups: of pairs.
        pairs: (pair,) ``patient_id`` and ``response``.
        n_resamples: of patients; the same draws for all cells and groups.
        seed: of the draws.

    Returns:
        :data:`CELL_COLUMNS`, without ``q``: :func:`with_q` adds it once a table is whole.
    """
    if words.empty or pairs.empty:
        return pd.DataFrame(columns=list(CELL_COLUMNS))
    draws = draw_patients(pairs, n_resamples=n_resamples, seed=seed)
    statistic = np.where(words["metric"] == PRIMARY_METRIC, LOG2_LIFT, EXCESS).astype(object)
    parts = []
    for group in groups:
        cells = np.flatnonzero((compared.status[:, group.member] >= 0).any(axis=1))
        if not cells.size:
            continue
        found = cell_estimates(compared.of(cells), statistic[cells], group.member, draws)
        named = words.iloc[cells].assign(
            response=group.response, stratum=group.stratum, statistic=statistic[cells]
        )
        parts.append(pd.concat([named.reset_index(drop=True), found], axis=1))
    if not parts:
        return pd.DataFrame(columns=list(CELL_COLUMNS))
    table = pd.concat(parts, ignore_index=True)
    table["descriptive"] = table["n_patients"] < DESCRIPTIVE_BELOW
    tested = ~table["descriptive"] & (table["kind"] == TRAINED)
    table["p"] = table["p"].where(tested)
    return table.reindex(columns=list(CELL_COLUMNS))


def joined(parts: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Tables of :func:`cell_table` as one; empty ones, whose columns have no type, are left out."""
    whole = [part for part in parts if len(part)]
    if not whole:
        return pd.DataFrame(columns=list(CELL_COLUMNS))
    return pd.concat(whole, ignore_index=True)


def with_q(table: pd.DataFrame) -> pd.DataFrame:
    """The same with ``q``: every p of the table taken together."""
    return table.assign(q=benjamini_hochberg(table["p"].to_numpy(dtype=np.float64)))
