"""Every dataset that xrano reads by name, and which one a folder holds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from types import MappingProxyType
from typing import TypeAlias

import pandas as pd

from xrano.data.datasets import bids, cfb_gbm, manifest, mu_glioma_post, ucsf_alptdg
from xrano.data.datasets.lumiere import read_lumiere
from xrano.data.datasets.lumiere_layout import find_imaging
from xrano.errors import ManifestError, UnknownNameError

Tables: TypeAlias = tuple[pd.DataFrame, pd.DataFrame]
"""A sessions and a segmentations table."""


@dataclass(frozen=True)
class DatasetReader:
    """How one dataset is read.

    Attributes:
        name: what it is asked for by.
        description: one line.
        layout: what its folders look like, one line.
        read: ``read(root, **options)`` gives both tables.
        source: whom to cite and under what terms, one line.
        recognise: a cheap test whether a folder holds it; never raises.
    """

    name: str
    description: str
    layout: str
    read: Callable[..., Tables]
    source: str
    recognise: Callable[[Path], bool]


def _is_lumiere(root: Path) -> bool:
    try:
        find_imaging(root)
    except ManifestError as error:
        # Several cohorts are its layout all the same: reading it then says which to name.
        return "several cohorts" in str(error)
    return True


_ALL = (
    DatasetReader(
        "lumiere",
        "LUMIERE: 91 glioblastoma patients, 638 sessions, expert RANO ratings",
        "Imaging/Patient-001/week-000-1/, ratings in a CSV",
        read_lumiere,
        "Suter et al. 2022, doi 10.1038/s41597-022-01881-7; for non-commercial use",
        _is_lumiere,
    ),
    DatasetReader(
        "mu-glioma-post",
        "MU-Glioma-Post: 203 glioma patients after surgery, up to 6 scans, no RANO",
        "PatientID_0001/Timepoint_1/PatientID_0001_Timepoint_1_brain_t1c.nii.gz",
        mu_glioma_post.read_mu_glioma_post,
        "Yaseen et al. 2025, doi 10.7937/7k9k-3c83; CC BY 4.0",
        mu_glioma_post.recognise,
    ),
    DatasetReader(
        "ucsf-alptdg",
        "UCSF-ALPTDG: 298 glioma patients after treatment, 2 scans each, no RANO",
        "100001/100001_time1_t1ce.nii.gz",
        ucsf_alptdg.read_ucsf_alptdg,
        "Fields et al. 2024, doi 10.1148/ryai.230182; non-commercial data use agreement",
        ucsf_alptdg.recognise,
    ),
    DatasetReader(
        "cfb-gbm",
        "CFB-GBM: 264 glioblastoma patients around radiotherapy, RANO classes of volumes",
        "1_t0_t1gd.nii.gz in one folder or in 001/t0/",
        cfb_gbm.read_cfb_gbm,
        "CFB-GBM, The Cancer Imaging Archive, doi 10.7937/v9pn-2f72; CC BY 4.0",
        cfb_gbm.recognise,
    ),
    DatasetReader(
        "bids",
        "any dataset in BIDS",
        "sub-01/ses-01/anat/sub-01_ses-01_T1w.nii.gz",
        bids.read_bids,
        "as the dataset's own dataset_description.json says",
        bids.recognise,
    ),
    DatasetReader(
        "manifest",
        "tables written by hand: sessions.csv and perhaps segmentations.csv",
        "a folder with sessions.csv",
        manifest.read_manifest,
        "as the owner of the data says",
        manifest.recognise,
    ),
)

READERS: Mapping[str, DatasetReader] = MappingProxyType({reader.name: reader for reader in _ALL})
"""Name to reader."""


def dataset_reader(name: str) -> DatasetReader:
    """The reader of a name.

    Raises:
        UnknownNameError: if there is none.
    """
    if name not in READERS:
        raise UnknownNameError("dataset", name, READERS)
    return READERS[name]


def detect_dataset(root: str | PathLike[str]) -> str:
    """The name of the dataset that a folder holds.

    Raises:
        ManifestError: if it is no folder, or none or several of the layouts fit; they are listed.
    """
    root = Path(root)
    if not root.exists():
        raise ManifestError(f"{root} does not exist; the folder of a cohort is needed")
    fitting = [name for name, reader in READERS.items() if reader.recognise(root)]
    if len(fitting) == 1:
        return fitting[0]
    layouts = "; ".join(f"{name} ({reader.layout})" for name, reader in READERS.items())
    fits = f"fits several layouts ({', '.join(fitting)})" if fitting else "fits no known layout"
    raise ManifestError(
        f"{root} {fits}; give the folder of one cohort, or say with "
        f"--dataset which of these it is: {layouts}"
    )
