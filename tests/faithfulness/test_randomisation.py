"""Blocks of networks, and copies with their weights drawn anew."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn

from xrano.channels import ChannelLayout
from xrano.errors import ModelError
from xrano.faithfulness.randomisation import draws, randomisation_rows, randomised_networks
from xrano.faithfulness.weight_blocks import WeightBlock, weight_blocks
from xrano.metrics.ranked import RankedMap
from xrano.models.factory import create_model

LAYOUT = ChannelLayout(("T1", "FLAIR"))


def names(model):
    return [block.name.removeprefix("backbone.") for block in weight_blocks(model)]


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (
            "densenet_small",
            [
                *("class_layers", "features.denseblock2", "features.transition1"),
                *("features.denseblock1", "features.conv0"),
            ],
        ),
        ("resnet_small", ["fc", "layer4", "layer3", "layer2", "layer1", "conv1"]),
        (
            "alexnet3d",
            ["classifier", *(f"features.stage{stage}" for stage in (5, 4, 3, 2, 1))],
        ),
        ("vit_small", ["classification_head", "blocks.1", "blocks.0", "patch_embedding"]),
        (
            "densenet121",
            [
                "class_layers",
                *(
                    f"features.{name}"
                    for number in (4, 3, 2, 1)
                    for name in (f"denseblock{number}", f"transition{number - 1}")
                    if name != "transition0"
                ),
                "features.conv0",
            ],
        ),
    ],
)
def test_blocks_go_from_the_logits_down_to_the_scans(model, expected):
    with torch.device("meta"):
        network = create_model(model, LAYOUT)
    assert names(network) == expected


@pytest.mark.parametrize("stem", ["concat", "siamese"])
@pytest.mark.parametrize("model", ["densenet_small", "resnet_small", "vit_small"])
@pytest.mark.parametrize("clinical", [(), ("age", "sex")])
def test_every_weight_belongs_to_one_block(model, stem, clinical):
    network = create_model(model, LAYOUT, stem=stem, clinical=clinical)
    modules = [name for block in weight_blocks(network) for name in block.modules]
    assert len(modules) == len(set(modules))
    own = {
        name
        for name, module in network.named_modules()
        if any(True for _ in module.parameters(recurse=False))
    }
    assert set(modules) == own
    assert len(weight_blocks(network)) >= 4


def test_a_network_without_weights_has_no_blocks():
    with pytest.raises(ModelError, match="no weights"):
        weight_blocks(nn.ReLU())


# --- a chain of three layers


def chain():
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv3d(2, 3, 1), nn.BatchNorm3d(3), nn.Conv3d(3, 4, 1), nn.Flatten(), nn.Linear(4, 2)
    )
    network[1].running_mean.fill_(0.5)
    with torch.no_grad():
        network[1].weight.fill_(2.0)
    return network


def same(a, b):
    return {
        name for name, value in a.state_dict().items() if torch.equal(value, b.state_dict()[name])
    }


def test_cascading_and_independent_copies_hold_what_they_must():
    network = chain()
    before = copy.deepcopy(network.state_dict())
    random_state = torch.get_rng_state()
    network.train()
    handle = network[0].register_forward_hook(lambda *_: None)
    found = list(randomised_networks(network, seed=5))
    assert torch.equal(torch.get_rng_state(), random_state)
    assert network.training
    assert len(network[0]._forward_hooks) == 1
    handle.remove()
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    layers = [{"4.weight", "4.bias"}, {"2.weight", "2.bias"}]
    layers.append({"0.weight", "0.bias", "1.weight", "1.running_mean"})
    # A fresh batch normalisation has a bias of 0 and a variance of 1, as this one has.
    alike = {"1.bias", "1.running_var", "1.num_batches_tracked"}
    every = set(before)
    kept = [same(one.network, network) for one in found]
    assert kept[0] == every - layers[0]
    assert kept[1] == every - layers[0] - layers[1]
    assert kept[2] == alike
    assert kept[3] == every - layers[1]
    assert kept[4] == every - layers[2]
    assert [one.block for one in found] == ["4", "2", "0", "2", "0"]
    assert found[0].metrics == ("cascading_randomisation", "independent_randomisation")
    assert [one.metrics[0][:4] for one in found[1:]] == ["casc", "casc", "inde", "inde"]
    assert not any(module.training for one in found for module in one.network.modules())


def test_a_seed_gives_the_same_weights_and_draws_differ():
    network = chain()
    first, again = (list(randomised_networks(network, seed=5))[2].network for _ in range(2))
    assert same(first, again) == set(network.state_dict())
    drawn = draws(network, seed=5, count=2)
    assert [len(each) for each in drawn] == [2] * 5
    assert all(a.block == b.block and a.metrics == b.metrics for a, b in drawn)
    assert "4.weight" not in same(drawn[0][0].network, drawn[0][1].network)
    assert "4.weight" in same(drawn[0][0].network, drawn[1][0].network)


def test_fresh_weights_come_from_where_they_are_said_to_and_statistics_are_settled():
    network, asked, settled = chain(), [], []

    def fresh(seed):
        asked.append(seed)
        other = chain()
        with torch.no_grad():
            for parameter in other.parameters():
                parameter.fill_(seed)
        return other

    def settle(one):
        settled.append(one)
        one.train()

    found = list(randomised_networks(network, seed=7, fresh=fresh, settle=settle))
    assert asked == [7]
    assert settled == [one.network for one in found]
    assert not any(one.network.training for one in found)
    assert (found[0].network[4].weight == 7).all()
    assert torch.equal(found[0].network[2].weight, network[2].weight)


def test_what_cannot_be_drawn_anew_is_refused():
    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.ones(2, 2))

    with pytest.raises(ModelError, match="reset_parameters"):
        list(randomised_networks(Scaled(), seed=0))
    other = nn.Sequential(*list(chain())[:-1], nn.Linear(4, 3))
    with pytest.raises(ModelError, match="'4'"):
        list(randomised_networks(chain(), seed=0, fresh=lambda _: other))
    with pytest.raises(ModelError, match="lacks '9'"):
        list(randomised_networks(chain(), seed=0, blocks=[WeightBlock("9", ("9",))]))


def test_clinical_networks_and_wrapped_ones_are_randomised_too():
    network = create_model("resnet_small", LAYOUT, clinical=("age",))
    blocks = weight_blocks(network)
    assert blocks[0].name.startswith("fusion")
    last = list(randomised_networks(nn.DataParallel(network), seed=1))[len(blocks) - 1].network
    weights = {name for name, value in network.named_parameters() if value.ndim > 1}
    assert not weights & same(last, network)


def test_rows_say_how_maps_and_their_draws_agree():
    rng = np.random.default_rng(0)
    own, first, second = (RankedMap(rng.random(200)) for _ in range(3))
    which = next(iter(randomised_networks(chain(), seed=1)))
    found = randomisation_rows(
        {"saliency": own}, [{"saliency": first}, {"saliency": second}], which
    )
    rows = [row for row in found["saliency"] if row["quantity"] == "rank_correlation"]
    assert [row["metric"] for row in rows] == list(which.metrics)

    def spearman(a, b):
        return np.corrcoef(a.midranks, b.midranks)[0, 1]

    for row in rows:
        assert row["setting"] == "4"
        assert row["value"] == pytest.approx((spearman(own, first) + spearman(own, second)) / 2)
        assert row["reference"] == pytest.approx(spearman(first, second))
