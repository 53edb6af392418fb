"""All that is scored of one pair."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from xrano.data.pair_volumes import PairVolumes
from xrano.data.tissue_priors import TissuePriors
from xrano.errors import ConfigError, UnknownNameError
from xrano.experiments.pair_references import MapsNoted, mask_rows, reference_maps
from xrano.maps import AttributionMap
from xrano.scoring.accounting_table import PairParts, accounting_rows, pair_parts
from xrano.scoring.crossed_masks import CohortMasks, crossed_row
from xrano.scoring.lesion_table import lesion_rows
from xrano.scoring.null_table import placement_rows
from xrano.scoring.pair_masks import Cell, PairMasks
from xrano.scoring.reference_maps import CHANGE
from xrano.scoring.rows import (
    SeenMap,
    all_lesions,
    default_rectification,
    primary_cell,
    reference_cell,
    score_seen,
    see_map,
)
from xrano.scoring.shares import share_rows
from xrano.scoring.surrogate_null import surrogate_rows
from xrano.scoring.tuned_dice import TunedThresholds, tuned_dice_rows

NullRegions = Literal["primary", "all", "none"]
"""Which masks are moved through the brain for the placement null."""


def null_regions(name: str) -> NullRegions:
    """The choice of a name.

    Raises:
        UnknownNameError: if there is none.
    """
    for choice in get_args(NullRegions):
        if choice == name:
            return choice  # type: ignore[no-any-return]
    raise UnknownNameError("null regions", name, get_args(NullRegions))


@dataclass(frozen=True)
class MapScoring:
    """How each map is scored.

    Attributes:
        reduction: of channels.
        nulls: the masks that are moved through the brain.
        surrogates: of each of the network's own maps, against the primary region.
    """

    reduction: str = "sum"
    nulls: NullRegions = "primary"
    surrogates: int = 0

    def __post_init__(self) -> None:
        null_regions(self.nulls)
        if self.surrogates < 0:
            raise ConfigError(f"surrogates ≥ 0 are needed, got {self.surrogates}")


@dataclass(frozen=True, eq=False)
class Beside:
    """What a pair is compared with beyond itself.

    Attributes:
        cohort: masks of all patients.
        training_mask: (i, j, k) mean mask of training pairs, ``None`` if there is none.
        stem: how the network takes the scans.
        thresholds: tuned on training pairs, where asked for.
        priors: of grey and white matter, ``None`` if the store does not lie in their world.
    """

    cohort: CohortMasks
    training_mask: NDArray[np.float32] | None
    stem: str
    thresholds: TunedThresholds | None = None
    priors: TissuePriors | None = None


@dataclass
class PairScores:
    """Rows by the table that they go to: JSON values, undefined numbers ``None``.

    A row of ``crossed`` is a map, with a list over the masks that it was scored against.
    """

    scores: list[dict[str, Any]] = field(default_factory=list)
    nulls: list[dict[str, Any]] = field(default_factory=list)
    shares: list[dict[str, Any]] = field(default_factory=list)
    lesions: list[dict[str, Any]] = field(default_factory=list)
    accounting: list[dict[str, Any]] = field(default_factory=list)
    crossed: list[dict[str, Any]] = field(default_factory=list)

    def add(self, other: PairScores) -> None:
        """Append another pair's, or another map's."""
        for name, rows in vars(other).items():
            getattr(self, name).extend(rows)


def score_pair(
    pair: PairVolumes,
    masks: PairMasks,
    maps: Iterable[AttributionMap],
    beside: Beside,
    how: MapScoring,
) -> PairScores:
    """Everything of one pair: its maps, the maps that need no network, its masks and lesions.

    Args:
        pair: the pair.
        masks: of the pair.
        maps: the network's own and those of its copies; held in memory one at a time.
        beside: what else the pair is compared with.
        how: what is scored of each map.

    Raises:
        GridMismatchError: if a map belongs to another pair.
        ManifestError: if a map's sidecar lacks what a row needs.
        UnknownNameError: for an unknown reduction.
    """
    noted = MapsNoted()
    parts = pair_parts(masks.grid, masks.domain, pair.segmentations, beside.priors)
    found = score_maps(pair, masks, noted.passing(maps), beside, how, parts)
    references = reference_maps(pair, noted.baselines, noted.meta, beside.training_mask)
    found.add(score_maps(pair, masks, references, beside, how, parts))
    beyond = PairScores(
        scores=mask_rows(noted.cams, masks, reduction=how.reduction),
        lesions=lesion_rows(masks, pair.patient_id),
    )
    found.add(_plain(beyond))
    return found


def score_maps(
    pair: PairVolumes,
    masks: PairMasks,
    maps: Iterable[AttributionMap],
    beside: Beside,
    how: MapScoring,
    parts: PairParts | None = None,
) -> PairScores:
    """Score the maps of one pair by their default rectification.

    Maps of the network itself and ``change`` are scored against everything. Random-weight copies
    and the other reference maps by every metric too, but only against what they are compared in:
    the core in every scope, the whole tumour in both scans. All are accounted for in the parts of
    the pair, if these are given.
    Arguments and errors as :func:`score_pair`.
    """
    found = PairScores()
    others = beside.cohort.seen_from(pair.pair_id, masks.domain)
    for item in maps:
        rectification = default_rectification(item)
        seen = see_map(item, masks, rectification=rectification, reduction=how.reduction)
        weights = seen.facts["weights"]
        copy = weights.startswith("random")
        if copy or (weights == "none" and seen.facts["method"] != CHANGE):
            of_map = PairScores(score_seen(seen, masks, chosen=reference_cell))
        else:
            # A map that was saved on a scan of its own is carried back to the brain's grid.
            here = item if item.grid.matches(pair.grid) else item.resample_to(pair.grid)
            shares = share_rows(here, pair.brain, pair.layout, stem=beside.stem)
            of_map = PairScores(score_seen(seen, masks), shares=shares)
        if not copy:
            of_map.add(_nulls_of(seen, masks, how))
            if beside.thresholds is not None and weights != "none":
                of_map.scores += tuned_dice_rows(seen, masks, beside.thresholds)
        crossed = crossed_row(seen, others)
        of_map.crossed += [crossed] if crossed is not None else []
        if not item.on_cells and not item.grid.matches(pair.grid):
            of_map.scores = [{**row, "resampled": True} for row in of_map.scores]
        if parts is not None:
            of_map.accounting = accounting_rows(seen, parts)
        found.add(of_map)
    return _plain(found)


def _nulls_of(seen: SeenMap, masks: PairMasks, how: MapScoring) -> PairScores:
    reference = seen.facts["weights"] == "none"
    rows = []
    if how.nulls != "none":
        chosen: Callable[[Cell], bool] = (
            primary_cell if how.nulls == "primary" or reference else all_lesions
        )
        rows += placement_rows(seen, masks, chosen=chosen)
    if how.surrogates and not reference:
        rows += surrogate_rows(seen, masks, n_surrogates=how.surrogates)
    return PairScores(nulls=rows)


def _plain(scores: PairScores) -> PairScores:
    return PairScores(**{name: [_row(row) for row in rows] for name, rows in vars(scores).items()})


def _row(row: dict[str, Any]) -> dict[str, Any]:
    # Most of two thousand rows a pair are words: only what may hold a number is looked into.
    return {
        name: _json(value) if isinstance(value, (float, list)) else value
        for name, value in row.items()
    }


def _json(value: Any) -> Any:
    """NaN and infinity as ``None``, in lists too."""
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    return [_json(item) for item in value] if isinstance(value, list) else value
