"""Activation checkpointing: the same gradients and statistics, less memory."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from xrano.channels import ChannelLayout
from xrano.models.checkpointing import Spine, in_groups, run_segments
from xrano.models.factory import create_model
from xrano.models.vit import PairViT

LAYOUT = ChannelLayout(("T1", "FLAIR"))
SHAPE = (33, 35, 34)
NETWORKS = [
    ("densenet_small", "concat"),
    ("densenet_small", "siamese"),
    ("resnet_small", "subtract"),
    ("alexnet3d", "concat"),
    ("vit_small", "concat"),
]


def step(model, *, dtype=torch.float64, seed=5):
    """Loss and gradients of one training step; dropout draws alike in every call."""
    model.to(dtype).train()
    inputs = torch.randn(2, 4, *SHAPE, generator=torch.Generator().manual_seed(1)).to(dtype)
    torch.manual_seed(seed)
    loss = nn.functional.cross_entropy(model(inputs), torch.tensor([1, 3]))
    loss.backward()
    return loss.detach(), [None if p.grad is None else p.grad.clone() for p in model.parameters()]


@pytest.mark.parametrize(("name", "stem"), NETWORKS)
def test_gradients_and_statistics_are_those_of_the_plain_network(name, stem):
    plain = create_model(name, LAYOUT, stem=stem, seed=3)
    lean = create_model(name, LAYOUT, stem=stem, seed=3, checkpointing=True)
    weights = zip(plain.parameters(), lean.parameters(), strict=True)
    assert all(torch.equal(one, other) for one, other in weights)
    (loss, gradients), (lean_loss, lean_gradients) = step(plain), step(lean)
    assert torch.equal(loss, lean_loss)
    assert any(gradient is not None and gradient.any() for gradient in gradients)
    for expected, found in zip(gradients, lean_gradients, strict=True):
        assert (expected is None) == (found is None)
        if expected is not None:
            assert torch.allclose(expected, found, rtol=1e-9, atol=1e-13)
    for (key, expected), found in zip(
        plain.named_buffers(), (value for _, value in lean.named_buffers()), strict=True
    ):
        assert torch.equal(expected, found), key


def test_running_statistics_are_updated_once():
    model = create_model("densenet_small", LAYOUT, checkpointing=True)
    step(model)
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm3d)]
    assert len(norms) > 10
    assert all(norm.num_batches_tracked == 1 for norm in norms)
    first = model.backbone.features.norm0
    inputs = torch.randn(2, 4, *SHAPE, generator=torch.Generator().manual_seed(1)).double()
    mean = model.backbone.features.conv0(inputs).mean(dim=(0, 2, 3, 4))
    assert torch.allclose(first.running_mean, 0.1 * mean, atol=1e-12), "one step of momentum 0.1"


def test_the_modules_keep_their_own_buffers():
    model = create_model("densenet_small", LAYOUT, checkpointing=True)
    before = {name: buffer.data_ptr() for name, buffer in model.double().named_buffers()}
    step(model)
    assert {name: buffer.data_ptr() for name, buffer in model.named_buffers()} == before


def saved_bytes(model, mode):
    """Bytes that the forward pass keeps, inputs of segments included."""
    seen = {}

    def keep(tensor):
        storage = tensor.untyped_storage()
        seen[storage.data_ptr()] = storage.nbytes()
        return tensor

    model.train(mode)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        model(torch.randn(2, 4, *SHAPE))
    return sum(seen.values())


@pytest.mark.parametrize("name", ["densenet_small", "resnet_small"])
def test_unasked_only_training_computes_again(name):
    plain = create_model(name, LAYOUT)
    lean = create_model(name, LAYOUT, checkpointing=True)
    assert saved_bytes(lean, True) < 0.5 * saved_bytes(plain, True)
    assert saved_bytes(lean, False) == saved_bytes(plain, False), "maps are plain passes"
    calls = []
    lean.backbone.get_submodule(
        "features.conv0" if name == "densenet_small" else "conv1"
    ).register_forward_hook(lambda *_: calls.append(1))
    step(lean, dtype=torch.float32)
    assert len(calls) == 2, "once forward, once again in the backward pass"
    with torch.no_grad():
        lean(torch.randn(2, 4, *SHAPE))
    assert len(calls) == 3


def test_a_transformer_with_dropout():
    settings = {"patch": (16, 16, 16), "hidden": 12, "mlp": 8, "depth": 2, "heads": 2}
    plain = PairViT(4, 4, **settings, dropout=0.4)
    lean = PairViT(4, 4, **settings, dropout=0.4, checkpointing=True)
    lean.load_state_dict(plain.state_dict())
    (loss, gradients), (lean_loss, lean_gradients) = step(plain), step(lean)
    assert not torch.equal(loss, step(plain, seed=6)[0]), "dropout acts"
    assert torch.equal(loss, lean_loss)
    for expected, found in zip(gradients, lean_gradients, strict=True):
        assert expected is None or torch.allclose(expected, found, rtol=1e-9, atol=1e-13)


def test_dropout_is_drawn_again_alike():
    drop = nn.Dropout(0.5)
    values = torch.ones(1000, requires_grad=True)
    torch.manual_seed(0)
    result = run_segments([[drop, nn.Tanh()]], values, recompute=True, randomness=True)
    (gradient,) = torch.autograd.grad(result.sum(), values)
    assert 0 < int((result == 0).sum()) < 1000
    assert torch.equal(gradient == 0, result == 0)


@pytest.mark.parametrize(("count", "sizes"), [(1, [1]), (6, [3, 3]), (64, [8] * 8), (5, [3, 2])])
def test_groups_of_about_the_root(count, sizes):
    modules = [nn.Identity() for _ in range(count)]
    groups = in_groups(modules)
    assert [len(group) for group in groups] == sizes
    assert [module for group in groups for module in group] == modules


class TestOnRequest:
    """Computing again in evaluation mode, for as long as it is asked for."""

    def calls_of(self, module, work):
        # Before the call: computing again stops where the last tensor needed is there.
        calls = []
        handle = module.register_forward_pre_hook(lambda *_: calls.append(1))
        work()
        handle.remove()
        return len(calls)

    def spine(self):
        parts = {name: nn.Conv3d(1, 1, 3, padding=1) for name in "abcde"}
        return Spine(parts, size=2).double().eval()

    def backward(self, spine):
        values = torch.ones(1, 1, 4, 4, 4, dtype=torch.float64, requires_grad=True)
        return torch.autograd.grad(spine(values).square().sum(), values)[0]

    def test_a_spine_is_a_sequential(self):
        spine = self.spine()
        plain = nn.Sequential(*spine)
        values = torch.randn(1, 1, 4, 5, 6, dtype=torch.float64)
        assert torch.equal(spine(values), plain(values))
        assert list(spine.state_dict()) == [f"{n}.{p}" for n in "abcde" for p in ("weight", "bias")]

    @pytest.mark.parametrize("whole", ["", "a", "c", "e"])
    def test_what_is_whole_runs_once_and_the_rest_again(self, whole):
        spine = self.spine()
        expected = self.backward(spine)
        for name, module in spine.named_children():
            with spine.recomputing([spine.get_submodule(whole)] if whole else ()):
                runs = self.calls_of(module, lambda: self.backward(spine))
                found = self.backward(spine)
            assert runs == (1 if name == whole else 2)
            assert torch.equal(found, expected)
            assert self.calls_of(module, lambda: self.backward(spine)) == 1

    def test_without_gradients_nothing_is_kept_at_all(self):
        spine = self.spine()
        with spine.recomputing(), torch.no_grad():
            assert self.calls_of(spine.a, lambda: spine(torch.ones(1, 1, 4, 4, 4).double())) == 1

    def test_a_copy_made_inside_has_its_own_parts(self):
        spine = self.spine()
        with spine.recomputing([spine.c]):
            copied = copy.deepcopy(spine)
        (whole,) = copied._whole
        assert whole is copied.c
        assert whole is not spine.c
        assert spine._whole is None

    def test_a_step_in_place_after_what_is_whole(self):
        parts = {"first": nn.Conv3d(1, 1, 3), "whole": nn.Conv3d(1, 1, 1)}
        spine = Spine({**parts, "rectify": nn.ReLU(inplace=True), "last": nn.Conv3d(1, 1, 1)})
        spine.double()
        values = torch.randn(1, 1, 4, 4, 4, dtype=torch.float64, requires_grad=True)

        def gradient():
            return torch.autograd.grad(spine(values).sum(), values)[0]

        expected = gradient()
        # What a hook gives may be looked at later: nothing may be written over it.
        handle = spine.whole.register_forward_hook(lambda _m, _a, output: output.clone())
        with spine.recomputing([spine.whole]):
            assert torch.equal(gradient(), expected)
        handle.remove()
