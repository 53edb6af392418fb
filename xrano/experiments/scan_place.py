"""A map's way back: from the cohort's common world onto a scan as it came from the scanner.

Every file has a matrix from its own world to the common one
(:mod:`xrano.data.preparation.placed_session`). Its inverse takes the grid of a map to the scan's
world exactly; voxels are interpolated once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from xrano.data.image_roots import read_roots
from xrano.data.nifti_files import open_nifti
from xrano.data.store import PreparedSession, read_prepared
from xrano.errors import UnknownNameError, VolumeError
from xrano.geometry import Grid, inverse, moved_by
from xrano.maps import TO_COMMON, AttributionMap
from xrano.roots import bound_of
from xrano.training.run import Run
from xrano.types import Affine


@dataclass(frozen=True, eq=False)
class ScanPlace:
    """One scan file and where it lies.

    Attributes:
        sequence: which sequence it is.
        path: its file.
        to_common: (4, 4) from the file's world to the common world, mm.
        mean, sd: what its intensities are normalised by, in the file's own unit.
        affine_from: which of the file's affines holds.
    """

    sequence: str
    path: Path
    to_common: Affine
    mean: float
    sd: float
    affine_from: str = "sform"

    def open(self) -> tuple[nib.Nifti1Image, Grid]:
        """The file's header as an image, and its grid; the image's affine is that grid's.

        Its voxels are read by :func:`xrano.data.nifti_files.read_nifti`.

        Raises:
            VolumeError: if it cannot be opened.
        """
        image, grid = open_nifti(self.path, self.affine_from)
        if not np.array_equal(image.affine, grid.affine):
            # Only in memory, so that what is saved on this image lies where the store put it.
            image.set_sform(grid.affine, code=int(image.header["sform_code"]))
        return image, grid

    def to_scan_world(self, attribution: AttributionMap) -> AttributionMap:
        """The same map, its grid in the scan's world; no value is interpolated."""
        back = inverse(self.to_common)
        grid = moved_by(attribution.grid, back)
        return AttributionMap(attribution.data, grid, attribution.channels, attribution.meta)

    def is_moved(self) -> bool:
        """Whether the scan's world is not the common one."""
        return not np.array_equal(self.to_common, np.eye(4))

    def onto_scan(self, attribution: AttributionMap) -> tuple[AttributionMap, nib.Nifti1Image]:
        """The map on the scan's grid, with its matrix in ``meta`` if there is one; the scan."""
        image, grid = self.open()
        moved = self.to_scan_world(attribution).resample_to(grid)
        meta = {**moved.meta, "scan": self.sequence}
        if self.is_moved():
            meta[TO_COMMON] = np.asarray(self.to_common).tolist()
        return AttributionMap(moved.data, moved.grid, moved.channels, meta), image


def place_in_session(
    session: PreparedSession,
    paths: Mapping[str, str],
    statistics: Mapping[str, Any],
    sequence: str,
    affine_from: str,
) -> ScanPlace:
    """The place of a current session's scan.

    Args:
        session: the prepared session.
        paths: sequence to file.
        statistics: mean and SD by sequence, of the current scan, in the session's unit.
        sequence: which scan.
        affine_from: as in the store's settings.
    """
    source = session.sources.get(sequence, {})
    scale = session.scale[sequence]
    mean, sd = statistics[sequence]
    return ScanPlace(
        sequence,
        Path(paths[sequence]),
        np.array(source.get("to_common", np.eye(4)), dtype=np.float64),
        mean * scale,
        sd * scale,
        affine_from,
    )


_OUTSIDE = (
    "lies outside of the folders that the store was prepared from (roots.json in it); if the table "
    "is right, run xrano prepare again"
)


def scan_place(run: Run, row: Mapping[str, Any], sequence: str = "") -> ScanPlace | None:
    """The current scan of a pair on which maps are saved; ``None`` if the file is gone.

    One outside of the folders that the store was prepared from (its ``roots.json``) counts as gone:
    a table may have come from anywhere.

    Args:
        run: the run.
        row: the pair.
        sequence: which scan; the first of the network's sequences if not given.

    Raises:
        UnknownNameError: if the network has no such sequence.
        VolumeError: if a scan was asked for and its file is not there, or lies outside.
        ManifestError: if the store's ``roots.json`` is broken.
    """
    names = run.layout.sequences
    if sequence and sequence not in names:
        raise UnknownNameError("sequence", sequence, names)
    sessions = run.store.sessions.set_index(["patient_id", "session_id"])
    files = sessions.loc[(row["patient_id"], row["current_session"])]
    wanted = (sequence,) if sequence else names
    there = [name for name in wanted if files[name] and Path(files[name]).is_file()]
    roots = read_roots(run.store.root) if there else None
    inside = [name for name in there if roots is None or bound_of(files[name], roots) is not None]
    if not inside:
        if sequence:
            what = f"{files[sequence] or sequence} of {row['pair_id']}"
            raise VolumeError(f"{what} {_OUTSIDE if there else 'is not there'}")
        return None
    found = inside[0]
    path = run.store.session_path(row["patient_id"], row["current_session"])
    return place_in_session(
        read_prepared(path, (found,)),
        {found: files[found]},
        run.store.statistics["pairs"][row["pair_id"]]["current"],
        found,
        str(run.store.settings.get("affine_from", "sform")),
    )
