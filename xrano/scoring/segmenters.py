"""Does it matter whose segmentation is the reference? One source's scores against another's.

For every two sources of a table, :data:`~xrano.data.agreement.AGREEMENT` among them: the statistic
in the masks of the one less that in the masks of the other, over the pairs that have a value in
both, each against its own chance; and, for the relevance mass of the first target choice, the rank
correlation of value / chance over pairs (Spearman's, with ranks taken anew in every draw). A high
correlation with a difference says that the sources differ in outline, not in what they say of the
maps. Correlations are described, not tested: nobody doubts that they are above zero. Reference maps
and random-weight copies have differences too, untested: one as large as a method's says that the
masks differ, not what the method sees in them.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from xrano.scoring.cell_bootstrap import Draws, draw_patients, percentile_limits
from xrano.scoring.cell_table import CELL_COLUMNS, by_response, cell_table, with_q
from xrano.scoring.pair_values import OK, TRAINED, PairValues
from xrano.scoring.paired_methods import both_sides
from xrano.scoring.summary import PRIMARY_METRIC

RANK_CORRELATION = "rank_correlation"

_SAME = ["method", "target_choice", "region", "metric"]


def segmenter_analysis(
    values: PairValues, *, n_resamples: int = 2000, seed: int = 0
) -> pd.DataFrame:
    """Differences and rank correlations between sources, for every method, response and region.

    Returns:
        :data:`~xrano.scoring.cell_table.CELL_COLUMNS`; no rows if there is one source. The
        ``statistic`` of correlations, of the trained network's maps only, is ``rank_correlation``.
    """
    first, second = _sides(values.cells)
    sources = values.cells["segmentation_source"].to_numpy()
    words = values.cells.iloc[first].reset_index(drop=True)
    words = words.assign(against=words["method"], against_source=sources[second])
    table = cell_table(
        words,
        both_sides(values, first, second, own_chance=True),
        by_response(values),
        values.pairs,
        n_resamples=n_resamples,
        seed=seed,
    )
    if table.empty:
        return table
    draws = draw_patients(values.pairs, n_resamples=n_resamples, seed=seed)
    asked = words["metric"].eq(PRIMARY_METRIC) & words["kind"].eq(TRAINED)
    asked &= words["target_choice"].eq(next(iter(words["target_choice"][asked]), ""))
    chosen = np.flatnonzero(asked)
    correlations = _correlated(values, first[chosen], second[chosen], draws)
    keys = [*_SAME, "segmentation_source", "against_source", "response"]
    # What is counted is the same as for the difference.
    counted = table.merge(correlations, on=keys, suffixes=("_of_difference", ""))
    counted = counted.assign(statistic=RANK_CORRELATION, p=np.nan)
    return with_q(pd.concat([table, counted[list(CELL_COLUMNS)]], ignore_index=True))


def rank_correlations(
    first: NDArray[np.float64], second: NDArray[np.float64], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Spearman's correlation in each draw, tied values at their mean rank.

    Args:
        first: (pair,) values without NaN; infinite ones keep their rank.
        second: (pair,) likewise.
        weights: (draw, pair) how often each pair is there.

    Returns:
        (draw,) from −1 to 1; NaN where a side does not vary.

    Example:
        >>> weights = np.array([[1.0, 1.0, 1.0], [1.0, 2.0, 0.0]])
        >>> found = rank_correlations(np.array([1.0, 2.0, 3.0]), np.array([1.0, 9.0, 5.0]), weights)
        >>> found.round(9).tolist()
        [0.5, 1.0]
    """
    total = weights.sum(axis=1)
    sides = []
    for values in (first, second):
        ranks = _weighted_ranks(values, weights)
        with np.errstate(invalid="ignore", divide="ignore"):
            middle = np.einsum("dp,dp->d", weights, ranks) / total
        sides.append(ranks - middle[:, None])
    x, y = sides
    xx, yy, xy = (
        np.einsum("dp,dp,dp->d", weights, one, other) for one, other in ((x, x), (y, y), (x, y))
    )
    # Ranks of n pairs that differ have a variance of 1 / n at least, far above rounding.
    varies = (xx > 1e-9 * total) & (yy > 1e-9 * total)
    found = np.full(total.shape, np.nan)
    found[varies] = (xy[varies] / np.sqrt(xx[varies] * yy[varies])).clip(-1, 1)
    return found


def _weighted_ranks(
    values: NDArray[np.float64], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Mean rank of each pair in each draw, less a half: (draw, pair)."""
    _, of_pair = np.unique(values, return_inverse=True)
    order = np.argsort(of_pair, kind="stable")
    starts = np.flatnonzero(np.diff(of_pair[order], prepend=-1))
    tied = np.add.reduceat(weights[:, order], starts, axis=1)
    return np.asarray((np.cumsum(tied, axis=1) - tied / 2)[:, of_pair])


def _sides(cells: pd.DataFrame) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Indices of cells, and of the same cells in another source."""
    sources = list(dict.fromkeys(cells["segmentation_source"]))
    known = cells.assign(at=np.arange(len(cells)))
    found = [np.empty((0, 2), dtype=np.intp)]
    for one, other in itertools.combinations(sources, 2):
        mine = known[known["segmentation_source"] == one]
        theirs = known[known["segmentation_source"] == other]
        both = mine.merge(theirs, on=_SAME, suffixes=("", "_other"))
        found.append(both[["at", "at_other"]].to_numpy(dtype=np.intp))
    both_sides_of = np.concatenate(found)
    return both_sides_of[:, 0], both_sides_of[:, 1]


def _correlated(
    values: PairValues, first: NDArray[np.intp], second: NDArray[np.intp], draws: Draws
) -> pd.DataFrame:
    """Estimate and limits of each comparison and response that has pairs to correlate."""
    sources = values.cells["segmentation_source"].to_numpy()
    found: list[dict[str, Any]] = []
    for mine, other in zip(first, second, strict=True):
        words = values.cells.iloc[mine][_SAME].to_dict()
        words.update(segmentation_source=sources[mine], against_source=sources[other])
        there = (values.status[mine] == OK) & (values.status[other] == OK)
        for response, member in values.responses.items():
            both = there & member
            if both.any():
                limits = _correlation(values, mine, other, both, draws)
                found.append({**words, "response": response, **limits})
    columns = [*_SAME, "segmentation_source", "against_source", "response"]
    numbers = ["estimate", "low", "high", "n_resamples"]
    return pd.DataFrame(found, columns=[*columns, *numbers])


def _correlation(
    values: PairValues, first: int, second: int, both: NDArray[np.bool_], draws: Draws
) -> dict[str, Any]:
    mine, other = (values.value[at, both] / values.chance[at, both] for at in (first, second))
    drawn = rank_correlations(mine, other, draws.weights[:, draws.patient_of[both]])
    low, high, defined = percentile_limits(drawn[None, 1:])
    return {
        "estimate": drawn[0],
        "low": low[0],
        "high": high[0],
        "n_resamples": int(defined[0]),
    }
