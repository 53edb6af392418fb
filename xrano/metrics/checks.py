"""What a mask must be before it is scored."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from xrano.errors import GridMismatchError, VolumeError
from xrano.types import Mask


def mask_positions(mask: Mask, domain: Mask) -> NDArray[np.intp]:
    """Where the voxels of a mask stand in ``volume[domain]``.

    Raises:
        GridMismatchError: if the shapes differ.
        VolumeError: if the mask is not boolean.

    Example:
        >>> domain = np.array([[[False, True, True, True]]])
        >>> mask_positions(np.array([[[True, False, True, False]]]), domain).tolist()
        [1]
    """
    check_mask(mask, domain.shape, name="mask")
    return np.flatnonzero(mask[domain])


def check_mask(mask: Mask, shape: tuple[int, ...], *, name: str) -> None:
    """Refuse a mask of another shape, or one that is not boolean."""
    if mask.shape != shape:
        raise GridMismatchError(f"the {name} has shape {mask.shape}, needed is {shape}")
    if mask.dtype != np.bool_:
        raise VolumeError(f"the {name} must be boolean, got dtype {mask.dtype}; name its labels")
