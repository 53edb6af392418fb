"""The table of networks, and what a step costs."""

from __future__ import annotations

import os

import pytest
import torch

from xrano.channels import ChannelLayout
from xrano.cli import models_command
from xrano.errors import ConfigError, ModelError, UnknownNameError
from xrano.models.factory import MODELS, create_model
from xrano.models.model_table import describe_model
from xrano.models.stems import STEMS
from xrano.models.step_cost import (
    StepCost,
    in_own_process,
    measure_step,
    memory_bytes,
    peak_bytes,
    seconds_of,
)

FOUR = ChannelLayout(("T1", "CT1", "T2", "FLAIR"))


@pytest.mark.parametrize(
    ("name", "shape", "coarsest"),
    [
        ("densenet264", (240, 240, 155), (7, 7, 4)),
        ("densenet121", (96, 112, 96), (3, 3, 3)),
        ("resnet18", (240, 240, 155), (8, 8, 5)),
        ("resnet18", (96, 112, 96), (3, 4, 3)),
        ("vit", (240, 240, 155), (12, 12, 16)),
        ("densenet_small", (46, 55, 46), (6, 7, 6)),
    ],
)
@pytest.mark.parametrize("stem", ["concat", "siamese"])
def test_coarsest_grids(name, shape, coarsest, stem):
    row = describe_model(name, FOUR, shape, stem=stem)
    assert row.grids[0] == coarsest
    assert row.has_cam == (name != "vit")
    volumes = [a * b * c for a, b, c in row.grids]
    assert volumes == sorted(volumes)


@pytest.mark.parametrize("stem", STEMS)
@pytest.mark.parametrize("name", ["densenet_small", "resnet_small", "vit_small"])
def test_weights_are_counted_and_grids_are_those_of_a_real_pass(name, stem):
    shape = (41, 38, 27)
    row = describe_model(name, FOUR, shape, stem=stem)
    model = create_model(name, FOUR, stem=stem).eval()
    assert row.parameters == sum(parameter.numel() for parameter in model.parameters())
    found = []
    for layer in MODELS[name].grids:
        inside = "backbone.encoder." if stem == "siamese" else "backbone."
        model.get_submodule(inside + layer).register_forward_hook(
            lambda _m, _a, output: found.append(tuple(output.shape[2:]))
        )
    with torch.no_grad():
        model(torch.zeros(1, 8, *shape))
    assert set(found) == set(row.grids)
    assert row.stride == MODELS[name].stride


def test_a_grid_that_is_too_small():
    assert describe_model("alexnet3d", FOUR, (7, 7, 9)).grids == ()


def test_unknown_names():
    with pytest.raises(UnknownNameError, match="densenet121"):
        describe_model("densenet12", FOUR, (40, 40, 40))
    with pytest.raises(UnknownNameError, match="siamese"):
        describe_model("vit", FOUR, (40, 40, 40), stem="siamse")


class TestStepCost:
    def test_time_and_memory_of_a_step(self):
        cost = measure_step("densenet_small", ("T1",), (48, 48, 48), threads=1)
        assert 0 < cost.seconds < 60
        # The first convolution's output alone: 24 features of 24³ cells.
        assert 24**4 * 4 < cost.peak_bytes < 1e9

    def test_an_error_inside_is_a_model_error(self):
        with pytest.raises(ModelError, match="no such thing"):
            in_own_process(exec, "raise RuntimeError('no such thing')")
        with pytest.raises(ModelError, match="not enough memory"):
            in_own_process(os._exit, 9)

    def test_the_first_step_counts_if_it_is_slow(self):
        calls = []
        assert seconds_of(lambda: calls.append(1), patience=-1) > 0
        assert len(calls) == 1
        seconds_of(lambda: calls.append(1))
        assert len(calls) == 3

    def test_the_peak_follows_what_is_held(self):
        before = peak_bytes()
        held = torch.ones(64_000_000)
        assert memory_bytes() >= held.nbytes
        assert peak_bytes() >= before


class TestCommand:
    def test_every_network_has_a_line(self):
        answer = models_command.run(shape=(48, 56, 48), sequences=("T1", "FLAIR"))
        lines = answer.text.splitlines()
        assert lines[0].startswith("4 channels (T1, FLAIR of both scans), 48×56×48 voxels")
        assert [line.split()[0] for line in lines[2:]] == list(MODELS)
        (vit,) = [line for line in lines if line.startswith("vit ")]
        assert "20×20×10" in vit
        assert "3×3×5" in vit

    def test_the_stem_is_told(self):
        answer = models_command.run(shape=(48, 56, 48), stem="subtract", models=("densenet_small",))
        assert "stem subtract: current − prior" in answer.text

    def test_a_step_that_fails_does_not_stop_the_table(self, monkeypatch):
        def measured(name, *_, **__):
            if name == "alexnet3d":
                raise ModelError("not enough memory")
            return StepCost(1.5, 2_000_000_000)

        monkeypatch.setattr("xrano.models.step_cost.measure_step", measured)
        answer = models_command.run(shape=(7, 7, 9), models=("alexnet3d", "vit_small"), time=True)
        lines = answer.text.splitlines()
        assert "failed" in lines[2]
        assert "not enough memory" in lines[2]
        assert "1.50 s" in lines[3]
        assert "2.00 GB" in lines[3]

    def test_settings_that_make_no_sense(self):
        with pytest.raises(ConfigError, match="shape and batch_size"):
            models_command.run(shape=(48, 0, 48))
        with pytest.raises(ConfigError, match="each sequence once"):
            models_command.run(sequences=("T1", "T1"))
