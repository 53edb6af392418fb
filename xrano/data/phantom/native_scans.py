"""The scanner's own view: raw scans on oblique, anisotropic grids, and what HD-GLIO made of them.

A session's head lies in the scanner as it may: a rigid *frame* takes atlas millimetres to scanner
millimetres. DeepBraTumIA's native masks lie on the raw grids; HD-GLIO's registered images on the
raw grid with the smallest voxels, which differs by session.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from xrano.data.phantom.anatomy import FIELD_OF_VIEW_MM, rigid, rotation
from xrano.data.phantom.lesions import ENHANCING, NECROSIS, OEDEMA
from xrano.data.phantom.patients import PhantomSession
from xrano.data.phantom.settings import PhantomSettings
from xrano.geometry import Grid
from xrano.resampling import resample
from xrano.types import Affine

SCANNER_CODE = 1
"""NIfTI's code for scanner space."""

HDGLIO_LABELS = {ENHANCING: 2, NECROSIS: 1, OEDEMA: 1}
"""DeepBraTumIA label to HD-GLIO label."""

# Voxel size along i, j, k, in units of the atlas spacing: thick slices, but for the contrast scan.
_VOXELS = {
    "T1": (0.9, 0.9, 1.5),
    "CT1": (1.0, 1.0, 1.0),
    "T2": (0.8, 0.8, 1.5),
    "FLAIR": (1.1, 1.1, 1.4),
}


class NiftiWriter(Protocol):
    """Writes an array and its grid to a path."""

    def __call__(self, path: Path, data: NDArray[Any], grid: Grid, code: int = ...) -> None:
        """Write one file; ``code`` is the NIfTI space code."""


@dataclass(frozen=True, eq=False)
class NativeFrame:
    """How a head lay in the scanner.

    Attributes:
        to_scanner: (4, 4) atlas millimetres to scanner millimetres, rigid.
        grids: sequence to the raw scan's grid, in scanner millimetres.
    """

    to_scanner: Affine
    grids: dict[str, Grid]

    def carry(
        self, data: NDArray[Any], atlas: Grid, target: Grid, *, labels: bool = False
    ) -> NDArray[Any]:
        """An atlas array (i, j, k) on a raw grid: labels nearest, images trilinear."""
        source = Grid(atlas.shape, self.to_scanner @ atlas.affine)
        return resample(data, source, target, order=0 if labels else 1)


def draw_native_frame(settings: PhantomSettings, session: PhantomSession) -> NativeFrame:
    """A random frame and one oblique grid a sequence; the same for the same session."""
    words = [int(part) for part in session.session_id.split("-")[1:]]
    number = int(session.patient_id.split("-")[1])
    rng = np.random.default_rng([settings.seed, number, 3, *words])
    to_scanner = rigid(rng.normal(0.0, 4.0, 3), rng.normal(0.0, 6.0, 3))
    grids = {}
    for sequence, sizes in _VOXELS.items():
        spacing = np.array(sizes) * settings.spacing_mm
        shape = np.ceil(np.array(FIELD_OF_VIEW_MM) / spacing).astype(int)
        affine = np.eye(4)
        affine[:3, :3] = rotation(rng.normal(0.0, 5.0, 3)) @ np.diag(spacing * [-1, -1, 1])
        middle = to_scanner[:3, :3] @ np.array([-0.5, -17.5, 18.5]) + to_scanner[:3, 3]
        affine[:3, 3] = middle - affine[:3, :3] @ ((shape - 1) / 2.0)
        grids[sequence] = Grid((int(shape[0]), int(shape[1]), int(shape[2])), affine)
    return NativeFrame(to_scanner, grids)


def write_raw(
    folder: Path,
    session: PhantomSession,
    frame: NativeFrame,
    images: Mapping[str, NDArray[np.float32]],
    write: NiftiWriter,
) -> None:
    """``T1.nii.gz`` and so on, with DeepBraTumIA's masks on the same grids."""
    native = folder / "DeepBraTumIA-segmentation" / "native"
    for sequence, data in images.items():
        grid, low = frame.grids[sequence], sequence.lower()
        scan = np.rint(frame.carry(data, session.grid, grid)).astype(np.uint16)
        labels = frame.carry(session.labels, session.grid, grid, labels=True)
        brain = frame.carry(session.brain.astype(np.uint8), session.grid, grid, labels=True)
        write(folder / f"{sequence}.nii.gz", scan, grid, SCANNER_CODE)
        write(native / "segmentation" / f"{low}_seg_mask.nii.gz", labels, grid, SCANNER_CODE)
        write(native / "skull_strip" / f"{low}_brain_mask.nii.gz", brain, grid, SCANNER_CODE)


def write_hdglio(
    folder: Path,
    session: PhantomSession,
    frame: NativeFrame,
    images: Mapping[str, NDArray[np.float32]],
    write: NiftiWriter,
    *,
    raw_scans: bool,
) -> None:
    """HD-GLIO's ``registered`` folder: every image and the segmentation on one raw grid.

    With raw scans their masks are written too, in ``native``.
    """
    finest = min(images, key=lambda sequence: int(frame.grids[sequence].voxel_ml * 1e3))
    grid = frame.grids[finest]
    tool = folder / "HD-GLIO-AUTO-segmentation"
    registered = tool / "registered"
    for sequence, data in images.items():
        moved = frame.carry(data, session.grid, grid)
        write(registered / f"{sequence}_r2s_bet_reg.nii.gz", moved, grid, SCANNER_CODE)
    labels = np.zeros_like(session.labels)
    for label, hdglio in HDGLIO_LABELS.items():
        labels[session.labels == label] = hdglio
    moved = frame.carry(labels, session.grid, grid, labels=True)
    write(registered / "segmentation.nii.gz", moved, grid, SCANNER_CODE)
    for sequence in images if raw_scans else ():
        raw = frame.grids[sequence]
        there = frame.carry(labels, session.grid, raw, labels=True)
        name = f"segmentation_{sequence}_origspace.nii.gz"
        write(tool / "native" / name, there, raw, SCANNER_CODE)
