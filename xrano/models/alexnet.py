"""AlexNet in three dimensions, as it is used on brain MRI."""

from __future__ import annotations

from torch import Tensor, nn

from xrano.models.checkpointing import Spine


class AlexNet3D(nn.Module):
    """Five convolutions after Krizhevsky et al. 2012, with the widths of Abrol et al. 2021.

    (Nature Communications 12, 353.) Theirs flattens a fixed last grid; here the features are
    averaged over cells, so that any grid of 18 voxels or more an axis fits.

    Args:
        in_channels: of the first convolution.
        num_classes: number of logits.
        joined: how many sets of features the classifier takes.
        checkpointing: keep less for the backward pass of a training step.
    """

    def __init__(
        self, in_channels: int, num_classes: int, joined: int = 1, *, checkpointing: bool = False
    ) -> None:
        super().__init__()
        again = checkpointing
        self.features = Spine(
            {
                "stage1": _stage(in_channels, 64, kernel=5, stride=2, checkpointing=again),
                "pool1": nn.MaxPool3d(3),
                "stage2": _stage(64, 128, checkpointing=again),
                "pool2": nn.MaxPool3d(3),
                "stage3": _stage(128, 192, checkpointing=again),
                "stage4": _stage(192, 192, checkpointing=again),
                "stage5": _stage(192, 128, checkpointing=again),
            },
            checkpointing=checkpointing,
        )
        self.classifier = nn.Sequential(
            nn.AdaptiveAvgPool3d(1),
            nn.Flatten(),
            nn.Dropout(),
            nn.Linear(128 * joined, 64),
            nn.ReLU(),
            nn.Dropout(),
            nn.Linear(64, num_classes),
        )

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits ``(batch, num_classes)``."""
        return self.classify(self.encode(inputs))

    def encode(self, inputs: Tensor) -> Tensor:
        """Features of the last convolution, ``(batch, 128, a, b, c)``."""
        features: Tensor = self.features(inputs)
        return features

    def classify(self, features: Tensor) -> Tensor:
        """Logits of features: averaged over cells, two linear layers."""
        logits: Tensor = self.classifier(features)
        return logits

    def drop_head(self) -> int:
        """Take the last linear layer off, so that what it took comes out; how many that are."""
        features = self.classifier.get_parameter("6.weight").shape[1]
        self.classifier[6] = nn.Identity()
        return features


def _stage(
    in_channels: int,
    out_channels: int,
    kernel: int = 3,
    stride: int = 1,
    *,
    checkpointing: bool,
) -> Spine:
    steps = (
        nn.Conv3d(in_channels, out_channels, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm3d(out_channels),
        nn.ReLU(inplace=True),
    )
    return Spine(
        {str(number): step for number, step in enumerate(steps)}, checkpointing=checkpointing
    )
