"""Names, layers, targets and networks that cannot be explained are refused with what to do."""

from __future__ import annotations

import math

import pytest
import torch
from random_networks import ALL, Explainable, Small, brain_of, explain, made, scans
from torch import nn

from xrano.attribution.methods import MethodRequest, attribute
from xrano.errors import ConfigError, ModelError, UnknownNameError


class TestErrors:
    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("grad-cam", "mean 'gradcam'.*captum.NAME, deeplift, gradcam.*saliency"),
            ("ig:mean", "another, blurred, brain_mean, prior, training_mean, zero"),
            ("ig:training", "another, blurred, brain_mean, prior, training_mean, zero"),
            ("", "choose from: captum.NAME, deeplift, gradcam"),
            ("captum.Salience", "method of Captum 'Salience'.*mean 'Saliency'"),
        ],
    )
    def test_unknown_names(self, text, said):
        with pytest.raises(UnknownNameError, match=said):
            MethodRequest.parse(text)

    def test_a_baseline_where_there_is_none(self):
        with pytest.raises(ConfigError, match="saliency takes no baseline"):
            MethodRequest.parse("saliency:zero")

    @pytest.mark.parametrize("label", ["saliency", "gradcam", "ig:prior", "captum.Deconvolution"])
    def test_labels_are_read_back(self, label):
        assert MethodRequest.parse(label).label == label

    @pytest.mark.parametrize("layer", ["layers", "first.9", ""])
    def test_an_unknown_layer_lists_those_on_offer(self, layer):
        with pytest.raises(UnknownNameError, match="choose from: layer"):
            explain(made(Small), "gradcam", layer=layer)

    @pytest.mark.parametrize("targets", [[], [4], [-1], [0, 7]])
    def test_targets_out_of_range(self, targets):
        with pytest.raises(ConfigError, match="target"):
            explain(made(Small), "saliency", targets)

    @pytest.mark.parametrize("bad", [math.nan, math.inf])
    @pytest.mark.parametrize("name", ["saliency", "gradcam", "ig"])
    def test_weights_that_are_not_numbers(self, name, bad):
        model = made(Small)
        with torch.no_grad():
            model.last.bias[1] = bad
        with pytest.raises(ModelError, match="NaN or infinite logits"):
            explain(model, name)

    @pytest.mark.parametrize(
        ("output", "said"),
        [
            (lambda y: (y, y), "gave tuple"),
            (lambda y: {"logits": y}, "gave dict"),
            (lambda y: y[0], r"gave \(4,\)"),
            (lambda y: y[:, :3], r"gave \(1, 3\)"),
            (lambda y: y[:, :, None], r"gave \(1, 4, 1\)"),
        ],
    )
    def test_what_is_no_logits(self, output, said):
        class Odd(Small):
            def forward(self, x):
                return output(super().forward(x))

        for name in ("saliency", "ig"):
            with pytest.raises(ModelError, match=said):
                explain(made(Odd), name)

    def test_a_layer_that_runs_twice_or_never(self):
        class Twice(Small):
            def forward(self, x):
                self.layer(self.first(x))
                return super().forward(x)

        with pytest.raises(ModelError, match="layer ran 2 times"):
            explain(made(Twice), "gradcam")
        never = made(Small)
        never.spare = nn.Conv3d(1, 1, 1)
        with pytest.raises(ModelError, match="ran 0 times"):
            explain(never, "gradcam", layer="spare")

    def test_a_layer_that_gives_no_features(self):
        with pytest.raises(ModelError, match=r"this one gives \(1, 4\)"):
            explain(made(Small), "gradcam", layer="last")

    def test_a_layer_that_the_logits_do_not_see(self):
        class Aside(Small):
            def __init__(self):
                super().__init__()
                self.aside = nn.Conv3d(4, 2, 1)

            def forward(self, x):
                self.aside(x)
                return super().forward(x)

        with pytest.raises(ModelError, match="cannot be differentiated"):
            explain(made(Aside), "gradcam", layer="aside")

    def test_logits_that_cannot_be_differentiated(self):
        class Counting(Small):
            def forward(self, x):
                return super().forward(x).detach().round()

        with pytest.raises(ModelError, match="cannot be differentiated"):
            explain(made(Counting), "saliency")

    @pytest.mark.parametrize("missing", ["layout", "num_classes", "cam_layers"])
    def test_a_model_without_the_protocol(self, missing):
        model = nn.Sequential(nn.Flatten(), nn.LazyLinear(4))
        for name in {"layout", "num_classes", "cam_layers"} - {missing}:
            setattr(model, name, getattr(Explainable, name))
        with pytest.raises(ModelError, match=rf"Sequential cannot be explained.*{missing}"):
            attribute(model, scans(), ALL, [0], brain=brain_of())
