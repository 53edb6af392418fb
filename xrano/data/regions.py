"""Regions of a pair: one region of two scans, and what became of it.

CR leaves no enhancing tumour on the current scan, so a map is also scored against what was there
(``prior``), what vanished (``shrunk``), what came (``grown``) and both scans together (``union``).
"""

from __future__ import annotations

import numpy as np

from xrano.errors import GridMismatchError, UnknownNameError
from xrano.types import Mask

SCOPES = ("prior", "current", "union", "grown", "shrunk")
"""Which voxels of a region of two scans are meant."""


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
