"""Opening NIfTI files: every way a file can be broken is named, before its voxels are looked at."""

from __future__ import annotations

import zlib
from os import PathLike
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError
from nibabel.wrapstruct import WrapStructError
from numpy.typing import NDArray

from xrano.data.affines import choose_affine
from xrano.errors import GridMismatchError, VolumeError, XranoError
from xrano.geometry import Grid

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


def read_nifti(
    path: str | PathLike[str], affine_from: str = "sform"
) -> tuple[nib.Nifti1Image, NDArray[Any], Grid]:
    """Image, array of exactly three axes in stored precision, and grid.

    Args:
        path: a ``.nii`` or ``.nii.gz`` file.
        affine_from: as for :func:`~xrano.data.affines.choose_affine`.

    Raises:
        VolumeError: if the file is missing, cut off or broken, not NIfTI, not three-dimensional,
            or not of real numbers.
        UnknownNameError: if ``affine_from`` is unknown.
    """
    image, grid = open_nifti(path, affine_from)
    try:
        values = np.asanyarray(image.dataobj).reshape(grid.shape)
    except MemoryError:
        raise
    except _BROKEN as error:
        raise _cannot_be_read(path, error) from error
    if values.dtype.kind not in "biuf":
        raise VolumeError(f"{path} holds {values.dtype} voxels; real numbers are needed")
    return image, values, grid


def read_grid(path: str | PathLike[str], *, affine_from: str = "sform") -> Grid:
    """The grid of an image; its voxels are not read.

    Raises:
        VolumeError: as for :func:`read_nifti`, as far as a header can tell.
    """
    return open_nifti(path, affine_from)[1]


def open_nifti(
    path: str | PathLike[str], affine_from: str = "sform"
) -> tuple[nib.Nifti1Image, Grid]:
    """An image whose voxels are not read yet, and its grid.

    Raises:
        VolumeError: as for :func:`read_nifti`, as far as a header can tell.
        UnknownNameError: if ``affine_from`` is unknown.
    """
    path = Path(path)
    if path.is_dir():
        raise VolumeError(f"{path} is a folder; a .nii or .nii.gz file is needed")
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
        return image, Grid((i, j, k), choose_affine(image, path, affine_from))
    except GridMismatchError as error:
        raise VolumeError(f"{path}: {error}") from error
    except (XranoError, MemoryError):
        raise
    except _BROKEN as error:
        raise _cannot_be_read(path, error) from error


def _cannot_be_read(path: str | PathLike[str], error: Exception) -> VolumeError:
    return VolumeError(
        f"{path} cannot be read ({type(error).__name__}: {error}); the file may be cut off or "
        "broken: copy it again"
    )
