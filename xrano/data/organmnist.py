"""OrganMNIST3D as MedMNIST publishes it: one .npz of small CT volumes, each of one organ.

Yang et al. 2023, MedMNIST v2 (Scientific Data 10, 41): 971 training, 161 validation and 610 test
volumes of 28³ (or 64³) voxels. The file is the user's own; nothing is downloaded.
"""

from __future__ import annotations

import math
import tokenize
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from xrano.checked_nifti import LIMIT_VARIABLE, volume_limit
from xrano.errors import VolumeError

ORGANS = (
    *("liver", "right kidney", "left kidney", "right femur", "left femur", "bladder", "heart"),
    *("right lung", "left lung", "spleen", "pancreas"),
)
"""The classes in the order of their labels."""

SIZES = (28, 64)
"""Voxels of an edge in the published files."""

_DEFLATE_RATIO = 1032
"""No zip entry expands to more than this many times its size."""

_PARTS = ("train", "val", "test")
_NEEDED = "needed is MedMNIST's organmnist3d.npz or organmnist3d_64.npz"


@dataclass(frozen=True, eq=False)
class OrganImages:
    """One part of the file.

    ``images``: uint8 (n, i, j, k), all of one size; ``labels``: int64 (n,), index in
    :data:`ORGANS`.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, eq=False)
class OrganMNIST:
    """The three parts as published."""

    train: OrganImages
    val: OrganImages
    test: OrganImages


def read_organmnist(path: str | PathLike[str]) -> OrganMNIST:
    """Read the published file; nothing in it is executed.

    Args:
        path: ``organmnist3d.npz`` or ``organmnist3d_64.npz``.

    Raises:
        VolumeError: if the file is missing or broken, lacks an array, holds arrays of another
            shape or type, labels that are not 0 to 10, or not all organs to train on (as the
            other 3D sets of MedMNIST); the message tells what was found.
    """
    path = Path(path)
    arrays = _arrays(path)
    parts = {name: _part(path, name, arrays) for name in _PARTS}
    shapes = {part.images.shape[1:] for part in parts.values()}
    if len(shapes) > 1:
        raise VolumeError(f"{path} holds volumes of several sizes, {sorted(shapes)}; {_NEEDED}")
    found = np.unique(parts["train"].labels)
    if len(found) != len(ORGANS):
        raise VolumeError(
            f"{path} has training volumes of {len(found)} classes ({_listed(found)}), OrganMNIST3D "
            f"has {len(ORGANS)}; {_NEEDED}"
        )
    return OrganMNIST(**parts)


def _arrays(path: Path) -> Mapping[str, NDArray[Any]]:
    wanted = [f"{part}_{kind}" for part in _PARTS for kind in ("images", "labels")]
    try:
        _require_small(path, wanted)
        loaded = np.load(path, allow_pickle=False)
        with loaded:
            lacking = [name for name in wanted if name not in loaded.files]
            if lacking:
                raise VolumeError(
                    f"{path} lacks {', '.join(lacking)}; it holds "
                    f"{', '.join(sorted(loaded.files)) or 'nothing'}; {_NEEDED}"
                )
            return {name: loaded[name] for name in wanted}
    except VolumeError:
        raise
    except _BROKEN as error:
        cause = " ".join(str(error).split())
        raise VolumeError(
            f"{path} cannot be read as .npz ({type(error).__name__}: {cause}); {_NEEDED}"
        ) from error


# An .npz is a zip file, and zipfile says NotImplementedError and RuntimeError of some; numpy lets
# Python's tokeniser read the headers of arrays.
_BROKEN = (
    *(OSError, EOFError, ValueError, TypeError, KeyError, zipfile.BadZipFile, zlib.error),
    *(NotImplementedError, RuntimeError, OverflowError, SyntaxError, tokenize.TokenError),
)


def _require_small(path: Path, wanted: Iterable[str]) -> None:
    """Hold what the arrays claim against the bytes that the file gives them, and the limit."""
    with path.open("rb") as file:
        start = file.read(6)
        file.seek(0)
        if start == b"\x93NUMPY":
            raise VolumeError(f"{path} is one array of shape {_claim(file)[0]}, no .npz; {_NEEDED}")
    if not start.startswith(b"PK"):
        raise ValueError("it is no zip file")
    claimed, limit = 0, volume_limit()
    with zipfile.ZipFile(path) as archive:
        present = set(archive.namelist())
        for name in (f"{name}.npy" for name in wanted):
            if name not in present:
                continue
            entry = archive.getinfo(name)
            with archive.open(entry) as member:
                shape, dtype = _claim(member)
            size = math.prod(shape) * dtype.itemsize
            if size > entry.file_size or size > _DEFLATE_RATIO * (entry.compress_size + 1):
                raise ValueError(f"{name} claims {size:,} bytes, the file has fewer")
            claimed += size
    if claimed > limit:
        raise ValueError(
            f"its arrays claim {claimed / 1e9:,.1f} GB, more than the {limit / 1e9:g} GB that "
            f"{LIMIT_VARIABLE} allows"
        )


def _claim(file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """The shape and type that the header of a .npy file tells; its values are not read."""
    forms: Any = np.lib.format
    first = forms.read_magic(file) == (1, 0)
    read = forms.read_array_header_1_0 if first else forms.read_array_header_2_0
    shape, _, dtype = read(file)
    return shape, dtype


def _part(path: Path, name: str, arrays: Mapping[str, NDArray[Any]]) -> OrganImages:
    images, labels = arrays[f"{name}_images"], arrays[f"{name}_labels"]
    edges = images.shape[1:]
    if images.dtype != np.uint8 or edges not in [(size,) * 3 for size in SIZES] or not len(images):
        raise VolumeError(
            f"{path}: {name}_images is {images.dtype} of shape {images.shape}; it must be uint8 "
            f"(n, 28, 28, 28) or (n, 64, 64, 64)"
        )
    if labels.dtype.kind not in "iu" or labels.shape != (len(images), 1):
        raise VolumeError(
            f"{path}: {name}_labels is {labels.dtype} of shape {labels.shape}; it must be integers "
            f"({len(images)}, 1), one label a volume"
        )
    wrong = np.unique(labels[(labels < 0) | (labels >= len(ORGANS))])
    if len(wrong):
        raise VolumeError(
            f"{path}: {name}_labels holds {_listed(wrong)}; OrganMNIST3D has 0 to {len(ORGANS) - 1}"
        )
    return OrganImages(images, labels[:, 0].astype(np.int64))


def _listed(values: NDArray[Any]) -> str:
    shown = ", ".join(str(value) for value in values[:12])
    return f"{shown}, …" if len(values) > 12 else shown
