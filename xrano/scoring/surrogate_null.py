"""The scores of one map against surrogates of it: as smooth, with the same values, elsewhere.

On request only, since each surrogate takes a Fourier transform of twice the brain along each axis.
What the null can and cannot say stands in :mod:`xrano.metrics.surrogates`: maps that favour the
middle or the rim in every patient fool it as they fool translations.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xrano.metrics.catalogue import METRICS, OverlapStatus, status_of
from xrano.metrics.nulls import against_null, undefined_null
from xrano.metrics.ranked import RankedMap
from xrano.metrics.surrogates import surrogate_maps
from xrano.scoring.null_table import null_row, score_keys
from xrano.scoring.pair_masks import Cell, PairMasks
from xrano.scoring.rows import SeenMap, primary_cell

NULL = "surrogate"


def surrogate_rows(
    seen: SeenMap,
    case: PairMasks,
    *,
    n_surrogates: int,
    chosen: Callable[[Cell], bool] = primary_cell,
) -> list[dict[str, Any]]:
    """Every score by ranks of a map against its surrogates, with p = (1 + b) / (1 + B).

    Args:
        seen: the map.
        case: the masks.
        n_surrogates: B, at least 1; with fewer than 19 there is no p.
        chosen: which masks; those of the primary region if not given.

    Returns:
        A row a mask and metric of :data:`~xrano.metrics.catalogue.METRICS`, with the columns of
        ``nulls.csv`` but ``p_bh``. A map that is constant in the brain has no surrogate: B is 0.

    Raises:
        ConfigError: if no surrogate is asked for.
    """
    masks = {cell: case.positions[cell] for cell in filter(chosen, case.cells)}
    defined: dict[tuple[Cell, str], list[float]] = {}
    undefined: dict[tuple[Cell, str], OverlapStatus] = {}
    for cell, positions in masks.items():
        for name in METRICS:
            status = status_of(name, seen.ranked.within(positions), case.least_voxels)
            if status == OverlapStatus.OK:
                defined[cell, name] = []
            else:
                undefined[cell, name] = status
    if defined:
        for surrogate in _surrogates(seen, case, n_surrogates):
            inside = {cell: surrogate.within(positions) for cell, positions in masks.items()}
            for (cell, name), values in defined.items():
                values.append(METRICS[name].score(inside[cell]))
    rows = []
    for cell, positions in masks.items():
        for name, metric in METRICS.items():
            null = (
                against_null(
                    metric.score(seen.ranked.within(positions)),
                    defined[cell, name],
                    null=NULL,
                    higher_is_better=metric.higher_is_better,
                )
                if (cell, name) in defined
                else undefined_null(NULL, undefined[cell, name])
            )
            rows.append(null_row(score_keys(seen, cell, name), null))
    return rows


def surrogate_seed(facts: Mapping[str, Any]) -> int:
    """The seed of a map's surrogates: from its pair and method, target and layer included.

    A map has the same surrogates wherever it is scored, and no two maps share theirs.
    """
    named = ("pair_id", "method", "baseline", "layer", "target")
    digest = hashlib.sha256("\n".join(str(facts[name]) for name in named).encode()).digest()
    return int.from_bytes(digest[:8], "big")


def _surrogates(seen: SeenMap, case: PairMasks, n_surrogates: int) -> Iterator[RankedMap]:
    values: NDArray[np.floating[Any]] = seen.ranked.values
    if values.min() == values.max():
        return
    volume = np.zeros(case.domain.shape, dtype=np.float32)
    volume[case.domain] = values
    seed = surrogate_seed(seen.facts)
    for item in surrogate_maps(volume, case.domain, n_surrogates=n_surrogates, seed=seed):
        yield RankedMap(item[case.domain], case.domain)
