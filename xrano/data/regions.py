"""Regions of a pair: one region of two scans, and what became of it.

CR leaves no enhancing tumour on the current scan, so a map is also scored against what was there
(``prior``), what went (``shrunk``), what came (``grown``) and both scans together (``union``).
Shrunk and grown speak of voxels, the rim of every lesion among them; ``vanished`` and ``new`` of
whole lesions (:mod:`xrano.metrics.lesions`).
"""

from __future__ import annotations

import numpy as np

from xrano.errors import GridMismatchError, UnknownNameError
from xrano.metrics.lesions import LesionTag, MatchedLesions
from xrano.types import Mask

SCOPES = ("prior", "current", "union", "grown", "shrunk")
"""Which voxels of a region of two scans are meant."""

LESION_SCOPES = ("vanished", "new")
"""Scopes made of whole lesions: all of those that nothing is left of, and all that came anew."""


def pair_region(prior_mask: Mask, current_mask: Mask, scope: str) -> Mask:
    """The voxels of one scope.

    Args:
        prior_mask: (i, j, k) the region on the prior scan.
        current_mask: (i, j, k) the same region on the current scan, on the same grid.
        scope: ``prior``, ``current``, ``union``, ``grown`` (current, not prior) or ``shrunk``
            (prior, not current).

    Returns:
        (i, j, k) boolean mask, a new array.

    Raises:
        GridMismatchError: if the masks differ in shape.
        UnknownNameError: if the scope is unknown.

    Example:
        >>> prior, current = np.array([[[True, True, False]]]), np.array([[[False, True, True]]])
        >>> pair_region(prior, current, "shrunk").ravel().tolist()
        [True, False, False]
    """
    prior: Mask = np.asarray(prior_mask, dtype=np.bool_)
    current: Mask = np.asarray(current_mask, dtype=np.bool_)
    if prior.shape != current.shape:
        raise GridMismatchError(
            f"the prior mask has shape {prior.shape}, the current mask {current.shape}; "
            "bring both to one grid first"
        )
    if scope == "prior":
        return prior.copy()
    if scope == "current":
        return current.copy()
    if scope == "union":
        return np.asarray(prior | current)
    if scope == "grown":
        return np.asarray(current & ~prior)
    if scope == "shrunk":
        return np.asarray(prior & ~current)
    raise UnknownNameError("scope", scope, SCOPES)


def lesion_region(matched: MatchedLesions, scope: str) -> Mask:
    """The voxels of all lesions that vanished, or of all that are new.

    Args:
        matched: the lesions of a pair whose scans lie on one grid.
        scope: ``vanished`` (seen on the prior scan) or ``new`` (on the current one).

    Returns:
        (i, j, k) boolean mask; empty where there is no such lesion.

    Raises:
        UnknownNameError: if the scope is unknown.
    """
    if scope not in LESION_SCOPES:
        raise UnknownNameError("scope", scope, LESION_SCOPES)
    vanished = scope == "vanished"
    tag = LesionTag.VANISHED if vanished else LesionTag.NEW
    numbers = [one.lesion for one in matched.lesions if one.tag == tag]
    return np.isin(matched.prior_labels if vanished else matched.current_labels, numbers)
