"""NIfTI files from anywhere: what a header claims is held against the file before memory is taken.

A header of 352 bytes can claim terabytes, and a compressed file can hold a thousand times its own
size. So the claim is checked first: against the bytes that are there (a plain file holds exactly
what its header says; deflate compresses 1032 times at best) and against a limit, which the
environment variable ``XRANO_MAX_VOLUME_GB`` raises. Voxels are then read in pieces, to the end of
the file, so that gzip's checksum is looked at too. Headers: :mod:`xrano.nifti_header`.
"""

from __future__ import annotations

import io
import math
import os
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nibabel.volumeutils import apply_read_scaling
from numpy.typing import NDArray

from xrano.errors import ConfigError, VolumeError
from xrano.nifti_header import (
    header_block,
    is_packed,
    named_errors,
    opened,
    require_file,
    unreadable,
)

LIMIT_VARIABLE = "XRANO_MAX_VOLUME_GB"
"""Environment variable: gigabytes (10⁹ bytes) that the voxels of one file may take."""

DEFAULT_LIMIT_GB = 4.0

LARGEST_EXTENSION = 64 << 20
"""Bytes that may lie between a header and its voxels."""

_DEFLATE_RATIO = 1032
"""No deflate stream expands to more than this many times its size (zlib's documentation)."""

_LEAST_ITEM = 4
"""Bytes that a voxel takes at least: scans are held as float32."""

_CHUNK = 1 << 22


def volume_limit() -> int:
    """Bytes that the voxels of one file may take.

    Raises:
        ConfigError: if :data:`LIMIT_VARIABLE` is no positive number.
    """
    text = os.environ.get(LIMIT_VARIABLE, "")
    try:
        limit = float(text) if text else DEFAULT_LIMIT_GB
    except ValueError:
        limit = math.nan
    if not 0 < limit < 1e9:
        raise ConfigError(f"{LIMIT_VARIABLE} must be a number of gigabytes above 0, got {text!r}")
    return round(limit * 1e9)


def open_checked(path: str | PathLike[str]) -> nib.Nifti1Image:
    """The header of a NIfTI file as an image; voxels come from :func:`read_voxels` alone.

    Args:
        path: a ``.nii`` or ``.nii.gz`` file of NIfTI-1 or NIfTI-2.

    Raises:
        VolumeError: if the file is missing, cut off or broken, not NIfTI, or claims more voxels
            than it can hold or may have.
    """
    path = Path(path)
    with named_errors(path):
        require_file(path)
        block, kind = header_block(path)
        # The flag of extensions is cleared: nibabel would read what they claim to be.
        image: nib.Nifti1Image = kind.from_stream(io.BytesIO(block + bytes(4)))
        _claim(path, image)
        return image


def read_voxels(path: str | PathLike[str], image: nib.Nifti1Image) -> NDArray[Any]:
    """The voxels of a file in its own order, scaled as its header says.

    Args:
        path: the file.
        image: what :func:`open_checked` gave of it.

    Returns:
        An array of the image's shape, in stored precision where nothing is scaled.

    Raises:
        VolumeError: if the file is cut off or broken, holds something after its last voxel, or its
            voxels are no real numbers.
    """
    path = Path(path)
    with named_errors(path):
        claim = _claim(path, image)
        if claim.dtype.kind not in "biuf":
            raise VolumeError(f"{path} holds {claim.dtype} voxels; real numbers are needed")
        content = np.empty(claim.stored, dtype=np.uint8)
        with opened(path) as stream:
            _skip(stream, claim.offset)
            _fill(stream, content)
            if stream.read(1):
                raise VolumeError(_too_long(path))
        values: NDArray[Any] = np.ndarray(claim.shape, claim.dtype, buffer=content, order="F")
        stored: Any = image.dataobj
        # As nibabel's own proxies scale, type promotion included.
        scaled = apply_read_scaling(
            values, np.asanyarray(stored.slope), np.asanyarray(stored.inter)
        )
        return np.asanyarray(scaled)


@dataclass(frozen=True)
class _Claim:
    """What a header says of its voxels; ``stored`` in bytes."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    offset: int
    stored: int


def _claim(path: Path, image: nib.Nifti1Image) -> _Claim:
    """What a header claims, if the file can hold it and memory may."""
    # The image's own header has forgotten offset and slope; they are with what reads its voxels.
    stored: Any = image.dataobj
    shape, dtype = tuple(int(size) for size in stored.shape), np.dtype(stored.dtype)
    if not shape or min(shape) < 1:
        raise VolumeError(f"{path} claims the shape {shape}; every axis has a voxel or more")
    voxels, offset = math.prod(shape), int(stored.offset)
    taken, limit = voxels * max(dtype.itemsize, _LEAST_ITEM), volume_limit()
    if taken > limit:
        raise VolumeError(
            f"{path} claims {'×'.join(map(str, shape))} voxels of {dtype}, {taken / 1e9:,.1f} GB, "
            f"more than the {limit / 1e9:g} GB that one volume may take; if it is right, allow it "
            f"with the environment variable {LIMIT_VARIABLE}={math.ceil(taken / 1e9)}"
        )
    least = len(image.header.binaryblock) + 4
    if not least <= offset <= least + LARGEST_EXTENSION:
        raise VolumeError(unreadable(path, f"its header says that voxels start at byte {offset}"))
    claim = _Claim(shape, dtype, offset, voxels * dtype.itemsize)
    _require_room(path, claim)
    return claim


def _require_room(path: Path, claim: _Claim) -> None:
    """Hold a claim against the bytes of the file."""
    needed, size = claim.offset + claim.stored, path.stat().st_size
    if is_packed(path):
        if needed > _DEFLATE_RATIO * size:
            cause = f"its header claims {needed:,} bytes, which {size:,} compressed ones cannot be"
            raise VolumeError(unreadable(path, cause))
    elif size < needed:
        cause = f"its header claims {needed:,} bytes, the file has {size:,}"
        raise VolumeError(unreadable(path, cause))
    elif size > needed:
        raise VolumeError(_too_long(path, size - needed))


def _too_long(path: Path, surplus: int = 0) -> str:
    count = f"{surplus:,} bytes" if surplus else "something"
    return (
        f"{path} holds {count} after the last voxel that its header tells of: header and voxels "
        "are not of one image; save it again with the tool that made it"
    )


def _skip(stream: Any, count: int) -> None:
    while count:
        passed = len(stream.read(min(count, _CHUNK)))
        if not passed:
            raise EOFError("it ends before its voxels")
        count -= passed


def _fill(stream: Any, content: NDArray[np.uint8]) -> None:
    """Read into an array; pages of it that nothing is read into take no memory."""
    view, done = content.data, 0
    while done < len(view):
        count = stream.readinto(view[done : done + _CHUNK])
        if not count:
            raise EOFError(f"{done:,} of {len(view):,} bytes of voxels are there")
        done += count
