"""Which affine of a NIfTI file holds, and which affines tell nothing.

A file carries two: the *sform*, any affine, and the *qform*, a rotation with spacings. Where both
are set they should agree; tools that edit one of them make them differ.
"""

from __future__ import annotations

import itertools
import warnings
from os import PathLike
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.spatialimages import HeaderDataError

from xrano.errors import UnknownNameError, VolumeError, XranoWarning
from xrano.types import Affine

AFFINES = ("sform", "qform")
"""Which of the two is taken where both are set and disagree."""

DISAGREEMENT_MM = 0.1
"""A corner of the volume that the two put farther apart than this makes them disagree."""


def choose_affine(image: nib.Nifti1Image, path: str | PathLike[str], affine_from: str) -> Affine:
    """The affine of an image, (4, 4) to world mm.

    Args:
        image: as opened by nibabel.
        path: for the message.
        affine_from: ``sform`` (as nibabel does) or ``qform``, where both are set; the one that is
            set otherwise.

    Raises:
        UnknownNameError: if ``affine_from`` is neither.
        VolumeError: if the qform is asked for and its numbers describe no rotation.

    Warns:
        XranoWarning: if both are set and disagree, naming which is used, or the qform is broken.
    """
    if affine_from not in AFFINES:
        raise UnknownNameError("affine", affine_from, AFFINES)
    found: Affine = np.asarray(image.affine, dtype=np.float64)
    header = image.header
    if not (int(header["sform_code"]) and int(header["qform_code"])):
        return found
    try:
        both = {"sform": image.get_sform(), "qform": image.get_qform()}
    except (ValueError, HeaderDataError) as error:
        if affine_from == "qform":
            raise VolumeError(f"{path}: its qform is broken ({error})") from error
        warnings.warn(
            f"{path}: its qform is broken ({error}); the sform is used", XranoWarning, stacklevel=4
        )
        return found
    apart = _farthest_corner(both["sform"], both["qform"], image.shape[:3])
    if apart <= DISAGREEMENT_MM:
        return found
    other = AFFINES[1 - AFFINES.index(affine_from)]
    warnings.warn(
        f"{path}: sform and qform disagree by up to {apart:.1f} mm; the {affine_from} is used "
        f"(--affine_from {other} takes the other)",
        XranoWarning,
        stacklevel=4,
    )
    return np.asarray(both[affine_from], dtype=np.float64)


def tells_nothing(affine: Affine) -> bool:
    """Whether an affine is the identity: what tools write that have lost the millimetres.

    ITK's world is LPS+, so its identity reaches a NIfTI file with the first two signs turned.

    Example:
        >>> tells_nothing(np.eye(4)), tells_nothing(np.diag([-1.0, -1.0, 1.0, 1.0]))
        (True, True)
    """
    return any(np.array_equal(affine, np.diag([x, x, 1.0, 1.0])) for x in (1.0, -1.0))


def _farthest_corner(a: Affine, b: Affine, shape: tuple[int, ...]) -> float:
    corners = np.array(list(itertools.product(*((0, size - 1) for size in shape))))
    apart = nib.affines.apply_affine(a, corners) - nib.affines.apply_affine(b, corners)
    return float(np.linalg.norm(apart, axis=1).max())


def describe_identity(path: str | Path) -> str:
    """What to say of a scan whose affine tells nothing."""
    return (
        f"{path} has an identity affine: voxel size and orientation are lost, and left may be "
        "right; take the image from its source again, or write the true affine into it"
    )
