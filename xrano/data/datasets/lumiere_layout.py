"""Where LUMIERE keeps its sessions: ``Imaging/Patient-NNN/week-WWW[-K]/``.

The tree is the truth about which sessions exist (Suter et al., Sci Data 2022;9:768).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypedDict

from xrano.channels import KNOWN_SEQUENCES
from xrano.data.datasets.listed_folder import ListedFolder
from xrano.data.datasets.lumiere_sources import (
    SKULL_STRIP,
    SOURCE_SPACES,
    holds_images,
    session_images,
    session_segmentations,
)
from xrano.data.label_schemes import label_scheme
from xrano.errors import ManifestError, UnknownNameError, VolumeError

SessionKey = tuple[str, str]
"""patient_id and session_id."""

_PATIENT = re.compile(r"Patient-\d+")
_SESSION = re.compile(r"week-(\d{3})(?:-(\d+))?")
_SEARCH_DEPTH = 3
_SHOWN = 5

PHANTOM_DESCRIPTION = "phantom.json"
"""Lies beside a made cohort in this layout, and beside no real one."""


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


def find_imaging(root: Path) -> Path:
    """The folder that holds the patients: ``root``, or up to three levels below it.

    A patient's own folder is taken for a cohort of one: the result is then its parent, and
    :func:`list_sessions` is to be given the root.

    Raises:
        ManifestError: if there is no such folder, if there are several on one level, or if a
            folder beside the patients holds patients too.
    """
    if not root.is_dir():
        raise ManifestError(f"{root} is no folder; LUMIERE's Imaging folder is needed")
    if _PATIENT.fullmatch(root.name):
        return root.parent
    level = [root]
    for _ in range(_SEARCH_DEPTH + 1):
        found = [folder for folder in level if any(_patients(folder))]
        if found:
            others = (folder for folder in _folders(found[0]) if not _is_patient(folder))
            found += [folder for folder in others if any(_patients(folder))]
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


@dataclass(frozen=True)
class SessionTree:
    """The sessions of a cohort on disk.

    Attributes:
        imaging: the folder of the patients.
        sessions: every session with an image of any source, and its files.
        notes: what lies in the tree and is no session, in words.
    """

    imaging: Path
    sessions: dict[SessionKey, ListedFolder] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def list_sessions(root: Path) -> SessionTree:
    """Every session on disk.

    Args:
        root: as for :func:`find_imaging`.

    Raises:
        ManifestError: if a patient holds a folder that starts with ``week`` or holds images, but
            whose name is no session's.
    """
    tree = SessionTree(find_imaging(root))
    patients = [root] if _is_patient(root) else list(_patients(tree.imaging))
    empty: list[str] = []
    strangers: list[str] = []
    for patient in patients:
        for folder in _folders(patient):
            name = f"{patient.name}/{folder.name}"
            files = ListedFolder(folder)
            if not _SESSION.fullmatch(folder.name):
                _require_no_session(folder, files)
                strangers.append(name)
            elif holds_images(files):
                tree.sessions[patient.name, folder.name] = files
            else:
                empty.append(name)
    kinds = {"session folders hold no image": empty, "folders are no session": strangers}
    for what, found in kinds.items():
        if found:
            more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
            tree.notes.append(f"{len(found)} {what}: {', '.join(found[:_SHOWN])}{more}")
    return tree


def ordered_sessions(keys: Iterable[SessionKey]) -> Iterable[tuple[SessionKey, int]]:
    """Sessions by patient, week and suffix, with their position among the patient's."""
    position: dict[str, int] = {}
    for key in sorted(keys, key=lambda key: (key[0], parse_session_name(key[1]))):
        position[key[0]] = position.get(key[0], -1) + 1
        yield key, position[key[0]]


class SessionFiles(TypedDict):
    """The files of one session; paths are absolute, and empty where there is no file.

    ``brain_mask_sequence`` and ``segmentation_sequence`` name the scan in whose world the masks
    lie, where the scans share none; they are empty otherwise.
    """

    sequences: dict[str, str]
    brain_mask: str
    brain_mask_sequence: str
    segmentation: str
    segmentation_sequence: str
    scheme: str
    space: str


_SOURCE_OF = {space: source for source, space in SOURCE_SPACES.items()}


def read_session_directory(
    path: str | Path, *, scheme: str = "binary", space: str = ""
) -> SessionFiles:
    """The files of one session outside any cohort.

    Args:
        path: a session of LUMIERE's tree (its atlas images and DeepBraTumIA segmentation are
            taken, or those of ``space``), or a folder with ``T1.nii.gz``, ``CT1.nii.gz``,
            ``T2.nii.gz`` and ``FLAIR.nii.gz``, as many as there are, and perhaps
            ``brain_mask.nii.gz`` and ``segmentation.nii.gz``; ``.nii`` will do as well.
        scheme: what the labels of a flat folder's segmentation mean; LUMIERE's are known.
        space: which of LUMIERE's images are wanted: ``atlas``, ``session`` (HD-GLIO's) or
            ``native``. A flat folder's are taken to lie in it; they are native if it is empty.

    Returns:
        The files. ``sequences`` holds only those that exist; ``scheme`` is empty without
        ``segmentation``.

    Raises:
        VolumeError: if the folder does not exist or holds no sequence.
        UnknownNameError: if the scheme or the space is unknown.
    """
    label_scheme(scheme)
    if space and space not in _SOURCE_OF:
        raise UnknownNameError("space", space, _SOURCE_OF)
    folder = Path(path)
    if not folder.is_dir():
        raise VolumeError(f"{folder} is no folder; the folder of one session is needed")
    files, source = ListedFolder(folder), _SOURCE_OF[space or "atlas"]
    images = session_images(files, source)
    if not any(images[name] for name in KNOWN_SEQUENCES):
        source, images = "native", session_images(files, "native")
        space = space or "native"
    sequences = {name: images[name] for name in KNOWN_SEQUENCES if images[name]}
    if not sequences:
        present = ", ".join(sorted(child.name for child in folder.iterdir())[:12]) or "nothing"
        raise VolumeError(
            f"{folder} holds no sequence; at least one of "
            f"{', '.join(f'{name}.nii.gz' for name in KNOWN_SEQUENCES)} is needed, or LUMIERE's "
            f"{SKULL_STRIP}; found {present}"
        )
    brain = (images["brain_mask"], images["brain_mask_sequence"])
    labelled = _own_segmentation(files, source)
    if source == "native":
        # Masks of a flat folder lie where its scans do.
        flat_brain, flat_labels = files.image("brain_mask"), files.image("segmentation")
        brain = (flat_brain, "") if flat_brain else brain
        labelled = (flat_labels, "", scheme) if flat_labels else labelled
    return SessionFiles(
        sequences=sequences,
        brain_mask=brain[0],
        brain_mask_sequence=brain[1],
        segmentation=labelled[0],
        segmentation_sequence=labelled[1],
        scheme=labelled[2],
        space=space or "atlas",
    )


def _own_segmentation(files: ListedFolder, source: str) -> tuple[str, str, str]:
    """Path, sequence and scheme of the first segmentation in the space of the images."""
    for item in session_segmentations(files, source):
        if item["space"] == SOURCE_SPACES[source]:
            return item["path"], item["sequence"], item["scheme"]
    return "", "", ""


def _require_no_session(folder: Path, files: ListedFolder) -> None:
    if folder.name.startswith("week") or holds_images(files):
        raise ManifestError(
            f"{folder}: session name {folder.name!r} is neither week-WWW nor week-WWW-K; rename "
            "or remove it"
        )


def _is_patient(folder: Path) -> bool:
    return _PATIENT.fullmatch(folder.name) is not None


def _folders(folder: Path) -> list[Path]:
    """The folders in a folder, hidden ones aside, by name."""
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries if entry.is_dir()]
    except OSError:
        # A folder that may not be listed (lost+found) holds no cohort of ours.
        return []
    return [folder / name for name in sorted(names) if not name.startswith(".")]


def _patients(folder: Path) -> Iterable[Path]:
    return (child for child in _folders(folder) if _is_patient(child))
