"""Each architecture: its weights' names, its gradients, and what it must not drop."""

from __future__ import annotations

import warnings

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - the usual name
from monai.networks.nets.resnet import resnet18
from monai.networks.nets.vit import ViT
from torch import nn

from xrano.channels import ChannelLayout
from xrano.errors import ModelError
from xrano.geometry import Grid
from xrano.models.alexnet import AlexNet3D
from xrano.models.classifier import initialise
from xrano.models.factory import MODELS, create_model
from xrano.models.layer_geometry import feature_grid
from xrano.models.resnet import PairResNet
from xrano.models.vit import PairViT, fill_patches, grid_positions

LAYOUT = ChannelLayout(("T1", "FLAIR"))


def shapes_of(network):
    return {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}


class TestResNet:
    @pytest.fixture
    def medicalnet(self):
        """MONAI's network for MedicalNet's file: it loads the published weights strictly."""
        with torch.device("meta"):
            return resnet18(
                spatial_dims=3,
                n_input_channels=1,
                feed_forward=False,
                shortcut_type="A",
                bias_downsample=True,
            )

    def test_names_and_shapes_are_medicalnets(self, medicalnet):
        with torch.device("meta"):
            ours = PairResNet(1, 4, layers=(2, 2, 2, 2))
        found = shapes_of(ours)
        assert found.pop("fc.weight") == (4, 512)
        assert found.pop("fc.bias") == (4,)
        assert found == shapes_of(medicalnet)
        assert found["conv1.weight"] == (64, 1, 7, 7, 7)
        assert not any("downsample" in name for name in found), "shortcuts of type A"

    def test_only_the_first_convolution_depends_on_the_channels(self, medicalnet):
        with torch.device("meta"):
            found = shapes_of(create_model("resnet18", LAYOUT).backbone)
        expected = shapes_of(medicalnet)
        differing = {name for name, shape in expected.items() if found[name] != shape}
        assert differing == {"conv1.weight"}

    def test_logits_are_monais(self):
        settings = {"layers": (1, 1, 1, 1), "planes": (4, 6, 8, 10)}
        ours = PairResNet(2, 3, **settings)
        from monai.networks.nets.resnet import ResNet

        theirs = ResNet(
            "basic", [1] * 4, [4, 6, 8, 10], n_input_channels=2, conv1_t_stride=2,
            shortcut_type="A", num_classes=3,
        )  # fmt: skip
        theirs.load_state_dict(ours.state_dict())
        inputs = torch.randn(2, 2, 33, 40, 35)
        for mode in (False, True):
            assert torch.equal(ours.train(mode)(inputs), theirs.train(mode)(inputs))

    def test_gradients_pass_through_the_shortcuts(self):
        # With all convolutions of the blocks zero, the shortcuts are the only way through.
        network = PairResNet(1, 2, layers=(1, 1, 1, 1), planes=(4, 6, 8, 10)).double().eval()
        for name, parameter in network.named_parameters():
            if ".conv" in name:
                nn.init.zeros_(parameter)
        inputs = torch.rand(1, 1, 32, 32, 32, dtype=torch.float64, requires_grad=True)
        (found,) = torch.autograd.grad(network(inputs)[0, 0], inputs)
        assert found.abs().max() > 0
        step = 1e-6 * torch.randn_like(inputs)
        with torch.no_grad():
            change = network(inputs + step)[0, 0] - network(inputs - step)[0, 0]
        assert float(change) == pytest.approx(float(2 * (found * step).sum()), rel=1e-5)


class TestViT:
    @pytest.fixture
    def network(self):
        torch.manual_seed(0)
        return PairViT(2, 3, patch=(8, 4, 6), hidden=24, mlp=32, depth=2, heads=3).eval()

    def test_logits_are_monais_where_patches_fit(self, network):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            theirs = ViT(
                2, (16, 12, 18), (8, 4, 6), hidden_size=24, mlp_dim=32, num_layers=2, num_heads=3,
                pos_embed_type="sincos", classification=True, num_classes=3, post_activation="",
            ).eval()  # fmt: skip
        theirs.load_state_dict(network.state_dict(), strict=False)
        inputs = torch.randn(2, 2, 16, 12, 18)
        assert torch.allclose(network(inputs), theirs(inputs)[0], atol=1e-6)

    @pytest.mark.parametrize("shape", [(16, 12, 18), (17, 12, 18), (9, 5, 7), (23, 15, 13)])
    def test_no_slice_is_dropped(self, network, shape):
        inputs = torch.randn(1, 2, *shape, requires_grad=True)
        (found,) = torch.autograd.grad(network(inputs)[0, 0], inputs)
        assert found.shape == inputs.shape
        for axis in (2, 3, 4):
            others = [other for other in range(5) if other != axis]
            assert (found.abs().amax(dim=others) > 0).all(), "each slice reaches the logit"

    def test_monai_drops_the_rest_of_an_axis(self):
        theirs = ViT(2, (16, 12, 23), (8, 4, 6), hidden_size=24, mlp_dim=32, num_layers=1,
                     num_heads=3, classification=True, post_activation="").eval()  # fmt: skip
        inputs = torch.randn(1, 2, 16, 12, 23, requires_grad=True)
        (found,) = torch.autograd.grad(theirs(inputs)[0][0, 0], inputs)
        assert not found[..., 18:].any()

    def test_zeros_stand_behind_the_last_voxel(self):
        inputs = torch.randn(1, 2, 9, 8, 7)
        filled = fill_patches(inputs, (8, 4, 6))
        assert filled.shape == (1, 2, 16, 8, 12)
        assert torch.equal(filled[:, :, :9, :8, :7], inputs)
        assert float(filled.abs().sum()) == pytest.approx(float(inputs.abs().sum()), rel=1e-6)
        assert fill_patches(inputs, (3, 4, 7)) is inputs

    def test_positions_in_closed_form(self):
        found = grid_positions(torch.Size((2, 3, 4)), 12)[0].view(2, 3, 4, 12)
        for cell in ((0, 0, 0), (1, 2, 3), (1, 0, 2)):
            rates = [1.0, 1e4**-0.5]
            expected = {
                round(function(torch.tensor(place * rate)).item(), 5)
                for place in cell
                for rate in rates
                for function in (torch.sin, torch.cos)
            }
            assert {round(value, 5) for value in found[cell].tolist()} <= {
                value + slack for value in expected for slack in (-1e-5, 0, 1e-5)
            } | expected
        flat = found.reshape(24, 12)
        assert len(torch.unique(flat.round(decimals=4), dim=0)) == 24, "each place is its own"

    def test_the_order_of_patches_matters(self, network):
        inputs = torch.randn(1, 2, 16, 12, 18)
        with torch.no_grad():
            assert not torch.allclose(network(inputs), network(inputs.roll(8, 2)), atol=1e-4)

    def test_grad_cam_is_refused_with_what_fits(self):
        from xrano.attribution.layers import find_layer

        for stem in ("concat", "siamese"):
            model = create_model("vit_small", LAYOUT, stem=stem)
            assert model.cam_layers == ()
            assert "saliency and ig fit" in model.cam_note
            with pytest.raises(ModelError, match="saliency and ig fit"):
                find_layer(model, None)

    @pytest.mark.parametrize("layer", ["blocks.1", "patch_embedding.dropout"])
    def test_tokens_have_no_place_in_the_scan(self, layer):
        model = create_model("vit_small", LAYOUT).eval()
        with pytest.raises(ModelError, match="cannot be placed"):
            feature_grid(model, f"backbone.{layer}", 4, Grid((16, 17, 24), torch.eye(4).numpy()))


class TestAlexNet:
    def test_layers_in_order_and_the_least_grid(self):
        network = AlexNet3D(2, 4).eval()
        kinds = [type(m).__name__ for m in network.features.modules() if not list(m.children())]
        assert kinds.count("Conv3d") == 5
        assert kinds.count("MaxPool3d") == 2
        assert network(torch.randn(1, 2, 18, 18, 18)).shape == (1, 4)
        with pytest.raises(RuntimeError):
            network(torch.randn(1, 2, 18, 16, 18))

    def test_the_head_averages_over_cells(self):
        network = AlexNet3D(1, 2).eval()
        features = torch.rand(1, 128, 2, 3, 2)
        mean = features.mean(dim=(2, 3, 4))
        first, last = network.classifier[3], network.classifier[6]
        expected = F.linear(
            F.relu(F.linear(mean, first.weight, first.bias)), last.weight, last.bias
        )
        assert torch.allclose(network.classify(features), expected, atol=1e-6)


@pytest.mark.parametrize("name", [n for n in MODELS if n not in ("densenet169", "densenet264")])
def test_every_network_gives_logits_on_its_own_classes(name):
    shape = (36, 33, 40) if MODELS[name].stride[0] > 16 else (20, 18, 22)
    with torch.device("meta"):
        model = create_model(name, LAYOUT, 3).eval()
        assert model(torch.empty(2, 4, *shape)).shape == (2, 3)


@pytest.mark.parametrize("stem", ["concat", "siamese"])
@pytest.mark.parametrize("name", ["resnet_small", "alexnet3d", "vit_small"])
def test_initialise_forgets_all_weights(name, stem):
    one, other = (create_model(name, LAYOUT, stem=stem, seed=seed) for seed in (1, 2))
    with torch.no_grad():
        for tensor in one.state_dict().values():
            tensor.add_(1)
    for model in (one, other):
        initialise(model, 5)
    expected = other.state_dict()
    for key, value in one.state_dict().items():
        assert torch.equal(value, expected[key]), key
