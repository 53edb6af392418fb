"""What the maps of one pair are scored against: brain, segmentations, regions, scopes, lesions."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from xrano.data.diameters import lesion_diameters
from xrano.data.label_schemes import REGIONS, SCORED_REGIONS, WHOLE, has_region, region_mask
from xrano.data.regions import LESION_SCOPES, SCOPES, lesion_region, pair_region
from xrano.errors import UnknownNameError
from xrano.geometry import Grid
from xrano.metrics.catalogue import MASK_METRICS, METRICS, OverlapScore, OverlapStatus, score_ranked
from xrano.metrics.lesions import MatchedLesions, match_lesions
from xrano.metrics.places import MaskPlace
from xrano.metrics.ranked import check_mask, mask_positions, rank_map
from xrano.metrics.resolution import CellView
from xrano.metrics.translations import BrainBox, Placements
from xrano.types import Labels, Mask

MEASURABLE_ML = 0.1
"""Masks smaller than this in the brain are ``below_measurable`` and have no value: 2 voxels at
4 mm, 100 at 1 mm. Below it a region is the ragged edge of two segmentations more than tissue, and
the score that of a few voxels. Not the 0.52 ml from which disease counts in the rating rule: a
grown or shrunken region that small can be real."""

ALL_SCOPES = (*SCOPES, *LESION_SCOPES)
"""Scopes of voxels, and scopes of whole lesions."""

LESION_REGION = "core"
"""The region whose lesions are told apart, that of the primary analysis; the whole tumour where a
scheme has no core."""

MaskKey: TypeAlias = tuple[str, str, str]
"""Segmentation source, region, scope."""

Cell: TypeAlias = tuple[str, str, str, str]
"""Segmentation source, region, scope, and ``all`` lesions together or the number of one."""

PairSegmentation: TypeAlias = tuple[Labels | None, Labels | None, str]
"""Labels of the prior scan, labels of the current scan (``None`` where missing), their scheme."""

ALL_LESIONS = "all"


@dataclass(frozen=True, eq=False)
class PairMasks:
    """Everything that maps of one pair are scored against.

    What is costly is found once, for all maps of the pair, and once for all masks of the same
    voxels: a region that did not shrink has one mask under several names.

    Args:
        grid: the grid of all masks.
        domain: (i, j, k) boolean: the brain.
        masks: (source, region, scope) to (i, j, k) boolean mask.
        absent: (source, region, scope) to the reason why there is no mask; such cells appear in
            the rows with that status, rather than nowhere.
        measurable_ml: smallest mask that is scored, in ml.
        pair_id: the pair, if known: maps of other pairs are then refused.
        lesions: (source, region) to the lesions that are scored one by one.

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
    lesions: Mapping[tuple[str, str], MatchedLesions] = field(default_factory=dict)
    _places: dict[Cell, MaskPlace] = field(default_factory=dict, init=False, repr=False)
    _placements: dict[Cell, Placements] = field(default_factory=dict, init=False, repr=False)
    _views: dict[bytes, CellView] = field(default_factory=dict, init=False, repr=False)
    _at_cells: dict[tuple[bytes, Cell, bool], dict[str, OverlapScore]] = field(
        default_factory=dict, init=False, repr=False
    )

    def __post_init__(self) -> None:
        check_mask(self.domain, self.grid.shape, name=f"brain mask {self.pair_id}".strip())
        for key, mask in self.masks.items():
            check_mask(mask, self.grid.shape, name=" ".join(("mask", *key, self.pair_id)).strip())

    @property
    def least_voxels(self) -> int:
        """The smallest number of voxels that is measurable."""
        return math.ceil(self.measurable_ml / self.grid.voxel_ml - 1e-9)

    @cached_property
    def cells(self) -> dict[Cell, Mask]:
        """Every mask, those of single lesions (on either scan) among them."""
        found = {(*key, ALL_LESIONS): mask for key, mask in self.masks.items()}
        for (source, region), matched in self.lesions.items():
            for one in matched.lesions:
                number = one.lesion
                mask = (matched.prior_labels == number) | (matched.current_labels == number)
                found[source, region, "union", str(number)] = mask
        return found

    @cached_property
    def positions(self) -> dict[Cell, NDArray[np.intp]]:
        """Where each mask's voxels stand among those of the brain."""
        return {cell: mask_positions(mask, self.domain) for cell, mask in self.cells.items()}

    @cached_property
    def same_as(self) -> dict[Cell, Cell]:
        """Each cell's first namesake: the first cell with the same voxels in the brain."""
        first: dict[bytes, Cell] = {}
        return {
            cell: first.setdefault(positions.tobytes(), cell)
            for cell, positions in self.positions.items()
        }

    def place(self, cell: Cell) -> MaskPlace:
        """Where a mask lies in the world."""
        cell = self.same_as[cell]
        if cell not in self._places:
            self._places[cell] = MaskPlace(self.cells[cell], self.domain, self.grid)
        return self._places[cell]

    @cached_property
    def brain_box(self) -> BrainBox:
        """The brain's box, in which masks are moved."""
        return BrainBox(self.domain)

    def placements(self, cell: Cell) -> Placements:
        """Everywhere that a mask could lie as well."""
        cell = self.same_as[cell]
        if cell not in self._placements:
            self._placements[cell] = Placements(self.cells[cell], self.brain_box, self.grid)
        return self._placements[cell]

    def at_cells(self, cell: Cell, cells: Grid) -> Mapping[str, OverlapScore]:
        """What a mask itself scores when it is seen through the cells of a coarse grid.

        Every metric of the mask, those in mm only of all lesions together; nothing if the mask is
        not measurable. Found once for all maps on these cells.
        """
        positions, single = self.positions[cell], cell[3] != ALL_LESIONS
        if positions.size < max(self.least_voxels, 1):
            return {}
        grid_key = np.array([*cells.shape, *cells.affine.ravel()]).tobytes()
        key = (grid_key, self.same_as[cell], single)
        if key not in self._at_cells:
            if grid_key not in self._views:
                self._views[grid_key] = CellView(self.domain, cells, self.grid)
            ranked = rank_map(self._views[grid_key].seen(self.cells[cell]), self.domain)
            seen = ranked.within(positions, None if single else self.place(cell))
            self._at_cells[key] = score_ranked(seen, metrics=METRICS if single else MASK_METRICS)
        return self._at_cells[key]


def pair_masks(
    grid: Grid,
    domain: Mask,
    segmentations: Mapping[str, PairSegmentation],
    *,
    regions: Iterable[str] = tuple(SCORED_REGIONS),
    scopes: Iterable[str] = ALL_SCOPES,
    measurable_ml: float = MEASURABLE_ML,
    pair_id: str = "",
) -> PairMasks:
    """The masks of every segmentation, region and scope of a pair.

    Args:
        grid: the grid that everything lies on.
        domain: (i, j, k) boolean: the brain.
        segmentations: source name to labels of both scans and their scheme. A missing scan's
            labels are ``None``; the scopes that need them are then absent (``no_segmentation``).
        regions: names in :data:`xrano.data.label_schemes.SCORED_REGIONS`. A tumour region that a
            scheme cannot tell is absent (``region_not_labelled``); oedema and cavity are simply
            not there.
        scopes: names in :data:`ALL_SCOPES`; those of whole lesions exist for tumour regions.
        measurable_ml: smallest mask that is scored, in ml.
        pair_id: the pair, if known.

    Raises:
        GridMismatchError: if labels or domain do not have the grid's shape.
        VolumeError: if the domain is not boolean.
        UnknownNameError: for an unknown scheme, region or scope.
    """
    regions, scopes = tuple(regions), tuple(scopes)
    for scope in scopes:
        if scope not in ALL_SCOPES:
            raise UnknownNameError("scope", scope, ALL_SCOPES)
    told_of = [
        (source, region, has_region(segmentation[2], region))
        for source, segmentation in segmentations.items()
        for region in regions
    ]
    masks: dict[MaskKey, Mask] = {}
    absent: dict[MaskKey, OverlapStatus] = {}
    lesions: dict[tuple[str, str], MatchedLesions] = {}
    for source, region, told in told_of:
        if told or region in REGIONS:
            prior, current, scheme = segmentations[source]
            before = region_mask(prior, scheme, region) if told and prior is not None else None
            after = region_mask(current, scheme, region) if told and current is not None else None
            apart = region == _told_apart(scheme)
            matched = _lesions(before, after, grid, measured=apart)
            if matched is not None and apart:
                lesions[source, region] = matched
            why = OverlapStatus.NO_SEGMENTATION if told else OverlapStatus.REGION_NOT_LABELLED
            for scope in _scopes_of(region, scopes):
                mask = _scope_mask(before, after, matched, scope)
                if mask is None:
                    absent[source, region, scope] = why
                else:
                    masks[source, region, scope] = mask
    return PairMasks(grid, domain, masks, absent, measurable_ml, pair_id, lesions)


def _scopes_of(region: str, scopes: tuple[str, ...]) -> list[str]:
    return [scope for scope in scopes if scope in SCOPES or region in REGIONS]


def _told_apart(scheme: str) -> str:
    return LESION_REGION if has_region(scheme, LESION_REGION) else WHOLE


def _lesions(
    prior: Mask | None, current: Mask | None, grid: Grid, *, measured: bool
) -> MatchedLesions | None:
    if prior is None or current is None:
        return None
    return match_lesions(prior, current, grid, measure=_products if measured else None)


def _products(mask: Mask, grid: Grid) -> float:
    """mm²: the product of both diameters, summed over the parts of a lesion on one scan."""
    return math.fsum(part.product for part in lesion_diameters(mask, grid))


def _scope_mask(
    prior: Mask | None, current: Mask | None, matched: MatchedLesions | None, scope: str
) -> Mask | None:
    """The mask of a scope, or ``None`` if a scan that it needs has no region mask."""
    if scope == "prior":
        return prior
    if scope == "current":
        return current
    if prior is None or current is None or matched is None:
        return None
    if scope in LESION_SCOPES:
        return lesion_region(matched, scope)
    return pair_region(prior, current, scope)
