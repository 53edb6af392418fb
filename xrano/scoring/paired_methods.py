"""Paired differences between methods: the same pairs, the same masks, the same draws of patients.

Each method of the trained network is set against each other one, against the maps that need no
network (what a method must beat to have said more than that the scans differ, or that something
enhances), and against itself on random-weight copies of the network, where those were scored: its
gain, over all pairs and over those that the network rated right and wrong. A pair counts where both
sides have a value; where one has none the pair is undefined, by the reason of the first that lacks
it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from xrano.scoring.cell_bootstrap import Compared
from xrano.scoring.cell_table import by_rating, by_response, cell_table, joined, with_q
from xrano.scoring.pair_values import (
    COPIES,
    NO_ROW,
    OK,
    REFERENCE,
    TRAINED,
    PairValues,
)
from xrano.scoring.reference_maps import CHANGE

REFERENCES = (
    *(CHANGE, "enhancement", "training_mask", "edges", "centre", "input_difference", "mask"),
)
"""Maps without a network that methods are set against: all but the uniform one, which is chance.
``input_difference`` only where its baseline is the method's own, ``mask`` at the method's layer."""

_SAME_MASK = ["segmentation_source", "region", "metric"]
_SAME_TARGET = ["target_choice", *_SAME_MASK]


def paired_analysis(
    values: PairValues,
    *,
    references: Sequence[str] = REFERENCES,
    n_resamples: int = 2000,
    seed: int = 0,
) -> pd.DataFrame:
    """The statistic of a method less that of another, for every response, region and target.

    Args:
        values: of a score table.
        references: maps without a network that methods are set against, of :data:`REFERENCES`.
        n_resamples: resamples of patients.
        seed: of the resamples.

    Returns:
        :data:`~xrano.scoring.cell_table.CELL_COLUMNS`. Of two methods the one that stands first in
        the score table is ``method``; ``stratum`` is ``all`` pairs, and of gains also ``right`` and
        ``wrong``.
    """
    others = _against_others(values.cells, references)
    gains = against_copies(values.cells)
    each, rated = by_response(values), by_rating(values)
    parts = [
        cell_table(
            named_sides(values.cells, *sides),
            both_sides(values, *sides),
            groups,
            values.pairs,
            n_resamples=n_resamples,
            seed=seed,
        )
        for sides, groups in ((others, each), (gains, [*each, *rated]))
    ]
    return with_q(joined(parts))


def named_sides(
    cells: pd.DataFrame, first: NDArray[np.intp], second: NDArray[np.intp]
) -> pd.DataFrame:
    """(comparison,) the words of the first cells, and the methods that they are set against."""
    words = cells.iloc[first].reset_index(drop=True)
    against = cells["method"].to_numpy()[second]
    return words.assign(against=against, against_source=words["segmentation_source"])


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


def against_copies(cells: pd.DataFrame) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Indices of the network's cells, and of the same cells on its random-weight copies."""
    known = cells.assign(at=np.arange(len(cells)))
    trained, copies = (known[known["kind"] == kind] for kind in (TRAINED, COPIES))
    return _indices(trained.merge(copies, on=[*_SAME_TARGET, "base"], suffixes=("", "_other")))


def _against_others(
    cells: pd.DataFrame, references: Sequence[str]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Indices of the network's cells, and of those of other methods and of reference maps."""
    order = {method: at for at, method in enumerate(dict.fromkeys(cells["method"]))}
    known = cells.assign(at=np.arange(len(cells)), order=cells["method"].map(order))
    trained = known[known["kind"] == TRAINED]
    others = trained.merge(trained, on=_SAME_TARGET, suffixes=("", "_other"))
    others = others[others["order"] < others["order_other"]]
    asked = known[(known["kind"] == REFERENCE) & known["map"].isin(list(references))]
    against = trained.merge(asked, on=_SAME_MASK, suffixes=("", "_other"))
    for word in ("baseline", "layer"):
        own = against[f"{word}_other"].isin([""]) | (against[f"{word}_other"] == against[word])
        against = against[own]
    return _indices(pd.concat([others, against]))


def _indices(sides: pd.DataFrame) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    return sides["at"].to_numpy(dtype=np.intp), sides["at_other"].to_numpy(dtype=np.intp)
