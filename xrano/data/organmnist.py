"""OrganMNIST3D as MedMNIST publishes it: one .npz of small CT volumes, each of one organ.

Yang et al. 2023, MedMNIST v2 (Scientific Data 10, 41): 971 training, 161 validation and 610 test
volumes of 28³ (or 64³) voxels. The file is the user's own; nothing is downloaded.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xrano.errors import VolumeError

ORGANS = (
    *("liver", "right kidney", "left kidney", "right femur", "left femur", "bladder", "heart"),
    *("right lung", "left lung", "spleen", "pancreas"),
)
"""The classes in the order of their labels."""

SIZES = (28, 64)
"""Voxels of an edge in the published files."""

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
        loaded = np.load(path, allow_pickle=False)
        if not isinstance(loaded, np.lib.npyio.NpzFile):
            raise VolumeError(f"{path} is one array of shape {loaded.shape}, no .npz; {_NEEDED}")
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
    except (OSError, EOFError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise VolumeError(
            f"{path} cannot be read as .npz ({type(error).__name__}: {error}); {_NEEDED}"
        ) from error


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
