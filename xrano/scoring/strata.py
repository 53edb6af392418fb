"""Lesion-size strata: lifts and gains again, for pairs with small and large tumours apart.

The size of a pair is the volume of its core (of the whole tumour where the segmentation tells no
core) on the scan on which it is larger: the sum of ``lesions.csv`` for that scan. The union's own
volume stands in no table; it lies between this and the sum of both scans, and is this where the
tumour of one scan lies inside that of the other. One source sizes the pairs for all sources, so
that a stratum is the same pairs everywhere.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from xrano.data.agreement import AGREEMENT
from xrano.errors import ConfigError, UnknownNameError
from xrano.metrics.catalogue import OverlapStatus
from xrano.scoring.cell_bootstrap import Compared
from xrano.scoring.cell_table import (
    CELL_COLUMNS,
    CELL_NUMBERS,
    Group,
    cell_table,
    chance_words,
    joined,
    with_q,
)
from xrano.scoring.pair_values import PairValues
from xrano.scoring.paired_methods import against_copies, both_sides, named_sides

UNSIZED = "unsized"
"""Pairs whose segmentation lacks a scan."""

STRATA_COLUMNS = (*CELL_COLUMNS, "from_ml", "to_ml")
"""Columns of ``strata.csv``: a stratum holds pairs of more than ``from_ml`` and at most ``to_ml``;
both are NaN for pairs of unknown size."""

STRATA_NUMBERS = (*CELL_NUMBERS, "from_ml", "to_ml")

_NOT_TOLD = (str(OverlapStatus.NO_SEGMENTATION), str(OverlapStatus.REGION_NOT_LABELLED))


def strata_analysis(
    values: PairValues,
    sizes: pd.Series,
    *,
    bounds_ml: Sequence[float] | None = None,
    n_resamples: int = 2000,
    seed: int = 0,
) -> pd.DataFrame:
    """The statistic of every map in each stratum, against the unions of both scans.

    Args:
        values: of a score table.
        sizes: of :func:`pair_sizes`.
        bounds_ml: rising bounds between the strata; the terciles of the pairs with a lesion if not
            given.
        n_resamples: resamples of patients.
        seed: of the resamples.

    Returns:
        :data:`STRATA_COLUMNS`: every method, reference map and random-weight copy ``against``
        chance, then every method ``against`` its copies (its gain).

    Raises:
        ConfigError: if the bounds do not rise or are not positive.
    """
    of_pair = values.pairs["pair_id"].map(sizes).to_numpy(dtype=np.float64)
    edges = size_edges(of_pair, bounds_ml)
    union = values.cells["region"].str.endswith("/union").to_numpy()
    cells = np.flatnonzero(union)
    own, copies = (side[union[side]] for side in against_copies(values.cells))
    strata = _strata(of_pair, edges)
    groups = [
        Group(response, name, of_response & member)
        for response, of_response in values.responses.items()
        for name, member, _, _ in strata
    ]
    parts = [
        cell_table(words, compared, groups, values.pairs, n_resamples=n_resamples, seed=seed)
        for words, compared in (
            (
                chance_words(values.cells.iloc[cells].reset_index(drop=True)),
                Compared(values.value, values.chance, values.status).of(cells),
            ),
            (named_sides(values.cells, own, copies), both_sides(values, own, copies)),
        )
    ]
    table = joined(parts)
    limits = {name: (low, high) for name, _, low, high in strata}
    for at, column in enumerate(("from_ml", "to_ml")):
        table[column] = [limits[name][at] for name in table["stratum"]]
    return with_q(table)


def pair_sizes(
    rows: pd.DataFrame, lesions: pd.DataFrame, *, source: str | None = None
) -> pd.Series:
    """The volume of each pair's tumour on the scan on which it is larger.

    Args:
        rows: a score table, which tells pairs without a lesion from those without a segmentation.
        lesions: the table of lesions beside it.
        source: whose segmentation; the first in the score table if not given.

    Returns:
        pair_id to ml: 0 where both scans are segmented and no lesion is large enough to be listed;
        pairs without a size are not in it.

    Raises:
        UnknownNameError: if there are no masks of the source asked for.
    """
    sources = [name for name in dict.fromkeys(rows["segmentation_source"]) if name]
    if source is not None and source not in sources:
        raise UnknownNameError("segmentation source", source, sources)
    source = source or next((name for name in sources if name != AGREEMENT), "")
    unions = rows["region"].isin(["core/union", "whole/union"]) & ~rows["status"].isin(_NOT_TOLD)
    segmented = rows.loc[unions & (rows["segmentation_source"] == source), "pair_id"].unique()
    listed = lesions[lesions["segmentation_source"] == source]
    larger = listed.groupby("pair_id")[["prior_ml", "current_ml"]].sum().max(axis=1)
    return larger.reindex(segmented).fillna(0.0).rename("ml")


def size_edges(sizes: NDArray[np.float64], bounds_ml: Sequence[float] | None = None) -> list[float]:
    """Bounds between strata in ml: those given, or the terciles of the sizes above 0.

    Raises:
        ConfigError: if the bounds do not rise or are not positive.

    Example:
        >>> size_edges(np.array([0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, np.nan]))
        [3.0, 5.0]
    """
    if bounds_ml is None:
        sized = sizes[sizes > 0]
        terciles = np.quantile(sized, [1 / 3, 2 / 3]) if sized.size else np.array([])
        return sorted({float(bound) for bound in terciles})
    edges = [float(bound) for bound in bounds_ml]
    rising = all(low < high < math.inf for low, high in itertools.pairwise([0.0, *edges]))
    if not edges or not rising:
        raise ConfigError(f"size strata need rising bounds above 0 ml, got {edges}")
    return edges


def _strata(
    sizes: NDArray[np.float64], edges: Sequence[float]
) -> list[tuple[str, NDArray[np.bool_], float, float]]:
    """Name, pairs, and limits in ml of each stratum."""
    bounds = [0.0, *edges, math.inf]
    found = []
    for at, (low, high) in enumerate(itertools.pairwise(bounds)):
        # A pair without a lesion is as small as any.
        member = (sizes <= high) & ((sizes > low) | (at == 0))
        found.append((_named(low, high), member, low, high))
    return [*found, (UNSIZED, np.isnan(sizes), math.nan, math.nan)]


def _named(low: float, high: float) -> str:
    if math.isinf(high):
        return f"over {low:.3g} ml" if low else "any size"
    return f"{low:.3g} to {high:.3g} ml" if low else f"up to {high:.3g} ml"
