"""One synthetic case at 1 mm with the maps of three methods for four classes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from xrano.channels import Timepoint
from xrano.geometry import Grid
from xrano.maps import AttributionMap
from xrano.viz.panel_case import PanelCase

SHAPE = (182, 218, 182)
CLASSES = ("CR", "PR", "SD", "PD")
SEQUENCES = ("T1", "CT1", "T2", "FLAIR")
AFFINE = np.array([[-1.0, 0, 0, 90], [0, 1, 0, -126], [0, 0, 1, -72], [0, 0, 0, 1]])
CELLS = (6, 7, 6)


def panel_case() -> PanelCase:
    """Two scans of an ellipsoid brain with a lesion that has grown, T1-weighted with contrast."""
    grid = Grid(SHAPE, AFFINE)
    brain = _inside((90, 112, 82), (68, 86, 64))
    before, now = (_inside((120, 130, 95), (size,) * 3) for size in (9, 16))
    noise = np.random.default_rng(0).normal(1.0, 0.1, (2, *SHAPE)).astype(np.float32)
    scans = [
        np.where(brain, one + 2 * lesion, 0).astype(np.float16)
        for one, lesion in zip(noise, (before, now), strict=True)
    ]
    return PanelCase(
        grid=grid,
        prior={"CT1": scans[0]},
        current={"CT1": scans[1]},
        brain=brain,
        prior_mask=before,
        current_mask=now,
        pair_id="Patient-001_week-000_week-012",
        patient_id="Patient-001",
        prior_session="week-000",
        current_session="week-012",
        response="PD",
        predicted="PD",
        probabilities={"CR": 0.02, "PR": 0.08, "SD": 0.2, "PD": 0.7},
    )


def panel_maps() -> list[AttributionMap]:
    """Eight-channel maps of two voxel-wise methods, and cells of a deep layer, of each class."""
    rng = np.random.default_rng(1)
    channels = tuple(f"{time}_{name}" for time in Timepoint for name in SEQUENCES)
    there = np.exp(-(_squares((120, 130, 95), (20.0,) * 3)))
    maps = []
    for method in ("saliency", "ig"):
        for number, target in enumerate(CLASSES):
            data = rng.standard_normal((len(channels), *SHAPE), dtype=np.float32)
            data *= 0.1
            data += (0.5 + 0.2 * number) * there
            meta = {"method": method, "target_name": target}
            meta |= {"baseline": "prior"} if method == "ig" else {}
            maps.append(AttributionMap(data, Grid(SHAPE, AFFINE), channels, meta))
    coarse = AFFINE.copy()
    coarse[:3, :3] *= 32
    for target in CLASSES:
        cells = rng.normal(0.3, 1.0, (1, *CELLS)).astype(np.float32)
        meta = {"method": "gradcam", "layer": "features", "target_name": target}
        maps.append(AttributionMap(cells, Grid(CELLS, coarse), ("all",), meta))
    return maps


def _squares(centre: tuple[int, ...], radii: tuple[float, ...]) -> NDArray[np.float32]:
    places = zip(np.ogrid[: SHAPE[0], : SHAPE[1], : SHAPE[2]], centre, radii, strict=True)
    parts = [((step - at) / radius) ** 2 for step, at, radius in places]
    return np.asarray(parts[0] + parts[1] + parts[2], dtype=np.float32)


def _inside(centre: tuple[int, ...], radii: tuple[float, ...]) -> NDArray[np.bool_]:
    return np.asarray(_squares(centre, radii) < 1)
