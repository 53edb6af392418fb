"""Sessions of the phantom cohort as if they came from the scanner, and where they lie in truth.

Each scan gets a world of its own; the matrix from there to the atlas is known. ``resliced`` scans
lie on oblique, anisotropic grids; the others keep their voxels and only their affine is moved.
"""

from __future__ import annotations

import zlib
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd

from xrano.data.phantom.anatomy import rigid, rotation
from xrano.geometry import Grid, image_grid, inverse, moved_by
from xrano.resampling import resample

SEQUENCES = ("CT1", "FLAIR")
SPACINGS = {"CT1": (6.0, 6.0, 6.0), "FLAIR": (5.0, 6.0, 8.0)}

Matrices = dict[tuple[str, str], dict[str, np.ndarray]]
"""Session to sequence to the matrix from the scan's world to the atlas."""


def to_common(patient: str, session: str, sequence: str) -> np.ndarray:
    """A few degrees and millimetres; sequences of a session lie a little apart."""
    seeds = [zlib.crc32(text.encode()) for text in (patient, session)]
    rng, more = np.random.default_rng(seeds), np.random.default_rng([*seeds, len(sequence)])
    session_moves = rigid(rng.uniform(-5, 5, 3), rng.uniform(-8, 8, 3))
    return session_moves @ rigid(more.uniform(-2, 2, 3), more.uniform(-3, 3, 3))


def native_grid(atlas: Grid, sequence: str, matrix: np.ndarray) -> Grid:
    """An oblique grid, stored LPS, over the atlas' field of view as the scanner saw it."""
    spacing = np.array(SPACINGS[sequence])
    shape = np.ceil(np.array(atlas.shape) * atlas.spacing / spacing).astype(int) + 1
    affine = np.eye(4)
    affine[:3, :3] = rotation(np.array([3.0, -4.0, 6.0])) @ np.diag(spacing * [-1, -1, 1])
    centre = atlas.world((np.array(atlas.shape) - 1) / 2)
    middle = nib.affines.apply_affine(inverse(matrix), centre)
    affine[:3, 3] = middle - affine[:3, :3] @ ((shape - 1) / 2)
    return Grid(tuple(shape.tolist()), affine)


def carry(source: Path, target: Path, sequence: str, matrix: np.ndarray, resliced: bool) -> str:
    """Write an atlas file as it lay in the world of a scan."""
    image = nib.load(source)
    data, atlas = np.asarray(image.dataobj), image_grid(image)
    seen = moved_by(atlas, inverse(matrix))
    if resliced:
        grid = native_grid(atlas, sequence, matrix)
        data, seen = resample(data, seen, grid, order=int(data.dtype.kind == "f")), grid
    written = nib.Nifti1Image(data, seen.affine)
    written.set_sform(seen.affine, code=1)
    written.set_qform(seen.affine, code=1)
    target.parent.mkdir(parents=True, exist_ok=True)
    nib.save(written, target)
    return str(target)


def write_native(
    atlas_index: Path,
    out: Path,
    pair_ids: list[str],
    *,
    resliced: bool = False,
    space: str = "native",
) -> Matrices:
    """Tables and files of the sessions of some pairs; the masks lie in the world of FLAIR.

    In space ``session`` that is the world of all.
    """
    sessions, labels, pairs = (
        pd.read_csv(atlas_index / f"{name}.csv", dtype=str, keep_default_na=False)
        for name in ("sessions", "segmentations", "pairs")
    )
    pairs = pairs[pairs["pair_id"].isin(pair_ids)]
    used = {
        (pair["patient_id"], pair[role])
        for pair in pairs.to_dict("records")
        for role in ("prior_session", "current_session")
    }
    is_used = [key in used for key in zip(sessions.patient_id, sessions.session_id, strict=True)]
    segmentations = labels[labels["source"] == "deepbratumia"].set_index(
        ["patient_id", "session_id"]
    )["path"]
    rows, items, matrices = [], [], {}
    for row in sessions[is_used].to_dict("records"):
        key = (row["patient_id"], row["session_id"])
        here = out / "images" / "_".join(key)
        matrices[key] = {
            name: to_common(*key, "FLAIR" if space == "session" else name) for name in SEQUENCES
        }
        there = {"T1": "", "T2": ""}
        for name in SEQUENCES:
            source = atlas_index / row[name]
            there[name] = carry(
                source, here / f"{name}.nii.gz", name, matrices[key][name], resliced
            )
        for name, source in (("brain", row["brain_mask"]), ("labels", segmentations[key])):
            path = here / f"{name}.nii.gz"
            there[name] = carry(
                atlas_index / source, path, "FLAIR", matrices[key]["FLAIR"], resliced
            )
        told = "FLAIR" if space == "native" else ""
        masks = {"brain_mask": there.pop("brain"), "brain_mask_sequence": told}
        items.append(
            {
                "patient_id": key[0],
                "session_id": key[1],
                "source": "deepbratumia",
                "scheme": "lumiere-deepbratumia",
                "path": there.pop("labels"),
                "space": space,
                "sequence": told,
            }
        )
        rows.append({**row, **there, **masks, "space": space})
    pd.DataFrame(rows).to_csv(out / "sessions.csv", index=False)
    pd.DataFrame(items).to_csv(out / "segmentations.csv", index=False)
    pairs.to_csv(out / "pairs.csv", index=False)
    return matrices
