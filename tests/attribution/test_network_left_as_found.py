"""Modes, gradients, hooks, weights and random state of a network that was explained."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - the usual name
from random_networks import ALL, InPlaceFromTheStart, Small, brain_of, explain, made, scans

from xrano.attribution.methods import attribute
from xrano.errors import ModelError


class Drawing(Small):
    """Draws random numbers in evaluation mode too."""

    def forward(self, x):
        return super().forward(F.dropout(x, 0.5, training=True))


class Interrupting(Small):
    """Fails in the middle of a pass."""

    def forward(self, x):
        super().forward(x)
        raise KeyboardInterrupt


def snapshot(model):
    return {
        "modes": [module.training for module in model.modules()],
        "wanted": [parameter.requires_grad for parameter in model.parameters()],
        "gradients": [parameter.grad for parameter in model.parameters()],
        "hooks": [
            len(hooks)
            for module in model.modules()
            for hooks in (
                module._forward_hooks,
                module._forward_pre_hooks,
                module._backward_hooks,
                module._backward_pre_hooks,
            )
        ],
        "weights": [value.tolist() for value in model.state_dict().values()],
        "random": torch.get_rng_state().tolist(),
        "gradients on": torch.is_grad_enabled(),
    }


def partly_frozen(kind):
    """In training, but its normalisation is frozen; a user's own hook sits on the layer."""
    model = made(kind).train()
    model.first[1].eval()
    model.first[0].weight.requires_grad_(False)
    model.layer.register_forward_hook(lambda *_: None)
    return model


class TestTheModelIsLeftAsFound:
    @pytest.mark.parametrize("kind", [Small, Drawing, InPlaceFromTheStart])
    def test_after_success(self, kind):
        model, inputs, brain = partly_frozen(kind), scans(), brain_of()
        before = snapshot(model)
        attribute(model, inputs, ALL, [0, 3], brain=brain)
        assert snapshot(model) == before
        assert torch.equal(inputs, scans())
        assert not inputs.requires_grad
        assert inputs.grad is None
        assert torch.equal(brain, brain_of())

    @pytest.mark.parametrize("kind", [Interrupting, Small])
    @pytest.mark.parametrize("name", ["gradcam", "saliency", "ig"])
    def test_after_an_error(self, kind, name):
        model = partly_frozen(kind)
        if kind is Small:
            with torch.no_grad():
                model.last.weight[0, 0] = torch.inf
        before = snapshot(model)
        with pytest.raises((KeyboardInterrupt, ModelError)):
            explain(model, name)
        assert snapshot(model) == before

    def test_gradients_that_were_there_stay(self):
        model = made(Small)
        model(scans()).sum().backward()
        before = [parameter.grad.clone() for parameter in model.parameters()]
        attribute(model, scans(), ALL, [0], brain=brain_of())
        after = [parameter.grad for parameter in model.parameters()]
        assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
