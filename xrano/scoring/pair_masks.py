"""What the maps of one pair are scored against: brain, segmentations, regions, scopes."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from xrano.data.label_schemes import REGIONS, has_region, region_mask
from xrano.data.regions import SCOPES, pair_region
from xrano.errors import UnknownNameError
from xrano.geometry import Grid
from xrano.metrics.catalogue import OverlapStatus
from xrano.metrics.ranked import check_mask, mask_positions
from xrano.types import Labels, Mask

MEASURABLE_ML = 0.1
"""Masks smaller than this in the brain are ``below_measurable`` and have no value: 2 voxels at
4 mm, 100 at 1 mm. Below it a region is the ragged edge of two segmentations more than tissue, and
the score that of a few voxels. Not the 0.52 ml from which disease counts in the rating rule: a
grown or shrunken region that small can be real."""

MaskKey: TypeAlias = tuple[str, str, str]
"""Segmentation source, region, scope."""

PairSegmentation: TypeAlias = tuple[Labels | None, Labels | None, str]
"""Labels of the prior scan, labels of the current scan (``None`` where missing), their scheme."""


@dataclass(frozen=True, eq=False)
class PairMasks:
    """Everything that maps of one pair are scored against.

    Args:
        grid: the grid of all masks.
        domain: (i, j, k) boolean: the brain.
        masks: (source, region, scope) to (i, j, k) boolean mask.
        absent: (source, region, scope) to the reason why there is no mask; such cells appear in
            the rows with that status, rather than nowhere.
        measurable_ml: smallest mask that is scored, in ml.
        pair_id: the pair, if known: maps of other pairs are then refused.

    Raises:
        GridMismatchError: if a mask does not have the grid's shape.
        VolumeError: if a mask is not boolean.
    """

    grid: Grid
    domain: Mask
    masks: Mapping[MaskKey, Mask]
    absent: Mapping[MaskKey, OverlapStatus] = field(default_factory=dict)
    measurable_ml: float = MEASURABLE_ML
    pair_id: str = ""

    def __post_init__(self) -> None:
        check_mask(self.domain, self.grid.shape, name=f"brain mask {self.pair_id}".strip())
        for key, mask in self.masks.items():
            check_mask(mask, self.grid.shape, name=" ".join(("mask", *key, self.pair_id)).strip())

    @property
    def least_voxels(self) -> int:
        """The smallest number of voxels that is measurable."""
        return math.ceil(self.measurable_ml / self.grid.voxel_ml - 1e-9)

    @cached_property
    def positions(self) -> dict[MaskKey, NDArray[np.intp]]:
        """Where each mask's voxels stand among those of the brain; found once for all maps."""
        return {key: mask_positions(mask, self.domain) for key, mask in self.masks.items()}


def pair_masks(
    grid: Grid,
    domain: Mask,
    segmentations: Mapping[str, PairSegmentation],
    *,
    regions: Iterable[str] = tuple(REGIONS),
    scopes: Iterable[str] = SCOPES,
    measurable_ml: float = MEASURABLE_ML,
    pair_id: str = "",
) -> PairMasks:
    """The masks of every segmentation, region and scope of a pair.

    Args:
        grid: the grid that everything lies on.
        domain: (i, j, k) boolean: the brain.
        segmentations: source name to labels of both scans and their scheme. A missing scan's
            labels are ``None``; the scopes that need them are then absent (``no_segmentation``).
        regions: names in :data:`xrano.data.label_schemes.REGIONS`; one that a scheme cannot tell
            is absent (``region_not_labelled``).
        scopes: names in :data:`xrano.data.regions.SCOPES`.
        measurable_ml: smallest mask that is scored, in ml.
        pair_id: the pair, if known.

    Raises:
        GridMismatchError: if labels or domain do not have the grid's shape.
        VolumeError: if the domain is not boolean.
        UnknownNameError: for an unknown scheme, region or scope.
    """
    masks: dict[MaskKey, Mask] = {}
    absent: dict[MaskKey, OverlapStatus] = {}
    for (source, (prior, current, scheme)), region in itertools.product(
        segmentations.items(), regions
    ):
        told = has_region(scheme, region)
        before = region_mask(prior, scheme, region) if told and prior is not None else None
        after = region_mask(current, scheme, region) if told and current is not None else None
        for scope in scopes:
            mask = _scope_mask(before, after, scope)
            if mask is not None:
                masks[source, region, scope] = mask
            elif told:
                absent[source, region, scope] = OverlapStatus.NO_SEGMENTATION
            else:
                absent[source, region, scope] = OverlapStatus.REGION_NOT_LABELLED
    return PairMasks(grid, domain, masks, absent, measurable_ml, pair_id)


def _scope_mask(prior: Mask | None, current: Mask | None, scope: str) -> Mask | None:
    """The mask of a scope, or ``None`` if a scan that it needs has no region mask."""
    if scope not in SCOPES:
        raise UnknownNameError("scope", scope, SCOPES)
    if scope == "prior":
        return prior
    if scope == "current":
        return current
    return None if prior is None or current is None else pair_region(prior, current, scope)
