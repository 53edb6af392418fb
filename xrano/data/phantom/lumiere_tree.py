"""Writing phantom sessions as LUMIERE's directories and image files.

Equal content gives equal bytes: no time stamps, gzip level 1.
"""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from xrano.atomic_files import write_json
from xrano.data.phantom.lesions import ENHANCING, NECROSIS, OEDEMA
from xrano.data.phantom.native_scans import draw_native_frame, write_hdglio, write_raw
from xrano.data.phantom.patients import PhantomSession
from xrano.data.phantom.settings import PhantomSettings
from xrano.geometry import Grid

MNI_CODE = 4
"""NIfTI's code for MNI152 space, in sform and qform."""

VOLUME_KEYS = {
    "Enhancing_Core": ENHANCING,
    "Necrotic_NonEnhancing": NECROSIS,
    "Edema_Compartment": OEDEMA,
}
"""Keys of ``measured_volumes_in_mm3.json`` and the labels they count."""


def session_folder(root: Path, session: PhantomSession) -> Path:
    """``root/Imaging/Patient-NNN/week-WWW[-K]``."""
    return root / "Imaging" / session.patient_id / session.session_id


def write_session(
    root: Path, session: PhantomSession, settings: PhantomSettings, missing: str = ""
) -> None:
    """Write one session's files.

    Args:
        root: folder that holds ``Imaging``.
        session: what to write.
        settings: for ``raw_scans`` and ``hdglio``.
        missing: a sequence of which no file is written, or ``""``.
    """
    folder = session_folder(root, session)
    images = {name: data for name, data in session.images.items() if name != missing}
    atlas = folder / "DeepBraTumIA-segmentation" / "atlas"
    for sequence, data in images.items():
        name = f"{sequence.lower()}_skull_strip.nii.gz"
        write_nifti(atlas / "skull_strip" / name, data, session.grid)
    write_nifti(
        atlas / "skull_strip" / "brain_mask.nii.gz", session.brain.astype(np.uint8), session.grid
    )
    write_nifti(atlas / "segmentation" / "seg_mask.nii.gz", session.labels, session.grid)
    write_json(atlas / "segmentation" / "measured_volumes_in_mm3.json", measured_mm3(session))
    if settings.raw_scans or settings.hdglio:
        frame = draw_native_frame(settings, session)
        if settings.raw_scans:
            write_raw(folder, session, frame, images, write_nifti)
        if settings.hdglio:
            write_hdglio(folder, session, frame, images, write_nifti, raw_scans=settings.raw_scans)


def measured_mm3(session: PhantomSession) -> dict[str, float]:
    """The volumes that DeepBraTumIA reports: voxels counted, times their size, in mm³."""
    voxel_mm3 = session.grid.voxel_ml * 1000.0
    return {
        key: round(float((session.labels == label).sum()) * voxel_mm3, 3)
        for key, label in VOLUME_KEYS.items()
    }


def write_nifti(path: Path, data: NDArray[Any], grid: Grid, code: int = MNI_CODE) -> None:
    """Write a ``.nii.gz`` with sform and qform set, the same bytes each time."""
    image = nib.Nifti1Image(data, grid.affine)
    image.set_sform(grid.affine, code)
    image.set_qform(grid.affine, code)
    image.header.set_xyzt_units("mm")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(image.to_bytes(), compresslevel=1, mtime=0))
