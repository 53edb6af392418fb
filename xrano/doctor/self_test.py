"""A lesion on the left, found on the left: the shortest whole path, with a known answer.

Two scans are written as NIfTI with the i axis running to the left (as many scanners store them),
read, explained by xrano's own call, and the map is saved and loaded. The network is a pooled square
of what is brighter on the current scan, so its gradient is known in closed form: twice the change,
zero elsewhere.
"""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from xrano.channels import ChannelLayout
from xrano.data.nifti_files import read_nifti
from xrano.data.pair_volumes import PairVolumes
from xrano.explain import Explainer
from xrano.geometry import Grid, to_ras
from xrano.map_files import load_map, save_map

CENTRE_MM = (-31.0, 12.0, 9.0)
"""Of the lesion: x is negative on the patient's left."""
RADIUS_MM = 11.0
SHAPE = (28, 24, 18)
SPACING_MM = (4.0, 5.0, 6.0)
LAYOUT = ChannelLayout(("CT1",))


@dataclass(frozen=True)
class SelfTest:
    """What came out: where the map's relevance is centred, and what is wrong (empty if nothing)."""

    centre_mm: tuple[float, float, float]
    seconds: float
    trouble: str = ""


class ChangeNetwork(nn.Module):
    """PD is what became brighter: the last logit is the sum of squares of (current − prior)₊."""

    layout, num_classes, cam_layers = LAYOUT, 4, ()

    def forward(self, scans: Tensor) -> Tensor:
        """Logits ``(batch, 4)`` of scans ``(batch, 2, i, j, k)``."""
        change = torch.relu(scans[:, 1] - scans[:, 0]).square().sum(dim=(1, 2, 3))
        return torch.stack([0 * change, 0 * change, 0 * change, change], dim=1)


def self_test(folder: Path | None = None) -> SelfTest:
    """Run it in a temporary folder.

    Args:
        folder: where that is made; the system's own if not given.
    """
    start = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="xrano-doctor-", dir=folder) as name:
        centre, trouble = _found(Path(name))
    return SelfTest(centre, time.perf_counter() - start, trouble)


def _found(folder: Path) -> tuple[tuple[float, float, float], str]:
    grid = _left_running_grid()
    prior, lesion = np.full(SHAPE, 1.0, dtype=np.float32), _ball(grid)
    current = prior + lesion.astype(np.float32)
    scans = {}
    for name, data in (("prior", prior), ("current", current)):
        image = nib.Nifti1Image(data, grid.affine)
        nib.save(image, folder / f"{name}.nii.gz")
        _, values, stored = read_nifti(folder / f"{name}.nii.gz")
        scans[name] = to_ras(np.asarray(values, dtype=np.float32), stored.affine)
    place = scans["current"][1]
    inputs = np.stack([scans["prior"][0], scans["current"][0]])
    explained = Explainer(ChangeNetwork(), ["saliency"]).explain(_pair(inputs, place))
    saved = load_map(save_map(explained.maps[0], folder / "maps"))
    relevance = saved.reduced("absolute", "sum")
    found = _centre(relevance, saved.grid)
    expected = 4 * to_ras(lesion.astype(np.float32), grid.affine)[0]
    return found, _trouble(found, relevance, expected)


def _trouble(
    found: tuple[float, float, float],
    relevance: NDArray[np.float32],
    expected: NDArray[np.float32],
) -> str:
    """In words; the map is 2 on the lesion of either scan, so 4 in all."""
    distance = float(np.linalg.norm(np.subtract(found, CENTRE_MM)))
    if not distance < max(SPACING_MM):
        side = "left" if found[0] < 0 else "right"
        return (
            f"a lesion at {CENTRE_MM} mm on the patient's left was found {distance:.0f} mm off, on "
            f"the {side}"
        )
    worst = float(np.abs(relevance - expected).max())
    return "" if worst <= 1e-4 else f"a gradient known in closed form is off by {worst:.2g}"


def _left_running_grid() -> Grid:
    affine = np.diag([-SPACING_MM[0], SPACING_MM[1], SPACING_MM[2], 1.0])
    affine[:3, 3] = -affine[:3, :3] @ ((np.array(SHAPE) - 1) / 2)
    return Grid(SHAPE, affine)


def _ball(grid: Grid) -> NDArray[np.bool_]:
    index = np.stack(np.meshgrid(*map(np.arange, SHAPE), indexing="ij"), axis=-1)
    distance = np.linalg.norm(grid.world(index) - np.array(CENTRE_MM), axis=-1)
    return np.asarray(distance <= RADIUS_MM)


def _centre(relevance: NDArray[np.float32], grid: Grid) -> tuple[float, float, float]:
    """Of the relevance, in mm."""
    index = np.stack(np.meshgrid(*map(np.arange, relevance.shape), indexing="ij"), axis=-1)
    weights = relevance.astype(np.float64)
    if not weights.sum():
        return (float("nan"),) * 3
    x, y, z = np.average(grid.world(index).reshape(-1, 3), axis=0, weights=weights.ravel())
    return float(x), float(y), float(z)


def _pair(inputs: NDArray[np.float32], grid: Grid) -> PairVolumes:
    return PairVolumes(
        pair_id="self-test",
        patient_id="doctor",
        prior_session="week-000",
        current_session="week-012",
        response="PD",
        spans_surgery=False,
        inputs=inputs,
        layout=LAYOUT,
        grid=grid,
        brain=np.ones(grid.shape, dtype=np.bool_),
        segmentations={},
    )
