"""Folders and image files of a cohort on disk, whatever its layout."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from xrano.channels import KNOWN_SEQUENCES
from xrano.data.table_columns import SESSION_COLUMNS
from xrano.errors import ConfigError, ManifestError

SEARCH_DEPTH = 3
"""How many levels below the folder that was given a cohort's patients may lie."""

SUFFIXES = (".nii.gz", ".nii")


def nifti_stem(name: str) -> str:
    """A file's name without ``.nii.gz`` or ``.nii``; empty if it has neither.

    Example:
        >>> nifti_stem("a_t1.nii.gz"), nifti_stem("a_t1.nii"), nifti_stem("a_t1.json")
        ('a_t1', 'a_t1', '')
    """
    for suffix in SUFFIXES:
        if name.endswith(suffix) and not name.startswith("."):
            return name.removesuffix(suffix)
    return ""


def nifti_files(folder: Path) -> dict[str, Path]:
    """The images of a folder by their stem, sorted; of ``.nii.gz`` and ``.nii`` the former."""
    found: dict[str, Path] = {}
    for path in sorted(_listed(folder), key=lambda path: (path.name.endswith(".nii.gz"), path)):
        stem = nifti_stem(path.name)
        if stem and path.is_file():
            found[stem] = path.absolute()
    return dict(sorted(found.items()))


def subfolders(folder: Path) -> list[Path]:
    """The folders in a folder, sorted, hidden ones left out."""
    return sorted(
        child for child in _listed(folder) if not child.name.startswith(".") and child.is_dir()
    )


def _listed(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        # A folder that may not be listed (lost+found) holds no cohort of ours.
        return []


def walk(root: Path, depth: int) -> Iterator[Path]:
    """A folder and those below it, level by level; links are followed, so the depth is bounded."""
    waiting = deque([(root, 0)])
    while waiting:
        folder, level = waiting.popleft()
        yield folder
        if level < depth:
            waiting.extend((child, level + 1) for child in subfolders(folder))


def find_patients(root: Path, is_patient: Callable[[Path], bool], example: str) -> list[Path]:
    """The patients' folders of a cohort.

    Args:
        root: the folder that holds them, one up to three levels above it, or one patient's own.
        is_patient: whether a folder is a patient's.
        example: what a patient's folder is called, for the message.

    Raises:
        ManifestError: if there is none, or two folders on one level hold patients.
    """
    if not root.is_dir():
        raise ManifestError(f"{root} is no folder; one that holds {example} is needed")
    if is_patient(root):
        return [root]
    level = [root]
    for _ in range(SEARCH_DEPTH + 1):
        below = {folder: subfolders(folder) for folder in level}
        found = [folder for folder in level if any(map(is_patient, below[folder]))]
        if len(found) > 1:
            names = ", ".join(str(folder) for folder in found)
            raise ManifestError(f"{root} holds several cohorts ({names}); name one of them")
        if found:
            return [folder for folder in below[found[0]] if is_patient(folder)]
        level = [child for children in below.values() for child in children]
    raise ManifestError(
        f"{root} holds no folder such as {example}, nor up to {SEARCH_DEPTH} levels below"
    )


def check_sequence_names(names: Iterable[str]) -> None:
    """Refuse names that cannot be columns of images in a sessions table.

    Raises:
        ConfigError: naming the sequence.
    """
    taken = set(SESSION_COLUMNS) - set(KNOWN_SEQUENCES)
    for name in names:
        if name in taken or not re.fullmatch(r"[A-Za-z][A-Za-z0-9_+-]*", name):
            raise ConfigError(
                f"a sequence cannot be called {name!r}; needed is a name of letters, digits, _, + "
                "and - that is no other column of the sessions table, such as ADC"
            )


def pick_images(
    files: Mapping[str, Path], endings: Mapping[str, Sequence[str]]
) -> tuple[dict[str, str], list[str]]:
    """The image of each name, and what is left over.

    Args:
        files: ending of a file's name (what tells images of a session apart) to its path.
        endings: name of a column to the endings that it may have, the preferred one first; case
            does not matter.

    Returns:
        Name to path, empty where there is no file, and the endings that nobody asked for.

    Example:
        >>> files = {"t1gd": Path("/d/1_t0_t1gd.nii"), "dose": Path("/d/1_t0_dose.nii")}
        >>> pick_images(files, {"CT1": ("t1c", "t1gd"), "T2": ("t2",)})
        ({'CT1': '/d/1_t0_t1gd.nii', 'T2': ''}, ['dose'])
    """
    by_ending = {ending.lower(): ending for ending in files}
    chosen = {
        name: next((by_ending[known] for known in map(str.lower, wanted) if known in by_ending), "")
        for name, wanted in endings.items()
    }
    images = {name: str(files[ending]) if ending else "" for name, ending in chosen.items()}
    return images, [ending for ending in files if ending not in chosen.values()]
