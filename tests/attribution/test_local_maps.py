"""Which maps are gradients, to be multiplied by a change, and which are shares of the output."""

from __future__ import annotations

import pytest
import torch
from toy_networks import Linear, explain, scans

from xrano.attribution.method_table import METHODS, spec_of

LOCAL = (
    *("saliency", "smoothgrad", "guided_backprop"),
    *("captum.Saliency", "captum.GuidedBackprop", "captum.Deconvolution"),
)
SHARES = ("input_x_gradient", "ig:zero", "captum.InputXGradient", "captum.IntegratedGradients:zero")


class Rectified(Linear):
    """Twice the input gives twice the logits: shares double with them, gradients stay."""

    def __init__(self):
        super().__init__()
        self.rectify = torch.nn.ReLU()

    def forward(self, x):
        return super().forward(self.rectify(x))


@pytest.mark.parametrize("method", [*LOCAL, *SHARES])
def test_a_local_map_does_not_grow_with_the_scans(method):
    model = Rectified().eval()
    once, twice = (
        explain(model, method, inputs=factor * scans(), n_steps=3, n_samples=3)[0].values
        for factor in (1, 2)
    )
    local = spec_of(method.partition(":")[0]).local
    assert local is (method in LOCAL)
    assert once.abs().max() > 0
    torch.testing.assert_close(twice, once if local else 2 * once, rtol=1e-10, atol=1e-12)


def test_no_other_method_is_local():
    assert {name for name, spec in METHODS.items() if spec.local} == {*LOCAL[:3]}
    assert not spec_of("captum.LayerGradientXActivation").local
