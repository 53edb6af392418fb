"""Networks by name: reproducible, met by the protocol, with the cells that the table promises."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from xrano.channels import ChannelLayout, ExplainableModel
from xrano.errors import ModelError, UnknownNameError
from xrano.geometry import Grid
from xrano.models.classifier import ResponseClassifier, initialise
from xrano.models.factory import MODELS, create_model
from xrano.models.layer_geometry import feature_grid

LAYOUT = ChannelLayout(("T1", "FLAIR", "ADC"))
SHAPE = (20, 17, 22)


def same_weights(a, b):
    a, b = a.state_dict(), b.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_the_names_that_exist():
    densenets = {"densenet_small", "densenet121", "densenet169", "densenet264"}
    others = {"resnet_small", "resnet18", "alexnet3d", "vit_small", "vit"}
    assert set(MODELS) == densenets | others
    assert all(spec.description for spec in MODELS.values())


def test_an_unknown_name_lists_them():
    with pytest.raises(UnknownNameError, match=r"did you mean 'densenet121'.*densenet_small"):
        create_model("densenet12", LAYOUT)


@pytest.mark.parametrize(
    "name",
    ["densenet_small", "densenet121", "densenet169", "resnet_small", "resnet18", "alexnet3d"],
)
def test_the_protocol_and_the_promised_cells(name):
    model = create_model(name, LAYOUT, num_classes=3)
    assert isinstance(model, ExplainableModel)
    assert (model.layout, model.num_classes) == (LAYOUT, 3)
    assert set(model.cam_layers) <= set(dict(model.named_modules()))
    grid = Grid((75, 70, 66), np.diag([1.0, 1.5, 2.0, 1.0]))
    strides = [
        feature_grid(model, layer, len(LAYOUT), grid).affine[0, 0] for layer in model.cam_layers
    ]
    assert (strides[0],) * 3 == MODELS[name].stride
    assert strides == sorted(strides, reverse=True), "coarse to fine"


def test_the_small_networks_cells_are_32_mm_at_4_mm_voxels():
    model = create_model("densenet_small", LAYOUT)
    grid = feature_grid(model, model.cam_layers[0], 6, Grid((46, 55, 46), np.diag([4, 4, 4, 1.0])))
    assert grid.spacing == (32, 32, 32)
    assert min(grid.shape) >= 5


def test_logits():
    model = create_model("densenet_small", LAYOUT).eval()
    logits = model(torch.randn(2, 6, *SHAPE))
    assert logits.shape == (2, 4)
    assert torch.isfinite(logits).all()


def test_samples_of_a_batch_do_not_influence_each_other_in_evaluation():
    model = create_model("densenet_small", LAYOUT).eval().double()
    batch = torch.randn(3, 6, *SHAPE, dtype=torch.float64)
    one_by_one = torch.cat([model(batch[index : index + 1]) for index in range(3)])
    assert torch.allclose(model(batch), one_by_one, atol=1e-12)


class TestSeeds:
    def test_one_seed_gives_one_network(self):
        assert same_weights(create_model("densenet_small", LAYOUT, seed=5), small(5))
        assert not same_weights(small(5), small(6))

    def test_the_global_random_state_neither_matters_nor_changes(self):
        torch.manual_seed(1)
        state = torch.get_rng_state()
        first = small(5)
        assert torch.equal(state, torch.get_rng_state())
        torch.manual_seed(2)
        assert same_weights(first, small(5))

    def test_initialise_gives_other_weights_by_seed_alone(self):
        one, other = small(5), small(6)
        one.backbone.features.norm0.running_mean.fill_(7)
        state = torch.get_rng_state()
        for model in (one, other):
            initialise(model, 11)
        assert torch.equal(state, torch.get_rng_state())
        assert same_weights(one, other)
        assert not same_weights(one, small(5))
        assert not one.backbone.features.norm0.running_mean.any()


def small(seed):
    return create_model("densenet_small", LAYOUT, seed=seed)


@pytest.mark.parametrize("shape", [(1, 3, *SHAPE), (1, 7, *SHAPE), (6, *SHAPE), (1, 6, 20, 17)])
def test_other_channels_than_the_layouts_are_refused_by_name(shape):
    with pytest.raises(ModelError, match=r"prior_T1, .*current_ADC; got shape"):
        create_model("densenet_small", LAYOUT)(torch.zeros(shape))


def test_a_layer_that_the_backbone_does_not_have():
    with pytest.raises(ModelError, match="no module 'block9'"):
        ResponseClassifier(nn.Sequential(), LAYOUT, 4, ("block9",))
    assert ResponseClassifier(nn.Sequential(), LAYOUT, 4, ()).cam_layers == ()
