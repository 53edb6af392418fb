"""The explainer: targets, networks of every kind, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from lesion_pair import (
    LAS,
    LAYOUT,
    LESION,
    METHODS,
    Detector,
    centre_of_mass,
    make_pair,
)
from torch import nn

from xrano.attribution.methods import AttributionSettings
from xrano.channels import ChannelLayout
from xrano.errors import ConfigError, ModelError, UnknownNameError, VolumeError
from xrano.explain import Explainer, weights_hash
from xrano.models.factory import create_model
from xrano.rano import RESPONSES
from xrano.target_words import TARGET_CHOICES


class TestTargets:
    @pytest.mark.parametrize("name", [*map(str, RESPONSES), "response", "predicted"])
    def test_one_target(self, model, name):
        found = Explainer(model, ["saliency"]).explain(make_pair(), name)
        (item,) = found.maps
        expected = {"response": "SD", "predicted": found.predicted}.get(name, name)
        assert item.meta["target_name"] == expected
        assert item.meta["target_choice"] == (
            name if name in ("response", "predicted") else "named"
        )

    def test_a_response_itself_is_a_target(self, model):
        (item,) = Explainer(model, ["saliency"]).explain(make_pair(), RESPONSES[1]).maps
        assert (item.meta["target_name"], item.meta["target_choice"]) == ("PR", "named")

    def test_maps_of_all_equal_those_of_each(self, model, explanation):
        explainer = Explainer(model, METHODS, settings=AttributionSettings(n_steps=3))
        alone = {
            (item.meta["method"], item.meta["baseline"]): item
            for item in explainer.explain(make_pair(), "PD").maps
        }
        for item in explanation.maps:
            if item.meta["target_name"] == "PD":
                other = alone[item.meta["method"], item.meta["baseline"]]
                assert np.abs(item.data - other.data).max() <= 1e-4 * np.abs(other.data).max()

    def test_the_response_of_an_unrated_pair(self, model):
        with pytest.raises(ConfigError, match="Patient-007_week-000-1_week-012 is unrated"):
            Explainer(model, ["saliency"]).explain(make_pair(response=""), "response")

    def test_an_unknown_target_lists_the_choices(self, model):
        with pytest.raises(UnknownNameError, match="CR, PD, PR, SD, all, predicted, response"):
            Explainer(model, ["saliency"]).explain(make_pair(), "truth")
        assert set(TARGET_CHOICES) == {
            *("predicted", "response", "all", "CR", "PR", "SD", "PD", "rest"),
        }


class TestErrors:
    def test_other_channels(self, model):
        pair = make_pair(layout=ChannelLayout(("FLAIR", "CT1")))
        with pytest.raises(ConfigError, match=r"has channels prior_FLAIR.*needs prior_CT1"):
            Explainer(model, ["saliency"]).explain(pair)

    @pytest.mark.parametrize("methods", [[], ["sailency"], ["ig:blur"], ["gradcam:zero"]])
    def test_methods_are_checked_before_anything_is_computed(self, model, methods):
        with pytest.raises((ConfigError, UnknownNameError)):
            Explainer(model, methods)

    def test_so_is_the_layer(self, model):
        with pytest.raises(UnknownNameError, match="denseblock2"):
            Explainer(model, ["gradcam"], settings=AttributionSettings(layer="denseblock2"))

    def test_a_model_without_the_protocol(self):
        with pytest.raises(ModelError, match="cannot be explained"):
            Explainer(nn.Linear(2, 4), ["saliency"])

    def test_a_model_of_another_number_of_classes(self):
        with pytest.raises(ModelError, match="gives 3 logits, needed are 4"):
            Explainer(create_model("densenet_small", LAYOUT, 3), ["saliency"])

    def test_logits_that_are_not_numbers_name_the_pair(self):
        broken = create_model("densenet_small", LAYOUT)
        with torch.no_grad():
            next(broken.parameters())[0] = torch.nan
        with pytest.raises(ModelError, match=r"^Patient-007_week-000-1_week-012: .*NaN"):
            Explainer(broken, ["saliency"]).explain(make_pair())

    def test_gradients_that_are_not_numbers_name_method_and_pair(self):
        class Root(Detector):
            def forward(self, x):
                return super().forward(x) + (0 * x).abs().sqrt().sum()

        with pytest.raises(VolumeError, match="saliency map of Patient-007"):
            Explainer(Root(), ["saliency"]).explain(make_pair())

    def test_a_method_twice_is_computed_once(self, model):
        explainer = Explainer(model, ["saliency", "ig", "saliency", "ig"])
        assert explainer.methods == ("saliency", "ig:zero")


class TestModels:
    def test_a_users_own_module_without_weights(self):
        found = Explainer(Detector(), METHODS).explain(make_pair(), "all")
        assert found.predicted == "PD"
        assert len(found.maps) == 20

    def test_double_precision(self, explanation):
        network = create_model("densenet_small", LAYOUT, seed=3).double()
        (double,) = Explainer(network, ["saliency"]).explain(make_pair(), "PD").maps
        single = explanation.maps[3]
        assert (single.meta["method"], single.meta["target_name"]) == ("saliency", "PD")
        assert double.data.dtype == np.float32
        assert np.abs(double.data - single.data).max() <= 1e-4 * np.abs(single.data).max()

    def test_half_precision(self):
        class Half(Detector):
            def __init__(self):
                super().__init__()
                self.gain = nn.Parameter(torch.ones(1, dtype=torch.bfloat16))

            def forward(self, x):
                return self.gain * super().forward(x.float()).to(x.dtype)

        (half,) = Explainer(Half(), ["saliency"]).explain(make_pair(), "PD").maps
        assert half.data.dtype == np.float32
        assert centre_of_mass(half.reduced(), LAS) == pytest.approx(LESION, abs=4)

    def test_the_hash_follows_weights_and_statistics(self):
        one = create_model("densenet_small", LAYOUT, seed=3)
        assert weights_hash(one) == weights_hash(create_model("densenet_small", LAYOUT, seed=3))
        before = weights_hash(one)
        one.backbone.features.norm0.running_mean[4] += 1e-3
        assert weights_hash(one) != before

    @pytest.mark.parametrize("kind", ["densenet", "in place"])
    def test_the_pair_and_the_model_stay(self, kind, model):
        class InPlace(Detector):
            def forward(self, x):
                return super().forward(x.mul_(2))

        network = model.train() if kind == "densenet" else InPlace()
        pair = make_pair()
        Explainer(network, METHODS, settings=AttributionSettings(n_steps=2)).explain(pair, "all")
        assert np.array_equal(pair.inputs, make_pair().inputs)
        assert network.training
