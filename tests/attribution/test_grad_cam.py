"""Grad-CAM in closed form: which cell lights up, where it lies, and what a layer gives."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from random_networks import Explainable, Small, brain_of, explain, made, scans
from torch import nn

from xrano.attribution.methods import MethodRequest, attribute
from xrano.geometry import Grid
from xrano.models.layer_geometry import feature_grid


class OneConvolution(Explainable):
    """Grad-CAM in closed form: logit n is the sum of v[n, f] times the mean of feature f."""

    def __init__(self, padding=(0, 0, 0)):
        super().__init__()
        self.layer = nn.Conv3d(4, 3, (3, 2, 1), stride=(3, 2, 1), padding=padding, bias=False)
        self.last = nn.Linear(3, 4, bias=False)
        nn.init.ones_(self.layer.weight)

    def forward(self, x):
        return self.last(self.layer(x).mean(dim=(2, 3, 4)))


class TestGradCam:
    SHAPE = (12, 10, 5)

    @pytest.mark.parametrize("voxel", [(0, 0, 0), (7, 5, 2), (11, 9, 4), (2, 8, 3)])
    def test_a_bright_voxel_lights_the_cell_that_holds_it(self, voxel):
        model = made(OneConvolution)
        inputs = torch.zeros(1, 4, *self.SHAPE, dtype=torch.float64)
        inputs[(0, 2, *voxel)] = 5.0
        (found,) = explain(model, "gradcam", [1], inputs)
        cells = (4, 5, 5)
        expected = np.zeros(cells)
        cell = tuple(np.floor_divide(voxel, (3, 2, 1)))
        expected[cell] = 5.0 * model.last.weight[1].sum().item() / math.prod(cells)
        assert found.layer == "layer"
        assert found.values.shape == (1, *cells)
        assert found.values[0].numpy() == pytest.approx(expected)
        self.check_world(model, cell, voxel, half=(1, 0.5, 0))

    def check_world(self, model, cell, voxel, half):
        affine = np.array([[0, -1.5, 0, 9], [2.0, 0, 0.5, -4], [0, 0.3, 4.0, 2], [0, 0, 0, 1]])
        grid = Grid(self.SHAPE, affine)
        cells = feature_grid(model, "layer", 4, grid)
        apart = np.abs(grid.voxel(cells.world(cell)) - voxel)
        assert (apart <= np.array(half) + 1e-9).all()

    def test_padding_shifts_the_cells(self):
        model = made(lambda: OneConvolution(padding=(1, 1, 0)))
        inputs = torch.zeros(1, 4, *self.SHAPE, dtype=torch.float64)
        inputs[0, 0, 8, 3, 1] = 1.0
        (found,) = explain(model, "gradcam", [0], inputs)
        # Cell n of axis i sees voxels 3n - 1 … 3n + 1, of axis j voxels 2n - 1 and 2n.
        (cell,) = np.argwhere(found.values[0].numpy() != 0)
        assert cell.tolist() == [3, 2, 1]
        self.check_world(model, cell, (8, 3, 1), half=(1, 0.5, 0))

    def test_negative_relevance_is_kept(self):
        found = explain(made(Small), "gradcam", [0, 1, 2, 3])
        values = torch.cat([result.values for result in found])
        assert (values < 0).any()
        assert (values > 0).any()

    def test_a_layer_by_name(self):
        (found,) = explain(made(Small), "gradcam", layer="first.0")
        assert found.layer == "first.0"
        assert found.values.shape[1:] == (9, 8, 8)

    @pytest.mark.parametrize("together", [["gradcam"], ["saliency", "gradcam"]])
    def test_an_in_place_step_after_the_layer_does_not_reach_it(self, together):
        model, inputs = made(Small), scans()
        _, results = attribute(
            model, inputs, [MethodRequest.parse(n) for n in together], [2], brain=brain_of()
        )
        with torch.no_grad():
            activation = model.layer(model.first(inputs))
        assert (activation < 0).any(), "else the step changes nothing"
        leaf = activation.clone().requires_grad_(True)
        pooled = torch.tanh(leaf.relu().square().mean(dim=(2, 3, 4)))
        (gradient,) = torch.autograd.grad(model.last(pooled)[0, 2], leaf)
        weights = gradient.mean(dim=(2, 3, 4), keepdim=True)
        assert torch.allclose(results[-1].values, (weights * activation).sum(dim=1), atol=1e-14)
