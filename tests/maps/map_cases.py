"""Maps by voxel and by cell, of random values on an oblique grid."""

from __future__ import annotations

import numpy as np
from geometry.grid_cases import affine_of, rotation

from xrano.geometry import Grid
from xrano.maps import MERGED_CHANNEL, AttributionMap

SHAPE = (5, 6, 7)
OBLIQUE = affine_of(rotation(17, 8, -12) @ np.diag([-1.1, 2.3, 3.7]))
GRID = Grid(SHAPE, OBLIQUE)
CHANNELS = ("prior_T1", "prior_FLAIR", "current_T1", "current_FLAIR")
META = {
    "pair_id": "Patient-042_week-000-1_week-012",
    "patient_id": "Patient-042",
    "prior": "week-000-1",
    "current": "week-012",
    "method": "ig",
    "baseline": "prior",
    "target": 3,
    "target_name": "PD",
    "layer": "",
    "logits": {"CR": -0.1, "PD": 2.5},
}


def voxel_map(grid=GRID, **meta):
    data = np.random.default_rng(3).normal(size=(4, *grid.shape)).astype(np.float32)
    return AttributionMap(data, grid, CHANNELS, {**META, **meta})


def cam(grid=GRID, data=None, **meta):
    if data is None:
        data = np.random.default_rng(4).normal(size=grid.shape)
    meta = {**META, "method": "gradcam", "baseline": "", "layer": "features.block1", **meta}
    return AttributionMap(data[None].astype(np.float32), grid, (MERGED_CHANNEL,), meta)
