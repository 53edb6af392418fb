"""Where a network is explained and in what precision, as far as that can be seen without a GPU."""

from __future__ import annotations

import pytest
import torch
from scipy.stats import spearmanr
from torch import nn
from toy_networks import LAYOUT, Features, explain, scans

from xrano.attribution.devices import (
    choose_device,
    device_of,
    in_best_format,
    own_device,
    to_device,
    usual_gigabytes,
)
from xrano.attribution.methods import METHODS, AttributionSettings, MethodRequest, attribute
from xrano.attribution.pass_memory import PassMemory
from xrano.errors import ConfigError, UnknownNameError
from xrano.models.factory import create_model


@pytest.fixture
def no_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


@pytest.fixture
def gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)


class TestDevices:
    @pytest.mark.usefixtures("no_gpu")
    def test_without_a_gpu(self):
        assert choose_device("auto") == choose_device("cpu") == "cpu"
        with pytest.raises(ConfigError, match="no CUDA device.*--device cpu"):
            choose_device("cuda")
        with pytest.raises(ConfigError, match="no CUDA device"):
            to_device(Features(), "cuda")

    @pytest.mark.usefixtures("gpu")
    def test_with_a_gpu(self):
        assert choose_device("auto") == choose_device("cuda") == "cuda"
        assert choose_device("cpu") == "cpu"

    @pytest.mark.usefixtures("no_gpu")
    def test_unknown_names(self):
        with pytest.raises(UnknownNameError, match="auto, cpu, cuda"):
            choose_device("tpu")
        with pytest.raises(UnknownNameError, match="cpu, cuda"):
            AttributionSettings(device="gpu")
        with pytest.raises(UnknownNameError, match="32, bf16"):
            AttributionSettings(precision="16")

    @pytest.mark.parametrize(
        ("variables", "index"),
        [
            ({}, 0),
            ({"LOCAL_RANK": "2"}, 2),
            ({"LOCAL_RANK": "3"}, 0),
            ({"SLURM_LOCALID": "1"}, 1),
            ({"LOCAL_RANK": "1", "SLURM_LOCALID": "2"}, 1),
            ({"LOCAL_RANK": "x"}, 0),
        ],
    )
    def test_each_process_of_a_machine_takes_its_own_gpu(self, variables, index):
        assert own_device("cuda", 3, variables) == torch.device("cuda", index)
        assert own_device("cpu", 3, variables) == torch.device("cpu")

    def test_memory_is_a_fixed_share_of_the_card(self, monkeypatch):
        class Card:
            total_memory = 80e9

        monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _device: Card)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
        assert usual_gigabytes("cuda") == 48.0
        assert usual_gigabytes("cpu") == AttributionSettings().memory_gb

    def test_on_the_processor_nothing_moves(self):
        model, inputs = Features(), scans()
        before = [parameter.data_ptr() for parameter in model.parameters()]
        to_device(model, "cpu")
        assert [parameter.data_ptr() for parameter in model.parameters()] == before
        assert in_best_format(inputs) is inputs
        assert device_of(model) == device_of(nn.Identity()) == torch.device("cpu")


FITTING = [
    *("saliency", "input_x_gradient", "smoothgrad", "ig", "gradient_shap:zero", "guided_backprop"),
    *("gradcam", "hirescam", "layercam", "occlusion", "shapley_sequences"),
]


class TestHalfPrecision:
    """Forward passes in bfloat16, everything else in float32."""

    @pytest.mark.parametrize("method", FITTING)
    def test_maps_are_float32_and_rank_voxels_alike(self, method):
        model = create_model("densenet_small", LAYOUT, seed=7).eval()
        inputs = scans(dtype=torch.float32, shape=(24, 26, 20))
        options = {"n_steps": 4, "n_samples": 4, "block": 8, "layer": "fine"}
        single, rough = (
            explain(model, method, [1], inputs, precision=precision, **options)[0]
            for precision in ("32", "bf16")
        )
        assert rough.values.dtype == torch.float32
        assert not torch.equal(single.values, rough.values)
        assert spearmanr(single.values.flatten(), rough.values.flatten()).statistic > 0.97

    def test_logits_come_in_float32_and_the_network_stays_single(self):
        model = create_model("densenet_small", LAYOUT, seed=7)
        logits, _ = attribute(
            model,
            scans(dtype=torch.float32, shape=(16, 17, 9)),
            [MethodRequest.parse("saliency")],
            [1],
            brain=torch.ones(16, 17, 9, dtype=torch.bool),
            settings=AttributionSettings(precision="bf16"),
        )
        assert logits.dtype == torch.float32
        assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
        assert not torch.is_autocast_enabled("cpu")
        (again,) = explain(model, "saliency", [1], scans(dtype=torch.float32, shape=(16, 17, 9)))
        (plain,) = explain(
            create_model("densenet_small", LAYOUT, seed=7),
            "saliency",
            [1],
            scans(dtype=torch.float32, shape=(16, 17, 9)),
        )
        assert torch.equal(again.values, plain.values)

    def test_activations_computed_again_are_the_same(self):
        model = create_model("densenet_small", LAYOUT, seed=7)
        inputs = scans(dtype=torch.float32, shape=(16, 17, 9))
        plain, again = (
            explain(model, ["saliency", "gradcam"], [1], inputs, precision="bf16", memory=memory)
            for memory in (None, PassMemory(2, 1, 1.5))
        )
        for one, other in zip(plain, again, strict=True):
            assert torch.equal(one.values, other.values)

    def test_deeplift_is_refused(self):
        with pytest.raises(ConfigError, match="bf16 rounds away.*--precision 32"):
            explain(Features().float(), "deeplift", inputs=scans(dtype=torch.float32),
                    precision="bf16")  # fmt: skip

    def test_every_method_runs_or_says_why_not(self):
        model = create_model("densenet_small", LAYOUT, seed=7)
        inputs = scans(dtype=torch.float32, shape=(16, 17, 9))
        for method in METHODS:
            if METHODS[method].groups or method in ("tokengrad", "deeplift"):
                continue
            name = "gradient_shap:zero" if method == "gradient_shap" else method
            options = {"n_steps": 2, "n_samples": 2, "block": 8, "supervoxels": 3}
            for result in explain(model, name, [1], inputs, precision="bf16", **options):
                assert result.values.isfinite().all()
