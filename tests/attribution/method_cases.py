"""Every row of the table on every family of networks and every stem: which fit, and their maps."""

from __future__ import annotations

from functools import cache

import torch
from torch import nn

from xrano.attribution.methods import (
    METHODS,
    AttributionSettings,
    MethodRequest,
    Regions,
    attribute,
)
from xrano.channels import ChannelLayout
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


def layer_of(model, method):
    if method == "tokengrad":
        names = [n for n, _ in model.named_modules() if n.endswith("patch_embeddings")]
        return dict(model.named_modules())[names[0]]
    return dict(model.named_modules())[model.cam_layers[0]]
