"""Every row of the table against Captum, or by hand where Captum has no such method."""

from __future__ import annotations

import warnings

import captum.attr
import pytest
import torch
from method_cases import (
    CAPTUMS,
    FITTING,
    SETTINGS,
    SHAPES,
    TARGETS,
    brain,
    explain,
    labels,
    layer_of,
    made,
    references,
    scans,
)

from xrano.attribution.gradient_shap import draws
from xrano.attribution.supervoxels import supervoxels


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
