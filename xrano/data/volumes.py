"""Image files to arrays, with every way a file can be wrong named in the error.

Arrays come in the file's own order with the file's own affine; :func:`xrano.geometry.to_ras` turns
them. A trailing axis of size 1 is dropped.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any, Protocol

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from xrano.data.label_schemes import check_labels, label_scheme
from xrano.data.nifti_files import read_nifti
from xrano.errors import VolumeError, XranoWarning
from xrano.geometry import Grid, ras_grid, require_same_grid
from xrano.types import Labels, Mask

LABEL_TOLERANCE = 1e-3
"""Masks saved as floats, scaled or resampled, may miss their integer by this much."""


class Located(Protocol):
    """Anything with a file and a grid: a scan, a segmentation, a mask."""

    @property
    def path(self) -> Path: ...  # noqa: D102
    @property
    def grid(self) -> Grid: ...  # noqa: D102


@dataclass(frozen=True, eq=False)
class Scan:
    """One image: float32 (i, j, k) in file order, its grid, and the image it came from.

    ``image`` keeps header, sform and qform codes, for files that must lie exactly where this does.
    """

    data: NDArray[np.float32]
    grid: Grid
    image: nib.Nifti1Image
    path: Path


@dataclass(frozen=True, eq=False)
class Segmentation:
    """Integer labels uint8 (i, j, k) in file order, what they mean, and their grid."""

    labels: Labels
    scheme: str
    grid: Grid
    path: Path


@dataclass(frozen=True, eq=False)
class MaskVolume:
    """A boolean mask (i, j, k) in file order and its grid."""

    mask: Mask
    grid: Grid
    path: Path


def read_scan(path: str | PathLike[str], *, affine_from: str = "sform") -> Scan:
    """Read an image.

    Args:
        path: a ``.nii`` or ``.nii.gz`` file.
        affine_from: as for :func:`~xrano.data.affines.choose_affine`.

    Returns:
        The scan; no value of it is NaN or infinite, and some value is not zero. Negative values
        are as good as any.

    Warns:
        XranoWarning: if the file's two affines disagree, or many voxels sit at the largest value
            that its integers can hold.

    Raises:
        VolumeError: if the file is missing, cut off or broken, not NIfTI, not three-dimensional,
            not of real numbers, holds NaN or infinite voxels, or zeros only.
    """
    image, values, grid = read_nifti(path, affine_from)
    _warn_if_saturated(values, image, path)
    with np.errstate(over="ignore"):
        data = np.asarray(values, dtype=np.float32)
    _require_finite(data, path)
    if not data.any():
        raise VolumeError(f"{path}: every voxel is 0; a scan must show something")
    return Scan(data, grid, image, Path(path))


def read_labels(
    path: str | PathLike[str], scheme: str, *, affine_from: str = "sform"
) -> Segmentation:
    """Read a segmentation. It may be empty: a complete response leaves nothing to label.

    Args:
        path: a ``.nii`` or ``.nii.gz`` file; floats within 0.001 of an integer are rounded.
        scheme: what its labels mean, a name in
            :data:`~xrano.data.label_schemes.LABEL_SCHEMES`.
        affine_from: as for :func:`read_scan`.

    Raises:
        VolumeError: as for :func:`read_scan`, and if a value is not an integer.
        LabelSchemeError: if a label is not of the scheme.
        UnknownNameError: if the scheme is unknown.
    """
    label_scheme(scheme)
    _, values, grid = read_nifti(path, affine_from)
    labels = _integers(values, path)
    check_labels(labels, scheme, str(path))
    return Segmentation(labels.astype(np.uint8), scheme, grid, Path(path))


def read_mask(
    path: str | PathLike[str], *, allow_empty: bool = False, affine_from: str = "sform"
) -> MaskVolume:
    """Read a mask: what is not 0 belongs to it (tools write 1 or 255).

    Args:
        path: a ``.nii`` or ``.nii.gz`` file; floats within 0.001 of an integer are rounded.
        allow_empty: whether a mask without a voxel is fine (a lesion) or not (a brain).
        affine_from: as for :func:`read_scan`.

    Raises:
        VolumeError: as for :func:`read_scan`; if a value is not a non-negative integer, so that a
            probability map is not taken for a mask; if the mask is empty and may not be.
    """
    _, values, grid = read_nifti(path, affine_from)
    labels = _integers(values, path)
    if labels.min() < 0:
        raise VolumeError(f"{path}: a mask holds 0 and positive values, found {labels.min()}")
    mask = labels != 0
    if not allow_empty and not mask.any():
        raise VolumeError(f"{path}: the mask is empty; a brain mask must hold some voxels")
    return MaskVolume(mask, grid, Path(path))


def require_on_grid(volume: Located, reference: Located) -> None:
    """Refuse two volumes whose voxels do not lie at the same places of the world.

    The order of a file's axes may differ: it is the world that counts.

    Raises:
        GridMismatchError: naming both files with their shapes and affines.
    """
    if not ras_grid(volume.grid).matches(ras_grid(reference.grid)):
        require_same_grid(
            volume.grid, reference.grid, a_name=str(volume.path), b_name=str(reference.path)
        )


SATURATED_SHARE = 1e-3
"""With more of the voxels that are not 0 at an integer type's largest value, a scan is clipped."""


def _warn_if_saturated(
    values: NDArray[Any], image: nib.Nifti1Image, path: str | PathLike[str]
) -> None:
    stored = image.get_data_dtype()
    if stored.kind not in "iu" or not values.size:
        return
    stored_as: Any = image.dataobj
    slope, intercept = stored_as.slope, stored_as.inter
    ceiling = np.iinfo(stored).max * slope + intercept
    share = int(np.count_nonzero(values == ceiling)) / max(1, int(np.count_nonzero(values)))
    if share > SATURATED_SHARE:
        warnings.warn(
            f"{path}: {share:.1%} of the voxels sit at {ceiling:g}, the largest value of "
            f"{stored}; the scan is clipped there",
            XranoWarning,
            stacklevel=3,
        )


def _require_finite(values: NDArray[Any], path: str | PathLike[str]) -> None:
    finite = np.isfinite(values)
    if not finite.all():
        nan = int(np.isnan(values).sum())
        infinite = int(finite.size - finite.sum()) - nan
        raise VolumeError(
            f"{path}: {nan} voxels are NaN and {infinite} infinite, of {finite.size}; "
            "every voxel must be a finite number of float32"
        )


def _integers(values: NDArray[Any], path: str | PathLike[str]) -> Labels:
    """Values as integers."""
    if values.dtype.kind == "b":
        return np.asarray(values, dtype=np.uint8)
    if values.dtype.kind in "iu":
        return np.asarray(values)
    _require_finite(values, path)
    nearest = np.rint(values)
    off = np.abs(values - nearest) > LABEL_TOLERANCE
    if off.any():
        example = float(values[off][0])
        raise VolumeError(
            f"{path}: {int(off.sum())} voxels are no integer (such as {example:g}); labels or a "
            "mask are needed, not a probability map or an image, nor one resampled by interpolation"
        )
    return np.asarray(nearest, dtype=np.int64)
