"""One table of the networks that can be named in a config, and the function that makes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, cast

import torch
from torch import nn

from xrano.channels import ChannelLayout
from xrano.errors import UnknownNameError
from xrano.models.alexnet import AlexNet3D
from xrano.models.classifier import ResponseClassifier
from xrano.models.densenet import PairDenseNet
from xrano.models.late_fusion import ClinicalFusion
from xrano.models.resnet import PairResNet
from xrano.models.stems import JOINED, STEMS, EncodingNetwork, Siamese
from xrano.models.vit import PairViT


@dataclass(frozen=True)
class ModelSpec:
    """A row of the table: how to build a network and where its class activation maps are.

    ``build(in_channels, num_classes, joined, checkpointing=…)`` gives an
    :class:`xrano.models.stems.EncodingNetwork`; ``stride`` is the size of a cell of the last
    feature grid in voxels along i, j, k; ``cam_layers`` go from coarse to fine. A network without
    them says in ``cam_note`` why and what fits instead, and names in ``grid_layers`` what stands
    on its grid.
    """

    build: Callable[..., nn.Module]
    cam_layers: tuple[str, ...]
    stride: tuple[int, int, int]
    description: str
    cam_note: str = ""
    grid_layers: tuple[str, ...] = field(default=())

    @property
    def grids(self) -> tuple[str, ...]:
        """Modules whose output is a feature grid, coarse to fine."""
        return self.grid_layers or self.cam_layers


def _densenet(block_config: tuple[int, ...], description: str, **settings: Any) -> ModelSpec:
    blocks = len(block_config)
    return ModelSpec(
        build=partial(PairDenseNet, block_config=block_config, **settings),
        # The paper takes the last dense block before its final norm; finer blocks follow.
        cam_layers=tuple(f"features.denseblock{index}" for index in range(blocks, 0, -1)),
        stride=(4 * 2 ** (blocks - 1),) * 3,
        description=description,
    )


def _resnet(description: str, *, stride: int, **settings: Any) -> ModelSpec:
    return ModelSpec(
        build=partial(PairResNet, **settings),
        cam_layers=("layer4", "layer3", "layer2", "layer1"),
        stride=(stride,) * 3,
        description=description,
    )


def _vit(description: str, *, patch: tuple[int, int, int], **settings: Any) -> ModelSpec:
    return ModelSpec(
        build=partial(PairViT, patch=patch, **settings),
        cam_layers=(),
        stride=patch,
        description=description,
        cam_note="attention mixes places, so a token of a transformer does not stand for its "
        "patch and has no Grad-CAM; tokengrad, saliency and ig fit",
        grid_layers=("patch_embedding.patch_embeddings",),
    )


MODELS: Mapping[str, ModelSpec] = {
    "densenet_small": _densenet(
        (4, 4),
        "two dense blocks, stride 8: cells of 32 mm at 4 mm voxels, for the demo and tests",
        init_features=24,
        growth_rate=12,
        # At 4 mm a kernel of 7 would span 28 mm, and take most of the time.
        stem=3,
    ),
    "densenet121": _densenet((6, 12, 24, 16), "MONAI DenseNet121"),
    "densenet169": _densenet((6, 12, 32, 32), "MONAI DenseNet169"),
    "densenet264": _densenet((6, 12, 64, 48), "MONAI DenseNet264: the paper's best"),
    "resnet_small": _resnet(
        "a ResNet of one block a stage, for tests",
        stride=16,
        layers=(1, 1, 1, 1),
        planes=(8, 16, 32, 64),
        stem=3,
        pooled=False,
    ),
    "resnet18": _resnet(
        "MONAI ResNet18, takes MedicalNet's weights", stride=32, layers=(2, 2, 2, 2)
    ),
    "alexnet3d": ModelSpec(
        build=AlexNet3D,
        cam_layers=("features.stage5", "features.stage2", "features.stage1"),
        stride=(18, 18, 18),
        description="five convolutions in 3D",
    ),
    "vit_small": _vit(
        "a transformer of two blocks, for tests",
        patch=(8, 8, 8),
        hidden=48,
        mlp=96,
        depth=2,
        heads=4,
        dropout=0.0,
    ),
    "vit": _vit("MONAI ViT-B, the paper's patches of 20 × 20 × 10", patch=(20, 20, 10)),
}


def create_model(
    name: str,
    layout: ChannelLayout,
    num_classes: int = 4,
    *,
    stem: str = "concat",
    seed: int = 0,
    checkpointing: bool = False,
    clinical: tuple[str, ...] = (),
) -> ResponseClassifier:
    """Make a network with random weights.

    Args:
        name: a key of :data:`MODELS`.
        layout: the input channels, whatever the stem.
        num_classes: number of logits.
        stem: a key of :data:`xrano.models.stems.STEMS`.
        seed: of the weights; the global random state is left as it was.
        checkpointing: compute activations again in the backward pass of a training step: less
            memory, about a third more time, the same gradients.
        clinical: variables that are fused with the image features before the last layer; the
            weights before it are those that the same seed gives without them.

    Raises:
        UnknownNameError: if there is no such network or stem; the message lists them.
        ModelError: if a clinical variable is named twice.

    Example:
        >>> layout = ChannelLayout(("T1", "FLAIR"))
        >>> create_model("densenet_small", layout).cam_layers[0]
        'backbone.features.denseblock2'
        >>> create_model("densenet_small", layout, stem="siamese").cam_layers
        ('backbone.join',)
    """
    if name not in MODELS:
        raise UnknownNameError("model", name, MODELS)
    if stem not in STEMS:
        raise UnknownNameError("stem", stem, STEMS)
    spec, entry = MODELS[name], STEMS[stem]
    in_channels = entry.channels * len(layout.sequences)
    joined = JOINED if entry.shared else 1
    with torch.random.fork_rng(devices=[]):
        # torch.manual_seed would reach for every GPU, whose state is not restored.
        torch.default_generator.manual_seed(seed)
        backbone = spec.build(in_channels, num_classes, joined, checkpointing=checkpointing)
        fusion = _fusion(backbone, clinical, num_classes) if clinical else None
    cam_layers = spec.cam_layers
    if entry.shared:
        backbone = Siamese(backbone)
        cam_layers = ("join",) if cam_layers else ()
    return ResponseClassifier(
        backbone, layout, num_classes, cam_layers, stem=stem, cam_note=spec.cam_note, fusion=fusion
    )


def _fusion(backbone: nn.Module, clinical: tuple[str, ...], num_classes: int) -> ClinicalFusion:
    """The fusion that takes the place of a backbone's last layer."""
    features = cast(EncodingNetwork, backbone).drop_head()
    return ClinicalFusion(clinical, features, num_classes)
