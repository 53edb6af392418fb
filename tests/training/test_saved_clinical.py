"""Clinical variables go with the weights; files of networks without any stay as they were."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors import safe_open

from xrano.channels import ChannelLayout
from xrano.errors import CheckpointError
from xrano.models.factory import create_model
from xrano.training.checkpoint import load_model, save_weights

LAYOUT = ChannelLayout(("T1", "FLAIR"))
VARIABLES = ("age", "idh")


def saved(path, clinical):
    network = create_model("vit_small", LAYOUT, seed=6, clinical=clinical).eval()
    save_weights(
        path,
        network.state_dict(),
        model="vit_small",
        layout=LAYOUT,
        num_classes=4,
        clinical=network.clinical,
    )
    return network


@pytest.mark.parametrize("asked", [None, True])
def test_what_is_saved_is_loaded(tmp_path, asked):
    path = tmp_path / "model.safetensors"
    network = saved(path, VARIABLES)
    loaded = load_model(path, model="vit_small", layout=LAYOUT, clinical=asked)
    assert loaded.clinical == VARIABLES
    inputs, vector = torch.randn(2, 4, 9, 8, 8), torch.randn(2, 4)
    assert torch.equal(loaded(inputs, vector), network(inputs, vector))


def test_a_network_without_any_is_written_as_before(tmp_path):
    path = tmp_path / "model.safetensors"
    saved(path, ())
    with safe_open(path, framework="pt") as file:
        details = json.loads(file.metadata()["xrano"])
    assert set(details) == {"model", "stem", "sequences", "num_classes"}
    assert load_model(path, clinical=False).clinical == ()


@pytest.mark.parametrize(
    ("clinical", "asked", "message"),
    [(VARIABLES, False, "sees age, idh, .*False"), ((), True, "sees images alone, .*True")],
)
def test_another_network_than_the_configs_is_refused(tmp_path, clinical, asked, message):
    path = tmp_path / "model.safetensors"
    saved(path, clinical)
    with pytest.raises(CheckpointError, match=message):
        load_model(path, clinical=asked)
