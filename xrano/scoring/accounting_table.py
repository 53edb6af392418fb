"""Where all of each map's relevance goes: ``accounting.csv``.

Each voxel of the store's grid belongs to one part (:mod:`xrano.metrics.accounting`): tumour parts
of either scan, the brain's edge, grey or white matter by MNI152's priors, other brain, outside the
brain. Shares of one map add up to 1, and so do the expected ones, those of a uniform map.

Of the tissues that both scans hold at a voxel the first in :data:`TUMOUR_PARTS` counts, whichever
scan it is of: enhancing tumour that has become oedema is enhancing. The current scan first would
hide what vanished, which is what a map of a complete response should show. So the parts are those
of the scored regions: divided by 1 − outside, the share of ``enhancing`` is the relevance mass
accuracy of enhancing/union, with ``necrosis`` that of core/union, with ``oedema`` (and ``lesion``)
that of whole/union.

``status`` says what there is not:

* ``no_segmentation``: one of the scans is not segmented, so that nothing can be divided;
* ``no_priors``: the store does not lie in the world of MNI152. Grey and white matter are then part
  of ``other_brain``, and their own rows have no share;
* ``zero_map``: no relevance anywhere.

A part that the label scheme does not have has no row.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from xrano.data.label_schemes import Tissue, label_scheme
from xrano.data.tissue_priors import GREY, WHITE, TissuePriors
from xrano.geometry import Grid, require_same_grid
from xrano.metrics.accounting import (
    EDGE,
    NO_TISSUES,
    OTHER,
    OUTSIDE,
    BrainParts,
    account_ranked,
    brain_edge,
    divide,
)
from xrano.metrics.catalogue import OverlapScore, OverlapStatus
from xrano.scoring.pair_masks import PairSegmentation
from xrano.scoring.rows import SeenMap
from xrano.types import Labels, Mask

TUMOUR_PARTS = (Tissue.ENHANCING, Tissue.NECROSIS, Tissue.OEDEMA, Tissue.LESION, Tissue.CAVITY)
"""In order of precedence."""

NO_PRIORS = "no_priors"

PARTS = (*map(str, TUMOUR_PARTS), EDGE, GREY, WHITE, OTHER, OUTSIDE)
"""All parts that a row can be about, in order of precedence."""

ACCOUNTING_COLUMNS = (
    *("run", "weights", "fold", "pair_id", "patient_id", "response", "predicted", "target"),
    *("target_choice", "method", "layer", "baseline", "reduction", "rectification"),
    *("spans_surgery", "segmentation_source", "part", "share", "expected", "status"),
)
"""Columns of the table. ``share`` and ``expected`` are NaN where ``status`` says why."""


@dataclass(frozen=True, eq=False)
class PairParts:
    """The parts of one pair, for all of its maps.

    Attributes:
        parts: segmentation source to parts, ``None`` if a scan is not segmented.
        with_priors: whether grey and white matter are told apart.
    """

    parts: Mapping[str, BrainParts | None]
    with_priors: bool


def pair_parts(
    grid: Grid,
    domain: Mask,
    segmentations: Mapping[str, PairSegmentation],
    priors: TissuePriors | None,
) -> PairParts:
    """The parts of a pair by each of its segmentations.

    Args:
        grid: of all that follows.
        domain: (i, j, k) boolean: the brain.
        segmentations: source to labels of both scans and their scheme.
        priors: of grey and white matter (:func:`xrano.data.tissue_priors.store_priors`), if the
            grid lies in the world of MNI152.

    Raises:
        GridMismatchError: if something lies on another grid.
        UnknownNameError: for an unknown scheme.
        VolumeError: if the brain is empty or not boolean.
    """
    if priors is not None:
        require_same_grid(grid, priors.grid, a_name="the pair", b_name="the tissue priors")
    tissues = NO_TISSUES if priors is None else priors.tissues
    edge = {EDGE: brain_edge(domain, grid.spacing)}
    found: dict[str, BrainParts | None] = {}
    for source, (prior, current, scheme) in segmentations.items():
        found[source] = None
        if prior is not None and current is not None:
            tumour = tumour_parts(prior, current, scheme)
            found[source] = divide(domain, {**tumour, **edge}, tissues)
    return PairParts(found or {"": None}, priors is not None)


def tumour_parts(prior: Labels, current: Labels, scheme: str) -> dict[str, Mask]:
    """Exclusive masks (i, j, k) of the tissues of either scan, those that the scheme names.

    Raises:
        UnknownNameError: for an unknown scheme.

    Example:
        >>> prior, current = np.array([[[1, 2, 0, 0]]]), np.array([[[3, 3, 3, 0]]])
        >>> found = tumour_parts(prior, current, "lumiere-deepbratumia")
        >>> {name: mask.ravel().astype(int).tolist() for name, mask in found.items()}
        {'enhancing': [1, 0, 0, 0], 'necrosis': [0, 1, 0, 0], 'oedema': [0, 0, 1, 0]}
    """
    named = label_scheme(scheme)
    kept = [tissue for tissue in TUMOUR_PARTS if tissue in named.values()]
    # Labels are 0 to 255; those without a tissue rank last.
    ranks = np.full(256, len(kept), dtype=np.uint8)
    for label, tissue in named.items():
        ranks[label] = kept.index(tissue)
    rank = np.minimum(ranks[prior], ranks[current])
    return {str(tissue): np.asarray(rank == place) for place, tissue in enumerate(kept)}


def accounting_rows(seen: SeenMap, parts: PairParts) -> list[dict[str, Any]]:
    """The shares of one map, a row a segmentation and part.

    Args:
        seen: the map, ranked in the brain of the pair. What lies outside it was summed before.
        parts: of the pair.

    Raises:
        GridMismatchError: if the map was ranked in another brain.
    """
    rows = []
    for source, of_source in parts.parts.items():
        shares = _shares(seen, of_source, with_priors=parts.with_priors)
        for part in (part for part in PARTS if part in shares):
            score, status = shares[part]
            row = {
                **seen.facts,
                "segmentation_source": source,
                "part": part,
                "share": score.value,
                "expected": score.chance,
                "status": status,
            }
            rows.append({column: row[column] for column in ACCOUNTING_COLUMNS})
    return rows


def _shares(
    seen: SeenMap, parts: BrainParts | None, *, with_priors: bool
) -> dict[str, tuple[OverlapScore, str]]:
    """Part to its share and status."""
    nothing = OverlapScore(math.nan, math.nan, OverlapStatus.NO_SEGMENTATION)
    if parts is None:
        healthy = (EDGE, GREY, WHITE, OTHER, OUTSIDE)
        return dict.fromkeys(healthy, (nothing, str(nothing.status)))
    scores = account_ranked(seen.ranked, parts)
    found = {part: (score, str(score.status)) for part, score in scores.items()}
    if not with_priors:
        found |= dict.fromkeys((GREY, WHITE), (nothing, NO_PRIORS))
    return found


def accounting_table(rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Rows as a table with all columns in order; undefined numbers are NaN."""
    table = pd.DataFrame(list(rows), columns=list(ACCOUNTING_COLUMNS))
    return table.astype({"share": float, "expected": float})
