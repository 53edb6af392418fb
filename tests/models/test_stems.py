"""Stems against hand-made cases: what each does to the two scans, and what it must not do."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from xrano.channels import ChannelLayout
from xrano.errors import UnknownNameError
from xrano.models.classifier import ResponseClassifier
from xrano.models.factory import MODELS, create_model
from xrano.models.stems import JOINED, STEMS, Siamese

LAYOUT = ChannelLayout(("T1", "CT1", "FLAIR"))
SHAPE = (20, 17, 22)
SMALL = {"densenet_small": SHAPE, "resnet_small": (33, 20, 22), "vit_small": (9, 17, 12)}


def scans(shape=SHAPE, seed=0):
    return torch.randn(
        1, 6, *shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
    )


def swapped(inputs):
    return torch.cat([inputs[:, 3:], inputs[:, :3]], dim=1)


def made(name, stem, seed=4):
    model = create_model(name, LAYOUT, stem=stem, seed=seed).double().eval()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm3d):
            module.running_var.fill_(0.6)
    return model


def gradient(model, inputs):
    leaf = inputs.clone().requires_grad_(True)
    (found,) = torch.autograd.grad(model(leaf)[0, 1], leaf)
    return found


def test_the_stems_that_exist():
    assert list(STEMS) == ["concat", "subtract", "concat+subtract", "siamese"]
    assert all(spec.description for spec in STEMS.values())


@pytest.mark.parametrize("name", SMALL)
def test_an_unknown_stem_lists_the_choices(name):
    with pytest.raises(UnknownNameError, match="unknown stem 'substract' .*'subtract'.*siamese"):
        create_model(name, LAYOUT, stem="substract")
    with pytest.raises(UnknownNameError, match="concat, concat\\+subtract, siamese, subtract"):
        ResponseClassifier(nn.Identity(), LAYOUT, 4, (), stem="early")


class Channels(nn.Module):
    """Logit n is channel n of the first voxel: what arrives at the first convolution."""

    def forward(self, x):
        return x[:, :, 0, 0, 0]


@pytest.mark.parametrize(
    ("stem", "expected"),
    [
        ("concat", [1, 2, 4, 8, 16, 32]),
        ("subtract", [7, 14, 28]),
        ("concat+subtract", [1, 2, 4, 8, 16, 32, 7, 14, 28]),
    ],
)
def test_what_arrives_at_the_first_convolution(stem, expected):
    model = ResponseClassifier(Channels(), LAYOUT, len(expected), (), stem=stem)
    inputs = torch.tensor([1.0, 2, 4, 8, 16, 32]).view(1, 6, 1, 1, 1).expand(1, 6, *SHAPE)
    assert model(inputs)[0].tolist() == expected
    assert STEMS[stem].channels * 3 == len(expected)


class TestSubtract:
    @pytest.mark.parametrize("name", SMALL)
    def test_prior_and_current_have_exactly_opposite_gradients(self, name):
        found = gradient(made(name, "subtract"), scans(SMALL[name]))
        assert found.abs().max() > 0
        assert torch.equal(found[:, :3], -found[:, 3:])

    @pytest.mark.parametrize("name", SMALL)
    def test_what_both_scans_share_is_not_seen(self, name):
        model, inputs = made(name, "subtract"), scans(SMALL[name])
        moved = inputs + scans(SMALL[name], seed=9)[:, :3].repeat(1, 2, 1, 1, 1)
        assert torch.allclose(model(inputs), model(moved), atol=1e-10)
        concat = made(name, "concat")
        assert not torch.allclose(concat(inputs), concat(moved), atol=1e-3)


class TestConcatSubtract:
    def test_a_network_that_ignores_the_difference_is_the_plain_one(self):
        plain, both = made("densenet_small", "concat"), made("densenet_small", "concat+subtract")
        weights = plain.state_dict()
        first = "backbone.features.conv0.weight"
        wide = torch.zeros_like(both.state_dict()[first])
        wide[:, :6] = weights[first]
        both.load_state_dict({**weights, first: wide})
        assert torch.allclose(both(scans()), plain(scans()), atol=1e-12)


class TestSiamese:
    @pytest.mark.parametrize("name", SMALL)
    def test_swapping_the_scans_swaps_the_features(self, name):
        model, inputs = made(name, "siamese"), scans(SMALL[name])
        prior, current, change = model.backbone.features(inputs).chunk(JOINED, dim=1)
        assert torch.equal(change, current - prior)
        assert change.abs().max() > 1e-3
        again = model.backbone.features(swapped(inputs)).chunk(JOINED, dim=1)
        assert torch.equal(again[0], current)
        assert torch.equal(again[1], prior)
        assert torch.equal(again[2], -change)

    @pytest.mark.parametrize("name", SMALL)
    def test_one_scan_twice_changes_nothing(self, name):
        inputs = scans(SMALL[name])[:, :3].repeat(1, 2, 1, 1, 1)
        prior, current, change = made(name, "siamese").backbone.features(inputs).chunk(3, dim=1)
        assert torch.equal(prior, current)
        assert not change.any()

    def test_features_are_those_of_the_encoder_alone(self):
        model = made("densenet_small", "siamese")
        inputs = scans()
        prior, current, _ = model.backbone.features(inputs).chunk(3, dim=1)
        assert torch.equal(prior, model.backbone.encoder.encode(inputs[:, :3]))
        assert torch.equal(current, model.backbone.encoder.encode(inputs[:, 3:]))

    @pytest.mark.parametrize("name", SMALL)
    def test_the_encoder_exists_once(self, name):
        model, plain = made(name, "siamese"), made(name, "subtract")
        shared = sum(p.numel() for p in model.parameters())
        alone = sum(p.numel() for p in plain.parameters())
        features = shared - alone
        assert 0 < features < 0.05 * alone + 4 * 200 * (JOINED - 1)
        inner = {key.removeprefix("backbone.encoder.") for key in model.state_dict()}
        assert inner == {key.removeprefix("backbone.") for key in plain.state_dict()}

    def test_both_scans_are_one_batch_for_the_normalisation(self):
        class Mean(nn.Module):
            def __init__(self):
                super().__init__()
                self.norm = nn.BatchNorm3d(3, affine=False)

            def encode(self, inputs):
                return self.norm(inputs)

            def classify(self, features):
                return features.mean(dim=(2, 3, 4))

        inputs = scans() + torch.tensor([0.0, 0, 0, 5, 5, 5]).view(1, 6, 1, 1, 1)
        model = Siamese(Mean()).double()
        change = model.features(inputs)[:, 6:].mean()
        # 5 in units of the SD over both scans, √(1 + 2.5²); scan by scan it would be 0.
        assert float(change) == pytest.approx(5 / 7.25**0.5, rel=0.02)
        assert model.encoder.norm.num_batches_tracked == 1

    def test_growth_in_one_place_and_shrinking_in_another_do_not_cancel(self):
        class Cells(nn.Module):
            def encode(self, inputs):
                return inputs

            def classify(self, features):
                return features.mean(dim=(2, 3, 4))

        prior, current = torch.zeros(1, 1, 2, 1, 1), torch.zeros(1, 1, 2, 1, 1)
        prior[0, 0, 0], current[0, 0, 1] = 1, 1
        logits = Siamese(Cells())(torch.cat([prior, current], dim=1))
        assert logits[0].tolist() == [0.5, 0.5, 0.5]

    def test_training_reaches_the_shared_weights_from_both_scans(self):
        model = create_model("densenet_small", LAYOUT, stem="siamese").train()
        batch = torch.randn(2, 6, *SHAPE)
        nn.functional.cross_entropy(model(batch), torch.tensor([0, 3])).backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize("stem", STEMS)
@pytest.mark.parametrize("name", SMALL)
def test_every_stem_takes_the_same_channels_and_meets_the_seed(name, stem):
    model = create_model(name, LAYOUT, 3, stem=stem, seed=2)
    assert (model.stem, model.layout) == (stem, LAYOUT)
    assert model.eval()(scans(SMALL[name]).float()).shape == (1, 3)
    again = create_model(name, LAYOUT, 3, stem=stem, seed=2).state_dict()
    assert all(torch.equal(value, again[key]) for key, value in model.state_dict().items())
    assert set(model.cam_layers) <= set(dict(model.named_modules()))
    assert bool(model.cam_layers) == bool(MODELS[name].cam_layers)
