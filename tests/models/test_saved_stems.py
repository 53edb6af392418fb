"""The stem goes with the weights and the config; files from before there were stems still load."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file, save_file

from xrano.channels import ChannelLayout
from xrano.errors import CheckpointError, UnknownNameError
from xrano.models.factory import create_model
from xrano.models.stems import STEMS
from xrano.training.checkpoint import load_model, save_weights
from xrano.training.config import ModelConfig, RunConfig
from xrano.training.config_file import dump_config, load_config
from xrano.training.train_run import check_names

LAYOUT = ChannelLayout(("T1", "FLAIR"))
INPUTS = torch.randn(1, 4, 17, 20, 18, generator=torch.Generator().manual_seed(0))


def saved(path, stem, name="resnet_small"):
    network = create_model(name, LAYOUT, stem=stem, seed=6).eval()
    save_weights(path, network.state_dict(), model=name, layout=LAYOUT, num_classes=4, stem=stem)
    return network


@pytest.mark.parametrize("name", ["resnet_small", "vit_small", "alexnet3d"])
@pytest.mark.parametrize("stem", STEMS)
def test_what_is_saved_is_loaded(tmp_path, stem, name):
    network = saved(tmp_path / "model.safetensors", stem, name)
    shape = (1, 4, 18, 20, 19)
    inputs = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    for asked in (None, stem):
        loaded = load_model(tmp_path / "model.safetensors", stem=asked)
        assert loaded.stem == stem
        assert torch.equal(loaded(inputs), network(inputs))


@pytest.mark.parametrize(("stored", "asked"), [("subtract", "siamese"), ("concat", "subtract")])
def test_another_stem_is_refused_naming_both(tmp_path, stored, asked):
    path = tmp_path / "model.safetensors"
    saved(path, stored)
    with pytest.raises(CheckpointError, match=f"stem {stored}, the run's config says {asked}"):
        load_model(path, model="resnet_small", layout=LAYOUT, stem=asked)


def test_a_file_from_before_there_were_stems_is_concat(tmp_path):
    path = tmp_path / "model.safetensors"
    network = saved(path, "concat")
    details = {"model": "resnet_small", "sequences": ["T1", "FLAIR"], "num_classes": 4}
    save_file(load_file(path), path, metadata={"xrano": json.dumps(details)})
    loaded = load_model(path, stem="concat")
    assert torch.equal(loaded(INPUTS), network(INPUTS))
    with pytest.raises(CheckpointError, match="stem concat"):
        load_model(path, stem="siamese")


class TestConfig:
    def test_an_older_config_is_the_plain_network(self, tmp_path):
        path = tmp_path / "config.yaml"
        path.write_text("store: here\nmodel:\n  name: densenet_small\n  sequences: [T1, FLAIR]\n")
        config = load_config(path)
        assert (config.model.stem, config.model.checkpointing) == ("concat", False)
        assert config == RunConfig("here", ModelConfig("densenet_small", ("T1", "FLAIR")))

    def test_what_is_written_is_read(self, tmp_path):
        model = ModelConfig("resnet18", ("T1",), stem="concat+subtract", checkpointing=True)
        (tmp_path / "config.yaml").write_text(dump_config(RunConfig("here", model)))
        assert load_config(tmp_path / "config.yaml").model == model

    def test_an_unknown_stem_is_refused_before_anything_is_done(self):
        store = SimpleNamespace(sequences=("T1",))
        check_names(RunConfig(model=ModelConfig("vit", ("T1",), stem="siamese")), store)
        with pytest.raises(UnknownNameError, match="unknown stem 'siamse'.*'siamese'"):
            check_names(RunConfig(model=ModelConfig("vit", ("T1",), stem="siamse")), store)
