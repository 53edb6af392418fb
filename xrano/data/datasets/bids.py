"""Any dataset in BIDS: ``sub-*/[ses-*/]anat/``, its masks in ``derivatives``, its TSV tables.

Sequences are told by BIDS' own words: ``_T1w`` (with an entity ``ce-``, or ``_T1ce``, it is CT1),
``_T2w`` and ``_FLAIR``. Others are declared. See https://bids-specification.readthedocs.io.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from types import MappingProxyType

import pandas as pd

from xrano.channels import KNOWN_SEQUENCES
from xrano.data.datasets.bids_masks import brain_mask, segmentations_of, session_masks
from xrano.data.datasets.bids_tables import read_participants, read_subject
from xrano.data.datasets.layout import (
    check_sequence_names,
    find_patients,
    nifti_files,
    subfolders,
)
from xrano.data.datasets.timeline import natural_key, place_in_time
from xrano.data.pairing.pairs import ExclusionReason
from xrano.data.tables import SPACES, segmentation_table, session_table
from xrano.errors import ManifestError, UnknownNameError

NO_SESSION = "single"
"""The session of a subject whose folder has no ``ses-*``."""

_WORDS = {
    "T1w": "T1",
    "T1ce": "CT1",
    "T1c": "CT1",
    "T1gd": "CT1",
    "CT1": "CT1",
    "T2w": "T2",
    "FLAIR": "FLAIR",
}
_NO_SEQUENCES: Mapping[str, str] = MappingProxyType({})


def recognise(root: Path) -> bool:
    """Whether a folder holds subjects with an ``anat`` folder."""
    try:
        return bool(find_patients(root, _is_subject, "sub-01"))
    except ManifestError:
        return False


def read_bids(
    root: str | PathLike[str],
    *,
    sequences: Mapping[str, str] = _NO_SEQUENCES,
    derivative: str = "",
    scheme: str = "",
    space: str = "native",
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read a BIDS dataset.

    Of several images of one sequence the one with the fewest entities is taken, then the first by
    name (``run-1``); the others, and all that is no known sequence, are named in ``unused_files``.
    ``participants.tsv`` gives clinical columns, ``sub-*_sessions.tsv`` days, roles and ratings;
    what only they name is kept, as ``no_images``.

    Args:
        root: the dataset's folder, one up to three levels above it, or one subject's own.
        sequences: further sequence to a pattern of the file within the session's folder, without
            its suffix: ``{"ADC": "dwi/*_ADC", "rCBV": "perf/*_cbv"}``; without a folder it is
            looked for in all of them. A known sequence may be declared anew.
        derivative: take the images from ``derivatives/THIS`` (skull-stripped ones, say) instead.
        scheme: what the labels of ``_dseg`` files mean, where no table beside them says so.
        space: where the images lie: ``native``, ``session`` or ``atlas``. In native space masks
            that lie in a template (``space-MNI…``) are left aside.

    Returns:
        ``(sessions, segmentations)``; the source of a segmentation is its derivative with the
        entities that tell it apart.

    Raises:
        ManifestError: if there is no such tree, a pattern fits several images of a session, labels
            are of unknown meaning, or a table is wrong.
        UnknownNameError: if space, scheme or a rating is unknown.
        ConfigError: if the name of a sequence is none.
    """
    if space not in SPACES:
        raise UnknownNameError("space", space, SPACES)
    check_sequence_names(sequences)
    root = Path(root).absolute()
    dataset = find_patients(root, _is_subject, "sub-01")[0].parent
    one = root.parent == dataset and _is_subject(root)
    subjects = {
        folder.name: folder
        for folder in ([root] if one else subfolders(dataset))
        if folder.name.startswith("sub-")
    }
    base = dataset / "derivatives" / derivative if derivative else dataset
    if not base.is_dir():
        known = ", ".join(folder.name for folder in subfolders(dataset / "derivatives")) or "none"
        raise ManifestError(f"{base} is no folder; found derivatives: {known}")
    participants = read_participants(dataset)
    sessions: list[dict[str, object]] = []
    segmentations: list[dict[str, object]] = []
    for subject in sorted({*subjects, *(() if one else participants)}, key=natural_key):
        tables = read_subject(dataset, subject)
        folders = _sessions(subjects[subject]) if subject in subjects else {}
        names = {*folders, *tables.days} or {NO_SESSION}
        for name, time in place_in_time({name: tables.day(name) for name in names}).items():
            parts = () if name == NO_SESSION else (name,)
            images, unused = _images(base.joinpath(subject, *parts), sequences)
            masks = session_masks(dataset, Path(subject, *parts), any_space=space != "native")
            key = {"patient_id": subject, "session_id": name}
            sessions.append(
                {
                    "dataset": dataset.name,
                    **key,
                    **time,
                    **tables.rating(name),
                    "exclude_reason": ""
                    if any(images.values())
                    else str(ExclusionReason.NO_IMAGES),
                    **images,
                    **brain_mask(masks, derivative),
                    "space": space,
                    **participants.get(subject, {}),
                    "unused_files": "; ".join([*unused, *masks.left_over]),
                }
            )
            segmentations += [
                {**key, **row, "space": space} for row in segmentations_of(masks, scheme)
            ]
    return session_table(sessions), segmentation_table(segmentations)


def _is_subject(folder: Path) -> bool:
    return folder.name.startswith("sub-") and any(
        child.name == "anat" or child.name.startswith("ses-") for child in subfolders(folder)
    )


def _sessions(subject: Path) -> dict[str, Path]:
    found = {child.name: child for child in subfolders(subject) if child.name.startswith("ses-")}
    if (subject / "anat").is_dir():
        found[NO_SESSION] = subject
    return found


def _images(session: Path, declared: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """The image of each sequence, and the stems of the others."""
    folders = [child for child in subfolders(session) if not child.name.startswith("ses-")]
    files = {
        f"{folder.name}/{stem}": path
        for folder in folders
        for stem, path in nifti_files(folder).items()
    }
    chosen: dict[str, str] = {}
    for name, pattern in declared.items():
        wanted = pattern if "/" in pattern else f"*/{pattern}"
        fitting = fnmatch.filter(files, wanted)
        if len(fitting) > 1:
            raise ManifestError(
                f"{session}: {pattern!r} for sequence {name} fits {', '.join(fitting)}; "
                "narrow the pattern down"
            )
        chosen[name] = fitting[0] if fitting else ""
    anatomy = [stem for stem in files if stem.startswith("anat/")]
    for name in (name for name in KNOWN_SEQUENCES if name not in declared):
        fitting = [stem for stem in anatomy if _sequence(stem) == name]
        chosen[name] = min(
            fitting, key=lambda stem: (stem.count("_"), natural_key(stem)), default=""
        )
    images = {name: str(files[stem]) if stem else "" for name, stem in chosen.items()}
    return images, [stem for stem in files if stem not in chosen.values()]


def _sequence(stem: str) -> str:
    """The known sequence that a file's name tells, or an empty string.

    Example:
        >>> _sequence("sub-01_ce-gd_T1w"), _sequence("sub-01_T1w"), _sequence("sub-01_bold")
        ('CT1', 'T1', '')
    """
    *entities, suffix = stem.split("_")
    known = _WORDS.get(suffix, "")
    return "CT1" if known == "T1" and any(part.startswith("ce-") for part in entities) else known
