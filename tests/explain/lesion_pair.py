"""A pair with one lesion on the patient's left, on several grids, and a network that finds it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from scipy.spatial.transform import Rotation
from torch import nn

from xrano.channels import ChannelLayout
from xrano.data.pair_volumes import PairVolumes
from xrano.geometry import Grid, to_ras

LAYOUT = ChannelLayout(("CT1", "FLAIR"))
METHODS = ("saliency", "gradcam", "ig", "ig:brain_mean", "ig:prior")
ROTATION = Rotation.from_euler("xyz", [17, 8, -12], degrees=True).as_matrix()


def centred(shape, linear):
    affine = np.eye(4)
    affine[:3, :3] = linear
    affine[:3, 3] = np.array([1.0, -12.0, 9.0]) - linear @ ((np.array(shape) - 1) / 2)
    return Grid(shape, affine)


LAS = centred((38, 35, 22), np.diag([-4.0, 5.0, 6.0]))
GRIDS = {
    "LAS": LAS,
    "RAS": to_ras(np.zeros(LAS.shape), LAS.affine)[1],
    "oblique": centred((40, 37, 25), ROTATION @ np.diag([-4.0, 5.0, 6.0])),
    "PIR": centred((35, 22, 38), np.array([[0, 0, 4.0], [-5.0, 0, 0], [0, -6.0, 0]])),
}
LESION = np.array([-34.0, 12.0, 18.0])
"""World mm: in the patient's left hemisphere."""


def distance(grid, centre):
    world = grid.world(np.stack(np.indices(grid.shape), axis=-1))
    return np.linalg.norm(world - centre, axis=-1)


def make_pair(grid=LAS, **changes):
    """Noise in a brain, and on the current scan one bright lesion on the left."""
    rng = np.random.default_rng(5)
    brain = distance(grid, (1.0, -12.0, 9.0)) < 62
    lesion = distance(grid, LESION) < 13
    inputs = rng.normal(0, 0.3, (4, *grid.shape)).astype(np.float32) * brain
    inputs[2:] += 6 * lesion
    labels = np.where(lesion, 1, 0).astype(np.uint8)
    pair = PairVolumes(
        pair_id="Patient-007_week-000-1_week-012",
        patient_id="Patient-007",
        prior_session="week-000-1",
        current_session="week-012",
        response="SD",
        spans_surgery=False,
        inputs=inputs,
        layout=LAYOUT,
        grid=grid,
        brain=brain,
        segmentations={"deepbratumia": (0 * labels, labels, "lumiere-deepbratumia")},
    )
    return replace(pair, **changes)


class Detector(nn.Module):
    """A user's own module: PD is what is locally bright on the current scan; no weights at all."""

    layout, num_classes, cam_layers = LAYOUT, 4, ("cells",)

    def __init__(self):
        super().__init__()
        self.cells = nn.AvgPool3d((3, 2, 2), stride=(3, 2, 2), padding=(1, 0, 1))

    def forward(self, x):
        smooth = nn.functional.avg_pool3d(x[:, 2:], 3, stride=1, padding=1)
        bright = self.cells(torch.relu(smooth - 1.5)).sum(dim=1).mean(dim=(1, 2, 3))
        return torch.stack([0 * bright, 0 * bright, 0 * bright + 1e-4, bright], dim=1)


def centre_of_mass(volume, grid):
    assert volume.sum() > 0
    world = grid.world(np.stack(np.indices(grid.shape), axis=-1))
    return (world * volume[..., None]).sum(axis=(0, 1, 2)) / volume.sum()
