"""ITK's linear transform files (.txt, .tfm, .mat) to (4, 4) matrices in RAS+ mm, and back.

An ITK transform, made while registering a *moving* image to a *fixed* one, maps points of the
fixed image to points of the moving image: that is what a resampler asks for. xrano's matrices go
the other way, as an affine does: from the moving world to the fixed world. ``read_itk_transform``
returns ITK's own direction in RAS+, and :func:`numpy.linalg.inv` of it is xrano's.

In ITK's words the transform is ``y = A (x - c) + c + t`` in LPS+ mm, with the centre ``c`` among
the fixed parameters, and ``A`` and ``t`` among the parameters.
"""

from __future__ import annotations

import io
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.io import loadmat, whosmat
from scipy.io.matlab import MatReadError, matfile_version

from xrano.atomic_files import write_text
from xrano.data.registration.ants_images import LPS
from xrano.errors import VolumeError
from xrano.types import Affine

_AFFINE = ("MatrixOffsetTransformBase", "AffineTransform")
_LARGEST_MAT = 1 << 16
"""Bytes of a binary file; a linear transform has some hundred."""

_BROKEN = (MatReadError, ValueError, TypeError, LookupError, OverflowError, NotImplementedError)
"""What a broken binary file leads its reader into."""

_HEADER = "#Insight Transform File V1.0"
_KNOWN = "an affine (12 parameters), Euler3D, VersorRigid3D or Translation transform"

Numbers = NDArray[np.float64]


def read_itk_transform(path: str | PathLike[str]) -> Affine:
    """Read a linear transform file.

    Args:
        path: ITK's text form (``.txt``, ``.tfm``), or its binary ``.mat``, of one transform.

    Returns:
        (4, 4) RAS+ mm, fixed (output) world to moving (input) world. Several transforms in one
        file are composed as ITK does: the last is applied first.

    Raises:
        VolumeError: if the file is missing or broken, or holds a transform that is not linear.
    """
    path = Path(path)
    if not path.is_file():
        raise VolumeError(f"{path} does not exist; an ITK transform file is needed")
    blocks = _read_mat(path) if path.suffix == ".mat" else _read_text(path)
    matrix = np.eye(4)
    for kind, parameters, fixed in blocks:
        matrix = matrix @ _lps_matrix(kind, parameters, fixed, path)
    if not np.isfinite(matrix).all() or abs(np.linalg.det(matrix[:3, :3])) < 1e-9:
        raise VolumeError(f"{path} holds a transform that cannot be inverted: {matrix.tolist()}")
    return np.asarray(LPS @ matrix @ LPS)


def write_itk_transform(path: str | PathLike[str], matrix: Affine) -> None:
    """Write a matrix as ITK's text form, for ITK-SNAP, ANTs or SimpleITK.

    Args:
        path: a ``.txt`` or ``.tfm`` file, written atomically.
        matrix: (4, 4) RAS+ mm, fixed world to moving world. To resample an image into the world
            that xrano's matrix takes it *to*, write the inverse of xrano's matrix.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "shift.txt"
        >>> shift = np.eye(4); shift[0, 3] = 2.5
        >>> write_itk_transform(path, shift)
        >>> read_itk_transform(path)[0].tolist()
        [1.0, 0.0, 0.0, 2.5]
    """
    lps = LPS @ np.asarray(matrix, dtype=np.float64) @ LPS
    numbers = [*lps[:3, :3].ravel(), *lps[:3, 3]]
    # repr keeps every bit; adding 0.0 turns -0.0 into 0.0.
    parameters = " ".join(repr(float(number) + 0.0) for number in numbers)
    lines = (
        _HEADER,
        "#Transform 0",
        "Transform: AffineTransform_double_3_3",
        f"Parameters: {parameters}",
        "FixedParameters: 0 0 0",
    )
    write_text(Path(path), "\n".join(lines) + "\n")


def _read_mat(path: Path) -> list[tuple[str, Numbers, Numbers]]:
    """One transform: a matrix of its parameters, named by its kind, and one named ``fixed``.

    ITK writes the form of MATLAB 4, whose matrices say nothing that has to be unpacked. ITK itself
    would believe their sizes.
    """
    with path.open("rb") as file:
        content: Any = io.BytesIO(file.read(_LARGEST_MAT + 1))
    try:
        if content.getbuffer().nbytes > _LARGEST_MAT:
            raise ValueError(f"it has more than {_LARGEST_MAT} bytes")
        if matfile_version(content)[0] != 0:
            raise ValueError("it is of a later MATLAB than 4")
        names = [name for name, _, _ in whosmat(content)]
        if len(names) != 2 or names[1] != "fixed":
            raise ValueError(f"needed are a transform's parameters and 'fixed', found {names}")
        found = loadmat(content)
        parameters, fixed = (
            np.asarray(found[name], dtype=np.float64).ravel(order="F") for name in names
        )
    except _BROKEN as error:
        cause = " ".join(str(error).split())
        raise VolumeError(f"{path} cannot be read as an ITK transform: {cause}") from error
    return [(names[0], parameters, fixed)]


def _read_text(path: Path) -> list[tuple[str, Numbers, Numbers]]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise VolumeError(f"{path} is no text; ITK's binary form ends in .mat") from error
    if not lines or not lines[0].startswith("#Insight Transform File"):
        raise VolumeError(f"{path} must begin with {_HEADER!r}; is it another tool's matrix?")
    entries = [line.split(":", 1) for line in lines if ":" in line and not line.startswith("#")]
    fields = [(name.strip(), value.split()) for name, value in entries]
    # A composite is announced before its members and has no parameters of its own.
    fields = [field for field in fields if not field[1] or "CompositeTransform" not in field[1][0]]
    names = [name for name, _ in fields]
    blocks, wanted = len(fields) // 3, ["Transform", "Parameters", "FixedParameters"]
    if not blocks or names != wanted * blocks:
        raise VolumeError(f"{path} must hold {', '.join(wanted)} in this order, found {names}")
    found = []
    for start in range(0, len(fields), 3):
        (_, kind), (_, parameters), (_, fixed) = fields[start : start + 3]
        if not kind:
            raise VolumeError(f"{path} does not say what kind of transform it holds")
        try:
            numbers = (np.array(parameters, np.float64), np.array(fixed, np.float64))
        except ValueError as error:
            raise VolumeError(f"{path} holds something that is no number: {error}") from error
        found.append((kind[0], *numbers))
    return found


def _lps_matrix(kind: str, parameters: Numbers, fixed: Numbers, path: Path) -> Affine:
    name = kind.split("_")[0]
    matrix = np.eye(4)
    if name in _AFFINE and parameters.size == 12 and fixed.size == 3:
        matrix[:3, :3] = parameters[:9].reshape(3, 3)
    elif name == "Euler3DTransform" and parameters.size == 6 and fixed.size in (3, 4):
        matrix[:3, :3] = _euler(parameters[:3], zyx=fixed.size == 4 and bool(fixed[3]))
    elif name == "VersorRigid3DTransform" and parameters.size == 6 and fixed.size == 3:
        matrix[:3, :3] = _versor(parameters[:3])
    elif name != "TranslationTransform" or parameters.size != 3:
        raise VolumeError(
            f"{path} holds a {kind} with {parameters.size} parameters and {fixed.size} fixed "
            f"ones; {_KNOWN} of three dimensions is needed"
        )
    centre = fixed[:3] if name != "TranslationTransform" else np.zeros(3)
    matrix[:3, 3] = parameters[-3:] + centre - matrix[:3, :3] @ centre
    return matrix


def _euler(radians: Numbers, *, zyx: bool) -> Numbers:
    """ITK's Euler angles about x, y, z: R = Rz Rx Ry, or Rz Ry Rx when ``ComputeZYX`` is set."""
    (cx, cy, cz), (sx, sy, sz) = np.cos(radians), np.sin(radians)
    about_x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    return np.asarray(about_z @ (about_y @ about_x if zyx else about_x @ about_y))


def _versor(vector: Numbers) -> Numbers:
    """The rotation of a unit quaternion whose scalar part is not negative."""
    x, y, z = vector
    w = np.sqrt(max(0.0, 1.0 - x * x - y * y - z * z))
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )
