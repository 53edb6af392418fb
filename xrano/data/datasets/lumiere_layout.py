"""Where LUMIERE keeps its images: ``Imaging/Patient-NNN/week-WWW[-K]/``, ``.nii.gz`` or ``.nii``.

Raw and HD-GLIO files have upper-case names, DeepBraTumIA's lower-case ones. The tree is the truth
about which sessions exist (Suter et al., Sci Data 2022;9:768).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import TypedDict

from xrano.channels import KNOWN_SEQUENCES
from xrano.data.label_schemes import label_scheme
from xrano.errors import ManifestError, VolumeError

ATLAS = Path("DeepBraTumIA-segmentation", "atlas")
SKULL_STRIP = ATLAS / "skull_strip"
ATLAS_SEGMENTATION = ATLAS / "segmentation" / "seg_mask"
HDGLIO_SEGMENTATION = Path("HD-GLIO-AUTO-segmentation", "registered", "segmentation")

_PATIENT = re.compile(r"Patient-\d+")
_SESSION = re.compile(r"week-(\d{3})(?:-(\d+))?")
_SEARCH_DEPTH = 3


def parse_session_name(name: str) -> tuple[int, int]:
    """Week and suffix of a session's name; the suffix, 0 if there is none, orders scans of a week.

    Raises:
        ManifestError: if the name is not ``week-WWW`` or ``week-WWW-K``.

    Example:
        >>> parse_session_name("week-040-2"), parse_session_name("week-004")
        ((40, 2), (4, 0))
    """
    match = _SESSION.fullmatch(name)
    if match is None:
        raise ManifestError(f"session name {name!r} is neither week-WWW nor week-WWW-K")
    return int(match[1]), int(match[2] or 0)


def image_file(stem: Path) -> str:
    """The absolute path of ``stem.nii.gz`` or ``stem.nii``, or an empty string."""
    for suffix in (".nii.gz", ".nii"):
        path = stem.with_name(stem.name + suffix)
        if path.is_file():
            return str(path.absolute())
    return ""


def find_imaging(root: Path) -> Path:
    """The folder that holds the patients: ``root``, or up to three levels below it.

    A patient's own folder is taken for a cohort of one: the result is then its parent, and
    :func:`session_folders` is to be given the root.

    Raises:
        ManifestError: if there is no such folder, or there are several on one level.
    """
    if not root.is_dir():
        raise ManifestError(f"{root} is no folder; LUMIERE's Imaging folder is needed")
    if _PATIENT.fullmatch(root.name):
        return root.parent
    level = [root]
    for _ in range(_SEARCH_DEPTH + 1):
        found = [folder for folder in level if any(_patients(folder))]
        if len(found) > 1:
            names = ", ".join(str(folder) for folder in found)
            raise ManifestError(f"{root} holds several cohorts ({names}); name one of them")
        if found:
            return found[0]
        level = [child for folder in level for child in _folders(folder)]
    raise ManifestError(
        f"{root} holds no LUMIERE tree: there is no folder such as Imaging/Patient-001 in it, nor "
        f"up to {_SEARCH_DEPTH} levels below"
    )


def session_folders(root: Path) -> dict[tuple[str, str], Path]:
    """Every (patient_id, session_id) on disk and its folder.

    Args:
        root: as for :func:`find_imaging`.

    Raises:
        ManifestError: if a patient holds a folder that starts with ``week`` but is no session.
    """
    patients = [root] if _PATIENT.fullmatch(root.name) else _patients(find_imaging(root))
    found: dict[tuple[str, str], Path] = {}
    for patient in patients:
        for folder in _folders(patient):
            if folder.name.startswith("week"):
                try:
                    parse_session_name(folder.name)
                except ManifestError as error:
                    raise ManifestError(f"{folder}: {error}; rename or remove it") from error
                found[patient.name, folder.name] = folder
    return found


def atlas_images(session: Path) -> dict[str, str]:
    """Paths of the four sequences and ``brain_mask`` on the common atlas grid; empty if missing."""
    folder = session / SKULL_STRIP
    images = {name: image_file(folder / f"{name.lower()}_skull_strip") for name in KNOWN_SEQUENCES}
    return {**images, "brain_mask": image_file(folder / "brain_mask")}


def holds_images(session: Path) -> bool:
    """Whether a session has an image of any sequence, raw or on the atlas grid."""
    atlas = atlas_images(session)
    return any(atlas[name] or image_file(session / name) for name in KNOWN_SEQUENCES)


class SessionFiles(TypedDict):
    """The files of one session; paths are absolute, and empty where there is no file."""

    sequences: dict[str, str]
    brain_mask: str
    segmentation: str
    scheme: str
    space: str


def read_session_directory(path: str | Path, *, scheme: str = "binary") -> SessionFiles:
    """The files of one session outside any cohort.

    Args:
        path: a session of LUMIERE's tree (its atlas images and DeepBraTumIA segmentation are
            taken), or a folder with ``T1.nii.gz``, ``CT1.nii.gz``, ``T2.nii.gz`` and
            ``FLAIR.nii.gz``, as many as there are, and perhaps ``brain_mask.nii.gz`` and
            ``segmentation.nii.gz``; ``.nii`` will do as well.
        scheme: what the labels of a flat folder's segmentation mean; LUMIERE's are known.

    Returns:
        The files. ``sequences`` holds only those that exist; ``scheme`` is empty without
        ``segmentation``.

    Raises:
        VolumeError: if the folder does not exist or holds no sequence.
        UnknownNameError: if the scheme is unknown.
    """
    label_scheme(scheme)
    folder = Path(path)
    if not folder.is_dir():
        raise VolumeError(f"{folder} is no folder; the folder of one session is needed")
    images, segmentation, space = atlas_images(folder), image_file(folder / "segmentation"), "atlas"
    if any(images[name] for name in KNOWN_SEQUENCES):
        segmentation, scheme = image_file(folder / ATLAS_SEGMENTATION), "lumiere-deepbratumia"
    else:
        images, space = {name: image_file(folder / name) for name in KNOWN_SEQUENCES}, "native"
        images["brain_mask"] = image_file(folder / "brain_mask")
    sequences = {name: images[name] for name in KNOWN_SEQUENCES if images[name]}
    if not sequences:
        present = ", ".join(sorted(child.name for child in folder.iterdir())[:12]) or "nothing"
        raise VolumeError(
            f"{folder} holds no sequence; at least one of "
            f"{', '.join(f'{name}.nii.gz' for name in KNOWN_SEQUENCES)} is needed, or LUMIERE's "
            f"{SKULL_STRIP.as_posix()}; found {present}"
        )
    return SessionFiles(
        sequences=sequences,
        brain_mask=images["brain_mask"],
        segmentation=segmentation,
        scheme=scheme if segmentation else "",
        space=space,
    )


def _folders(folder: Path) -> list[Path]:
    try:
        return sorted(child for child in folder.iterdir() if child.is_dir())
    except OSError:
        # A folder that may not be listed (lost+found) holds no cohort of ours.
        return []


def _patients(folder: Path) -> Iterable[Path]:
    return (child for child in _folders(folder) if _PATIENT.fullmatch(child.name))
