"""A current scan as it lay in the scanner, and a map with one hot place in the patient's left."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
from native_cohort import native_grid

from xrano.data.pair_volumes import PairVolumes
from xrano.experiments.scan_place import ScanPlace
from xrano.geometry import image_grid, inverse, moved_by
from xrano.maps import AttributionMap
from xrano.resampling import resample
from xrano.training.run import Run

LEFT = np.array([-34.0, -12.0, 16.0])
"""In the patient's left hemisphere, common world mm."""


def placed(run: Run, pair: PairVolumes, matrix, path: Path, kind: str) -> ScanPlace:
    """The current scan as it lay in the scanner, along some axes, with scanner codes."""
    sessions = run.store.sessions.set_index(["patient_id", "session_id"])
    image = nib.load(sessions.loc[(pair.patient_id, pair.current_session)]["CT1"])
    data, seen = np.asarray(image.dataobj), moved_by(image_grid(image), inverse(matrix))
    if kind == "oblique":
        grid = native_grid(image_grid(image), "FLAIR", matrix)
        data, seen = resample(data, seen, grid), grid
    written = nib.Nifti1Image(data, seen.affine)
    if kind != "oblique":
        turn = nib.orientations.ornt_transform(
            nib.orientations.io_orientation(seen.affine),
            nib.orientations.axcodes2ornt(tuple(kind)),
        )
        written = written.as_reoriented(turn)
    written.set_sform(written.affine, code=1)
    written.set_qform(written.affine, code=3)
    nib.save(written, path)
    return ScanPlace("CT1", path, matrix, float(data.mean()), float(data.std()))


def hot_at(pair: PairVolumes, centre: np.ndarray) -> AttributionMap:
    """A map that is 1 at a place of the common world and falls off within some 10 mm."""
    places = pair.grid.world(np.stack(np.indices(pair.grid.shape), axis=-1))
    data = np.exp(-(((places - centre) / 9.0) ** 2).sum(axis=-1))[None].astype(np.float32)
    meta = {
        "pair_id": pair.pair_id,
        "patient_id": pair.patient_id,
        "prior": pair.prior_session,
        "current": pair.current_session,
        "method": "hand",
        "target_name": "PD",
    }
    return AttributionMap(data, pair.grid, ("all",), meta)
