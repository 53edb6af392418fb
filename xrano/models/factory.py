"""One table of the networks that can be named in a config, and the function that makes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from monai.networks.nets.densenet import DenseNet
from torch import nn

from xrano.channels import ChannelLayout
from xrano.errors import UnknownNameError
from xrano.models.classifier import ResponseClassifier


@dataclass(frozen=True)
class ModelSpec:
    """A row of the table: how to build a backbone and where its class activation maps are.

    ``stride`` is the size of a cell of the last feature grid in voxels.
    """

    build: Callable[[int, int], nn.Module]
    cam_layers: tuple[str, ...]
    stride: int
    description: str


MONAI_STEM = 7
"""Size of the first convolution's kernel in MONAI's DenseNets."""


def _densenet(
    block_config: tuple[int, ...], *, init_features: int, growth_rate: int, stem: int
) -> Callable[[int, int], nn.Module]:
    def build(in_channels: int, num_classes: int) -> nn.Module:
        network = DenseNet(
            spatial_dims=3,
            in_channels=in_channels,
            out_channels=num_classes,
            init_features=init_features,
            growth_rate=growth_rate,
            block_config=block_config,
        )
        if stem != MONAI_STEM:
            convolution = nn.Conv3d(
                in_channels, init_features, stem, stride=2, padding=stem // 2, bias=False
            )
            nn.init.kaiming_normal_(convolution.weight)
            network.features.conv0 = convolution
        return network

    return build


def _densenet_spec(
    block_config: tuple[int, ...],
    description: str,
    *,
    init_features: int,
    growth_rate: int,
    stem: int = MONAI_STEM,
) -> ModelSpec:
    blocks = len(block_config)
    return ModelSpec(
        build=_densenet(
            block_config, init_features=init_features, growth_rate=growth_rate, stem=stem
        ),
        # The paper takes the last dense block before its final norm; finer blocks follow.
        cam_layers=tuple(f"features.denseblock{index}" for index in range(blocks, 0, -1)),
        stride=4 * 2 ** (blocks - 1),
        description=description,
    )


MODELS: Mapping[str, ModelSpec] = {
    "densenet_small": _densenet_spec(
        (4, 4),
        "two dense blocks, stride 8: cells of 32 mm at 4 mm voxels, for the demo and tests",
        init_features=24,
        growth_rate=12,
        # At 4 mm a kernel of 7 would span 28 mm, and take most of the time.
        stem=3,
    ),
    "densenet121": _densenet_spec(
        (6, 12, 24, 16), "MONAI DenseNet121, stride 32", init_features=64, growth_rate=32
    ),
    "densenet169": _densenet_spec(
        (6, 12, 32, 32), "MONAI DenseNet169, stride 32", init_features=64, growth_rate=32
    ),
    "densenet264": _densenet_spec(
        (6, 12, 64, 48),
        "MONAI DenseNet264, stride 32: the paper's best",
        init_features=64,
        growth_rate=32,
    ),
}


def create_model(
    name: str, layout: ChannelLayout, num_classes: int = 4, *, seed: int = 0
) -> ResponseClassifier:
    """Make a network with random weights.

    Args:
        name: a key of :data:`MODELS`.
        layout: the input channels.
        num_classes: number of logits.
        seed: of the weights; the global random state is left as it was.

    Raises:
        UnknownNameError: if there is no such network; the message lists them.

    Example:
        >>> model = create_model("densenet_small", ChannelLayout(("T1", "FLAIR")))
        >>> model.cam_layers[0]
        'backbone.features.denseblock2'
    """
    if name not in MODELS:
        raise UnknownNameError("model", name, MODELS)
    spec = MODELS[name]
    with torch.random.fork_rng(devices=[]):
        # torch.manual_seed would reach for every GPU, whose state is not restored.
        torch.default_generator.manual_seed(seed)
        backbone = spec.build(len(layout), num_classes)
    return ResponseClassifier(backbone, layout, num_classes, spec.cam_layers)
