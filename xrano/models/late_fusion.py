"""Late fusion: clinical data join the image features before the last layer."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from xrano.errors import ModelError

HIDDEN = 256
"""Features that the clinical data become, as in the paper."""


class ClinicalFusion(nn.Module):
    """One rectified layer for the clinical data, one linear layer for both.

    ``logits = W · [image features, relu(V · clinical + b)] + c``, after the public code of
    arXiv:2504.18268, where ``clinical`` holds two columns a variable, side by side: its value, and
    1 where it is missing (the value is 0 then), so that the network learns what a missing one
    means.

    Args:
        variables: names of the clinical variables.
        image_features: how many features the image gives.
        num_classes: number of logits.

    Raises:
        ModelError: if there is no variable or one is named twice.
    """

    def __init__(self, variables: Sequence[str], image_features: int, num_classes: int) -> None:
        super().__init__()
        self.variables = tuple(variables)
        if not self.variables or len(set(self.variables)) != len(self.variables):
            raise ModelError(f"each clinical variable is named once, got {list(variables)}")
        self.clinical = nn.Linear(2 * len(self.variables), HIDDEN)
        self.rectify = nn.ReLU()
        self.output = nn.Linear(image_features + HIDDEN, num_classes)

    def forward(self, image_features: Tensor, clinical: Tensor | None) -> Tensor:
        """Logits ``(batch, num_classes)``.

        Args:
            image_features: ``(batch, feature)``.
            clinical: ``(batch, 2 · variables)``.

        Raises:
            ModelError: if the clinical data are missing or of another shape.
        """
        needed = (len(image_features), 2 * len(self.variables))
        if clinical is None or tuple(clinical.shape) != needed:
            found = "none" if clinical is None else f"shape {tuple(clinical.shape)}"
            raise ModelError(
                f"this network needs clinical data {needed} beside the images: value and "
                f"missingness of each of {', '.join(self.variables)}; got {found}. To explain its "
                "images, hold a pair's by xrano.models.clinical_fusion.with_clinical"
            )
        hidden = self.rectify(self.clinical(clinical))
        logits: Tensor = self.output(torch.cat([image_features, hidden], dim=1))
        return logits
