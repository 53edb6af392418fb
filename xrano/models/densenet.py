"""MONAI's DenseNets in two parts, with a stem for coarse voxels and activation checkpointing."""

from __future__ import annotations

from collections.abc import Sequence

from monai.networks.nets.densenet import DenseNet, _DenseBlock
from torch import Tensor, nn

from xrano.models.checkpointing import Spine, root_size

MONAI_STEM = 7
"""Size of the first convolution's kernel in MONAI's DenseNets."""


class PairDenseNet(DenseNet):
    """Huang et al. 2017 (arXiv:1608.06993) by MONAI; the names of its weights are MONAI's.

    Args:
        in_channels: of the first convolution.
        num_classes: number of logits.
        joined: how many sets of features the classifier takes.
        block_config: layers of each dense block.
        init_features: features of the first convolution.
        growth_rate: features that each layer adds.
        stem: size of the first convolution's kernel.
        checkpointing: keep less for the backward pass of a training step.
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        joined: int = 1,
        *,
        block_config: Sequence[int],
        init_features: int = 64,
        growth_rate: int = 32,
        stem: int = MONAI_STEM,
        checkpointing: bool = False,
    ) -> None:
        super().__init__(
            spatial_dims=3,
            in_channels=in_channels,
            out_channels=num_classes,
            init_features=init_features,
            growth_rate=growth_rate,
            block_config=block_config,
        )
        self.features = Spine(
            {name: _spine(part, checkpointing) for name, part in self.features.named_children()},
            checkpointing=checkpointing,
        )
        if stem != MONAI_STEM:
            convolution = nn.Conv3d(
                in_channels, init_features, stem, stride=2, padding=stem // 2, bias=False
            )
            nn.init.kaiming_normal_(convolution.weight)
            self.features.conv0 = convolution
        if joined != 1:
            features = self.class_layers.get_parameter("out.weight").shape[1]
            self.class_layers.out = nn.Linear(joined * features, num_classes)
            # What is joined comes rectified, and must not be written over by a second time.
            self.class_layers.relu = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Logits ``(batch, num_classes)``."""
        return self.classify(self.encode(x))

    def encode(self, inputs: Tensor) -> Tensor:
        """Features after the last normalisation, ``(batch, feature, a, b, c)``."""
        features: Tensor = self.features(inputs)
        return features

    def classify(self, features: Tensor) -> Tensor:
        """Logits of features: rectified, averaged over cells, one linear layer."""
        logits: Tensor = self.class_layers(features)
        return logits

    def drop_head(self) -> int:
        """Take the linear layer off, so that the averaged features come out; how many they are."""
        features = self.class_layers.get_parameter("out.weight").shape[1]
        self.class_layers.out = nn.Identity()
        return features


def _spine(part: nn.Module, checkpointing: bool) -> nn.Module:
    """A dense block in groups of its layers; anything else as it is."""
    if not isinstance(part, _DenseBlock):
        return part
    layers = dict(part.named_children())
    return Spine(layers, size=root_size(len(layers)), checkpointing=checkpointing)
