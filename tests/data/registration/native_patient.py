"""Two sessions of a phantom head in native space, on grids and in worlds of their own."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
from moved_head import moved

from xrano.data.phantom.anatomy import rigid
from xrano.data.registration.sessions import ScanSource, SessionScans
from xrano.geometry import Grid

# Where the head lay in the world of each file: sessions apart, and sequences a little apart.
WORLDS = {
    ("week-000", "T1"): rigid(np.array([3.0, 2.0, -4.0]), np.array([5.0, 6.0, -4.0])),
    ("week-000", "FLAIR"): rigid(np.array([1.0, 4.0, -4.0]), np.array([8.0, 6.0, -4.0])),
    ("week-012", "T1"): rigid(np.array([-4.0, 5.0, 3.0]), np.array([-6.0, 3.0, 8.0])),
    ("week-012", "FLAIR"): rigid(np.array([-4.0, 3.0, 1.0]), np.array([-6.0, 5.0, 8.0])),
}
SPACINGS = {"T1": (6.0, 6.0, 6.0), "FLAIR": (5.0, 6.0, 8.0)}


def save(path: Path, data: np.ndarray, grid: Grid) -> Path:
    nib.save(nib.Nifti1Image(data, grid.affine), path)
    return path


def scan_grid(sequence: str) -> Grid:
    spacing = np.array(SPACINGS[sequence])
    shape = np.ceil(np.array([200.0, 230.0, 200.0]) / spacing).astype(int)
    affine = np.diag([*(spacing * [-1, -1, 1]), 1.0])
    affine[:3, 3] = np.array([0.0, -18.0, 12.0]) - affine[:3, :3] @ ((shape - 1) / 2)
    return Grid(tuple(shape.tolist()), affine)


def write_patient(folder: Path) -> Path:
    """Four scans of one head, and its brain mask in the world of the first FLAIR."""
    for (session, sequence), world in WORLDS.items():
        grid = scan_grid(sequence)
        save(folder / f"{session}_{sequence}.nii", moved(sequence, world, grid), grid)
    mask = (moved("FLAIR", WORLDS["week-000", "FLAIR"], scan_grid("FLAIR")) > 0).astype(np.uint8)
    save(folder / "brain.nii", mask, scan_grid("FLAIR"))
    return folder


def patient(folder: Path, **changes) -> list[SessionScans]:
    found = []
    for session in ("week-000", "week-012"):
        names = ("FLAIR", "T1")
        scans = {name: ScanSource(folder / f"{session}_{name}.nii") for name in names}
        found.append(SessionScans(session, "native", scans, **changes))
    return found
