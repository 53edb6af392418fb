"""Where the images of a cohort lie: as few folders as hold them, and none that holds more.

Links in a dataset are common on clusters (a scratch disk, DataLad), so they are followed. What lies
behind one that leaves the dataset is told, must be an image, and bounds nothing but its own folder:
two folders are never taken together into the one that holds both and others.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

import pandas as pd

from xrano.atomic_files import write_json
from xrano.data.cells import relative_path
from xrano.data.table_columns import sequence_columns
from xrano.errors import ManifestError, VolumeError
from xrano.nifti_header import BROKEN, header_block, is_pointer
from xrano.roots import bound_of, bounds_nothing
from xrano.text_files import read_json

ROOTS = "roots.json"
"""Of a store: the folders, relative to it, that the images of its tables lie in."""

_NAMED = 3


def named_images(sessions: pd.DataFrame, segmentations: pd.DataFrame) -> list[str]:
    """Every file that two tables name, each once."""
    columns = [*sequence_columns(sessions), "brain_mask"]
    named = [*sessions[columns].to_numpy().ravel(), *segmentations["path"]]
    return list(dict.fromkeys(str(name) for name in named if name))


def covering_roots(images: Iterable[str], known: Collection[Path]) -> list[Path]:
    """The folders that images lie in: a known one where that holds them, else their very own.

    Args:
        images: files; their links are followed.
        known: folders to prefer.

    Returns:
        Sorted, each once. Of an image in a folder that bounds nothing (``/tmp``) the file itself.
    """
    roots = {Path(os.path.realpath(root)) for root in known}
    return sorted({bound_of(image, roots) or _own_root(image) for image in images})


def _own_root(image: str) -> Path:
    real = Path(os.path.realpath(image))
    return real if bounds_nothing(real.parent) else real.parent


def outside_of(root: Path, images: Iterable[str]) -> list[str]:
    """The images that do not lie in a folder once links are followed."""
    bound = {Path(os.path.realpath(root))}
    return [image for image in images if bound_of(image, bound) is None]


def require_images(root: Path, outside: Iterable[str]) -> None:
    """Refuse files outside of a cohort's folder that are no images: why would it lead there?

    One that is gone, empty, closed to this user, or a pointer to content that was not fetched is
    passed over: nothing can be read of it, and whoever reads its voxels complains.

    Raises:
        ManifestError: naming the file and where it leads.
    """
    for image in outside:
        path = Path(image)
        if not (path.is_file() and os.access(path, os.R_OK) and path.stat().st_size):
            continue
        try:
            if not is_pointer(path):
                header_block(path)
        except (VolumeError, *BROKEN) as error:
            target = os.path.realpath(path)
            raise ManifestError(
                f"{path} leads to {target}, outside of {root}, which is no NIfTI image; remove the "
                "link, or let it lead to the image"
            ) from error


def outside_note(root: Path, outside: Sequence[str]) -> str:
    """One line on images that lie outside of a cohort's folder; empty without any."""
    if not outside:
        return ""
    images = "1 image lies" if len(outside) == 1 else f"{len(outside)} images lie"
    folders = told_folders(covering_roots(outside, ()))
    return f"{images} outside of {root} once links are followed: in {folders}"


def told_folders(folders: Sequence[Path]) -> str:
    """Folders in a line: by name if they are few, else how many and what holds them.

    Example:
        >>> told_folders([Path("/a/x"), Path("/b/y")])
        '/a/x, /b/y'
        >>> told_folders([Path(f"/scratch/cohort/P{number}") for number in range(90)])
        '90 folders below /scratch/cohort, such as /scratch/cohort/P0'
    """
    if len(folders) <= _NAMED:
        return ", ".join(map(str, folders))
    try:
        common = os.path.commonpath(folders)
    except ValueError:
        common = ""  # They lie on several drives.
    below = f" below {common}" if common and common != Path(common).anchor else ""
    return f"{len(folders)} folders{below}, such as {folders[0]}"


def write_roots(store: Path, roots: Iterable[Path]) -> None:
    """Write the folders that the images of a store's tables lie in."""
    folder = store.resolve()
    write_json(store / ROOTS, sorted({relative_path(str(root), folder) for root in roots}))


def read_roots(store: Path) -> frozenset[Path] | None:
    """The folders that the images of a store's tables may lie in, links followed.

    Args:
        store: its folder.

    Returns:
        ``None`` for a store of an earlier version, which does not say.

    Raises:
        ManifestError: if the file is broken, or names a folder that bounds nothing.
    """
    path = store / ROOTS
    if not path.is_file():
        return None
    try:
        named = read_json(path)
        if not isinstance(named, list) or not all(isinstance(name, str) for name in named):
            raise ValueError("it is no list of folders")
        roots = frozenset((store.resolve() / name).resolve() for name in named)
    except (OSError, ValueError) as error:
        raise ManifestError(f"{path} cannot be read ({error}); run xrano prepare again") from error
    wide = sorted(root for root in roots if bounds_nothing(root))
    if wide:
        raise ManifestError(
            f"{path} names {wide[0]}, which holds far more than a cohort; run xrano prepare again"
        )
    return roots
