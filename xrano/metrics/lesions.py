"""Single lesions of a pair: components of both visits' masks, matched, measured and tagged.

A *component* is a set of voxels of one mask that touch by a face, an edge or a corner. Components
of the prior and the current mask are *linked* if they share a place in the world: a voxel centre
of one lies in a voxel of the other, or two centres lie within the tolerance. A *lesion* is a
connected component of the graph of these links, so that a lesion that falls apart, or lesions that
grow together, stay one lesion with several components on one side.

Tags by the volumetric form of :func:`xrano.rano.rate`, with the prior scan as baseline and nadir:
*new* (nothing on the prior scan), *vanished* (nothing on the current one), *grown* (measurable and
at or above 1.40 of the prior volume), *shrunk* (at or below 0.35 of a measurable one), *stable*.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from xrano.errors import ConfigError
from xrano.geometry import Grid
from xrano.metrics.checks import check_mask
from xrano.metrics.lesion_links import component_links, components, linked_groups
from xrano.rano import VOLUMETRIC, RanoThresholds, Response, rate
from xrano.types import Labels, Mask

TOLERANCE_MM = 2.0
"""Default tolerance: about the misalignment that remains between two registered visits."""

LEAST_ML = 0.1
"""Default least volume, reached on either visit: smaller ones are the crumbs of a segmentation."""


class LesionTag(StrEnum):
    """What became of a lesion from the prior to the current scan."""

    NEW = "new"
    VANISHED = "vanished"
    GROWN = "grown"
    SHRUNK = "shrunk"
    STABLE = "stable"


@dataclass(frozen=True)
class Lesion:
    """One lesion of a pair.

    Attributes:
        lesion: its number, 1 for the largest (by the larger of its two volumes).
        tag: what became of it.
        prior_ml: volume on the prior scan.
        current_ml: volume on the current scan.
        n_prior: components on the prior scan; more than one and a single current one is a merge.
        n_current: components on the current scan; more than one is a split.
        measurable: whether it reaches the thresholds' least measurable volume on either scan.
        prior_product: what ``measure`` says of the prior mask, such as the product of diameters in
            mm²; NaN without ``measure`` or mask.
        current_product: the same of the current mask.
    """

    lesion: int
    tag: LesionTag
    prior_ml: float
    current_ml: float
    n_prior: int
    n_current: int
    measurable: bool
    prior_product: float = math.nan
    current_product: float = math.nan


@dataclass(frozen=True, eq=False)
class MatchedLesions:
    """The lesions of a pair, and where they are.

    Attributes:
        lesions: from the largest to the smallest.
        prior_labels: (i, j, k) number of the lesion on the prior grid, 0 where there is none.
        current_labels: the same on the current grid.
        prior_dropped_ml: volume of what was too small, on the prior scan.
        current_dropped_ml: the same on the current scan.
    """

    lesions: tuple[Lesion, ...]
    prior_labels: Labels
    current_labels: Labels
    prior_dropped_ml: float
    current_dropped_ml: float


Measure = Callable[[Mask, Grid], float]
"""One number of a lesion's mask on one visit, such as the product of its diameters."""


def match_lesions(
    prior_mask: Mask,
    current_mask: Mask,
    prior_grid: Grid,
    current_grid: Grid | None = None,
    *,
    tolerance_mm: float = TOLERANCE_MM,
    least_ml: float = LEAST_ML,
    thresholds: RanoThresholds = VOLUMETRIC,
    measure: Measure | None = None,
) -> MatchedLesions:
    """Match the components of two visits.

    Args:
        prior_mask: (i, j, k) boolean on the prior grid.
        current_mask: (i, j, k) boolean on the current grid.
        prior_grid: grid of the prior mask.
        current_grid: grid of the current mask, in the same world; the prior grid if not given.
        tolerance_mm: distance of voxel centres, in world mm, at which components are still linked;
            0 or more.
        least_ml: lesions that are smaller on both visits are dropped, after matching, so that
            nothing vanishes by getting small.
        thresholds: ratios behind the tags, in ml.
        measure: called with a lesion's mask and grid on each visit where it has voxels.

    Raises:
        ConfigError: if tolerance or least volume is negative or not finite.
        GridMismatchError: if a mask does not have its grid's shape.
        VolumeError: if a mask is not boolean.

    Example:
        >>> prior = np.zeros((9, 1, 1), dtype=bool)
        >>> current = prior.copy()
        >>> prior[:2], current[:4], current[8] = True, True, True
        >>> grid = Grid((9, 1, 1), np.diag([10.0, 10, 10, 1]))
        >>> [(str(one.tag), round(one.prior_ml, 3), round(one.current_ml, 3))
        ...  for one in match_lesions(prior, current, grid).lesions]
        [('grown', 2.0, 4.0), ('new', 0.0, 1.0)]
    """
    for name, value in (("tolerance_mm", tolerance_mm), ("least_ml", least_ml)):
        if not (math.isfinite(value) and value >= 0):
            raise ConfigError(f"{name} is a finite number of 0 or more, got {value}")
    current_grid = prior_grid if current_grid is None else current_grid
    check_mask(prior_mask, prior_grid.shape, name="prior mask")
    check_mask(current_mask, current_grid.shape, name="current mask")
    prior, current = components(prior_mask), components(current_mask)
    n_prior, n_current = int(prior.max()), int(current.max())
    links = component_links(prior, current, prior_grid, current_grid, tolerance_mm)
    lesion_of = linked_groups(links, n_prior, n_current)
    groups = (
        _Visit(prior, prior_grid, lesion_of[:n_prior]),
        _Visit(current, current_grid, lesion_of[n_prior:]),
    )
    return _numbered(*groups, least_ml, thresholds, measure)


@dataclass(frozen=True, eq=False)
class _Visit:
    """Components of one visit, and the group (from 0) that each belongs to."""

    labels: Labels
    grid: Grid
    group_of: NDArray[np.intp]

    def volumes(self, n_groups: int) -> NDArray[np.float64]:
        voxels = np.bincount(self.labels.ravel(), minlength=self.group_of.size + 1)[1:]
        per_group = np.bincount(self.group_of, weights=voxels, minlength=n_groups)
        return np.asarray(per_group * self.grid.voxel_ml)

    def renumbered(self, number_of: NDArray[np.intp]) -> Labels:
        """Labels with the number of each group; 0 for dropped ones."""
        table = np.concatenate([[0], number_of[self.group_of]]).astype(np.int32)
        return np.asarray(table[self.labels])


def _numbered(
    prior: _Visit,
    current: _Visit,
    least_ml: float,
    thresholds: RanoThresholds,
    measure: Measure | None,
) -> MatchedLesions:
    n_groups = int(max(prior.group_of.max(initial=-1), current.group_of.max(initial=-1))) + 1
    before, after = prior.volumes(n_groups), current.volumes(n_groups)
    largest = np.maximum(before, after)
    order = [int(g) for g in np.argsort(-largest, kind="stable") if _reaches(largest[g], least_ml)]
    number_of = np.zeros(n_groups, dtype=np.intp)
    number_of[order] = np.arange(1, len(order) + 1)
    prior_labels, current_labels = prior.renumbered(number_of), current.renumbered(number_of)
    lesions = tuple(
        Lesion(
            lesion=number,
            tag=lesion_tag(before[group], after[group], thresholds),
            prior_ml=float(before[group]),
            current_ml=float(after[group]),
            n_prior=int((prior.group_of == group).sum()),
            n_current=int((current.group_of == group).sum()),
            measurable=_reaches(largest[group], thresholds.measurable),
            prior_product=_measured(measure, prior_labels, number, prior.grid),
            current_product=_measured(measure, current_labels, number, current.grid),
        )
        for number, group in enumerate(order, start=1)
    )
    dropped = number_of == 0
    return MatchedLesions(
        lesions,
        prior_labels,
        current_labels,
        float(before[dropped].sum()),
        float(after[dropped].sum()),
    )


def lesion_tag(
    prior_ml: float, current_ml: float, thresholds: RanoThresholds = VOLUMETRIC
) -> LesionTag:
    """What became of a lesion of these volumes.

    Raises:
        ConfigError: if a volume is negative or not finite, or both are 0.

    Example:
        >>> lesion_tag(1.0, 1.4), lesion_tag(1.0, 0.35), lesion_tag(0.1, 0.4)
        (<LesionTag.GROWN: 'grown'>, <LesionTag.SHRUNK: 'shrunk'>, <LesionTag.STABLE: 'stable'>)
    """
    if prior_ml == 0 and current_ml == 0:
        raise ConfigError("a lesion has a volume on one visit at least, got 0 ml on both")
    response = rate(float(current_ml), rano_baseline=float(prior_ml), thresholds=thresholds)
    # Too small to be a progression, it is still new.
    return LesionTag.NEW if prior_ml == 0 else _TAGS[response]


_TAGS = {
    Response.CR: LesionTag.VANISHED,
    Response.PR: LesionTag.SHRUNK,
    Response.SD: LesionTag.STABLE,
    Response.PD: LesionTag.GROWN,
}


def _measured(measure: Measure | None, labels: Labels, number: int, grid: Grid) -> float:
    if measure is None:
        return math.nan
    mask = labels == number
    return float(measure(mask, grid)) if mask.any() else math.nan


def _reaches(volume: float, least: float) -> bool:
    return bool(volume >= least or math.isclose(volume, least, rel_tol=1e-9))
