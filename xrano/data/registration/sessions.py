"""What alignment is given of a session, and which of its scans the others are brought to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from xrano.data.nifti_files import read_grid
from xrano.data.volumes import MaskVolume, read_mask, read_scan
from xrano.errors import ManifestError, UnknownNameError, VolumeError
from xrano.geometry import Grid

SPACES = ("native", "session", "atlas")


class LoadedScan(Protocol):
    """Voxels and grid of a file, such as :class:`~xrano.data.volumes.Scan`."""

    @property
    def data(self) -> NDArray[np.float32]: ...  # noqa: D102
    @property
    def grid(self) -> Grid: ...  # noqa: D102
    @property
    def path(self) -> Path: ...  # noqa: D102


@dataclass(frozen=True)
class ScanSource:
    """A scan that can be read when it is needed, and told from others without reading it.

    ``load`` may correct the scan on the way; its grid must stay that of the file, as told by the
    affine that ``affine_from`` names.
    """

    path: Path
    load: Callable[[Path], LoadedScan] = read_scan
    affine_from: str = "sform"

    def __call__(self) -> LoadedScan:
        """Read the scan."""
        return self.load(self.path)

    def grid(self) -> Grid:
        """The grid in the file's header; no voxel is read.

        Raises:
            VolumeError: if the header cannot be read.
        """
        return read_grid(self.path, affine_from=self.affine_from)


@dataclass(frozen=True)
class SessionScans:
    """The scans of one session.

    Attributes:
        session_id: as in the sessions table.
        space: ``native`` (each sequence in a world of its own), ``session`` (all in one world)
            or ``atlas`` (in the common world already).
        scans: sequence to its source, in the order of the sequences.
        brain_mask: file of the brain mask, if there is one.
        brain_mask_sequence: in native space, the sequence in whose world the mask lies; empty for
            the one sequence whose grid it shares.
        load_mask: how the mask is read.

    Raises:
        ManifestError: if there is no scan.
        UnknownNameError: if the space or the mask's sequence is unknown.
    """

    session_id: str
    space: str
    scans: Mapping[str, ScanSource]
    brain_mask: Path | None = None
    brain_mask_sequence: str = ""
    load_mask: Callable[[Path], MaskVolume] = field(default=read_mask)

    def __post_init__(self) -> None:
        if not self.scans:
            raise ManifestError(f"session {self.session_id} has no scan to align")
        if self.space not in SPACES:
            raise UnknownNameError("space", self.space, SPACES)
        if self.brain_mask_sequence and self.brain_mask_sequence not in self.scans:
            raise UnknownNameError("sequence", self.brain_mask_sequence, self.scans)


def most_isotropic(scans: Mapping[str, ScanSource]) -> str:
    """The sequence whose largest voxel edge is smallest, to 0.001 mm; of equals the first.

    Raises:
        VolumeError: if a header cannot be read.
    """
    return min(scans, key=lambda name: round(max(scans[name].grid().spacing), 3))


def mask_sequence(session: SessionScans, mask: MaskVolume) -> str:
    """The sequence in whose world the brain mask of a native session lies.

    Raises:
        VolumeError: if the table does not say it, and not exactly one sequence has its grid.
    """
    if session.brain_mask_sequence:
        return session.brain_mask_sequence
    matching = [name for name, scan in session.scans.items() if scan.grid().matches(mask.grid)]
    if len(matching) != 1:
        raise VolumeError(
            f"{mask.path} shares its grid with {', '.join(matching) or 'no sequence'} of session "
            f"{session.session_id}, so it cannot be told in whose world it lies; name the "
            "sequence in the column brain_mask_sequence of the sessions table"
        )
    return matching[0]
