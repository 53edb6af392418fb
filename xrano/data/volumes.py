"""Image files to arrays, with every way a file can be wrong named in the error.

Arrays come in the file's own order with the file's own affine; :func:`xrano.geometry.to_ras` turns
them. A trailing axis of size 1 is dropped.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any, Protocol

import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError
from nibabel.wrapstruct import WrapStructError
from numpy.typing import NDArray

from xrano.data.label_schemes import check_labels, label_scheme
from xrano.errors import GridMismatchError, VolumeError
from xrano.geometry import Grid, require_same_grid
from xrano.types import Labels, Mask

LABEL_TOLERANCE = 1e-3
"""Masks saved as floats, scaled or resampled, may miss their integer by this much."""

_BROKEN = (
    OSError,
    EOFError,
    zlib.error,
    ValueError,
    OverflowError,
    ImageFileError,
    HeaderDataError,
    WrapStructError,
)


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


def read_scan(path: str | PathLike[str]) -> Scan:
    """Read an image.

    Args:
        path: a ``.nii`` or ``.nii.gz`` file.

    Returns:
        The scan; no value of it is NaN or infinite, and some value is not zero.

    Raises:
        VolumeError: if the file is missing, cut off or broken, not NIfTI, not three-dimensional,
            not of real numbers, holds NaN or infinite voxels, or zeros only.
    """
    image, values, grid = _read(path)
    with np.errstate(over="ignore"):
        data = np.asarray(values, dtype=np.float32)
    _require_finite(data, path)
    if not data.any():
        raise VolumeError(f"{path}: every voxel is 0; a scan must show something")
    return Scan(data, grid, image, Path(path))


def read_labels(path: str | PathLike[str], scheme: str) -> Segmentation:
    """Read a segmentation. It may be empty: a complete response leaves nothing to label.

    Args:
        path: a ``.nii`` or ``.nii.gz`` file; floats within 0.001 of an integer are rounded.
        scheme: what its labels mean, a name in
            :data:`~xrano.data.label_schemes.LABEL_SCHEMES`.

    Raises:
        VolumeError: as for :func:`read_scan`, and if a value is not an integer.
        LabelSchemeError: if a label is not of the scheme.
        UnknownNameError: if the scheme is unknown.
    """
    label_scheme(scheme)
    _, values, grid = _read(path)
    labels = _integers(values, path)
    check_labels(labels, scheme, str(path))
    return Segmentation(labels.astype(np.uint8), scheme, grid, Path(path))


def read_mask(path: str | PathLike[str], *, allow_empty: bool = False) -> MaskVolume:
    """Read a mask: what is not 0 belongs to it (tools write 1 or 255).

    Args:
        path: a ``.nii`` or ``.nii.gz`` file; floats within 0.001 of an integer are rounded.
        allow_empty: whether a mask without a voxel is fine (a lesion) or not (a brain).

    Raises:
        VolumeError: as for :func:`read_scan`; if a value is not a non-negative integer, so that a
            probability map is not taken for a mask; if the mask is empty and may not be.
    """
    _, values, grid = _read(path)
    labels = _integers(values, path)
    if labels.min() < 0:
        raise VolumeError(f"{path}: a mask holds 0 and positive values, found {labels.min()}")
    mask = labels != 0
    if not allow_empty and not mask.any():
        raise VolumeError(f"{path}: the mask is empty; a brain mask must hold some voxels")
    return MaskVolume(mask, grid, Path(path))


def require_on_grid(volume: Located, reference: Located) -> None:
    """Refuse two volumes of different shape or affine.

    Raises:
        GridMismatchError: naming both files with their shapes and affines.
    """
    require_same_grid(
        volume.grid, reference.grid, a_name=str(volume.path), b_name=str(reference.path)
    )


def _read(path: str | PathLike[str]) -> tuple[nib.Nifti1Image, NDArray[Any], Grid]:
    """Image, array of exactly three axes in stored precision, and grid."""
    path = Path(path)
    if not path.is_file():
        raise VolumeError(f"{path} does not exist; a .nii or .nii.gz file is needed")
    try:
        image = nib.load(path)
        # NIfTI-1 and 2 in one file; other formats know no sform, and some no handedness.
        if not isinstance(image, nib.Nifti1Image):
            raise VolumeError(f"{path} is a {type(image).__name__}; a NIfTI file is needed")
        shape = image.shape
        if len(shape) < 3 or any(size != 1 for size in shape[3:]):
            raise VolumeError(f"{path} has shape {shape}; one volume of three axes is needed")
        i, j, k = shape[:3]
        values = np.asanyarray(image.dataobj).reshape((i, j, k))
        grid = Grid((i, j, k), image.affine)
    except (VolumeError, MemoryError):
        raise
    except GridMismatchError as error:
        raise VolumeError(f"{path}: {error}") from error
    except _BROKEN as error:
        raise VolumeError(
            f"{path} cannot be read ({type(error).__name__}: {error}); the file may be cut off "
            "or broken: copy it again"
        ) from error
    if values.dtype.kind not in "biuf":
        raise VolumeError(f"{path} holds {values.dtype} voxels; real numbers are needed")
    return image, values, grid


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
