"""The brain of a session on the grid of any of its scans."""

from __future__ import annotations

from typing import Any

from xrano.data.registration.file_identity import file_identity
from xrano.data.registration.motion import inverse
from xrano.data.registration.sessions import LoadedScan, SessionScans, mask_sequence
from xrano.data.registration.steps import WithinSession
from xrano.errors import VolumeError
from xrano.geometry import Grid
from xrano.resampling import resample
from xrano.types import Mask


def brain_on(
    session: SessionScans, within: WithinSession, sequence: str, scan: LoadedScan
) -> Mask | None:
    """The brain mask of a session, carried to one of its scans.

    Args:
        session: the session.
        within: where its sequences lie.
        sequence: the sequence of ``scan``.
        scan: gives the grid.

    Returns:
        (i, j, k) on the scan's grid; ``None`` if the session has no mask.

    Raises:
        VolumeError: if the mask cannot be read, does not meet the scan, or it cannot be told in
            whose world it lies.
    """
    if session.brain_mask is None:
        return None
    mask = session.load_mask(session.brain_mask)
    grid = mask.grid
    if session.space == "native":
        to_anchor = within.matrices[mask_sequence(session, mask)]
        matrix = inverse(within.matrices[sequence]) @ to_anchor
        grid = Grid(grid.shape, matrix @ grid.affine)
    brain = resample(mask.mask, grid, scan.grid, order=0)
    if not brain.any():
        raise VolumeError(f"{mask.path} does not meet {scan.path}: no voxel of it shows brain")
    return brain


def mask_identity(session: SessionScans, within: WithinSession) -> list[Any] | None:
    """What the carried mask depends on, for kept results."""
    if session.brain_mask is None:
        return None
    return [
        file_identity(session.brain_mask),
        session.brain_mask_sequence,
        {name: matrix.tolist() for name, matrix in within.matrices.items()},
    ]
