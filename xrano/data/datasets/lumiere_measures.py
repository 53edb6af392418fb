"""What LUMIERE's tools say beside the images: measured volumes, and masks to hold together."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

import pandas as pd

from xrano.data.datasets.lumiere_layout import SessionKey, list_sessions, ordered_sessions
from xrano.data.datasets.lumiere_sources import ATLAS_VOLUMES, shared_native_masks
from xrano.data.datasets.measured_volumes import measured_regions

VOLUME_COLUMNS = ("patient_id", "session_id", "source", "region", "ml")


def lumiere_volumes(root: str | PathLike[str]) -> pd.DataFrame:
    """What DeepBraTumIA measured in atlas space: no image is read.

    Args:
        root: as for :func:`read_lumiere`.

    Returns:
        patient_id, session_id, source (``deepbratumia``), region (enhancing, core, whole) and ml
        of each session with a file of volumes.

    Raises:
        ManifestError: if there is no tree, or a file of volumes is broken.
    """
    files = list_sessions(Path(root).absolute()).sessions
    rows = [
        (*key, "deepbratumia", region, ml)
        for key, _ in ordered_sessions(files)
        if (path := files[key].file(ATLAS_VOLUMES))
        for region, ml in measured_regions(path).items()
    ]
    return pd.DataFrame(rows, columns=list(VOLUME_COLUMNS))


def lumiere_native_masks(root: str | PathLike[str]) -> dict[SessionKey, tuple[str, str]]:
    """DeepBraTumIA's and HD-GLIO's masks on one raw grid of each session that has both."""
    files = list_sessions(Path(root).absolute()).sessions
    found = {key: shared_native_masks(files[key]) for key, _ in ordered_sessions(files)}
    return {key: paths for key, paths in found.items() if all(paths)}
