"""Where the files of a session lie: each has a matrix from its own world to the common one.

In the spaces ``session`` and ``atlas`` all files of a session share a world, and so a matrix. In
space ``native`` every sequence has a world of its own; a mask or a segmentation then lies in that
of the sequence named beside it, or else of the one whose grid it shares.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from xrano.data.affines import describe_identity, tells_nothing
from xrano.data.nifti_files import read_grid
from xrano.data.volumes import (
    Located,
    Scan,
    Segmentation,
    read_labels,
    read_mask,
    read_scan,
    require_on_grid,
)
from xrano.errors import ManifestError, VolumeError, XranoWarning
from xrano.geometry import Grid, moved_by, ras_grid, to_ras
from xrano.types import Affine, Mask

SKULL_STRIPPED_SHARE = 0.6
"""A scan of which more than this share of voxels is not zero has not been skull-stripped."""

ToCommon = Mapping[str, Affine]
"""Sequence to the matrix (4, 4) from the world of its file to the common world, in mm."""


@dataclass(frozen=True, eq=False)
class PlacedSession:
    """The scans of one session and where they lie.

    ``row`` is the session's row of the sessions table; ``scans`` holds the sequences that it has.
    """

    row: Mapping[str, Any]
    scans: Mapping[str, Scan]
    to_common: ToCommon
    affine_from: str = "sform"

    def grid(self, sequence: str) -> Grid:
        """The grid of a sequence's scan in the common world."""
        return moved_by(self.scans[sequence].grid, self.to_common[sequence])


def same_world(names: Sequence[str]) -> dict[str, Affine]:
    """Matrices of a session whose files already lie in the common world."""
    return {name: np.eye(4) for name in names}


def read_session(
    row: Mapping[str, Any], names: Sequence[str], to_common: ToCommon, affine_from: str = "sform"
) -> PlacedSession:
    """Read a session's scans.

    Args:
        row: of the sessions table.
        names: sequences to read, as far as the session has them.
        to_common: matrices of at least those.
        affine_from: which affine of a file holds, see :mod:`xrano.data.affines`.

    Raises:
        VolumeError: if a scan cannot be used, there is none, or the affine of one tells nothing
            while those of others do.
        GridMismatchError: if scans that should share a grid do not.
    """
    scans = {name: read_scan(row[name], affine_from=affine_from) for name in names if row[name]}
    if not scans:
        raise VolumeError(
            f"{row['patient_id']} {row['session_id']} has no image of {', '.join(names)}"
        )
    _check_affines(scans)
    if row.get("space", "atlas") != "native":
        first = next(iter(scans.values()))
        for scan in scans.values():
            require_on_grid(scan, first)
    return PlacedSession(row, scans, to_common, affine_from)


def _check_affines(scans: Mapping[str, Scan]) -> None:
    """Refuse an identity affine beside true ones; where all are, only say so."""
    lost = [scan.path for scan in scans.values() if tells_nothing(scan.grid.affine)]
    if lost and len(lost) < len(scans):
        raise VolumeError(f"{describe_identity(lost[0])}; the session's other scans have true ones")
    for path in lost:
        warnings.warn(describe_identity(path), XranoWarning, stacklevel=2)


def read_brain(
    row: Mapping[str, Any],
    names: Sequence[str],
    to_common: ToCommon,
    affine_from: str = "sform",
    scans: Mapping[str, Scan] | None = None,
) -> tuple[Mask, Grid]:
    """The brain of a session: its mask, or the voxels of its first scan that are not zero.

    Args:
        row: of the sessions table.
        names: sequences, the one to look at without a mask first.
        to_common: matrices of the sequences that the session has.
        affine_from: as for :func:`read_session`.
        scans: those already read, if any.

    Returns:
        (i, j, k) mask in RAS+ and its grid in the common world.

    Raises:
        VolumeError: if no mask is given and the scan shows more than a brain, or there is none.
        ManifestError: if it cannot be told where the mask lies.
    """
    if row.get("brain_mask"):
        mask = read_mask(row["brain_mask"], affine_from=affine_from)
        told = str(row.get("brain_mask_sequence") or "")
        sequence = world_of(mask, row, names, told, "brain_mask_sequence", affine_from)
        return to_ras(mask.mask, moved_by(mask.grid, to_common[sequence]).affine)
    first = next((name for name in names if row[name]), None)
    if first is None:
        raise VolumeError(
            f"{row['patient_id']} {row['session_id']} has neither an image of "
            f"{', '.join(names) or 'any sequence'} nor a brain mask"
        )
    scan = (scans or {}).get(first) or read_scan(row[first], affine_from=affine_from)
    brain = scan.data != 0
    if brain.mean() > SKULL_STRIPPED_SHARE:
        raise VolumeError(
            f"{row[first]}: {brain.mean():.0%} of the voxels are not zero, so the skull has not "
            "been removed, and the session has no brain mask; name one in the column brain_mask "
            "of the sessions table, or strip the skull first (HD-BET and SynthStrip do)"
        )
    return to_ras(brain, moved_by(scan.grid, to_common[first]).affine)


def read_segmentation(session: PlacedSession, item: Mapping[str, Any]) -> tuple[Segmentation, Grid]:
    """A segmentation of a session, in its file's order, and its grid in the common world.

    Args:
        session: the session.
        item: the row of the segmentations table.

    Raises:
        VolumeError, LabelSchemeError: if the file cannot be used.
        GridMismatchError, ManifestError: if it does not lie where the session's scans do.
    """
    found = read_labels(item["path"], item["scheme"], affine_from=session.affine_from)
    told = str(item.get("sequence") or "")
    sequence = world_of(
        found, session.row, list(session.scans), told, "sequence", session.affine_from
    )
    return found, moved_by(found.grid, session.to_common[sequence])


def world_of(
    volume: Located,
    row: Mapping[str, Any],
    names: Sequence[str],
    told: str,
    column: str,
    affine_from: str,
) -> str:
    """The sequence in whose world a mask or segmentation lies.

    Args:
        volume: the mask or segmentation.
        row: the session's row.
        names: sequences to look among.
        told: the sequence that a table names; empty if none.
        column: where it names it, for messages.
        affine_from: which affine of a file holds.

    Raises:
        ManifestError: if the sequence named is none of the session's, or none is named and the
            volume shares the grid of none.
        GridMismatchError: if all share one world and the volume lies on another grid.
    """
    present = [name for name in names if row[name]]
    if row.get("space", "atlas") != "native":
        if not present:
            return names[0]
        require_on_grid(volume, _header(row[present[0]], affine_from))
        return present[0]
    if told:
        if told not in present:
            raise ManifestError(
                f"{volume.path} should lie in the world of {told} ({column}), but "
                f"{row['patient_id']} {row['session_id']} has {', '.join(present) or 'no image'}"
            )
        return told
    if not present:
        raise ManifestError(
            f"{volume.path} lies in the world of no scan: {row['patient_id']} "
            f"{row['session_id']} has no image of {', '.join(names) or 'any sequence'}"
        )
    grid = ras_grid(volume.grid)
    for name in present:
        if ras_grid(read_grid(row[name], affine_from=affine_from)).matches(grid):
            return name
    raise ManifestError(
        f"{volume.path} shares the grid of none of {', '.join(present)}; name the sequence in "
        f"whose world it lies in the column {column}"
    )


@dataclass(frozen=True, eq=False)
class _Header:
    path: Any
    grid: Grid


def _header(path: str, affine_from: str) -> _Header:
    return _Header(path, read_grid(path, affine_from=affine_from))
