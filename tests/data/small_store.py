"""A prepared store of a few voxels, written without preparation, on an oblique anisotropic grid.

Every scan of a patient shows the same random anatomy with noise of its own, so that scans of one
head share information and scans of two heads do not.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import ndimage
from scipy.spatial.transform import Rotation

from xrano.data.pair_volumes import session_pair_statistics
from xrano.data.pairing.pairs import build_pairs
from xrano.data.store import (
    PreparedSession,
    Store,
    open_store,
    session_path,
    write_manifest,
    write_prepared,
)
from xrano.data.tables import session_table, write_table
from xrano.geometry import Grid

SHAPE = (22, 26, 18)
SPACING = (5.0, 4.0, 6.0)
SEQUENCES = ("T1", "FLAIR")
RATINGS = ("", "PD", "SD")
WEEKS = (0, 12, 30)


def oblique_grid(shape: tuple[int, int, int] = SHAPE) -> Grid:
    """Left-handed, turned by some degrees about every axis, centred near the world's origin."""
    affine = np.eye(4)
    turn = Rotation.from_euler("xyz", [11, -7, 9], degrees=True).as_matrix()
    affine[:3, :3] = turn @ np.diag(np.array(SPACING) * [-1, 1, 1])
    affine[:3, 3] = (3.0, -9.0, 5.0) - affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    return Grid(shape, affine)


GRID = oblique_grid()


def world_distance(centre: tuple[float, float, float]) -> np.ndarray:
    world = GRID.world(np.stack(np.indices(GRID.shape), axis=-1))
    return np.linalg.norm(world - np.array(centre), axis=-1)


LESION = (-20.0, 4.0, 12.0)
"""World mm: in the patient's left hemisphere."""


def session(patient: int, number: int, **changes: object) -> PreparedSession:
    """One visit of one patient; ``changes`` replace fields."""
    rng = np.random.default_rng([patient, number])
    anatomy = ndimage.gaussian_filter(np.random.default_rng(patient).normal(size=SHAPE), 1.0)
    brain = world_distance((3.0, -9.0, 5.0)) < 40 + 0.2 * number
    labels = np.where(world_distance(LESION) < 9 + 2 * number, 3, 0).astype(np.uint8)
    labels[world_distance(LESION) < 6] = 1
    images = {
        name: np.where(brain, 0.6 + slope * anatomy + 0.02 * rng.normal(size=SHAPE), 0)
        for name, slope in zip(SEQUENCES, (0.5, -0.4), strict=True)
    }
    fields = {
        "patient_id": f"P{patient:02d}",
        "session_id": f"week-{WEEKS[number]:03d}",
        "sequences": {name: image.astype(np.float16) for name, image in images.items()},
        "brain": brain,
        "segmentations": {"deepbratumia": (labels, "lumiere-deepbratumia")},
        "scale": dict.fromkeys(SEQUENCES, 100.0),
        "key": f"{patient} {number}",
        "sources": {
            name: {
                "file": f"{name}.nii.gz",
                "shape": [8, 9, 10],
                "affine": np.diag([-1.0, 2.0, 3.0, 1.0]).tolist(),
                "to_common": np.eye(4).tolist(),
            }
            for name in SEQUENCES
        },
    }
    return PreparedSession(**{**fields, **changes})


def write_small_store(
    root: Path, patients: int = 4, visits: int = 3, changed: dict | None = None
) -> Store:
    """Write and open a store; ``changed`` maps (patient, visit) to changes of that session."""
    rows, volumes, sessions = [], [], {}
    for patient in range(patients):
        for number in range(visits):
            found = session(patient, number, **(changed or {}).get((patient, number), {}))
            write_prepared(session_path(root, found.patient_id, found.session_id), found, GRID)
            sessions[found.patient_id, found.session_id] = found
            rows.append(
                {
                    "patient_id": found.patient_id,
                    "session_id": found.session_id,
                    "order": number,
                    "week": WEEKS[number],
                    "days": 7 * WEEKS[number],
                    "role": "followup",
                    # Alternating, so that patients differ in what they are rated.
                    "rating": RATINGS[number] if patient % 2 else RATINGS[-number],
                    "space": "atlas",
                    **{name: str(root / f"{name}.nii.gz") for name in found.sequences},
                }
            )
            for source, (labels, _) in found.segmentations.items():
                ml = float((labels > 0).sum()) * GRID.voxel_ml
                volumes.append((found.patient_id, found.session_id, source, "whole", ml))
    table = session_table(rows)
    pairs, exclusions = build_pairs(table)
    measured = {}
    for pair in pairs.to_dict("records"):
        ends = (
            sessions[pair["patient_id"], pair[f"{side}_session"]] for side in ("prior", "current")
        )
        measured[pair["pair_id"]] = session_pair_statistics(
            *ends, GRID.spacing, normalisation="healthy", margin_mm=6.0
        )
    for name, frame in (
        ("sessions", table),
        ("pairs", pairs),
        ("exclusions", exclusions),
        (
            "volumes",
            pd.DataFrame(volumes, columns=["patient_id", "session_id", "source", "region", "ml"]),
        ),
    ):
        write_table(root / f"{name}.csv", frame)
    statistics = {"normalisation": "healthy", "margin_mm": 6.0, "pairs": measured}
    (root / "statistics.json").write_text(json.dumps(statistics))
    write_checksums(root)
    write_manifest(root, GRID, SEQUENCES, {"spacing_mm": 0.0})
    return open_store(root)


def write_checksums(root: Path) -> None:
    found = {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted((root / "sessions").rglob("*.safetensors"))
    }
    (root / "checksums.json").write_text(json.dumps(found))
