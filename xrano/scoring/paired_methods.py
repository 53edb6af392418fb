"""Paired differences between methods: the same pairs, the same masks, the same draws of patients.

Each method of the trained network is set against each other one, against ``change`` (|current −
prior|, what a method must beat to have said more than that the scans differ), and against itself on
random-weight copies of the network, where those were scored. A pair counts where both sides have a
value; where one has none the pair is undefined, by the reason of the first that lacks it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from xrano.scoring.cell_bootstrap import Compared
from xrano.scoring.cell_table import by_response, cell_table, with_q
from xrano.scoring.pair_values import (
    COPIES,
    NO_ROW,
    OK,
    REFERENCE,
    TRAINED,
    PairValues,
)
from xrano.scoring.reference_maps import CHANGE

_SAME_MASK = ["segmentation_source", "region", "metric"]
_SAME_TARGET = ["target_choice", *_SAME_MASK]


def paired_analysis(
    values: PairValues,
    *,
    references: Sequence[str] = (CHANGE,),
    n_resamples: int = 2000,
    seed: int = 0,
) -> pd.DataFrame:
    """The statistic of a method less that of another, for every response, region and target.

    Args:
        values: of a score table.
        references: maps without a network that methods are set against.
        n_resamples: resamples of patients.
        seed: of the resamples.

    Returns:
        :data:`~xrano.scoring.cell_table.CELL_COLUMNS`. Of two methods the one that stands first in
        the score table is ``method``.
    """
    sides = _sides(values.cells, references)
    first, second = sides["first"].to_numpy(), sides["second"].to_numpy()
    words = values.cells.iloc[first].reset_index(drop=True)
    words = words.assign(
        against=values.cells["method"].to_numpy()[second],
        against_source=words["segmentation_source"],
    )
    table = cell_table(
        words,
        both_sides(values, first, second),
        by_response(values),
        values.pairs,
        n_resamples=n_resamples,
        seed=seed,
    )
    return with_q(table)


def both_sides(
    values: PairValues,
    first: NDArray[np.intp],
    second: NDArray[np.intp],
    *,
    own_chance: bool = False,
) -> Compared:
    """Cells against other cells, over the pairs that both have.

    Args:
        values: of a score table.
        first: (comparison,) indices of cells.
        second: (comparison,) those that they are set against.
        own_chance: whether the sides' masks, and so their chances, differ.
    """
    mine, other = values.status[first], values.status[second]
    status = np.where(mine != OK, mine, other)
    status[(mine == NO_ROW) | (other == NO_ROW)] = NO_ROW
    return Compared(
        values.value[first],
        values.chance[first],
        status,
        values.value[second],
        values.chance[second] if own_chance else None,
    )


def _sides(cells: pd.DataFrame, references: Sequence[str]) -> pd.DataFrame:
    """Pairs of cells, ``first`` and ``second``, by their indices."""
    order = {method: at for at, method in enumerate(dict.fromkeys(cells["method"]))}
    known = cells.assign(at=np.arange(len(cells)), order=cells["method"].map(order))
    trained = known[known["kind"] == TRAINED]
    others = trained.merge(trained, on=_SAME_TARGET, suffixes=("", "_other"))
    others = others[others["order"] < others["order_other"]]
    asked = known[(known["kind"] == REFERENCE) & known["method"].isin(list(references))]
    against = trained.merge(asked, on=_SAME_MASK, suffixes=("", "_other"))
    copies = known[known["kind"] == COPIES]
    itself = trained.merge(copies, on=[*_SAME_TARGET, "base"], suffixes=("", "_other"))
    found = pd.concat([others, against, itself])[["at", "at_other"]].astype(np.intp)
    return found.rename(columns={"at": "first", "at_other": "second"})
