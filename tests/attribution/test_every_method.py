"""Every row of the table on every family of networks and every stem."""

from __future__ import annotations

import json
import warnings
from functools import cache

import captum.attr
import pytest
import torch
from torch import nn

from xrano.attribution.baselines import make_baseline
from xrano.attribution.gradient_shap import draws
from xrano.attribution.methods import (
    METHODS,
    AttributionSettings,
    MethodRequest,
    Regions,
    attribute,
)
from xrano.attribution.supervoxels import supervoxels
from xrano.channels import ChannelLayout
from xrano.errors import ModelError
from xrano.models.clinical_fusion import with_clinical
from xrano.models.factory import create_model

LAYOUT = ChannelLayout(("T1", "FLAIR"))
TARGETS = [0, 3]
SHAPES = {
    "densenet_small": (16, 17, 9),
    "resnet_small": (17, 20, 19),
    "alexnet3d": (18, 21, 19),
    "vit_small": (11, 17, 8),
}
STEMS = ("concat", "subtract", "siamese")
NETWORKS = [(name, stem) for name in SHAPES for stem in STEMS]
CAMS = {"gradcam", "gradcampp", "hirescam", "layercam", "layercam_fused", "guided_gradcam"}
SETTINGS = AttributionSettings(
    n_steps=3, n_samples=3, block=8, supervoxels=5, permutations=4, chunk=1
)
CAPTUMS = (*METHODS, "captum.Deconvolution")


def refusal(method, name, stem):
    """What the refusal says, if the method does not fit the network."""
    if name == "vit_small":
        if method in CAMS:
            return "no Grad-CAM|name no layers|names no layers"
        if method == "deeplift":
            return "do not add up.*attention.*ig and gradient_shap fit"
        if method == "guided_backprop" and stem != "siamese":
            return "ran none.*saliency, smoothgrad and ig fit"
    elif method == "tokengrad":
        return "patch embedding of a transformer.*gradcam for a convolutional"
    if method == "layercam_fused" and stem == "siamese":
        return "needs 2 layers or more.*join alone.*layercam"
    return ""


FITTING = [
    (m, name, stem) for m in CAPTUMS for name, stem in NETWORKS if not refusal(m, name, stem)
]
REFUSED = [(m, name, stem) for m in CAPTUMS for name, stem in NETWORKS if refusal(m, name, stem)]


@cache
def made(name, stem, dtype=torch.float64):
    model = create_model(name, LAYOUT, stem=stem, seed=7).to(dtype)
    generator = torch.Generator().manual_seed(1)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm3d):
            module.running_mean.copy_(torch.randn(module.num_features, generator=generator) / 9)
            module.running_var.copy_(0.5 + torch.rand(module.num_features, generator=generator))
    return model.eval()


def scans(name, dtype=torch.float64, seed=3):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(1, 4, *SHAPES[name], generator=generator, dtype=torch.float64).to(dtype)


def brain(name):
    inside = torch.ones(SHAPES[name], dtype=torch.bool)
    inside[:2] = False
    return inside


def labels(name):
    regions = torch.zeros(SHAPES[name], dtype=torch.long)
    regions[3:9, 2:7, 2:6] = 4
    return regions


def references(name, dtype=torch.float64):
    several = torch.cat([scans(name, dtype, seed) for seed in (11, 12)])
    return {"training": several, "training_mean": several.mean(dim=0), "another": several[:1]}


def explain(method, name, stem, *, model=None, inputs=None, targets=TARGETS, settings=SETTINGS):
    model = made(name, stem) if model is None else model
    inputs = scans(name) if inputs is None else inputs
    _, found = attribute(
        model,
        inputs,
        [MethodRequest.parse(method)],
        targets,
        brain=brain(name),
        settings=settings,
        references=references(name, inputs.dtype),
        regions=Regions(labels(name), {0: "rest", 4: "core"}),
    )
    return found


def infill(method, name, inputs):
    baseline = MethodRequest.parse(method).baseline
    return make_baseline(
        baseline, inputs, LAYOUT, brain(name), references=references(name, inputs.dtype)
    )


def layer_of(model, method):
    if method == "tokengrad":
        names = [n for n, _ in model.named_modules() if n.endswith("patch_embeddings")]
        return dict(model.named_modules())[names[0]]
    return dict(model.named_modules())[model.cam_layers[0]]


def groups(method, name, inputs):
    """Integer labels of what is hidden together, with an axis for channels, from 0 without gaps."""
    if method == "shapley_sequences":
        shape = (1, 4, *SHAPES[name])
        return torch.arange(4).view(1, 4, 1, 1, 1).expand(shape).contiguous()
    if method == "occlusion_supervoxels":
        found = supervoxels(inputs[0], brain(name), SETTINGS.supervoxels)
    else:
        found = labels(name)
    found = torch.unique(found, return_inverse=True)[1]
    if method == "shapley_regions":
        per_visit = torch.stack([found, found, found + 2, found + 2])
        return per_visit[None]
    return found[None, None].expand(1, 4, *found.shape)


PLAIN = {
    "saliency": ("Saliency", {"abs": False}),
    "input_x_gradient": ("InputXGradient", {}),
    "ig": ("IntegratedGradients", {"n_steps": 3, "internal_batch_size": 1}),
    "deeplift": ("DeepLift", {}),
    "guided_backprop": ("GuidedBackprop", {}),
    "captum.Deconvolution": ("Deconvolution", {}),
}
OF_A_LAYER = {
    "gradcam": "LayerGradCam",
    "guided_gradcam": "GuidedGradCam",
    "hirescam": "LayerGradientXActivation",
    "tokengrad": "LayerGradientXActivation",
}
"""What else they need is Captum's default."""


def by_captum(method, model, inputs, target, name):
    """What Captum's class gives, of the shape of ours."""
    leaf = inputs.clone().requires_grad_(True)
    if method in PLAIN:
        kind, options = PLAIN[method]
        return getattr(captum.attr, kind)(model).attribute(leaf, target=target, **options)
    if method in OF_A_LAYER:
        kind = getattr(captum.attr, OF_A_LAYER[method])
        found = kind(model, layer_of(model, method)).attribute(leaf, target)
        return found if method == "guided_gradcam" else found.sum(dim=1, keepdim=True)
    if method == "occlusion":
        window = (4, 8, 8, 8)
        found = captum.attr.Occlusion(model).attribute(inputs, window, window, target=target)
        return found[:, :1]
    mask = groups(method, name, inputs)
    if method.startswith("occlusion_"):
        ablation = captum.attr.FeatureAblation(model)
        return ablation.attribute(inputs, target=target, feature_mask=mask)[:, :1]
    found = captum.attr.ShapleyValues(model).attribute(inputs, target=target, feature_mask=mask)
    # Ours is spread over the player's voxels, so that a map sums to the change.
    return found / torch.bincount(mask.flatten())[mask]


def comparable(method, name, stem):
    """Whether Captum has the method and it works on the network."""
    # Its hooks refuse modules that run twice, or count them twice.
    reused = stem == "siamese" or name == "resnet_small"
    if method in ("deeplift", "guided_backprop", "guided_gradcam") and reused:
        return False
    if method == "tokengrad" and stem == "siamese":
        return False
    if (method, name) == ("deeplift", "alexnet3d"):
        # A pooling follows an activation: Captum's map does not add up there, ours does (below).
        return False
    if method.startswith("shapley"):
        # It runs every order of the players: 96 forwards where 16 coalitions do.
        return (name, stem) in (("vit_small", "subtract"), ("densenet_small", "concat"))
    return method not in ("gradcampp", "layercam", "layercam_fused", "smoothgrad", "gradient_shap")


def check_captum(method, name, stem, dtype, tolerance, floor=0.0):
    model, inputs = made(name, stem, dtype), scans(name, dtype)
    targets = range(4) if method == "guided_gradcam" else TARGETS
    sizes = []
    for result in explain(method, name, stem, model=model, inputs=inputs, targets=targets):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            expected = by_captum(method, model, inputs, result.target, name)[0].detach()
        assert result.values.dtype == dtype
        assert result.values.shape == expected.shape
        sizes.append(float(expected.abs().max()))
        assert float((result.values - expected).abs().max()) <= tolerance * sizes[-1] + floor
    assert max(sizes) > 0
    # A class whose Grad-CAM is negative everywhere has none that is guided.
    assert min(sizes) > 0 or method == "guided_gradcam"


@pytest.mark.parametrize(("method", "name", "stem"), [f for f in FITTING if comparable(*f)])
def test_equal_to_captum(method, name, stem):
    check_captum(method, name, stem, torch.float64, 1e-6)


SINGLE = [m for m in CAPTUMS if m != "tokengrad" and comparable(m, "densenet_small", "concat")]


@pytest.mark.parametrize("method", SINGLE)
def test_equal_to_captum_in_single_precision(method):
    # Falls and Shapley values are differences of outputs, rounded in the outputs' size.
    floor = 4e-6 if method.startswith(("occlusion", "shapley")) else 0.0
    check_captum(method, "densenet_small", "concat", torch.float32, 1e-4, floor)


@pytest.mark.parametrize(("method", "name", "stem"), FITTING)
def test_maps_are_whole_and_the_network_is_left_as_found(method, name, stem):
    model, inputs = made(name, stem), scans(name)
    first = next(module for module in model.modules() if not list(module.children()))
    first.train()
    modes = [module.training for module in model.modules()]
    before = inputs.clone()
    state = torch.get_rng_state()
    found = explain(method, name, stem, inputs=inputs, targets=range(4))
    assert [module.training for module in model.modules()] == modes
    first.eval()
    spec = found[0].request.spec
    for result in found:
        assert result.values.isfinite().all()
        assert result.values.ndim == 4
        if spec.coarse:
            assert result.grid_layer
            assert len(result.values) == 1
        else:
            assert result.values.shape[1:] == inputs.shape[2:]
            assert len(result.values) in (1, 4)
        if not spec.signed:
            assert result.values.min() >= 0
        said = dict(result.details)
        assert json.loads(json.dumps(said, allow_nan=False)) == said
        assert result.output == "logit"
        assert not result.values.requires_grad
    assert torch.equal(inputs, before)
    assert torch.equal(torch.get_rng_state(), state)
    for module in model.modules():
        hooks = (module._forward_hooks, module._forward_pre_hooks, module._backward_hooks)
        assert not any(hooks), "a hook was left behind"
    assert all(p.requires_grad and p.grad is None for p in model.parameters())
    assert any(result.values.any() for result in found)
    zeros = [not result.values.any() for result in found if spec.uses_layer]
    marked = [result.details.get("remark") == "zero_map" for result in found if spec.uses_layer]
    assert zeros == marked


@pytest.mark.parametrize(("method", "name", "stem"), REFUSED)
def test_what_does_not_fit_says_why_and_what_does(method, name, stem):
    model = made(name, stem)
    with pytest.raises(ModelError, match=refusal(method, name, stem)):
        explain(method, name, stem)
    hooks = [h for m in model.modules() for h in (m._forward_hooks, m._forward_pre_hooks)]
    assert not any(hooks)
    assert all(parameter.requires_grad for parameter in model.parameters())


@pytest.mark.parametrize("method", CAPTUMS)
def test_the_same_again_and_each_target_alone(method):
    name = "vit_small" if method == "tokengrad" else "densenet_small"
    torch.manual_seed(5)
    together = explain(method, name, "concat")
    torch.manual_seed(6)
    again = explain(method, name, "concat")
    assert all(torch.equal(a.values, b.values) for a, b in zip(together, again, strict=True))
    for result in together:
        (alone,) = explain(method, name, "concat", targets=[result.target])
        largest = result.values.abs().max()
        assert (alone.values - result.values).abs().max() <= 1e-12 * largest


DRAWING = {"smoothgrad", "gradient_shap"}


@pytest.mark.parametrize("method", sorted(DRAWING))
def test_another_seed_gives_another_map(method):
    other = AttributionSettings(n_samples=3, seed=1)
    (first,) = explain(method, "densenet_small", "concat", targets=[1])
    (second,) = explain(method, "densenet_small", "concat", targets=[1], settings=other)
    assert not torch.equal(first.values, second.values)
    assert (first.details["seed"], second.details["seed"]) == (0, 1)


BATCHED = ["smoothgrad", "ig", "gradient_shap", "occlusion", "shapley_regions"]


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("method", BATCHED)
def test_in_one_batch_or_one_by_one(method, name):
    small = explain(method, name, "concat", targets=[2])
    whole = AttributionSettings(n_steps=3, n_samples=3, block=8, permutations=4, chunk=9)
    model, batches = made(name, "concat"), []
    handle = model.register_forward_pre_hook(lambda _m, args: batches.append(len(args[0])))
    large = explain(method, name, "concat", targets=[2], settings=whole)
    handle.remove()
    assert max(batches) > 1
    largest = small[0].values.abs().max()
    assert (small[0].values - large[0].values).abs().max() <= 1e-9 * largest


COMPLETE = ["deeplift", "shapley_regions", "shapley_sequences"]


@pytest.mark.parametrize(("name", "stem"), [n for n in NETWORKS if n[0] != "vit_small"])
@pytest.mark.parametrize("method", [f"{m}:{b}" for m in COMPLETE for b in ("zero", "prior")])
def test_complete_by_construction(method, name, stem):
    model, inputs = made(name, stem), scans(name)
    reference = infill(method, name, inputs)
    with torch.no_grad():
        change = (model(inputs) - model(reference))[0]
    for result in explain(method, name, stem):
        total = float(result.values.sum())
        assert total == pytest.approx(
            float(change[result.target]), abs=1e-8 * float(change.abs().max())
        )
        assert result.convergence_delta == pytest.approx(0, abs=1e-8)


def test_gradient_shap_by_hand():
    model, inputs = made("densenet_small", "concat"), scans("densenet_small")
    training = references("densenet_small")["training"]
    rows, alphas = draws(2, 3, 0)
    (found,) = explain("gradient_shap", "densenet_small", "concat", targets=[1])
    expected = torch.zeros_like(inputs)
    for row, alpha in zip(rows, alphas, strict=True):
        point = (training[row] + alpha * (inputs - training[row])).requires_grad_(True)
        (gradient,) = torch.autograd.grad(model(point)[0, 1], point)
        expected += (inputs - training[row]) * gradient / 3
    assert torch.allclose(found.values, expected[0], atol=1e-12)


def test_smoothgrad_is_captums_with_the_same_noise(monkeypatch):
    name = "densenet_small"
    model, inputs = made(name, "concat"), scans(name)
    generator = torch.Generator().manual_seed(0)
    shape = inputs.shape[1:]
    noise = torch.stack(
        [torch.randn(shape, generator=generator, dtype=torch.float64) for _ in range(3)]
    )
    monkeypatch.setattr(torch, "normal", lambda _mean, deviation: deviation * noise)
    deviation = 0.1 * float(inputs.max() - inputs.min())
    tunnel = captum.attr.NoiseTunnel(captum.attr.Saliency(model))
    for result in explain("smoothgrad", name, "concat"):
        expected = tunnel.attribute(
            inputs.clone(), nt_type="smoothgrad", nt_samples=3, stdevs=deviation,
            target=result.target, abs=False,
        )[0]  # fmt: skip
        assert result.details["noise_deviation"] == deviation
        assert (result.values - expected).abs().max() <= 1e-6 * expected.abs().max()


def test_tokens_of_both_scans_count_in_a_shared_encoder():
    model, inputs = made("vit_small", "siamese"), scans("vit_small")
    found = explain("tokengrad", "vit_small", "siamese")
    kept = []
    handle = layer_of(model, "tokengrad").register_forward_hook(
        lambda _m, _a, output: kept.append(output)
    )
    logits = model(inputs.requires_grad_(True))
    handle.remove()
    assert len(kept) == 2
    for result in found:
        slopes = torch.autograd.grad(logits[0, result.target], kept, retain_graph=True)
        expected = sum((a * g).sum(dim=1) for a, g in zip(kept, slopes, strict=True))
        assert result.values.shape == (1, 2, 3, 1)
        assert torch.allclose(result.values, expected.detach(), atol=1e-12)


@pytest.mark.parametrize("method", [m for m in METHODS if m != "tokengrad"])
def test_a_network_with_clinical_data_held(method):
    model = create_model("densenet_small", LAYOUT, seed=7, clinical=("age", "sex")).double()
    held = with_clinical(model, [0.5, 0.0, 1.0, 0.0])
    found = explain(method, "densenet_small", "concat", model=held)
    assert all(result.values.isfinite().all() for result in found)
    other = explain(
        method, "densenet_small", "concat", model=with_clinical(model, [-2.0, 0.0, 0.0, 1.0])
    )
    # The clinical branch joins before the last linear layer, so it moves outputs, never maps.
    for one, two in zip(found, other, strict=True):
        assert torch.allclose(one.values, two.values, atol=1e-9)
