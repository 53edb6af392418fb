"""CFB-GBM (TCIA, doi 10.7937/v9pn-2f72, CC BY 4.0): 264 patients at three times of radiotherapy.

``{id}_{t0,t1,t2}_{t1gd,flair,…,gtv,brain_mask}.nii.gz`` in folders of their own or of one patient
and time; beside them TSV files. The scans of a patient are aligned with those of ``t0``, which is
taken after the operation or biopsy and before radiotherapy; T1 and T2 are rare later. The one
segmentation is the gross tumour volume, by hand at ``t0`` and from a network later, validated.

The RANO classes of ``CFB-GBM_rano_criteria_*.tsv`` are computed from these volumes (progression
from +40 %); nobody read the scans. They are therefore ``rating_source`` ``rule``, not ``expert``.
Version 4 of the collection (September 2026) corrected them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from types import MappingProxyType

import pandas as pd

from xrano.data.datasets.cfb_gbm_tables import read_tables
from xrano.data.datasets.layout import check_sequence_names, nifti_files, pick_images, walk
from xrano.data.datasets.timeline import natural_key, place_in_time
from xrano.data.pairing.pairs import ExclusionReason
from xrano.data.tables import SPACES, segmentation_table, session_table
from xrano.errors import ManifestError, UnknownNameError
from xrano.rano import Role

SEQUENCES: Mapping[str, Sequence[str]] = MappingProxyType(
    {
        "T1": ("t1", "t1tse", "t1eg"),
        "CT1": ("t1gd",),
        "T2": ("t2", "t2tse"),
        "FLAIR": ("flair",),
    }
)
"""Sequence to the endings of its file, the preferred one first."""

AGAINST = ("previous", "t0")
"""Which earlier scan the rating of ``t2`` compares with."""

_FILE = re.compile(r"(\d+)_(t\d+)_(.+)", re.IGNORECASE)
_DEPTH = 5
_GLANCE = 400

_Files = dict[tuple[str, str], dict[str, Path]]


def recognise(root: Path) -> bool:
    """Whether a folder holds an image named as here, in one of the first folders looked into."""
    folders = (folder for folder, _ in zip(walk(root, _DEPTH), range(_GLANCE), strict=False))
    return any(
        (match := _FILE.fullmatch(stem)) and match[3].lower() in ("t1gd", "gtv")
        for folder in folders
        for stem in nifti_files(folder)
    )


def read_cfb_gbm(
    root: str | PathLike[str],
    *,
    sequences: Mapping[str, Sequence[str]] = SEQUENCES,
    against: str = "previous",
    space: str = "session",
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read a copy of CFB-GBM.

    ``patient_id`` is the number without leading zeros. Days come from the weeks since ``t0``;
    without the TSV file time is ordinal. A minor response is none of the four classes: its rating
    stays empty and ``rating_raw`` says why. The extra column ``rating_against`` names the scan that
    a rating compares with. Times that only a TSV file names are kept, as ``no_images``; files that
    no column has a use for (dose, CT, diffusion) are named in ``unused_files``.

    Args:
        root: a folder up to five levels above the images. The TSV files may lie anywhere in it,
            or in the folder that holds it; all of them may be missing.
        sequences: sequence to the endings of file names that it may have; more become channels
            (``{"ADC": ("adc",)}``).
        against: ``previous`` takes for each scan the class against the scan before it, as pairs
            of consecutive scans need it; ``t0`` the class against the first.
        space: ``session`` has the scans aligned anew and brought to a template; ``atlas`` takes
            them as they lie, each patient in the world of the own ``t0``.

    Returns:
        ``(sessions, segmentations)``; the segmentation is ``gtv``, its labels ``binary``, and its
        extra column ``gtv_type`` says who drew it, where the dataset does.

    Raises:
        ManifestError: if there is no such image, two files of one name, or a TSV file lacks its
            key or holds a class that is unknown.
        UnknownNameError: if against or space is unknown.
        ConfigError: if the name of a sequence is none.
    """
    check_sequence_names(sequences)
    for kind, name, choices in (("reference", against, AGAINST), ("space", space, SPACES)):
        if name not in choices:
            raise UnknownNameError(kind, name, choices)
    root = Path(root).absolute()
    files = _find(root)
    tables = read_tables([*walk(root, _DEPTH), root.parent])
    patients = {patient for patient, _ in files}
    listed = {key for key in tables.sessions if key[0] in patients or not _one_patient(root, files)}
    sessions: list[dict[str, object]] = []
    segmentations: list[dict[str, object]] = []
    for patient in sorted({key[0] for key in {*files, *listed}}, key=natural_key):
        names = {key[1] for key in {*files, *listed} if key[0] == patient}
        times = place_in_time({name: tables.days.get((patient, name), math.nan) for name in names})
        imaged: list[str] = []
        for name, time in times.items():
            images, unused = pick_images(
                files.get((patient, name), {}),
                {**sequences, "brain_mask": ("brain_mask",), "/gtv": ("gtv",)},
            )
            gtv = images.pop("/gtv")
            seen = any(images[sequence] for sequence in sequences)
            rating = tables.rating(patient, name, imaged[-1:] if against == "previous" else ["t0"])
            key = {"patient_id": patient, "session_id": name}
            sessions.append(
                {
                    "dataset": "cfb-gbm",
                    **key,
                    **time,
                    "role": str(Role.POSTOP if name == "t0" else Role.FOLLOWUP),
                    **rating,
                    "exclude_reason": "" if seen else str(ExclusionReason.NO_IMAGES),
                    **images,
                    "space": space,
                    **tables.clinical.get(patient, {}),
                    "unused_files": "; ".join(unused),
                }
            )
            if seen:
                imaged.append(name)
            if gtv:
                made = {"source": "gtv", "scheme": "binary", "path": gtv, "space": space}
                drawn = {"gtv_type": tables.gtv_types.get((patient, name), "")}
                segmentations.append({**key, **made, **drawn})
    return session_table(sessions), segmentation_table(segmentations)


def _find(root: Path) -> _Files:
    """Patient and time to the images, by ending."""
    if not root.is_dir():
        raise ManifestError(f"{root} is no folder; one that holds CFB-GBM is needed")
    found: _Files = {}
    for folder in walk(root, _DEPTH):
        for stem, path in nifti_files(folder).items():
            match = _FILE.fullmatch(stem)
            if match is None:
                continue
            images = found.setdefault((str(int(match[1])), match[2].lower()), {})
            ending = match[3].lower()
            if ending in images:
                raise ManifestError(
                    f"{images[ending]} and {path} are the same image of one patient; keep one"
                )
            images[ending] = path
    if not found:
        raise ManifestError(
            f"{root} holds no image such as 1_t0_t1gd.nii.gz, nor up to {_DEPTH} levels below"
        )
    return found


def _one_patient(root: Path, files: _Files) -> bool:
    """Whether one patient's folder was asked for: what the tables say of others is no gap."""
    return root.name.isdigit() and {patient for patient, _ in files} == {str(int(root.name))}
