"""MONAI's ResNets in two parts, with weights named and shaped as MedicalNet publishes them."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F  # noqa: N812 - the usual name
from monai.networks.nets.resnet import ResNet
from torch import Tensor, nn

from xrano.models.checkpointing import Recomputing, Spine

STAGES = ("layer1", "layer2", "layer3", "layer4")


class PairResNet(Recomputing, ResNet):
    """He et al. 2016 (arXiv:1512.03385) by MONAI, as MedicalNet's (Chen et al. 2019, 1904.00625).

    The first convolution and the pooling halve the grid, and shortcuts of type A (every second
    voxel, missing features zero) carry no weights. MedicalNet's own segmenter dilates its last two
    stages where this classifier strides, as MONAI does: names and shapes of the weights agree.

    Unlike MONAI's, a shortcut passes gradients on. MONAI cuts them off there (as MedicalNet did),
    which is no matter of taste where maps are gradients: attributions would not sum to the change
    of the logit.

    Args:
        in_channels: of the first convolution.
        num_classes: number of logits.
        joined: how many sets of features the classifier takes.
        layers: blocks of each of the four stages.
        planes: features of each stage.
        stem: size of the first convolution's kernel.
        pooled: whether a pooling follows the first convolution.
        checkpointing: keep less for the backward pass of a training step.
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        joined: int = 1,
        *,
        layers: Sequence[int],
        planes: Sequence[int] = (64, 128, 256, 512),
        stem: int = 7,
        pooled: bool = True,
        checkpointing: bool = False,
    ) -> None:
        super().__init__(
            "basic",
            list(layers),
            list(planes),
            n_input_channels=in_channels,
            conv1_t_size=stem,
            conv1_t_stride=2,
            no_max_pool=not pooled,
            shortcut_type="A",
            num_classes=num_classes,
        )
        self.checkpointing = checkpointing
        for name in STAGES:
            blocks = dict(self.get_submodule(name).named_children())
            self.add_module(name, Spine(blocks, checkpointing=checkpointing))
        if joined != 1:
            self.fc = nn.Linear(joined * planes[-1], num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits ``(batch, num_classes)``."""
        return self.classify(self.encode(x))

    def encode(self, inputs: Tensor) -> Tensor:
        """Features of the last stage, ``(batch, feature, a, b, c)``."""
        pooling = [] if self.no_max_pool else [self.maxpool]
        stem = [self.conv1, self.bn1, self.act, *pooling]
        return self.run_through([*stem, *map(self.get_submodule, STAGES)], inputs)

    def classify(self, features: Tensor) -> Tensor:
        """Logits of features: averaged over cells, one linear layer."""
        logits: Tensor = self.get_submodule("fc")(self.avgpool(features).flatten(1))
        return logits

    def drop_head(self) -> int:
        """Take the linear layer off, so that the averaged features come out; how many they are."""
        features = self.get_parameter("fc.weight").shape[1]
        self.add_module("fc", nn.Identity())
        return features

    def _downsample_basic_block(
        self, x: Tensor, planes: int, stride: int, spatial_dims: int = 3
    ) -> Tensor:
        """The shortcut of type A; MONAI's own detaches it."""
        kept = F.avg_pool3d(x, 1, stride)
        return F.pad(kept, (0,) * (2 * spatial_dims + 1) + (planes - kept.shape[1],))
