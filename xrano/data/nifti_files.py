"""Scans, masks and segmentations from NIfTI files: one volume of real numbers, and its grid.

What a header claims is held against the file first (:mod:`xrano.checked_nifti`).
"""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import Any

import nibabel as nib
from numpy.typing import NDArray

from xrano.checked_nifti import open_checked, read_voxels
from xrano.data.affines import choose_affine
from xrano.errors import GridMismatchError, VolumeError
from xrano.geometry import Grid
from xrano.nifti_header import named_errors


def read_nifti(
    path: str | PathLike[str], affine_from: str = "sform"
) -> tuple[nib.Nifti1Image, NDArray[Any], Grid]:
    """Image, array of exactly three axes in stored precision, and grid.

    Args:
        path: a ``.nii`` or ``.nii.gz`` file.
        affine_from: as for :func:`~xrano.data.affines.choose_affine`.

    Raises:
        VolumeError: if the file is missing, cut off or broken, not NIfTI, not three-dimensional,
            not of real numbers, or claims more voxels than it can hold or may have.
        UnknownNameError: if ``affine_from`` is unknown.
    """
    image, grid = open_nifti(path, affine_from)
    return image, read_voxels(path, image).reshape(grid.shape), grid


def read_grid(path: str | PathLike[str], *, affine_from: str = "sform") -> Grid:
    """The grid of an image; its voxels are not read.

    Raises:
        VolumeError: as for :func:`read_nifti`, as far as a header can tell.
    """
    return open_nifti(path, affine_from)[1]


def open_nifti(
    path: str | PathLike[str], affine_from: str = "sform"
) -> tuple[nib.Nifti1Image, Grid]:
    """An image whose voxels are not read, and its grid.

    Raises:
        VolumeError: as for :func:`read_nifti`, as far as a header can tell.
        UnknownNameError: if ``affine_from`` is unknown.
    """
    path = Path(path)
    image = open_checked(path)
    shape = image.shape
    if len(shape) < 3 or any(size != 1 for size in shape[3:]):
        raise VolumeError(f"{path} has shape {shape}; one volume of three axes is needed")
    i, j, k = shape[:3]
    try:
        with named_errors(path):
            return image, Grid((i, j, k), choose_affine(image, path, affine_from))
    except GridMismatchError as error:
        raise VolumeError(f"{path}: {error}") from error
