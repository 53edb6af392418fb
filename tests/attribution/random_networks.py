"""Networks with random weights whose maps can be told in advance, and how tests explain them."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from xrano.attribution.methods import AttributionSettings, MethodRequest, attribute
from xrano.channels import ChannelLayout
from xrano.models.factory import create_model

LAYOUT = ChannelLayout(("T1", "FLAIR"))
SHAPE = (9, 7, 8)
ALL = [MethodRequest.parse(name) for name in ("saliency", "gradcam", "ig", "ig:prior")]


class Explainable(nn.Module):
    """The protocol; what a test's network does is its own."""

    layout, num_classes, cam_layers = LAYOUT, 4, ("layer",)


class Linear(Explainable):
    """Logits that are linear in the input."""

    cam_layers = ()

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(4, 4, *SHAPE, dtype=torch.float64))
        self.bias = nn.Parameter(torch.randn(4, dtype=torch.float64))

    def forward(self, x):
        return torch.einsum("bcijk,ncijk->bn", x, self.weight) + self.bias


class Small(Explainable):
    """Smooth and not linear, with normalisation, dropout and an in-place step after the layer."""

    def __init__(self):
        super().__init__()
        self.first = nn.Sequential(
            nn.Conv3d(4, 5, (3, 2, 3), padding=1), nn.BatchNorm3d(5), nn.Softplus()
        )
        self.layer = nn.Conv3d(5, 6, (2, 3, 2), stride=(2, 1, 3))
        self.relu = nn.ReLU(inplace=True)
        self.drop = nn.Dropout(0.5)
        self.last = nn.Linear(6, 4)

    def forward(self, x):
        pooled = self.relu(self.layer(self.first(x))).square().mean(dim=(2, 3, 4))
        return self.last(self.drop(torch.tanh(pooled)))


class InPlaceFromTheStart(Small):
    """Works on the very tensor that it is given."""

    def forward(self, x):
        x -= 0.25
        return super().forward(x.relu_())


def made(kind, dtype=torch.float64):
    with torch.random.fork_rng():
        torch.manual_seed(7)
        model = create_model("densenet_small", LAYOUT) if kind == "densenet" else kind()
        for module in model.modules():
            if isinstance(module, nn.BatchNorm3d):
                module.running_mean.uniform_(-0.2, 0.2)
                module.running_var.uniform_(0.5, 2)
    return model.to(dtype).eval()


def scans(dtype=torch.float64, shape=SHAPE):
    return torch.randn(1, 4, *shape, generator=torch.Generator().manual_seed(3)).to(dtype)


def brain_of(shape=SHAPE):
    index = np.stack(np.indices(shape), axis=-1)
    radius = ((index - np.divide(shape, 2)) / np.divide(shape, 2.2)) ** 2
    return torch.from_numpy(radius.sum(axis=-1) < 1)


def explain(model, name, targets=(2,), inputs=None, **settings):
    inputs = scans(next(model.parameters()).dtype) if inputs is None else inputs
    _, results = attribute(
        model,
        inputs,
        [MethodRequest.parse(name)],
        targets,
        brain=brain_of(inputs.shape[2:]),
        settings=AttributionSettings(**settings),
    )
    return results


def logits_of(model, inputs):
    with torch.no_grad():
        return model.eval()(inputs.clone())[0].double()
