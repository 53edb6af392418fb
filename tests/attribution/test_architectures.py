"""Every method on every architecture and stem: finite, placed, complete, equal to Captum's."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from xrano.attribution.baselines import make_baseline
from xrano.attribution.grad_cam import captum_grad_cam
from xrano.attribution.integrated_gradients import captum_integrated_gradients
from xrano.attribution.methods import AttributionSettings, MethodRequest, attribute
from xrano.attribution.saliency import captum_saliency
from xrano.channels import ChannelLayout, ExplainableModel
from xrano.errors import ModelError
from xrano.geometry import Grid
from xrano.models.factory import MODELS, create_model
from xrano.models.layer_geometry import feature_grid
from xrano.models.stems import STEMS

LAYOUT = ChannelLayout(("T1", "FLAIR"))
TARGETS = [0, 3]
# The families; the larger networks differ from these in width and depth alone.
SHAPES = {
    "densenet_small": (16, 17, 9),
    "resnet_small": (17, 20, 19),
    "alexnet3d": (18, 21, 19),
    "vit_small": (11, 17, 8),
}
CASES = [(name, stem) for name in SHAPES for stem in STEMS]
WITH_CAM = [(name, stem) for name, stem in CASES if name != "vit_small"]


def made(name, stem):
    model = create_model(name, LAYOUT, stem=stem, seed=7).double().eval()
    generator = torch.Generator().manual_seed(1)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm3d):
            module.running_mean.copy_(torch.randn(module.num_features, generator=generator) / 9)
            module.running_var.copy_(0.5 + torch.rand(module.num_features, generator=generator))
    return model


def scans(name):
    generator = torch.Generator().manual_seed(3)
    return torch.randn(1, 4, *SHAPES[name], generator=generator, dtype=torch.float64)


def explain(model, inputs, method, **settings):
    brain = torch.ones(inputs.shape[2:], dtype=torch.bool)
    return attribute(
        model,
        inputs,
        [MethodRequest.parse(method)],
        TARGETS,
        brain=brain,
        settings=AttributionSettings(**settings),
    )


def same(found, expected):
    largest = expected.abs().max()
    assert largest > 0
    assert found.shape == expected.shape
    assert found.isfinite().all()
    assert (found - expected).abs().max() <= 1e-6 * largest


@pytest.mark.parametrize(("name", "stem"), CASES)
def test_saliency(name, stem):
    model, inputs = made(name, stem), scans(name)
    assert isinstance(model, ExplainableModel)
    logits, results = explain(model, inputs, "saliency")
    assert torch.allclose(logits, model(inputs)[0].detach(), atol=1e-12)
    for result in results:
        assert result.values.shape == inputs.shape[1:], "a map a channel, whatever the stem"
        leaf = inputs.clone().requires_grad_(True)
        same(result.values, captum_saliency(model, leaf, result.target))
    if stem == "subtract":
        prior, current = results[0].values.chunk(2)
        assert torch.equal(prior, -current)


@pytest.mark.parametrize(("name", "stem"), CASES)
@pytest.mark.parametrize("baseline", ["zero", "prior"])
def test_integrated_gradients(name, stem, baseline):
    model, inputs = made(name, stem), scans(name)
    reference = make_baseline(
        baseline, inputs, LAYOUT, torch.ones(inputs.shape[2:], dtype=torch.bool)
    )
    _, results = explain(model, inputs, f"ig:{baseline}", n_steps=3)
    for result in results:
        expected = captum_integrated_gradients(model, inputs, result.target, reference, 3)
        same(result.values, expected)
    if baseline == "prior":
        assert not any(result.values[:2].any() for result in results)


@pytest.mark.parametrize(("name", "stem"), CASES)
def test_completeness(name, stem):
    model, inputs = made(name, stem), scans(name)
    zeros = torch.zeros_like(inputs)
    with torch.no_grad():
        change = (model(inputs) - model(zeros))[0, TARGETS]
    gaps = []
    for n_steps in (2, 64):
        _, results = explain(model, inputs, "ig:zero", n_steps=n_steps)
        total = torch.stack([result.values.sum() for result in results])
        gaps.append(float((total - change).abs().max() / change.abs().max()))
    # Rectified networks have kinks on the path, so that more steps help, but slowly.
    assert gaps[1] < 0.1
    assert gaps[1] < gaps[0]


@pytest.mark.parametrize(("name", "stem"), WITH_CAM)
def test_grad_cam_on_every_layer_offered(name, stem):
    model, inputs = made(name, stem), scans(name)
    grid = Grid(SHAPES[name], torch.eye(4).numpy())
    assert model.cam_layers
    for layer in model.cam_layers:
        _, results = explain(model, inputs, "gradcam", layer=layer)
        module = dict(model.named_modules())[layer]
        cells = feature_grid(model, layer, len(LAYOUT), grid)
        for result in results:
            assert result.values.shape == (1, *cells.shape)
            same(result.values, captum_grad_cam(model, inputs, result.target, module))


@pytest.mark.parametrize("name", [name for name in SHAPES if name != "vit_small"])
def test_grad_cam_inside_a_shared_encoder_is_refused(name):
    model = made(name, "siamese")
    inner = f"backbone.encoder.{MODELS[name].cam_layers[0]}"
    with pytest.raises(
        ModelError, match="once a forward, .*(denseblock2|layer4|stage5) ran 2 times"
    ):
        explain(model, scans(name), "gradcam", layer=inner)


def test_grad_cam_of_a_siamese_network_in_closed_form():
    model, inputs = made("densenet_small", "siamese"), scans("densenet_small")
    features = model.backbone.features(inputs).detach()
    cells = features[0, 0].numel()
    _, results = explain(model, inputs, "gradcam")
    for result in results:
        weight = model.backbone.encoder.class_layers.out.weight[result.target].detach()
        # The mean over cells of a rectified feature: its gradient is the weight where it is > 0.
        mean = weight * (features[0] > 0).double().mean(dim=(1, 2, 3)) / cells
        expected = (mean.view(-1, 1, 1, 1) * features[0]).sum(dim=0, keepdim=True)
        same(result.values, expected)


@pytest.mark.parametrize("stem", ["concat", "siamese"])
def test_grad_cam_on_a_transformer_is_refused(stem):
    model = made("vit_small", stem)
    with pytest.raises(ModelError, match="no layers for class activation maps|has no Grad-CAM"):
        explain(model, scans("vit_small"), "gradcam")


@pytest.mark.parametrize("name", SHAPES)
def test_checkpointing_does_not_touch_maps(name):
    plain = create_model(name, LAYOUT, seed=7).eval()
    lean = create_model(name, LAYOUT, seed=7, checkpointing=True).eval()
    inputs = scans(name).float()
    for method in ("saliency", "ig:zero"):
        (_, expected), (_, found) = (explain(m, inputs, method, n_steps=2) for m in (plain, lean))
        for one, other in zip(expected, found, strict=True):
            assert torch.equal(one.values, other.values)
