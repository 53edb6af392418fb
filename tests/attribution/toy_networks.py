"""Small networks whose maps are known, and the one way that tests explain them."""

from __future__ import annotations

import torch
from torch import nn

from xrano.attribution.methods import AttributionSettings, MethodRequest, attribute
from xrano.channels import ChannelLayout

LAYOUT = ChannelLayout(("T1", "FLAIR"))
SHAPE = (6, 5, 4)


class Explainable(nn.Module):
    """The protocol; what a test's network does is its own."""

    layout, num_classes, cam_layers = LAYOUT, 4, ()


class Linear(Explainable):
    """Logits that are linear in the input."""

    def __init__(self):
        super().__init__()
        generator = torch.Generator().manual_seed(2)
        self.weight = nn.Parameter(
            torch.randn(4, 4, *SHAPE, generator=generator, dtype=torch.float64)
        )

    def forward(self, x):
        return torch.einsum("bcijk,ncijk->bn", x, self.weight)


class Features(Explainable):
    """Two layers, of which the finer passes its features on; the head is linear in the cells."""

    cam_layers = ("coarse", "fine")

    def __init__(self):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(4)
            self.fine = nn.Conv3d(4, 3, 1)
            self.rectify = nn.ReLU(inplace=True)
            self.coarse = nn.Conv3d(3, 5, 2, stride=2)
            self.head = nn.Linear(5 * 3 * 2 * 2, 4)
        self.double()

    def forward(self, x):
        return self.head(self.coarse(self.rectify(self.fine(x))).flatten(1))


def scans(seed=3, dtype=torch.float64, shape=SHAPE):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(1, 4, *shape, generator=generator, dtype=torch.float64).to(dtype)


def explain(model, methods, targets=(2,), inputs=None, *, brain=None, settings=None, **options):
    """Results of one or several methods; settings by name."""
    fields = AttributionSettings.__dataclass_fields__
    said = {name: options.pop(name) for name in list(options) if name in fields}
    inputs = scans() if inputs is None else inputs
    names = [methods] if isinstance(methods, str) else methods
    brain = torch.ones(inputs.shape[2:], dtype=torch.bool) if brain is None else brain
    return attribute(
        model,
        inputs,
        [MethodRequest.parse(name) for name in names],
        targets,
        brain=brain,
        settings=settings or AttributionSettings(**said),
        **options,
    )[1]


def count_passes(model, work):
    """Samples that went forward through a network while ``work()`` ran."""
    batches = []
    handle = model.register_forward_pre_hook(lambda _m, args: batches.append(len(args[0])))
    try:
        work()
    finally:
        handle.remove()
    return sum(batches)
