"""LUMIERE's three image sources: which files of a session are its images and segmentations.

Raw and HD-GLIO files have upper-case names, DeepBraTumIA's lower-case ones. Masks on raw grids are
the same ones of the atlas and of the registered grid, carried there by the tools.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from xrano.channels import KNOWN_SEQUENCES
from xrano.data.datasets.listed_folder import ListedFolder

DEEPBRATUMIA = "DeepBraTumIA-segmentation"
HDGLIO = "HD-GLIO-AUTO-segmentation"
SKULL_STRIP = f"{DEEPBRATUMIA}/atlas/skull_strip"
ATLAS_SEGMENTATION = f"{DEEPBRATUMIA}/atlas/segmentation/seg_mask"
ATLAS_VOLUMES = f"{DEEPBRATUMIA}/atlas/segmentation/measured_volumes_in_mm3.json"
REGISTERED = f"{HDGLIO}/registered"
REGISTERED_SEGMENTATION = f"{REGISTERED}/segmentation"

SOURCE_SPACES: Mapping[str, str] = MappingProxyType(
    {"atlas": "atlas", "hdglio": "session", "native": "native"}
)
"""Image source to the space that its images share.

``atlas``: DeepBraTumIA's skull-stripped images, all of them on one 1 mm grid in MNI152 space.
``hdglio``: HD-GLIO's registered images, on a grid of each session, brain-extracted and without a
mask of the brain. ``native``: the raw scans, each on its scanner's grid, brain-extracted.
"""

_WORLDS = ("CT1", "T1", "FLAIR", "T2")
"""Whose mask stands for a session in native space: the first of these that has one."""


def native_segmentation(tool: str, sequence: str) -> str:
    """Where a tool's mask on the grid of a raw scan lies, without the suffix."""
    if tool == "deepbratumia":
        return f"{DEEPBRATUMIA}/native/segmentation/{sequence.lower()}_seg_mask"
    return f"{HDGLIO}/native/segmentation_{sequence}_origspace"


def native_brain_mask(sequence: str) -> str:
    """Where DeepBraTumIA's brain mask on the grid of a raw scan lies, without the suffix."""
    return f"{DEEPBRATUMIA}/native/skull_strip/{sequence.lower()}_brain_mask"


def atlas_images(files: ListedFolder) -> dict[str, str]:
    """Paths of the four sequences and ``brain_mask`` on the common atlas grid; empty if missing."""
    images = {
        name: files.image(f"{SKULL_STRIP}/{name.lower()}_skull_strip") for name in KNOWN_SEQUENCES
    }
    return {**images, "brain_mask": files.image(f"{SKULL_STRIP}/brain_mask")}


def raw_images(files: ListedFolder) -> dict[str, str]:
    """Paths of the four raw scans; empty if missing."""
    return {name: files.image(name) for name in KNOWN_SEQUENCES}


def registered_images(files: ListedFolder) -> tuple[dict[str, str], str]:
    """HD-GLIO's images on the session's grid, and the sequence whose raw grid that is.

    HD-GLIO registers every sequence to the one with the smallest voxels. Where that one alone has
    no ``_r2s_bet_reg`` file, its ``_r2s_bet`` file is taken, and it is known to be the one;
    otherwise it can only be told from the images, and the name is empty. Several sequences without
    a registered file are not known to share a grid, and are left out.
    """
    images = {name: files.image(f"{REGISTERED}/{name}_r2s_bet_reg") for name in KNOWN_SEQUENCES}
    resting = {
        name: path
        for name in KNOWN_SEQUENCES
        if not images[name] and (path := files.image(f"{REGISTERED}/{name}_r2s_bet"))
    }
    if len(resting) != 1:
        return images, ""
    return {**images, **resting}, next(iter(resting))


def holds_images(files: ListedFolder) -> bool:
    """Whether a session has an image of any sequence in any of the sources."""
    found = (raw_images(files), atlas_images(files), registered_images(files)[0])
    return any(images[name] for images in found for name in KNOWN_SEQUENCES)


def session_images(files: ListedFolder, image_source: str) -> dict[str, str]:
    """The image columns of a session: sequences, ``brain_mask`` and ``brain_mask_sequence``."""
    if image_source == "atlas":
        return {**atlas_images(files), "brain_mask_sequence": ""}
    if image_source == "hdglio":
        return {**registered_images(files)[0], "brain_mask": "", "brain_mask_sequence": ""}
    raw = raw_images(files)
    for name in _WORLDS:
        if raw[name] and (mask := files.image(native_brain_mask(name))):
            return {**raw, "brain_mask": mask, "brain_mask_sequence": name}
    return {**raw, "brain_mask": "", "brain_mask_sequence": ""}


def session_segmentations(files: ListedFolder, image_source: str) -> list[dict[str, str]]:
    """The segmentations of a session, as far as they can be laid on the source's images.

    With ``hdglio``, DeepBraTumIA's mask lies on the session's grid only where the sequence of that
    grid is known (:func:`registered_images`); elsewhere it is left out. With ``atlas``, HD-GLIO's
    lies on the grid of the session, so it needs the session to be registered.
    """
    found = {
        "atlas": _atlas_segmentations,
        "hdglio": _registered_segmentations,
        "native": _native_segmentations,
    }[image_source](files)
    return [
        {
            "source": source,
            "scheme": f"lumiere-{source}",
            "path": path,
            "space": space,
            "sequence": sequence,
        }
        for source, path, space, sequence in found
        if path
    ]


def source_notes(sessions: Mapping[tuple[str, str], ListedFolder], image_source: str) -> list[str]:
    """What a source leaves out of the sessions, in words; only ``hdglio`` leaves out anything."""
    if image_source != "hdglio":
        return []
    maskless, apart = 0, []
    for key, files in sessions.items():
        images, finest = registered_images(files)
        maskless += bool(files.image(ATLAS_SEGMENTATION)) and not finest
        left = [
            name
            for name in KNOWN_SEQUENCES
            if not images[name] and files.image(f"{REGISTERED}/{name}_r2s_bet")
        ]
        if left:
            apart.append(f"{' '.join(key)} {', '.join(left)}")
    notes = []
    if maskless:
        notes.append(
            f"DeepBraTumIA's mask is left out of {maskless} sessions: which raw grid HD-GLIO "
            "registered them to is not told by names"
        )
    if apart:
        notes.append(f"scans without a registered file are left out: {'; '.join(apart)}")
    return notes


def shared_native_masks(files: ListedFolder) -> tuple[str, str]:
    """Both tools' masks on one raw grid: DeepBraTumIA's and HD-GLIO's, or two empty strings."""
    for name in _WORLDS:
        paths = [
            files.image(native_segmentation(tool, name)) for tool in ("deepbratumia", "hdglio")
        ]
        if all(paths):
            return paths[0], paths[1]
    return "", ""


_Found = tuple[str, str, str, str]
"""Source, path, space and sequence."""


def _atlas_segmentations(files: ListedFolder) -> list[_Found]:
    return [
        ("deepbratumia", files.image(ATLAS_SEGMENTATION), "atlas", ""),
        ("hdglio", files.image(REGISTERED_SEGMENTATION), "session", ""),
    ]


def _registered_segmentations(files: ListedFolder) -> list[_Found]:
    _, finest = registered_images(files)
    moved = files.image(native_segmentation("deepbratumia", finest)) if finest else ""
    return [
        ("deepbratumia", moved, "session", ""),
        ("hdglio", files.image(REGISTERED_SEGMENTATION), "session", ""),
    ]


def _native_segmentations(files: ListedFolder) -> list[_Found]:
    raw = raw_images(files)
    found: list[_Found] = []
    for tool in ("deepbratumia", "hdglio"):
        masks = (
            (name, path)
            for name in _WORLDS
            if raw[name] and (path := files.image(native_segmentation(tool, name)))
        )
        name, path = next(masks, ("", ""))
        found.append((tool, path, "native", name))
    return found
