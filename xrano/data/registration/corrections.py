"""Bias field correction and denoising of one scan by ANTs.

With their defaults and in this order these are the steps of arXiv:2504.18268 before registration.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from xrano.data.registration.ants_images import load_ants, to_ants
from xrano.errors import GridMismatchError, VolumeError
from xrano.geometry import Grid
from xrano.types import Mask

FOREGROUND = 1e-5
"""Voxels above this are taken for the head where no mask is given, as in the paper."""


def correct_bias(
    data: NDArray[Any], grid: Grid, mask: Mask | None = None, *, threads: int | None = None
) -> NDArray[np.float32]:
    """Divide a scan by its bias field (N4, Tustison et al. 2010, doi:10.1109/TMI.2010.2046908).

    Args:
        data: (i, j, k).
        grid: its grid.
        mask: where the field is estimated; voxels above 1e-5 by default. N4 works on logarithms,
            so voxels of the mask at or below 1e-5 are left out.
        threads: threads for ITK, if it is not loaded yet; 1 by default.

    Returns:
        Float32 (i, j, k). What lies outside the mask is divided by the field too.

    Raises:
        VolumeError: if no voxel is left to estimate the field from, or N4 fails.
        GridMismatchError: if array, mask and grid differ in shape.
        ConfigError: if antspyx is not installed.
    """
    foreground = data > FOREGROUND
    if mask is not None:
        _require_shapes(data, mask, grid)
        foreground &= mask
    if not foreground.any():
        raise VolumeError(
            f"no voxel of the mask is above {FOREGROUND:g}: there is nothing to correct"
        )
    ants = load_ants(threads)
    inside = to_ants(foreground, grid)
    try:
        corrected = ants.n4_bias_field_correction(to_ants(data, grid), mask=inside)
    except RuntimeError as error:
        raise VolumeError(f"N4 failed: {error}") from error
    return _finite(corrected.numpy(), "N4")


def denoise(
    data: NDArray[Any], grid: Grid, mask: Mask | None = None, *, threads: int | None = None
) -> NDArray[np.float32]:
    """Adaptive non-local means for Gaussian noise (Manjon et al. 2010, doi:10.1002/jmri.22003).

    Args:
        data: (i, j, k).
        grid: its grid.
        mask: where to denoise; everywhere by default. Outside it the scan stays as it is.
        threads: threads for ITK, if it is not loaded yet; 1 by default.

    Raises:
        VolumeError: if the filter fails.
        GridMismatchError: if array, mask and grid differ in shape.
        ConfigError: if antspyx is not installed.
    """
    if mask is not None:
        _require_shapes(data, mask, grid)
    ants = load_ants(threads)
    inside = None if mask is None else to_ants(mask, grid)
    try:
        filtered = ants.denoise_image(to_ants(data, grid), mask=inside, noise_model="Gaussian")
    except RuntimeError as error:
        raise VolumeError(f"denoising failed: {error}") from error
    smooth = _finite(filtered.numpy(), "denoising")
    return smooth if mask is None else np.where(mask, smooth, data).astype(np.float32)


def _require_shapes(data: NDArray[Any], mask: Mask, grid: Grid) -> None:
    if not data.shape == mask.shape == grid.shape:
        raise GridMismatchError(
            f"scan {data.shape}, mask {mask.shape} and grid {grid.shape} must have one shape"
        )


def _finite(values: NDArray[Any], what: str) -> NDArray[np.float32]:
    if not np.isfinite(values).all():
        raise VolumeError(f"{what} gave NaN or infinite voxels")
    return np.asarray(values, dtype=np.float32)
