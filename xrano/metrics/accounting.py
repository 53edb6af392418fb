"""Where all of a map's relevance goes: shares of exclusive parts of the volume that add up to 1.

The volume is the whole grid that the map is scored on. Every voxel belongs to one part, the first
that applies:

1. *outside the brain*, whatever a mask says: masks count inside the brain only, as for every
   metric;
2. the first of the given masks that holds it, in their order (tumour parts, then the brain's edge);
3. the tissue with the largest prior, where that is no smaller than what the priors leave over
   (1 − their sum: fluid, and what a template calls nothing);
4. *other brain*.

Beside each share stands what a uniform map gives the part: its voxels over all voxels of the grid.
For *outside* that is the share of the grid that is not brain, so it follows from how closely the
grid is cropped; shares of two grids are compared inside the brain (divide by 1 − outside). A part
without voxels has share and expectation 0. Only a map without any relevance has no shares.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from xrano.errors import ConfigError, GridMismatchError, VolumeError
from xrano.geometry import dilate_mm
from xrano.metrics.checks import check_mask
from xrano.metrics.ranked import RankedMap, rank_map
from xrano.metrics.records import OverlapScore, OverlapStatus
from xrano.types import Mask, Volume

EDGE = "brain_edge"
OTHER = "other_brain"
OUTSIDE = "outside_brain"

EDGE_MM = 4.0
"""How deep the brain's edge is. Brain masks of two visits differ by one to three millimetres, two
registered scans by one or two, and the outermost millimetres are half fluid: down to here a scan
changes without any tissue having changed. Deeper than the cortex is thick (2.5 mm) it would begin
to take what lies under it. At the 4 mm of a small cohort it is one voxel."""

NO_TISSUES: Mapping[str, Volume] = MappingProxyType({})


@dataclass(frozen=True, eq=False)
class BrainParts:
    """The exclusive parts of one volume, for any number of maps.

    Attributes:
        names: of the parts: masks in order of precedence, tissues, other brain, outside.
        domain: (i, j, k) the brain.
        labels: (n,) the place in ``names`` of each voxel's part, in the order of ``map[domain]``.
    """

    names: tuple[str, ...]
    domain: Mask
    labels: NDArray[np.uint8]

    @property
    def voxels(self) -> dict[str, int]:
        """Voxels of each part; together those of the grid."""
        counts = np.bincount(self.labels, minlength=len(self.names))
        counts[-1] = self.domain.size - self.labels.size
        return dict(zip(self.names, counts.tolist(), strict=True))


def divide(
    domain: Mask, masks: Mapping[str, Mask], tissues: Mapping[str, Volume] = NO_TISSUES
) -> BrainParts:
    """Give every voxel of a grid its part.

    Args:
        domain: (i, j, k) boolean: the brain, not empty.
        masks: name to (i, j, k) boolean, the first that holds a voxel takes it.
        tissues: name to (i, j, k) prior of 0 to 1, for the rest of the brain; of equal ones the
            first.

    Raises:
        ConfigError: if a name is given twice, or that of another part.
        GridMismatchError: if the shapes differ.
        VolumeError: if a mask is not boolean, the brain is empty, or a prior not within 0 to 1.

    Example:
        >>> brain = np.array([[[True, True, True, False]]])
        >>> tumour = np.array([[[True, False, False, True]]])
        >>> grey = np.array([[[1.0, 0.7, 0.2, 0.0]]])
        >>> divide(brain, {"tumour": tumour}, {"grey_matter": grey}).voxels
        {'tumour': 1, 'grey_matter': 1, 'other_brain': 1, 'outside_brain': 1}
    """
    check_mask(domain, domain.shape, name="brain mask")
    if not domain.any():
        raise VolumeError("the brain is empty: there is nothing to divide")
    names = (*masks, *tissues, OTHER, OUTSIDE)
    if len(set(names)) < len(names):
        raise ConfigError(f"parts need names of their own, got {', '.join(names)}")
    labels = _tissue_labels(domain, tissues, first=len(masks))
    # Written last, the first mask has the last word.
    for place, (name, mask) in reversed(list(enumerate(masks.items()))):
        check_mask(mask, domain.shape, name=f"mask {name}")
        labels[mask[domain]] = place
    return BrainParts(names, domain, labels)


def _tissue_labels(domain: Mask, tissues: Mapping[str, Volume], *, first: int) -> NDArray[np.uint8]:
    """(n,) the tissue of each voxel of the brain, ``first + len(tissues)`` where it has none."""
    priors = np.empty((len(tissues) + 1, int(domain.sum())), dtype=np.float32)
    for row, (name, prior) in zip(priors, tissues.items(), strict=False):
        if prior.shape != domain.shape:
            raise GridMismatchError(f"prior of {name} {prior.shape} on a brain of {domain.shape}")
        row[:] = prior[domain]
    # A NaN fails the comparison as well. Interpolation may leave 1 by a rounding error.
    if not (priors[:-1] >= 0).all() or not (priors[:-1] <= 1 + 1e-5).all():
        raise VolumeError(f"priors of {', '.join(tissues)} must lie within 0 to 1")
    priors[-1] = 1 - priors[:-1].sum(axis=0)
    return np.asarray(first + priors.argmax(axis=0), dtype=np.uint8)


def brain_edge(domain: Mask, spacing: tuple[float, float, float], edge_mm: float = EDGE_MM) -> Mask:
    """The voxels of the brain near its boundary.

    Args:
        domain: (i, j, k) boolean: the brain. Beyond the grid is outside.
        spacing: mm along each axis.
        edge_mm: distance from voxel centre to the nearest centre outside; where voxels are
            larger, the outermost voxel along every axis.

    Returns:
        (i, j, k) boolean.

    Raises:
        ConfigError: if the depth is not a positive number.
        VolumeError: if the brain is not boolean.

    Example:
        >>> brain = np.array([[[False, True, True, True, True, True]]])
        >>> brain_edge(np.repeat(np.repeat(brain, 9, 0), 9, 1), (2, 2, 2))[4, 4].tolist()
        [False, True, True, False, True, True]
    """
    if not (math.isfinite(edge_mm) and edge_mm > 0):
        raise ConfigError(f"the brain's edge needs a depth above 0 mm, got {edge_mm}")
    check_mask(domain, domain.shape, name="brain mask")
    padded = np.pad(domain, 1)
    near = dilate_mm(~padded, spacing, max(edge_mm, *spacing))
    return np.asarray((near & padded)[1:-1, 1:-1, 1:-1])


def account(relevance: Volume, parts: BrainParts) -> dict[str, OverlapScore]:
    """The share of a map's relevance in every part, with what a uniform map gives it.

    Args:
        relevance: (i, j, k) finite, non-negative, on the whole grid: what lies outside the brain
            is there only before the map is restricted to it.
        parts: of the same grid.

    Returns:
        Part to share (``value``) and expected share (``chance``), each adding up to 1 over the
        parts; shares are NaN, with the status ``zero_map``, if there is no relevance anywhere.

    Raises:
        GridMismatchError: if the shapes differ.
        VolumeError: if a value is negative or not finite.

    Example:
        >>> brain = np.array([[[True, True, True, False]]])
        >>> parts = divide(brain, {"tumour": np.array([[[True, False, False, False]]])})
        >>> shares = account(np.array([[[6.0, 1.0, 1.0, 2.0]]]), parts)
        >>> {name: (share.value, share.chance) for name, share in shares.items()}
        {'tumour': (0.6, 0.25), 'other_brain': (0.2, 0.5), 'outside_brain': (0.2, 0.25)}
    """
    return account_ranked(rank_map(relevance, parts.domain), parts)


def account_ranked(ranked: RankedMap, parts: BrainParts) -> dict[str, OverlapScore]:
    """:func:`account` of a map that was ranked in the same brain.

    Raises:
        GridMismatchError: if it was ranked in another.
    """
    if ranked.n != parts.labels.size:
        raise GridMismatchError(
            f"the map was ranked in a brain of {ranked.n} voxels, the parts are those of one of "
            f"{parts.labels.size}; use one brain mask for both"
        )
    mass = np.bincount(parts.labels, weights=ranked.values, minlength=len(parts.names))
    mass[-1] = ranked.elsewhere
    total = float(mass.sum())
    status = OverlapStatus.OK if total > 0 else OverlapStatus.ZERO_MAP
    shares = mass / total if total > 0 else np.full(mass.size, math.nan)
    return {
        name: OverlapScore(float(share), voxels / parts.domain.size, status)
        for share, (name, voxels) in zip(shares, parts.voxels.items(), strict=True)
    }
